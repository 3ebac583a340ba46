"""A job that is cancelled while it waits: for a command, for a test run, for a set-up, for the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docker
import pytest

from sandbox.container import OWNER_LABEL
from sandbox.snapshots import SNAPSHOT_LABEL
from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import FIX, ISSUE, NOTE, RIGHT, UNTESTED, WRONG, call, turn
from workflows.durable.queue import Queue

POLICY = ".github/qwen.yml"
FINAL_SECONDS = 30.0
"""Ten seconds, with room for a busy machine; what is cancelled would go on for minutes."""
ENDLESS = turn(say="I think. ", faults=[{"stall": 3, "alive": 0.05, "times": -1}])
SILENT = turn(say="I think.", delay=120.0)
SLEEP = turn(call("bash", command="touch asleep; sleep 300", timeout=600))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("cancelled") / "world", engine) as ground:
        yield ground


def close_while(
    ground: Ground, name: str, files: Mapping[str, str], *turns: Any, waits: Callable[[str, int], bool]
) -> Told:
    """The story of an issue that is closed when ``waits`` says that its job waits; its end must come in time."""
    world = ground.world
    ground.play(*turns)
    repository = world.create_repository(name, files)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(lambda: waits(repository, number), 90, "the job to wait")
    started = time.monotonic()
    world.hub.close_issue(repository, number, "alice")
    world.wait_until(
        lambda: "Cancelled: nothing" in "".join(world.comments(number, repository)), 90, "the comment to say so"
    )
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    took = time.monotonic() - started
    told = ground.told(repository, number)
    assert took < FINAL_SECONDS
    assert told.state == "cancelled"
    assert told.answer.startswith("Cancelled: nothing was published.")
    assert told.pulls == []
    return told


def sleeping(ground: Ground) -> Callable[[str, int], bool]:
    """Whether a command sleeps in a container of this world's."""

    def waits(_repository: str, _number: int) -> bool:
        for name in ground.world.containers(ground.engine):
            try:
                running = ground.engine.containers.get(name).top()["Processes"]
            except docker.errors.APIError:
                continue  # just made, or just gone
            # The engine says null of a container in which nothing runs yet.
            if any("sleep 300" in " ".join(process) for process in running or ()):
                return True
        return False

    return waits


def asked(ground: Ground, turns: int) -> Callable[[str, int], bool]:
    """Whether the model has been asked that often since now."""
    before = len(ground.world.model.requests)
    return lambda _repository, _number: len(ground.world.model.requests) >= before + turns


def test_while_the_agent_runs_a_command(ground: Ground) -> None:
    """The command is ended with the job, and its container is gone."""
    close_while(ground, "command", UNTESTED, SLEEP, waits=sleeping(ground))


def test_while_the_agent_runs_the_tests(ground: Ground) -> None:
    """The agent's own test run, too."""
    slow = {"test_slow.py": "import os\n\n\ndef test_slow():\n    os.path.exists('go') and os.system('sleep 300')\n"}
    go = turn(RIGHT, call("write_file", path="go", content=""), call("run_tests"))
    close_while(ground, "run-tests", {**WRONG, **slow}, go, waits=sleeping(ground))


def test_while_the_first_tests_run(ground: Ground) -> None:
    """The tests before the change are the harness's own; they end as soon."""
    policy = "test: sleep 300\n"
    told = close_while(ground, "baseline", {**WRONG, POLICY: policy}, *FIX, waits=sleeping(ground))
    assert "- [x] Prepare the sandbox" in told.comments[0]
    assert "- [ ] Run the tests before the change" in told.comments[0]


def test_while_the_last_tests_run(ground: Ground) -> None:
    """So do those after it."""
    policy = "test: if grep -q + calc.py; then sleep 300; fi\n"
    fix = (turn(RIGHT), turn(call("finish", summary="Done.", verification="It cannot be run here.")))
    told = close_while(ground, "verify", {**WRONG, POLICY: policy}, *fix, *fix[1:] * 3, waits=sleeping(ground))
    assert "- [x] Describe the change" in told.comments[0]


def test_while_it_is_set_up(ground: Ground) -> None:
    """A set-up command ends with its job, and leaves no snapshot that another job would take."""
    policy = "setup:\n  - sleep 300\n"
    close_while(ground, "set-up", {**UNTESTED, POLICY: policy}, waits=sleeping(ground))
    ours = f"{OWNER_LABEL}={ground.inside.composition.owner}"
    assert ground.engine.images.list(filters={"label": [SNAPSHOT_LABEL, ours]}) == []


@pytest.mark.parametrize("reply", [ENDLESS, SILENT], ids=["streams-without-end", "says-nothing"])
def test_while_the_model_answers(ground: Ground, reply: dict[str, Any]) -> None:
    """A reply that never ends is not waited for; what was changed before is in a container that is gone."""
    name = "endless" if reply is ENDLESS else "silent"
    close_while(ground, name, UNTESTED, turn(NOTE), reply, waits=asked(ground, 2))


def test_the_process_stops_while_a_command_runs(ground: Ground) -> None:
    """A worker that has to go does not wait for the command: the job stays where it was, without a container."""
    ground.play(SLEEP)
    repository = ground.world.create_repository("stopped", UNTESTED)
    number = ground.world.ask(ISSUE, repository=repository)
    ground.world.wait_until(lambda: sleeping(ground)(repository, number), 90, "the command to run")
    started = time.monotonic()
    assert ground.inside.queue.stop(drain_seconds=12), "nothing outlasts the second half"
    assert time.monotonic() - started < FINAL_SECONDS
    assert ground.world.containers(ground.engine) == []
    reader = Queue(ground.inside.composition.settings.database, worker=False)
    reader.start()
    assert [record.state for record in reader.jobs(limit=1)] == ["running"]
    reader.stop()
    assert ground.world.comments(number, repository)[0].startswith("Working on it: work on the change.")
