"""When the world breaks, a job ends with a clear word on its issue: nothing lost, nothing doubled, nothing left."""

from __future__ import annotations

import dataclasses
import itertools
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
import pytest

from app.localhub.edge import Exchange
from app.localhub.faults import Fault
from app.localhub.records import Delivery
from tests.app.served import Answer, request, sign
from tests.stories.conftest import Ground, open_ground
from tests.stories.engine_door import EngineDoor
from tests.stories.scripts import FIX, ISSUE, NOTE, NOTED, RIGHT, UNTESTED, WRONG, call, finish, turn
from tests.stories.world import SECRET
from workflows.services import Model
from workflows.solving.workshop import Workshop
from workflows.types import Reply

ACCEPTED = ["POST issues/1/reactions", "POST issues/1/comments", "DELETE issues/1/labels/qwen"]
PUBLISHED = [*ACCEPTED, "PUSH qwen/issue-1-add-is-wrong", "POST pulls", "POST check-runs"]
TEST_SECONDS = 6
"""Enough for tests that end, on a busy machine too."""
AGAIN = "Nothing was published. When it is mended, ask for it again."


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineDoor]:
    door = EngineDoor(tmp_path_factory.mktemp("door") / "docker.sock")
    door.open()
    yield door
    door.shut()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient, door: EngineDoor) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("broken") / "world"
    with open_ground(folder, engine, docker_host=door.address, test_seconds=TEST_SECONDS) as ground:
        yield ground


@pytest.fixture(autouse=True)
def mended(ground: Ground) -> Iterator[None]:
    yield
    ground.world.hub.faults.clear()


def headers_for(body: bytes, event: str = "issues") -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": sign(body, SECRET),
    }


def post(ground: Ground, body: bytes, *, event: str = "issues") -> Answer:
    return request(ground.world.port, "POST", "/webhook", body, headers_for(body, event))


def last_refusal(ground: Ground) -> tuple[int, str]:
    lines = ground.world.events("delivery_refused") or [{"status": 0, "reason": ""}]
    return lines[-1]["status"], lines[-1]["reason"]


def labelled(ground: Ground) -> Delivery:
    ground.world.hub.wait_for_deliveries()
    return next(d for d in reversed(ground.world.hub.deliveries) if d.action == "labeled")


# --- bad input ------------------------------------------------------------------------------------------------------


def test_wrong_secret(ground: Ground) -> None:
    """A delivery under another secret is refused and logged; redelivered under the right one, nothing is lost."""
    world, hub = ground.world, ground.world.hub
    ground.play(*NOTED)
    repository = world.create_repository("secret", UNTESTED)
    hub.set_webhook(hub.app.webhook_url, "another secret")
    number = world.ask(ISSUE, repository=repository)
    delivery = labelled(ground)
    hub.set_webhook(hub.app.webhook_url, SECRET)

    assert delivery.status_code == 401
    assert last_refusal(ground) == (401, "X-Hub-Signature-256 does not sign the body with the webhook's secret.")
    assert ground.inside.queue.delivery(delivery.guid) is None
    assert (world.comments(number, repository), world.writes(repository)) == ([], [])

    hub.redeliver(delivery)
    assert ground.told(repository, number).outcome.status == "pull_request"


def test_truncated_body(ground: Ground) -> None:
    """A body that breaks off is no delivery: whether the connection ends or the signature does not fit."""
    body = json.dumps({"action": "labeled"}).encode()
    half = body[:-5]
    with socket.create_connection(("127.0.0.1", ground.world.port)) as line:
        headers = "".join(f"{name}: {value}\r\n" for name, value in headers_for(body).items())
        head = f"POST /webhook HTTP/1.1\r\nHost: forgehand\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        line.sendall(head.encode() + half)
        line.shutdown(socket.SHUT_WR)
        ground.world.wait_until(
            lambda: last_refusal(ground) == (400, "The connection ended before the body did."), 60, "a line in the log"
        )
    assert request(ground.world.port, "POST", "/webhook", half, headers_for(body)).status == 401
    assert post(ground, half).status == 400
    assert last_refusal(ground)[1].startswith("The body is not JSON that GitHub would send: ")


def test_json_that_nests_deep(ground: Ground) -> None:
    """JSON that nests 100,000 deep is refused and logged, and the server lives on."""
    assert post(ground, b"[" * 100_000 + b"]" * 100_000).status == 400
    assert last_refusal(ground)[0] == 400
    assert post(ground, b'{"a":' * 100_000 + b"1" + b"}" * 100_000).status == 400
    assert post(ground, b"{}", event="ping").status == 202


def test_lone_surrogates_in_the_title(ground: Ground) -> None:
    """A title with lone surrogates goes all the way; what cannot be written is shown as a replacement."""
    world = ground.world
    ground.play(*NOTED)
    repository = world.create_repository("surrogates", UNTESTED)
    number = world.ask("add \ud800is\udfff wrong\n\nSee \udbff here.", repository=repository)
    told = ground.told(repository, number)

    assert told.outcome.status == "pull_request", told.outcome
    assert told.branches.keys() == {"main", "qwen/issue-1-add-is-wrong"}


# --- tests and models -------------------------------------------------------------------------------------------------


def test_tests_that_hang(ground: Ground) -> None:
    """Tests that never end are stopped, before and after; the change is published as not verified, and says why."""
    hanging = {**UNTESTED, ".github/qwen.yml": "test: sleep 600\n"}
    told = ground.run("hanging", hanging, *NOTED, turn(finish()))

    assert told.outcome.status == "pull_request", told.outcome
    assert f"**not verified**. The tests did not end within {TEST_SECONDS} seconds." in told.answer
    assert f"`sleep 600` did not end within {TEST_SECONDS} s" in told.answer
    assert told.writes == PUBLISHED


def test_a_change_that_makes_tests_hang(ground: Ground) -> None:
    """When the tests ended before and hang after the change, it is worse: no pull request."""
    files = {**UNTESTED, "check.sh": "exit 0\n", ".github/qwen.yml": "test: sh check.sh\n"}
    loop = call("write_file", path="check.sh", content="sleep 600\n")
    told = ground.run("loop", files, turn(loop), turn(finish()), turn(finish()))

    assert told.outcome.status == "worse"
    assert (
        f"After the change the tests did not end within {TEST_SECONDS} seconds; before it they ended after"
        in told.answer
    )
    assert told.writes == ACCEPTED


NONSENSE = {
    "prose": [{"content": "I am a teapot."}] * 12,
    "no such tool": [turn(call("rm_rf", path="/"))] * 3,
    "no JSON": [turn({"name": "write_file", "arguments": "{path: ]["})] * 3,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_model_that_answers_nonsense(ground: Ground, kind: str) -> None:
    """A model that only talks, calls tools that are not there or cannot write JSON is stopped, and why is said."""
    told = ground.run(f"nonsense-{kind.replace(' ', '-').lower()}", UNTESTED, *NONSENSE[kind])

    assert told.outcome.status == "no_change"
    why = {
        "prose": "the model stopped working with its tools",
        "no such tool": "the model kept sending calls that could not be read",
        "no JSON": "the model kept sending calls that could not be read",
    }
    assert told.answer.startswith(f"**No pull request:** no change was made: {why[kind]}.")
    assert told.writes == ACCEPTED


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            {"status": 401},
            "refused the API key (401). Set OPENAI_API_KEY to a valid key and restart. It said: scripted",
        ),
        ({"status": 404}, "FORGEHAND_MODEL"),
        ({"status": 503}, "gave no usable answer in 10 attempts"),
        ({"malformed": True}, "gave no usable answer in 10 attempts"),
        ({"html": True}, "Set OPENAI_BASE_URL to the API's address; it usually ends in /v1."),
    ],
    ids=["401", "404", "5xx", "cut-off", "web-page"],
)
def test_a_model_that_fails(ground: Ground, fault: dict[str, object], words: str) -> None:
    """When the model fails before anything changed, the job fails with what to do, and can be asked for again."""
    name = f"model-{fault.get('status', 'none')}-{len(words)}"
    told = ground.run(name, UNTESTED, turn(NOTE, faults=[{**fault, "times": -1}]), turn(finish()))

    assert told.outcome.status == "failed"
    assert told.answer.startswith("**Stopped:** ")
    assert words in told.answer
    assert AGAIN in told.answer
    assert told.writes == ACCEPTED


def test_asking_again_after_a_failure(ground: Ground) -> None:
    """The label that a failed job took off starts another one, which has a comment of its own."""
    told = ground.run("again", UNTESTED, turn(NOTE, faults=[{"status": 401, "times": -1}]))
    ground.play(*NOTED)
    ground.world.hub.add_label(told.repository, told.number, "qwen", "alice")
    again = ground.told(told.repository, told.number, jobs=2)

    assert (told.outcome.status, again.outcome.status) == ("failed", "pull_request")
    assert again.comments[0] == told.comments[0]
    assert again.comments[1].startswith("Done: draft pull request #2")
    assert again.writes == [*ACCEPTED, *PUBLISHED]


def test_a_model_that_fails_after_the_change(ground: Ground) -> None:
    """When the model goes away after it changed something, the work is verified and published, with that fact."""
    away = [{"status": 503, "times": -1}]
    told = ground.run("model-gone", UNTESTED, turn(NOTE), turn(finish(), faults=away))

    assert told.outcome.status == "pull_request", told.outcome
    assert told.writes == PUBLISHED
    assert "**Perhaps not finished:** the model could not be reached any more: " in told.answer
    assert "> - Perhaps not finished: the model could not be reached any more: " in str(told.pulls[0].body)


# --- the Docker engine ------------------------------------------------------------------------------------------------


def test_the_engine_is_down(ground: Ground, door: EngineDoor) -> None:
    """With no Docker engine the job fails with what to do; when it is up again the label works again."""
    door.shut()
    told = ground.run("engine", UNTESTED, *NOTED)
    door.open()

    assert told.outcome.status == "failed"
    assert told.answer.startswith("**Stopped:** ")
    assert "systemctl start docker" in told.answer
    assert AGAIN in told.answer
    assert told.writes == ACCEPTED

    ground.world.hub.add_label(told.repository, told.number, "qwen", "alice")
    assert ground.told(told.repository, told.number, jobs=2).outcome.status == "pull_request"


@pytest.mark.parametrize(
    ("alive", "words"),
    [(True, "systemctl start docker"), (False, "**Stopped:** The sandbox broke twice in a row")],
    ids=["alone", "with-the-container"],
)
def test_the_engine_goes_down_in_the_middle(ground: Ground, door: EngineDoor, alive: bool, words: str) -> None:
    """The session goes on in its container, if that lives; what needs another one, as the tests do, ends the job.

    The container that the engine kept goes with the next job.
    """
    world = ground.world
    shut = threading.Event()
    ground.play(turn(RIGHT), turn(call("run_tests"), held=shut), *FIX[1:])
    repository = world.create_repository(f"engine-{alive}".lower(), WRONG)
    before = len(world.model.requests)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(lambda: len(world.model.requests) == before + 2, 90, "the second turn")
    [container] = world.containers(ground.engine)
    door.shut()
    if not alive:
        ground.engine.containers.get(container).kill()
    shut.set()
    record = world.end_of(repository, number)
    door.open()

    assert record.outcome is not None
    assert record.outcome.status == "failed"
    [comment] = world.comments(number, repository)
    assert words in comment
    assert "ask for it again" in comment
    assert ("- [x] Work on the change" in comment) is alive
    assert world.writes(repository) == ACCEPTED
    assert world.containers(ground.engine) == [container]

    ground.play(*FIX)
    world.hub.add_label(repository, number, "qwen", "alice")
    assert ground.told(repository, number, jobs=2).outcome.status == "pull_request"


# --- GitHub -----------------------------------------------------------------------------------------------------------


def test_a_token_that_expires_in_the_middle(ground: Ground) -> None:
    """Tokens that end in the middle are replaced, for REST and for git."""
    world = ground.world
    expired = threading.Event()
    ground.play(turn(NOTE), turn(finish("One more note."), held=expired))
    repository = world.create_repository("token", UNTESTED)
    before = len(world.model.requests)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(lambda: len(world.model.requests) == before + 2, 90, "the second turn")
    world.hub.expire_tokens()
    expired.set()
    told = ground.told(repository, number)

    assert told.outcome.status == "pull_request", told.outcome
    assert told.writes == PUBLISHED


@pytest.mark.parametrize("moment", ["fetch", "push"])
def test_a_token_that_git_is_the_first_to_miss(ground: Ground, moment: str) -> None:
    """Tokens that end just before git needs them are renewed for git, too."""
    hub = ground.world.hub
    repository = f"octo/token-{moment}"
    # The last request before git's: that the stage begins; the permission, asked for once more after the acceptance.
    last, number = {
        "fetch": (f"PATCH /repos/{repository}/issues/comments/", 1),
        "push": (f"GET /repos/{repository}/collaborators/alice/permission", 2),
    }[moment]
    seen = itertools.count(1)

    def expire(exchange: Exchange) -> None:
        if f"{exchange.method} {exchange.path}".startswith(last) and next(seen) == number:
            hub.expire_tokens()

    hub.observe(expire)
    told = ground.run(f"token-{moment}", UNTESTED, *NOTED)

    assert told.outcome.status == "pull_request", told.outcome
    assert told.writes == PUBLISHED


@pytest.mark.parametrize("after", [True, False], ids=["written", "not-written"])
def test_github_answers_502(ground: Ground, after: bool) -> None:
    """A 502 to any write is found out about, whether the write happened or not: there is exactly one of everything."""
    paths = ("reactions$", "issues/\\d+/comments$", "git-receive-pack$", "/pulls$", "/check-runs$")
    add = ground.world.hub.faults.add
    faults = [add(Fault("status", method="POST", path=path, after_write=after)) for path in paths]
    faults.append(add(Fault("status", method="DELETE", path="/labels/", after_write=after)))
    told = ground.run(f"fault-{after}".lower(), UNTESTED, *NOTED)

    assert [fault.struck for fault in faults] == [1] * 6
    assert told.outcome.status == "pull_request", told.outcome
    assert (len(told.comments), len(told.pulls)) == (1, 1)
    assert len(ground.world.hub.check_runs(told.repository)) == 1
    assert told.branches.keys() == {"main", "qwen/issue-1-add-is-wrong"}
    issue = ground.world.hub.issue(told.repository, told.number)
    assert [reaction.content for reaction in issue.reactions] == ["eyes"]
    # GitHub itself makes a reaction that is there already no second one.
    assert told.writes == ([ACCEPTED[0], *PUBLISHED] if after else PUBLISHED)


def test_the_tracking_comment_is_deleted(ground: Ground) -> None:
    """When somebody deletes the tracking comment in the middle, the last word is said in a new one."""
    world = ground.world
    deleted = threading.Event()
    ground.play(turn(NOTE), turn(finish("One more note."), held=deleted))
    repository = world.create_repository("deleted", UNTESTED)
    before = len(world.model.requests)
    number = world.ask(ISSUE, repository=repository)
    world.wait_until(lambda: len(world.model.requests) == before + 2, 90, "the second turn")
    [comment] = world.hub.comments(repository, number)
    world.rest("DELETE", f"/repos/{repository}/issues/comments/{comment.id}")
    deleted.set()
    told = ground.told(repository, number)

    assert told.outcome.status == "pull_request", told.outcome
    assert told.answer.startswith("Done: draft pull request #2")
    assert told.writes == [*PUBLISHED, "POST issues/1/comments"]


def test_the_pull_request_is_refused(ground: Ground) -> None:
    """When GitHub refuses the pull request, the answer says what to do and holds the change."""
    ground.world.hub.faults.add(Fault("status", method="POST", path="/pulls$", status=403, times=100))
    told = ground.run("refused", UNTESTED, *NOTED)

    assert told.outcome.status == "failed"
    assert told.answer.startswith("**Stopped:** GitHub answered 403 to opening the pull request from qwen/issue-1-")
    assert "Grant the App the missing permission" in told.answer
    assert "No pull request was opened. When it is mended, ask for it again." in told.answer
    assert "```diff\n" in told.answer
    assert "+Another one.\n" in told.answer
    assert told.writes == [*ACCEPTED, "PUSH qwen/issue-1-add-is-wrong"]


def test_the_check_run_is_refused(ground: Ground) -> None:
    """A check run that GitHub refuses costs nothing but itself, and the answer says so."""
    ground.world.hub.faults.add(Fault("status", method="POST", path="/check-runs$", status=403, times=100))
    told = ground.run("unchecked", UNTESTED, *NOTED)

    assert told.outcome.status == "pull_request"
    assert told.answer.startswith("Done: draft pull request #2")
    assert "The check run is missing: GitHub answered 403 to reporting the check Forgehand" in told.answer
    assert told.writes == PUBLISHED[:-1]


@pytest.mark.parametrize("label", ["qwen", "documentation"])
def test_github_fails_before_the_job_is_accepted(ground: Ground, label: str) -> None:
    """Our label is answered as soon as GitHub takes an answer; any other stays silent, with a line in the log."""
    world = ground.world
    repository = world.create_repository(f"accept-{label}", UNTESTED)
    world.hub.faults.add(Fault("status", method="GET", path="/contents/", times=100))
    number = world.ask(ISSUE, label=label, repository=repository)
    told = ground.told(repository, number)

    assert told.outcome.status == "failed"
    if label == "qwen":
        assert told.answer.startswith("**Stopped:** GitHub gave no usable answer to GET ")
        assert told.writes == ["POST issues/1/comments", "DELETE issues/1/labels/qwen"]
    else:
        assert (told.comments, told.writes) == ([], [])
        assert world.events("label not looked into")[-1]["job"] == told.job


class CrashingModel:
    """A model client with a bug that shows at the second reply."""

    name = "crashing"

    def __init__(self, sound: Model) -> None:
        self._sound = sound
        self.context_window = sound.context_window
        self._replies = 0

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        self._replies += 1
        if self._replies == 2:
            raise ZeroDivisionError("a bug")
        return self._sound.complete(messages, tools=tools, deadline=deadline, cancelled=cancelled)


@pytest.mark.parametrize("where", ["sandbox", "agent"])
def test_a_bug_of_ours(ground: Ground, where: str) -> None:
    """A bug of our own ends the job with a word on the issue that names the job; the trace is in the log."""

    def broken() -> Workshop:
        raise ZeroDivisionError("a bug")

    composition = ground.inside.composition
    sound = composition.job_services
    bug = {"workshop": broken} if where == "sandbox" else {"model": CrashingModel(sound.model)}
    composition.job_services = dataclasses.replace(sound, **bug)
    try:
        told = ground.run(f"bug-{where}", UNTESTED, *NOTED)
    finally:
        composition.job_services = sound

    assert told.outcome.status == "failed"
    [comment] = told.comments
    words = f"**Stopped:** Forgehand itself failed (ZeroDivisionError): its log tells more about {told.job}."
    assert comment.startswith(f"{words}\n\n{AGAIN}")
    assert told.writes == ACCEPTED
    [line] = [line for line in ground.world.events("job_bug") if line["job"] == told.job]
    assert "ZeroDivisionError: a bug" in line["exception"]
