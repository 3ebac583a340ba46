"""Talking where the work is: commands, refusals, answers at once, one job for fifty requests, and cancelling."""

from __future__ import annotations

import dataclasses
import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import timedelta

import docker
import pytest

from app.localhub.deliveries import headers_of
from app.localhub.faults import Fault
from tests.stories.conftest import Ground, open_ground
from tests.stories.scripts import NOTED, UNTESTED, call, finish, turn
from tests.stories.world import JOB_SECONDS
from workflows.durable.queue import JobRecord
from workflows.requests import admission

WAIT = turn(call("bash", command="touch asleep; while [ ! -e /tmp/go ]; do sleep 0.1; done", timeout=600))
FINAL_SECONDS = 30.0
"""Ten seconds, with room for a busy machine; what is cancelled would go on for minutes."""
DONE = (turn(finish("Nothing to do.", no_change_needed=True)),)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("conversation") / "world", engine) as ground:
        yield ground


def issue(ground: Ground, name: str) -> tuple[str, int]:
    """A repository with one issue by alice, and bob who may only read."""
    repository = ground.world.create_repository(name, UNTESTED)
    ground.world.hub.create_user("bob")
    ground.world.hub.set_permission(repository, "bob", "read")
    return repository, ground.world.hub.create_issue(repository, "alice", "One more note", "It is missing.").number


def records(ground: Ground, repository: str, number: int) -> list[JobRecord]:
    """The thread's jobs, oldest first."""
    identity = ground.world.hub.repository(repository).id
    return ground.inside.queue.thread(identity, number)


def ended(ground: Ground, repository: str, number: int, *, jobs: int) -> list[JobRecord]:
    """The thread's jobs once there are that many and all have ended."""

    def all_ended() -> bool:
        found = records(ground, repository, number)
        return len(found) >= jobs and all(one.state in ("ended", "cancelled") for one in found)

    ground.world.wait_until_heard()
    ground.world.wait_until(all_ended, JOB_SECONDS, f"{jobs} jobs of {repository}#{number} to end")
    return records(ground, repository, number)


def said(ground: Ground, repository: str, number: int) -> list[str]:
    """What our App said on the thread."""
    found = ground.world.hub.comments(repository, number)
    return [one.body for one in found if one.author.login == ground.world.hub.bot_login]


def test_a_command_is_taken_up_and_a_quoted_one_is_not(ground: Ground) -> None:
    """A command in a comment starts the main job, with its words; the same in a quote or in code starts nothing."""
    repository, number = issue(ground, "commanded")
    ground.play(*NOTED)
    hub = ground.world.hub
    hub.add_comment(repository, number, "alice", "> /qwen fix\n\n```\n/qwen fix\n```\n\nWhat does `/qwen fix` do?")
    hub.add_comment(repository, number, "alice", "Please go on.\n\n/qwen fix add it at the end")
    told = ground.told(repository, number)
    assert told.outcome.status == "pull_request", told.outcome
    assert [write.partition("?")[0] for write in told.writes] == [
        f"POST issues/comments/{hub.comments(repository, number)[1].id}/reactions",
        f"POST issues/{number}/comments",
        "PUSH qwen/issue-1-one-more-note",
        "POST pulls",
        "POST check-runs",
    ]
    opening = ground.inside.composition.trajectories.open(told.job).events()[0].payload["prompt"]
    assert "add it at the end" in opening


def test_a_stranger_is_refused_once_and_told_why(ground: Ground) -> None:
    """Whoever may only read gets one short answer, however often; no label, no reaction, no job."""
    repository, number = issue(ground, "stranger")
    for _ in range(3):
        ground.world.hub.add_comment(repository, number, "bob", "/qwen fix")
    found = ended(ground, repository, number, jobs=3)
    assert [one.outcome.status for one in found if one.outcome] == ["refused"] * 3
    [answer] = said(ground, repository, number)
    assert "write permission" in answer
    assert "`@bob` has read permission" in answer
    assert ground.world.writes(repository) == [f"POST issues/{number}/comments"]
    ground.world.hub.add_comment(repository, number, "bob", "/qwen why")
    ended(ground, repository, number, jobs=4)
    assert "refused" in said(ground, repository, number)[-1]


def test_fifty_equal_commands_are_one_job(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty comments with the same command make one pull request; the others are told so by a reaction alone."""
    monkeypatch.setattr(admission, "BURST", timedelta(hours=1))  # however long it takes to deliver them
    repository, number = issue(ground, "fifty")
    ground.play(*NOTED)
    for _ in range(50):
        ground.world.hub.add_comment(repository, number, "alice", "/qwen fix")
    found = ended(ground, repository, number, jobs=50)
    statuses = [one.outcome.status for one in found if one.outcome]
    assert sorted(statuses) == ["joined"] * 49 + ["pull_request"]
    assert len(said(ground, repository, number)) == 1
    assert len(ground.world.pull_requests(repository)) == 1


def test_twenty_equal_questions_are_one_answer(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the same over and over within seconds is answered once."""
    monkeypatch.setattr(admission, "STILL_TRUE", timedelta(hours=1))  # however long it takes to deliver them
    repository, number = issue(ground, "questions")
    for _ in range(20):
        ground.world.hub.add_comment(repository, number, "alice", "/qwen help")
    found = ended(ground, repository, number, jobs=20)
    assert sorted(one.outcome.status for one in found if one.outcome) == ["answered"] + ["joined"] * 19
    assert len(said(ground, repository, number)) == 1


def test_a_limited_installation_holds_up_nobody_else(ground: Ground) -> None:
    """While GitHub limits one installation, with more requests than are admitted at once, another's are answered.

    When the limit is over the first one's are answered, each once.
    """
    hub, world = ground.world.hub, ground.world
    limited, other = "slow/limited", "quick/other"
    for name in (limited, other):
        hub.create_repository(name, files=UNTESTED)
        hub.set_permission(name, "alice", "write")
    numbers = [hub.create_issue(limited, "alice", f"Question {count}", "").number for count in range(8)]
    free = hub.create_issue(other, "alice", "Another question", "").number
    limit = hub.faults.add(Fault("secondary_limit", path=f"/repos/{limited}$", retry_after=25))
    for number in numbers:
        hub.add_comment(limited, number, "alice", "/qwen help")
    world.wait_until(lambda: limit.struck > 0, 90, "the limit")
    limited_at = time.monotonic()
    hub.add_comment(other, free, "alice", "/qwen help")
    world.wait_until(lambda: len(said(ground, other, free)) == 1, 22, "the other's answer")
    assert time.monotonic() - limited_at < 22
    assert [said(ground, limited, number) for number in numbers] == [[]] * 8
    world.wait_until(lambda: all(said(ground, limited, number) for number in numbers), 60, "the limited ones' answers")
    for number in numbers:
        ended(ground, limited, number, jobs=1)
        assert len(said(ground, limited, number)) == 1
    hub.faults.clear()


def test_a_second_request_waits_and_is_shown(ground: Ground) -> None:
    """While one runs, another is queued, with its place in its comment; stop ends both for good, at once."""
    repository, number = issue(ground, "second")
    ground.play(WAIT)
    world = ground.world
    world.hub.add_comment(repository, number, "alice", "/qwen fix")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the first to run")
    world.hub.add_comment(repository, number, "alice", "/qwen do something else")
    world.wait_until(lambda: any("1 ahead" in text for text in said(ground, repository, number)), 90, "the place")
    world.hub.add_comment(repository, number, "alice", "/qwen status")
    world.wait_until(lambda: len(said(ground, repository, number)) == 3, 90, "the status")
    status = said(ground, repository, number)[-1]
    assert "2 queued or under way" in status
    started = time.monotonic()
    world.hub.add_comment(repository, number, "alice", "/qwen stop")
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    found = ended(ground, repository, number, jobs=4)
    assert time.monotonic() - started < FINAL_SECONDS
    assert [one.state for one in found] == ["cancelled", "cancelled", "ended", "ended"]
    world.wait_until(
        lambda: all(text.startswith("Cancelled") for text in said(ground, repository, number)[:2]), 60, "the last words"
    )
    *_, stopped = said(ground, repository, number)
    assert stopped.startswith("Stopped: 2 jobs")
    assert world.pull_requests(repository) == []


def test_taking_the_working_label_off_cancels(ground: Ground) -> None:
    """A person who takes the state label off ends the work; the state label that stands is none."""
    repository, number = issue(ground, "unlabelled")
    ground.play(WAIT)
    world = ground.world
    world.hub.add_label(repository, number, "qwen", "alice")
    world.wait_until(lambda: world.state_labels(repository, number) == ["qwen:working"], 90, "the label")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the work to begin")
    started = time.monotonic()
    world.hub.remove_label(repository, number, "qwen:working", "alice")
    world.wait_until(lambda: world.containers(ground.engine) == [], 90, "the container to be gone")
    ended(ground, repository, number, jobs=1)
    assert time.monotonic() - started < FINAL_SECONDS
    world.wait_until(lambda: said(ground, repository, number)[0].startswith("Cancelled"), 60, "the last word")
    assert world.state_labels(repository, number) == []


def test_the_last_act_on_a_label_counts(ground: Ground) -> None:
    """On, off and on within a moment is one job, though "off" is heard of last: what it ends is begun again, once."""
    repository, number = issue(ground, "flicker")
    hub, world = ground.world.hub, ground.world
    ground.play(WAIT)
    before = len(world.model.requests)
    hub.add_label(repository, number, "qwen", "alice")
    world.wait_until(lambda: len(world.model.requests) > before, 90, "the work to begin")
    hub.add_label(repository, number, "qwen", "alice")
    world.wait_until(lambda: len(records(ground, repository, number)) == 2, 90, "the second request")
    world.wait_until(lambda: records(ground, repository, number)[1].outcome is not None, 90, "its end")
    joined = records(ground, repository, number)[1].outcome
    assert joined is not None
    assert joined.status == "joined"
    assert "qwen" not in [label.name for label in hub.issue(repository, number).labels]

    ground.play(*NOTED)
    hear_late(ground, repository, number, "unlabeled")
    found = ended(ground, repository, number, jobs=3)
    assert [one.state for one in found] == ["cancelled", "ended", "ended"]
    assert found[2].outcome is not None
    assert found[2].outcome.status == "pull_request"
    assert len(world.pull_requests(repository)) == 1


def test_a_late_event_does_not_begin_again_what_was_stopped(ground: Ground) -> None:
    """On, off and on, then stop; "off" is heard of after that: what stop ended stays ended."""
    repository, number = issue(ground, "stopped")
    hub, world = ground.world.hub, ground.world
    ground.play(WAIT)
    hub.add_label(repository, number, "qwen", "alice")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the work to begin")
    hub.add_comment(repository, number, "alice", "/qwen stop")
    stopped, _ = ended(ground, repository, number, jobs=2)
    world.wait_until(lambda: time.time() >= stopped.changed_at.timestamp() + 1, 5, "the second of its end to be over")
    hear_late(ground, repository, number, "unlabeled")
    found = ended(ground, repository, number, jobs=3)
    assert [one.state for one in found] == ["cancelled", "ended", "ended"]
    assert found[2].outcome is not None
    assert found[2].outcome.status == "answered"


def test_a_label_that_was_taken_off_starts_nothing_late(ground: Ground) -> None:
    """ "On" that is heard of after "off" is over: nothing is begun and nothing said."""
    repository, number = issue(ground, "over")
    hub = ground.world.hub
    with hub.store.lock:  # before anybody can take it up
        hub.add_label(repository, number, "qwen", "alice")
        hub.remove_label(repository, number, "qwen", "alice")
    hub.wait_for_deliveries()
    before = len(records(ground, repository, number))
    hear_late(ground, repository, number, "labeled")
    found = ended(ground, repository, number, jobs=before + 1)
    assert found[-1].outcome is not None
    assert found[-1].outcome.reason == "The label `qwen` was taken off again."
    assert said(ground, repository, number) == []
    assert ground.world.writes(repository) == []


def hear_late(ground: Ground, repository: str, number: int, action: str) -> None:
    """An event of alice's about the label, made of her last one, comes as if it had happened before that."""
    hub = ground.world.hub
    hub.wait_for_deliveries()
    found = [one for one in hub.deliveries if one.action in ("labeled", "unlabeled")]
    payloads = [(one, json.loads(one.payload)) for one in found]
    own = [
        (one, payload)
        for one, payload in payloads
        if payload["repository"]["full_name"] == repository
        and payload["issue"]["number"] == number
        and payload["sender"]["login"] == "alice"
    ]
    last, payload = own[-1]
    body = json.dumps({**payload, "action": action}).encode()
    late = dataclasses.replace(last, guid=str(uuid.uuid4()), action=action, payload=body)
    url = f"http://127.0.0.1:{ground.world.port}/webhook"
    request = urllib.request.Request(url, body, headers_of(late), method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 202


def test_state_labels_tell_how_far_it_is(ground: Ground) -> None:
    """Working while it works, in-review with the pull request; made with colour and description where absent."""
    repository, number = issue(ground, "labels")
    ground.play(*NOTED)
    ground.world.hub.add_label(repository, number, "qwen", "alice")
    ended(ground, repository, number, jobs=1)
    assert ground.world.state_labels(repository, number) == ["qwen:in-review"]
    label = ground.world.hub.repository(repository).labels["qwen:in-review"]
    assert label.color != "ededed"
    assert label.description


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/qwen help", "Write a command on a line of its own"),
        ("/qwen config", "The policy in force"),
        ("/qwen doctor", "How the parts are now"),
        ("/qwen status", "Nothing was asked for"),
        ("/qwen retry", "no earlier work"),
        ("/qwen continue", "no earlier work"),
        ("/qwen approve", "no plan"),
        ("/qwen stop", "Nothing is queued"),
        ("/qwen reviw", "Did you mean `/qwen review`"),
    ],
    ids=lambda value: value.partition(" ")[2] if value.startswith("/") else "",
)
def test_what_is_answered_at_once(ground: Ground, command: str, words: str) -> None:
    """One comment, no tracking, no label, no job in the work queue."""
    repository, number = issue(ground, f"at-once-{command.partition(' ')[2]}")
    ground.world.hub.add_comment(repository, number, "alice", command)
    [record] = ended(ground, repository, number, jobs=1)
    assert record.outcome is not None
    assert record.outcome.status == "answered"
    [answer] = said(ground, repository, number)
    assert words in answer
    assert ground.world.writes(repository) == [f"POST issues/{number}/comments"]


def test_our_own_words_command_nobody(ground: Ground) -> None:
    """What we say is delivered to us again and starts nothing; nor does a person's copy of it."""
    repository, number = issue(ground, "loop")
    ground.world.hub.add_comment(repository, number, "alice", "/qwen help")
    ended(ground, repository, number, jobs=1)
    [answer] = said(ground, repository, number)
    ground.world.hub.add_comment(repository, number, "alice", f"/qwen fix\n\n{answer}")
    ground.world.hub.wait_for_deliveries()
    [record] = records(ground, repository, number)
    assert len(said(ground, repository, number)) == 1
    last = ground.inside.queue.deliveries_of(record.job.repository.id, number)[0]
    assert "hidden mark" in last.decision


def test_several_commands_come_in_their_order(ground: Ground) -> None:
    """Two commands of one comment are two jobs, the first one's end before the second one's beginning."""
    repository, number = issue(ground, "several")
    ground.play(*DONE)
    ground.world.hub.add_comment(repository, number, "alice", "/qwen do look first\n\n/qwen fix")
    first, second = ended(ground, repository, number, jobs=2)
    assert first.job.command is not None
    assert second.job.command is not None
    assert (first.job.command.word, second.job.command.word) == ("do", "fix")
    assert [one.outcome.status for one in (first, second) if one.outcome] == ["no_change", "no_change"]
    started = [event for event in ground.world.events("job_started") if event["repository"] == repository]
    ended_at = [event for event in ground.world.events("job_ended") if event["job"] == first.job.id]
    work = [event["job"] for event in started if event["timestamp"] >= ended_at[-1]["timestamp"]]
    assert work == [second.job.id], "the second began after the first had ended"


def test_a_request_whose_issue_was_closed_does_not_begin(ground: Ground) -> None:
    """What waits when the issue is closed never starts, and its comment says so."""
    repository, number = issue(ground, "closed-waiting")
    ground.play(WAIT)
    world = ground.world
    world.hub.add_comment(repository, number, "alice", "/qwen fix")
    world.wait_until(lambda: len(world.containers(ground.engine)) == 1, 90, "the first to run")
    world.hub.add_comment(repository, number, "alice", "/qwen do something else")
    world.wait_until(lambda: any("1 ahead" in text for text in said(ground, repository, number)), 90, "the place")
    # Its place is said before its admission ends, in which a request is answered whatever is closed meanwhile.
    world.wait_until(lambda: not records(ground, repository, number)[1].job.admission, 90, "the second to wait")
    world.hub.close_issue(repository, number, "alice")
    found = [one for one in ended(ground, repository, number, jobs=3) if one.job.workflow != "tidy"]
    assert [one.state for one in found] == ["cancelled", "cancelled"]
    world.wait_until(
        lambda: all(text.startswith("Cancelled") for text in said(ground, repository, number)), 60, "the last words"
    )
    assert found[1].attempts == 0
