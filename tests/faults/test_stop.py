"""An orderly end in the middle of a job, and a second server on the same database."""

from __future__ import annotations

import time
from pathlib import Path

import docker
import pytest

from tests.faults.arena import Arena
from tests.faults.conftest import Undisturbed
from tests.faults.invariants import judge
from tests.faults.moments import Moment, Plan
from tests.faults.nursery import Nursery
from tests.ports import ReservedPort
from tests.stories.world import START_SECONDS, World

# A whole job, more than once, on a busy machine.
pytestmark = pytest.mark.timeout(900)


def test_sigterm_in_the_middle(
    tmp_path: Path, nursery: Nursery, engine: docker.DockerClient, undisturbed: Undisturbed
) -> None:
    """SIGTERM: the process is gone within 30 s, even with a model that does not answer; the job goes on after it."""
    took: list[float] = []
    left: list[int] = []

    def terminate(arena: Arena) -> bool:
        started = time.monotonic()
        arena.process.terminate()
        arena.process.wait(40)
        took.append(time.monotonic() - started)
        left.append(len(arena.containers_left()))
        return True

    # Before the model's reply, nothing is answered until the process is gone.
    moments = {Moment("model turn 3", "before"), Moment("model turn 6", "after")}
    last = "run the tests after the change, in a fresh container"
    moments.add(Moment(f"container create, {last}", "at"))
    plan = Plan(moments.__contains__)
    arena = Arena(tmp_path / "world", plan=plan, nursery=nursery, engine=engine, strike=terminate)
    try:
        arena.serve()
        told = arena.run()
    finally:
        arena.stop()
    assert plan.killed == moments
    assert max(took) < 30, took
    assert max(took[1:]) < 20, "a step that goes on is waited for, and not the whole of the patience"
    assert left == [0, 0, 0], "a job that could not go on takes its container with it"
    assert judge(told, undisturbed()) == []


def test_a_second_server_is_refused(
    tmp_path: Path, nursery: Nursery, engine: docker.DockerClient, undisturbed: Undisturbed
) -> None:
    """A second `forgehand serve` on the same database says what to do and ends with 1; the first one's job goes on."""
    codes: list[int] = []

    def start_another(arena: Arena) -> bool:
        # Not from the nursery, which does not know the exit codes of its children.
        with ReservedPort() as port:
            codes.append(World.spawn(arena, "serve", FORGEHAND_PORT=str(port.number)).wait(START_SECONDS))
        return False

    plan = Plan({Moment("model turn 4", "before")}.__contains__)
    arena = Arena(tmp_path / "world", plan=plan, nursery=nursery, engine=engine, strike=start_another)
    try:
        arena.serve()
        told = arena.run()
    finally:
        arena.stop()
    assert codes == [1]
    [refusal] = arena.events("cannot start")
    assert "Another process already runs jobs on this database" in refusal["reason"]
    assert "Stop it first" in refusal["reason"]
    assert judge(told, undisturbed()) == []
    opened = "at container create, work on the change"
    assert told.trail.count(opened) == 1, "the second server took the first one's container away"
