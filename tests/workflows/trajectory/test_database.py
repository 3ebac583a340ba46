"""Trajectories in a real SQLite file: order, chain, two writers, and the session that waits for an answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from workflows.database import open_engine
from workflows.deliveries import Delivery, Submission, store
from workflows.run import JobInterrupted
from workflows.trajectory.database import DatabaseTrajectories, delete_events
from workflows.trajectory.events import Entry, check_chain
from workflows.types import Actor, Job, RepositoryRef

OPENING = Entry(kind="session", turn=0, payload={"repository": "acme/tally", "number": 7, "base": "b" * 40})
NOTE = Entry(kind="resumed", turn=1, payload={"words": "ümläut \u0000 <>"})
ASKED = Entry(kind="end", turn=2, payload={"stop": "asked", "detail": "", "infrastructure": False})
ANSWER = Entry(kind="answer", turn=2, payload={"text": "yes"})


@pytest.fixture
def trajectories(tmp_path: Path) -> DatabaseTrajectories:
    return DatabaseTrajectories(open_engine(f"sqlite:///{tmp_path}/db.sqlite3", wait_seconds=5))


def test_events_come_back_in_their_order(trajectories: DatabaseTrajectories) -> None:
    """Over several acts and another reader, with an unbroken chain; an unknown session has none."""
    log = trajectories.open("job-1")
    log.append([OPENING, NOTE])
    log.append([])
    trajectories.open("job-1").append([ASKED])
    trajectories.open("job-1", "agent-2").append([OPENING])
    found = trajectories.open("job-1").events()
    assert [event.seq for event in found] == [1, 2, 3]
    assert [event.payload for event in found] == [OPENING.payload, NOTE.payload, ASKED.payload]
    check_chain(found)
    assert trajectories.open("job-2").events() == []


def test_of_two_writers_the_late_one_is_told(trajectories: DatabaseTrajectories) -> None:
    """A worker that was taken for dead stores nothing more in a session that another one goes on with."""
    first, second = trajectories.open("job-1"), trajectories.open("job-1")
    first.append([OPENING])
    second.append([NOTE])
    with pytest.raises(JobInterrupted):
        first.append([NOTE])
    assert len(trajectories.open("job-1").events()) == 2


def test_sessions_are_listed_newest_first(trajectories: DatabaseTrajectories) -> None:
    """With what their first and last events say."""
    trajectories.open("job-1").append([OPENING, NOTE, ASKED])
    trajectories.open("job-2").append([OPENING])
    heads = {head.job_id: head for head in trajectories.sessions()}
    assert (heads["job-1"].stop, heads["job-1"].turns, heads["job-1"].number) == ("asked", 2, 7)
    assert heads["job-2"].stop is None


def test_a_question_waits_until_it_is_answered(trajectories: DatabaseTrajectories, tmp_path: Path) -> None:
    """Found by the issue whose delivery started the job; an answer in the log closes it."""
    repository = RepositoryRef(installation_id=1, id=5, full_name="acme/tally")
    now = datetime.now(UTC)
    job = Job(
        id="job-1",
        workflow="fix_issue",
        repository=repository,
        number=7,
        actor=Actor(id=1, login="ann"),
        trigger="qwen",
        delivery_id="d-1",
        created_at=now,
    )
    delivery = Delivery(guid="d-1", event="issues", repository_id=5, number=7, received_at=now, digest="0")
    engine = open_engine(f"sqlite:///{tmp_path}/db.sqlite3", wait_seconds=5)
    with engine.begin() as connection:
        store(connection, [Submission(delivery, "started", (job,))])
    assert trajectories.waiting(5, 7) is None
    trajectories.open("job-1").append([OPENING, ASKED])
    waiting = trajectories.waiting(5, 7)
    assert waiting is not None
    assert waiting[0] == "job-1"
    assert trajectories.waiting(5, 8) is None
    trajectories.open("job-1").append([ANSWER])
    assert trajectories.waiting(5, 7) is None
    with engine.begin() as connection:
        delete_events(connection, ["job-1"])
    assert trajectories.sessions() == []
