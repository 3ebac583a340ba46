"""Trajectories in a real SQLite file: order, chain, two writers, and the session that waits for an answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from workflows.durable.database import open_engine
from workflows.durable.deliveries import Delivery, Submission, store
from workflows.durable.run import JobInterrupted
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


def test_sessions_share_commits_and_no_errors(trajectories: DatabaseTrajectories) -> None:
    """Eight sessions at once store all of theirs, in fewer commits than acts; a late writer among them fails alone."""
    commits = 0

    def count(connection: sa.Connection) -> None:
        nonlocal commits
        commits += 1

    sa.event.listen(trajectories._engine, "commit", count)
    late = trajectories.open("job-late")
    assert late.events() == []
    trajectories.open("job-late").append([OPENING])
    began = Barrier(9)

    def write(number: int) -> None:
        log = trajectories.open(f"job-{number}")
        began.wait()
        for _ in range(10):
            log.append([NOTE])

    def write_late() -> None:
        began.wait()
        for _ in range(10):
            with pytest.raises(JobInterrupted):
                late.append([NOTE])

    with ThreadPoolExecutor(9) as pool:
        for done in [*(pool.submit(write, number) for number in range(8)), pool.submit(write_late)]:
            done.result()
    assert all(len(trajectories.open(f"job-{number}").events()) == 10 for number in range(8))
    assert len(trajectories.open("job-late").events()) == 1
    assert commits < 8 * 10
