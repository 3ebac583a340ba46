"""The queue on real SQLite and real PostgreSQL: nothing is lost, nothing runs twice, whatever dies."""

from __future__ import annotations

import base64
import multiprocessing
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from structlog.testing import capture_logs

from tests.postgres import cluster, create_database
from workflows.durable.database import open_engine, wal_is_safe
from workflows.durable.durable_run import DurableRun
from workflows.durable.queue import Delivery, InlineRun, Queue, QueueUnavailable, Submission
from workflows.durable.run import JobPostponed
from workflows.outcome import Outcome
from workflows.services import BrokenWorld, JobCancelled, Run
from workflows.types import Actor, Job, Patch, PatchFile, RepositoryRef

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 3.0
PATIENCE = 120.0
"""How long is waited for what comes: the start of a process alone has taken 20 s on a busy machine."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with cluster() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'queue.sqlite3'}"
    return create_database(request.getfixturevalue("postgres"), f"queue-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'queue.sqlite3'}"


@pytest.fixture
def postgres_url(postgres: str) -> str:
    return create_database(postgres, f"queue-{uuid.uuid4().hex[:8]}")


@contextmanager
def running(url: str, functions: dict[str, Callable[[Run, Job], Outcome]], **options: object) -> Iterator[Queue]:
    queue = Queue(url, worker=True, concurrency=4, poll_seconds=0.05, **options)  # type: ignore[arg-type]
    for name, function in functions.items():
        queue.register(name, function)
    queue.start()
    try:
        yield queue
    finally:
        queue.stop(5)


def make(workflow: str = "count", *, number: int = 7, guid: str | None = None) -> tuple[Delivery, Job]:
    guid = guid or str(uuid.uuid4())
    now = datetime.now(UTC)
    job = Job(
        id=f"gh-{guid}",
        workflow=workflow,
        repository=RepositoryRef(installation_id=1, id=11, full_name="octo/hello"),
        number=number,
        actor=Actor(id=5, login="mona"),
        trigger="qwen",
        delivery_id=guid,
        created_at=now,
    )
    delivery = Delivery(
        guid=guid, event="issues", action="labeled", repository="octo/hello", repository_id=11, number=number,
        received_at=now, digest="0" * 64,
    )  # fmt: skip
    return delivery, job


def submit(queue: Queue, workflow: str = "count", *, number: int = 7) -> Job:
    delivery, job = make(workflow, number=number)
    queue.submit(delivery, job, f"Started job {job.id}.")
    return job


def until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def done(run: Run, job: Job) -> Outcome:
    return Outcome(status="no_change", reason=run.step("only", lambda: "done", str))


# Receipt


def test_a_job_runs_to_its_end_and_is_on_record(url: str) -> None:
    """A stored job runs, and job, outcome and delivery can be read afterwards as they were."""
    with running(url, {"count": done}) as queue:
        delivery, job = make()
        receipt = queue.submit(delivery, job, "Started.")
        assert (receipt.job_id, receipt.duplicate) == (job.id, False)
        record = queue.wait(job.id, timeout=PATIENCE)
        assert record.job == job
        assert (record.state, record.attempts) == ("ended", 1)
        assert record.outcome == Outcome(status="no_change", reason="done")
        assert [found.job.id for found in queue.jobs(states=["ended"])] == [job.id]
        stored = queue.delivery(delivery.guid)
        assert stored is not None
        assert stored.decision == "Started."
        assert stored.job_id == job.id
        assert queue.deliveries()[0] == stored
        queue.check()


def test_a_delivery_without_a_job_is_on_record(url: str) -> None:
    """What is ignored is stored with the reason; there is no job."""
    with running(url, {}) as queue:
        delivery, _ = make()
        assert queue.submit(delivery, None, "Ignored: a ping.").job_id is None
        assert queue.jobs() == []
        stored = queue.delivery(delivery.guid)
        assert stored is not None
        assert stored.decision == "Ignored: a ping."


def test_one_delivery_id_is_one_job_from_fifty_threads(url: str) -> None:
    """However many copies of a delivery come at once, one job is made and it runs once."""
    ran: list[str] = []

    def count(run: Run, job: Job) -> Outcome:
        ran.append(job.id)
        return done(run, job)

    with running(url, {"count": count}) as queue:
        delivery, job = make()
        gate = threading.Barrier(50)

        def deliver(_: int) -> bool:
            gate.wait()
            return queue.submit(delivery, job, "Started.").duplicate

        with ThreadPoolExecutor(50) as pool:
            duplicates = Counter(pool.map(deliver, range(50)))
        assert duplicates == {False: 1, True: 49}
        queue.wait(job.id, timeout=PATIENCE)
        assert ran == [job.id]
        again = queue.submit(delivery, job, "Started.")
        assert (again.duplicate, again.job_id) == (True, job.id)
        assert len(queue.jobs()) == 1


def deliver_all(url: str, guids: list[str]) -> None:
    queue = Queue(url, worker=False)
    queue.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda guid: queue.submit(*make(guid=guid), "Started."), guids))
    queue.stop()


def test_one_delivery_id_is_one_job_from_two_processes(url: str) -> None:
    """Two web processes that get the same deliveries at once make one job of each, and start on an empty database."""
    guids = [str(uuid.uuid4()) for _ in range(40)]
    context = multiprocessing.get_context("spawn")
    senders = [context.Process(target=deliver_all, args=(url, guids)) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE)
    assert [sender.exitcode for sender in senders] == [0, 0]
    with running(url, {"count": done}) as queue:
        assert sorted(job.job.delivery_id for job in queue.jobs(limit=100)) == sorted(guids)
        assert {queue.wait(f"gh-{guid}", timeout=PATIENCE).attempts for guid in guids} == {1}


def test_a_web_process_does_not_run_jobs(sqlite_url: str) -> None:
    """A process with worker=False stores jobs for others; it shares a SQLite file with the one worker."""
    with running(sqlite_url, {"count": done}) as worker:
        web = Queue(sqlite_url, worker=False)
        web.start()
        job = submit(web)
        assert worker.wait(job.id, timeout=PATIENCE).state == "ended"
        assert web.job(job.id) == worker.job(job.id)
        assert web.stop()


def test_a_locked_database_refuses_the_receipt(sqlite_url: str) -> None:
    """While a foreign process holds the write lock a receipt fails within seconds; afterwards it is stored once."""
    queue = Queue(sqlite_url, worker=False)
    queue.start()
    foreign = open_engine(sqlite_url, wait_seconds=1)
    delivery, job = make()
    with foreign.connect() as holder:
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(QueueUnavailable, match="locked"):
            queue.submit(delivery, job, "Started.")
        assert time.monotonic() - started < 20
        holder.rollback()
    assert queue.submit(delivery, job, "Started.").duplicate is False
    queue.stop()


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file grows beyond the database's size: SQLite sees what it sees on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_the_receipt_and_keeps_the_rest(sqlite_url: str) -> None:
    """A disk without room costs the receipt alone: nothing half is stored, and it works again with room."""
    queue = Queue(sqlite_url, worker=False)
    queue.start()
    delivery, job = make()
    big = job.model_copy(update={"trigger": "x" * 400_000})
    with full_disk(Path(sqlite_url.removeprefix("sqlite:///"))), pytest.raises(QueueUnavailable):
        queue.submit(delivery, big, "Started.")
    assert queue.delivery(delivery.guid) is None
    assert queue.job(job.id) is None
    assert queue.submit(delivery, big, "Started.").duplicate is False
    queue.stop()


# Death and return


class Workers:
    """Worker processes over one database; their steps are lines in ``folder / "steps"``."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *, wait: bool = True) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "tests.workflows.durable.worker_process",
            self.url,
            str(self.folder),
            str(LEASE_SECONDS),
        ]
        process = subprocess.Popen(command, cwd=ROOT)
        self.started.append(process)
        if wait:
            until(lambda: (self.folder / f"ready-{process.pid}").exists() or process.poll() is not None)
        return process

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()

    def steps(self, job: Job) -> list[tuple[str, int]]:
        path = self.folder / "steps"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(step, int(pid)) for job_id, step, pid in lines if job_id == job.id]

    def has_taken(self, job: Job, step: int) -> bool:
        return str(step) in [taken for taken, _ in self.steps(job)]

    def is_stopping(self, process: subprocess.Popen[bytes]) -> bool:
        return (self.folder / f"stopping-{process.pid}").exists()

    def hold(self, step: int) -> None:
        (self.folder / f"hold-{step}").touch()

    def release(self, step: int) -> None:
        (self.folder / f"hold-{step}").unlink()


@pytest.fixture
def workers(url: str, tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(url, tmp_path)
    yield workers
    workers.end()


@pytest.fixture
def web(url: str) -> Iterator[Queue]:
    queue = Queue(url, worker=False)
    queue.start()
    yield queue
    queue.stop()


EXPECTED = ["0", "1", "2", "3", "broken", "4", "5"]


@pytest.mark.parametrize("step", [0, 4])
def test_kill_9_in_a_step_repeats_that_step_alone(workers: Workers, web: Queue, step: int) -> None:
    """After kill -9 within a step the job goes on there; finished steps, broken ones too, keep their values."""
    workers.hold(step)
    first = workers.start()
    job = submit(web)
    until(lambda: workers.has_taken(job, step))
    first.kill()
    first.wait()
    workers.release(step)
    second = workers.start()
    record = web.wait(job.id, timeout=PATIENCE)
    at = EXPECTED.index(str(step))
    expected = [(name, first.pid) for name in EXPECTED[: at + 1]] + [(name, second.pid) for name in EXPECTED[at:]]
    assert workers.steps(job) == expected
    assert record.attempts == 2
    assert record.outcome is not None
    owners = dict(expected)
    values = record.outcome.reason.split()[1:]
    assert values == [
        f"github:broken-{owners[name]}" if name == "broken" else f"value-{name}-{owners[name]}" for name in EXPECTED
    ]


def test_sigterm_repeats_nothing(workers: Workers, web: Queue) -> None:
    """SIGTERM lets the running step be stored and ends; after a restart the job goes on with the next step."""
    workers.hold(2)
    first = workers.start()
    job = submit(web)
    until(lambda: workers.has_taken(job, 2))
    waiting = submit(web)
    first.terminate()
    until(lambda: workers.is_stopping(first))
    workers.release(2)
    assert first.wait(PATIENCE) == 0
    assert web.job(job.id).state == "running"  # type: ignore[union-attr]
    workers.start()
    web.wait(job.id, timeout=PATIENCE)
    assert [name for name, _ in workers.steps(job)] == EXPECTED
    assert web.wait(waiting.id, timeout=PATIENCE).state == "ended"


def test_what_somebody_asked_for_is_found(url: str) -> None:
    """Of one person in one repository, since a moment: what is in the work queue, whether it has ended or not."""
    with running(url, {"count": done}) as queue:
        ended = submit(queue, number=7)
        queue.wait(ended.id, timeout=PATIENCE)
        waiting = submit(queue, "nobody's", number=8)
        queue.thread(11, 8)
        since = ended.created_at - timedelta(days=1)
        assert {job.id for job in queue.asked_by(11, 5, since=since)} == {ended.id, waiting.id}
        assert queue.asked_by(11, 6, since=since) == queue.asked_by(12, 5, since=since) == []
        assert queue.asked_by(11, 5, since=datetime.now(UTC) + timedelta(hours=1)) == []


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_job_that_ends_its_worker_is_given_up(workers: Workers, web: Queue) -> None:
    """A poisonous job is tried again a few times, then it fails with a reason, and others run."""
    job = submit(web, "poison")
    for _ in range(2):
        assert workers.start(wait=False).wait(PATIENCE) == -signal.SIGKILL
    workers.start()
    record = web.wait(job.id, timeout=PATIENCE)
    assert record.outcome is not None
    assert record.outcome.status == "failed"
    assert "2 times" in record.outcome.reason
    assert len(workers.steps(job)) == 2
    assert web.wait(submit(web).id, timeout=PATIENCE).state == "ended"


def test_a_second_worker_on_one_sqlite_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """Two workers on one file would run jobs twice: the second does not start, and says what to do."""
    with running(sqlite_url, {}):
        second = Queue(sqlite_url, worker=True)
        with pytest.raises(QueueUnavailable, match="Another process already runs jobs"):
            second.start()
    with running(sqlite_url, {}):
        pass


# Two workers on PostgreSQL


def two_workers(url: str, folder: Path) -> tuple[Workers, Queue, Job, subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    workers, web = Workers(url, folder), Queue(url, worker=False)
    web.start()
    workers.hold(2)
    first = workers.start()
    job = submit(web)
    until(lambda: workers.has_taken(job, 2))
    second = workers.start()
    return workers, web, job, first, second


def test_a_living_worker_takes_over_from_a_dead_one(postgres_url: str, tmp_path: Path) -> None:
    """When a worker is killed, another goes on with its job once the lease has run out, and not before."""
    workers, web, job, first, second = two_workers(postgres_url, tmp_path)
    try:
        first.kill()
        killed = time.monotonic()
        workers.release(2)
        web.wait(job.id, timeout=PATIENCE)
        assert time.monotonic() - killed < LEASE_SECONDS * 4 + 10, "soon after it, on a busy machine too"
        assert workers.steps(job) == [(name, first.pid) for name in "012"] + [
            (name, second.pid) for name in ["2", "3", "broken", "4", "5"]
        ]
    finally:
        workers.end()
        web.stop()


def test_a_paused_worker_ends_itself_when_it_wakes(postgres_url: str, tmp_path: Path) -> None:
    """A worker that slept through its lease finds its job taken over: it exits and adds nothing."""
    workers, web, job, first, second = two_workers(postgres_url, tmp_path)
    try:
        first.send_signal(signal.SIGSTOP)
        until(lambda: workers.steps(job)[-1] == ("2", second.pid))
        first.send_signal(signal.SIGCONT)
        assert first.wait(PATIENCE) == 75
        workers.release(2)
        record = web.wait(job.id, timeout=PATIENCE)
        assert [name for name, pid in workers.steps(job) if pid == second.pid] == ["2", "3", "broken", "4", "5"]
        assert f"value-2-{second.pid}" in record.outcome.reason  # type: ignore[union-attr]
    finally:
        workers.end()
        web.stop()


def test_a_living_worker_keeps_its_jobs(postgres_url: str, tmp_path: Path) -> None:
    """A step that lasts longer than several leases is not taken away from a worker that lives."""
    workers, web, job, first, second = two_workers(postgres_url, tmp_path)
    try:
        with pytest.raises(TimeoutError):
            web.wait(job.id, timeout=LEASE_SECONDS * 2)
        workers.release(2)
        web.wait(job.id, timeout=PATIENCE)
        assert {pid for _, pid in workers.steps(job)} == {first.pid}
        second.terminate()
        assert second.wait(PATIENCE) == 0
    finally:
        workers.end()
        web.stop()


# The edge


def test_a_bug_ends_the_job_with_an_answer(url: str) -> None:
    """A workflow that breaks is logged with its traceback, the issue is answered, and the job has failed."""
    answers: list[tuple[str, str]] = []

    def broken(run: Run, job: Job) -> Outcome:
        run.step("divide", lambda: 1 // 0, int)
        raise AssertionError

    def on_bug(run: Run, job: Job, message: str) -> None:
        run.step("answer", lambda: answers.append((job.id, message)), type(None))

    with running(url, {"count": broken}, on_bug=on_bug) as queue, capture_logs() as logs:
        job = submit(queue)
        record = queue.wait(job.id, timeout=PATIENCE)
    assert record.outcome is not None
    assert record.outcome.status == "failed"
    assert "ZeroDivisionError" in record.outcome.reason
    assert answers == [(job.id, record.outcome.reason)]
    bug = next(entry for entry in logs if entry["event"] == "job_bug")
    assert isinstance(bug["exc_info"], ZeroDivisionError)


def test_a_broken_world_that_no_workflow_met_is_answered_in_its_words(sqlite_url: str) -> None:
    """An outside failure that escapes a workflow ends the job with the sentence it carries, even if answering fails."""

    def broken(run: Run, job: Job) -> Outcome:
        raise BrokenWorld("github", "GitHub is down: try again later.")

    def on_bug(run: Run, job: Job, message: str) -> None:
        raise BrokenWorld("github", "still down")

    with running(sqlite_url, {"count": broken}, on_bug=on_bug) as queue:
        record = queue.wait(submit(queue).id, timeout=PATIENCE)
    assert record.outcome == Outcome(status="failed", reason="GitHub is down: try again later.")


def test_a_queued_job_can_be_cancelled(sqlite_url: str) -> None:
    """A job cancelled before it starts never runs."""
    web = Queue(sqlite_url, worker=False)
    web.start()
    job = submit(web)
    assert web.cancel(job.id)
    assert not web.cancel(job.id)
    with running(sqlite_url, {"count": done}) as queue:
        after = submit(queue)
        queue.wait(after.id, timeout=PATIENCE)
        record = queue.job(job.id)
    assert record is not None
    assert (record.state, record.attempts) == ("cancelled", 0)
    web.stop()


def test_a_running_job_ends_at_its_next_step_when_cancelled(url: str) -> None:
    """Cancelling ends a job at the next step boundary; the workflow can tidy up, and the issue's next job runs."""
    seen: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def wait_then_step(run: Run, job: Job) -> Outcome:
        if job.number != 7 or seen:
            return done(run, job)
        try:
            run.step("long", lambda: inside.set() or go_on.wait(PATIENCE), bool)  # type: ignore[func-returns-value]
            run.step("after", lambda: seen.append("ran"), type(None))
        except JobCancelled:
            seen.append("told")
            raise
        finally:
            seen.append("tidied")
        return done(run, job)

    with running(url, {"count": wait_then_step}) as queue:
        job = submit(queue)
        assert inside.wait(PATIENCE)
        assert queue.cancel_issue(11, 7) == [job.id]
        go_on.set()
        until(lambda: seen == ["told", "tidied"])
        assert queue.job(job.id).state == "cancelled"  # type: ignore[union-attr]
        assert queue.wait(submit(queue).id, timeout=PATIENCE).state == "ended"
        assert queue.cancel_issue(11, 7) == []


def test_a_waiting_job_is_told_of_its_cancellation(url: str) -> None:
    """What waits inside a step hears of it within seconds, whoever cancelled; the others go on waiting."""
    inside, told = threading.Barrier(3), threading.Event()
    ends: list[str] = []

    def wait(run: Run, job: Job) -> Outcome:
        def work() -> bool:
            inside.wait(PATIENCE)
            if job.number == 8:
                return told.wait(PATIENCE) and run.over.is_set()
            if run.over.wait(PATIENCE):
                told.set()
                run.check()
            return False

        try:
            ends.append(f"{job.number} {run.step('wait', work, bool)}")
        except JobCancelled:
            ends.append(f"{job.number} cancelled")
            raise
        return done(run, job)

    with running(url, {"count": wait}) as queue:
        job, other = submit(queue), submit(queue, number=8)
        inside.wait(PATIENCE)
        web = Queue(url, worker=False)
        web.start()
        assert web.cancel(job.id)
        web.stop()
        assert queue.wait(other.id, timeout=PATIENCE).state == "ended"
        until(lambda: len(ends) == 2)
        assert queue.job(job.id).state == "cancelled"  # type: ignore[union-attr]
    assert sorted(ends) == ["7 cancelled", "8 False"]


def test_a_step_that_waits_ends_with_the_process(url: str) -> None:
    """After half of the patience a step that waits is told to end, is not stored, and runs again later."""
    inside = threading.Event()

    def wait(run: Run, job: Job) -> Outcome:
        def work() -> bool:
            inside.set()
            if run.over.wait(PATIENCE):
                run.check()
            return True

        run.step("wait", work, bool)
        return done(run, job)

    with running(url, {"count": wait}) as queue:
        job = submit(queue)
        assert inside.wait(PATIENCE)
        assert queue.stop(drain_seconds=4.0)
    with running(url, {"count": done}) as queue:
        assert queue.wait(job.id, timeout=PATIENCE).state == "ended"


def test_one_issue_has_one_writer_and_others_do_not_wait(url: str) -> None:
    """Jobs of one issue run one after the other; those of other issues beside them."""
    lock, active, most = threading.Lock(), Counter[int](), Counter[int]()
    together = threading.Barrier(3)

    def overlap(run: Run, job: Job) -> Outcome:
        with lock:
            active[job.number] += 1
            active[0] += 1
            for number in (0, job.number):
                most[number] = max(most[number], active[number])
        if job.trigger == "meet":
            together.wait(PATIENCE)
        outcome = done(run, job)
        with lock:
            active[job.number] -= 1
            active[0] -= 1
        return outcome

    with running(url, {"count": overlap}) as queue:
        meeting = []
        for number in (1, 2, 3):
            delivery, job = make(number=number)
            meeting.append(job)
            queue.submit(delivery, job.model_copy(update={"trigger": "meet"}), "Started.")
        jobs = [submit(queue, number=number) for number in (1, 2, 3) for _ in range(3)]
        for job in (*meeting, *jobs):
            queue.wait(job.id, timeout=PATIENCE)
    assert [most[number] for number in (1, 2, 3)] == [1, 1, 1]
    assert 3 <= most[0] <= 4


def test_a_job_waits_for_a_database_that_refuses_its_checkpoint(sqlite_url: str) -> None:
    """A checkpoint that finds no room on the disk does not fail the job: it goes on when there is room again."""
    attempts: list[float] = []
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> str:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
        return "x" * 400_000

    def big(run: Run, job: Job) -> Outcome:
        return Outcome(status="no_change", reason=str(len(run.step("big", fill, str))))

    try:
        with running(sqlite_url, {"count": big}) as queue, capture_logs() as logs:
            job = submit(queue)
            until(lambda: any(entry["event"] == "job_parked" for entry in logs))
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="no_change", reason="400000")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(attempts) == 2


# What is stored


def status_of(engine: sa.Engine, job: Job) -> str:
    with engine.connect() as connection:
        query = sa.text("SELECT status FROM workflow_status WHERE workflow_uuid = :id")
        return str(connection.execute(query, {"id": job.id}).scalar())


def test_a_pickled_row_is_not_executed(sqlite_url: str, tmp_path: Path) -> None:
    """Whoever can write to the database cannot run code in a worker, nor hide other jobs: a pickle is data."""
    proof = tmp_path / "executed"

    class Exploit:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return (os.system, (f"touch {proof}",))

    web = Queue(sqlite_url, worker=False)
    web.start()
    job = submit(web)
    assert web.job(job.id) is not None
    # By hand, because the guard refuses to make a pickle too.
    payload = base64.b64encode(pickle.dumps({"args": (Exploit(),), "kwargs": {}})).decode()
    engine = open_engine(sqlite_url, wait_seconds=5)
    with engine.begin() as connection:
        for statement in (
            "UPDATE workflow_input SET inputs = :payload WHERE workflow_uuid = :id",
            "UPDATE workflow_status SET serialization = 'py_pickle' WHERE workflow_uuid = :id",
        ):
            assert connection.execute(sa.text(statement), {"payload": payload, "id": job.id}).rowcount == 1
    web.stop()
    with running(sqlite_url, {"count": done}) as queue:
        queue.wait(submit(queue, number=8).id, timeout=PATIENCE)
        until(lambda: status_of(engine, job) == "ERROR")
        assert [record.job.number for record in queue.jobs()] == [8]
    assert not proof.exists()


def test_what_the_private_names_do_is_still_there() -> None:
    """We use two private names of DBOS (docs/decisions/0002); an upgrade that drops one fails here and not at night."""
    from dbos._serialization import DefaultSerializer

    assert callable(DBOS._recover_pending_workflows)
    assert callable(DefaultSerializer.deserialize)


def test_values_pass_through_json_in_every_run() -> None:
    """A step gives the same value whether it ran now, without a database, or is replayed: types included."""
    patch = Patch(base="a" * 40, files=(PatchFile(path="x", mode="100644", content=b"aGk="),))
    inline = InlineRun("job")
    assert inline.step("patch", lambda: patch, Patch) == patch
    assert inline.step("ids", lambda: (1, 2), tuple[int, ...]) == (1, 2)
    assert inline.step("none", lambda: None, type(None)) is None
    assert inline.now().tzinfo is not None
    with pytest.raises(BrokenWorld, match="away"):
        inline.step("broken", lambda: (_ for _ in ()).throw(BrokenWorld("git", "away")), str)


def test_values_survive_the_database(url: str) -> None:
    """Bytes, dates, nothing, and texts with NUL and every plane come back from the database as they went in."""
    patch = Patch(base="a" * 40, files=(PatchFile(path="x", mode="100644", content=b"AP8="),))
    text = "\0 \U0001f642 é \u2028 \\ud800 " + "long " * 5000
    results: list[object] = []

    def values(run: Run, job: Job) -> Outcome:
        results.extend([run.step("patch", lambda: patch, Patch), run.step("text", lambda: text, str)])
        results.extend([run.step("none", lambda: None, type(None)), run.now()])
        if len(results) == 4:
            raise sa.exc.OperationalError("again", None, Exception("a replay is wanted"))
        return done(run, job)

    with running(url, {"count": values}) as queue:
        queue.wait(submit(queue).id, timeout=PATIENCE)
    assert results[:3] == [patch, text, None]
    assert results[4:] == results[:4]


def test_old_rows_are_forgotten_and_young_ones_never(sqlite_url: str) -> None:
    """Retention deletes ended jobs and their deliveries; nothing that GitHub could still redeliver."""
    with running(sqlite_url, {"count": done}) as queue:
        job = submit(queue)
        queue.wait(job.id, timeout=PATIENCE)
        with pytest.raises(ValueError, match="three days"):
            queue.prune(datetime.now(UTC) - timedelta(days=2))
        old = int((time.time() - 9 * 86400) * 1000)
        engine = open_engine(sqlite_url, wait_seconds=5)
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE workflow_status SET completed_at = :old"), {"old": old})
            connection.execute(sa.text("UPDATE forgehand_deliveries SET received_ms = :old"), {"old": old})
        young = submit(queue)
        queue.wait(young.id, timeout=PATIENCE)
        assert queue.prune(datetime.now(UTC) - timedelta(days=4)) == 1
        assert queue.job(job.id) is None
        assert queue.delivery(job.delivery_id) is None
        assert queue.job(young.id) is not None
        assert queue.delivery(young.delivery_id) is not None


def test_a_newer_schema_is_refused(sqlite_url: str) -> None:
    """A database written by a newer version is left alone, with a sentence that says so."""
    first = Queue(sqlite_url, worker=False)
    first.start()
    first.stop()
    with open_engine(sqlite_url, wait_seconds=5).begin() as connection:
        connection.exec_driver_sql("UPDATE forgehand_schema SET version = 99")
    with pytest.raises(QueueUnavailable, match="newer Forgehand"):
        Queue(sqlite_url, worker=True).start()


def test_a_file_that_is_no_database_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    """A corrupt file ends the start with a clear message, and the lock is given back."""
    (tmp_path / "queue.sqlite3").write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(QueueUnavailable, match="not a database"):
            Queue(sqlite_url, worker=True).start()


def test_no_database_server_is_said_clearly() -> None:
    """A PostgreSQL that is not there ends the start with a message and without the password."""
    with pytest.raises(QueueUnavailable) as caught:
        Queue("postgresql://me:hunter22@127.0.0.1:1/none", worker=False).start()
    assert "hunter22" not in str(caught.value)


def test_the_database_file_is_private(sqlite_url: str, tmp_path: Path) -> None:
    """Patches of private repositories lie in it: nobody else may read the file."""
    queue = Queue(sqlite_url, worker=False)
    queue.start()
    assert (tmp_path / "queue.sqlite3").stat().st_mode & 0o077 == 0
    queue.stop()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False), ((3, 50, 6), False),
        ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), True),
    ],
)  # fmt: skip
def test_the_write_ahead_log_waits_for_a_safe_sqlite(version: tuple[int, int, int], safe: bool) -> None:
    """SQLite's WAL-reset bug can corrupt a file that several connections write: older versions keep the journal."""
    assert wal_is_safe(version) is safe


def test_a_stopping_run_makes_no_step() -> None:
    """After the signal to stop, no step begins."""
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(BaseException, match="stops"):
        DurableRun("job", stopping=stopping, is_cancelled=lambda: False).step("never", lambda: pytest.fail("ran"), str)


# Admission


@contextmanager
def admitting(url: str, admit: Callable[[Run, Job], Outcome | Job], **functions: Any) -> Iterator[Queue]:
    queue = Queue(url, worker=True, concurrency=1, poll_seconds=0.05)
    for name, function in {"count": done, **functions}.items():
        queue.register(name, function)
    queue.register_admission(admit)
    queue.start()
    try:
        yield queue
    finally:
        queue.stop(5)


def ask(queue: Queue, *, guid: str | None = None, jobs: int = 1, workflow: str = "count", number: int = 7) -> list[Job]:
    delivery, first = make(workflow, guid=guid, number=number)
    asked = [first.model_copy(update={"admission": True})]
    asked += [asked[0].model_copy(update={"id": f"{first.id}-{number}"}) for number in range(2, jobs + 1)]
    queue.submit_all([Submission(delivery, "Started.", tuple(asked))])
    return asked


def refused(run: Run, job: Job) -> Outcome:
    return Outcome(status="refused", reason=run.step("refuse", lambda: "No.", str))


def test_an_admitted_job_runs_and_a_refused_one_is_on_record(url: str) -> None:
    """What admission gives back is queued, as it gave it back; what it decided is the job's end, without work."""
    with admitting(url, lambda run, job: job.model_copy(update={"tracking": 99})) as queue:
        [job] = ask(queue)
        record = queue.wait(job.id, timeout=PATIENCE)
        assert record.outcome == Outcome(status="no_change", reason="done")
        assert record.job.tracking == 99
        assert [one.job.id for one in queue.jobs()] == [job.id]
    with admitting(url, refused) as queue:
        [job] = ask(queue)
        assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="refused", reason="No.")
        assert len(queue.thread(11, 7)) == 2


def test_the_jobs_of_one_delivery_come_in_their_order(url: str) -> None:
    """All of them are there from the receipt on, and run one after the other."""
    ran: list[str] = []

    def note(run: Run, job: Job) -> Outcome:
        return Outcome(status="no_change", reason=run.step("note", lambda: ran.append(job.id) or job.id, str))

    with admitting(url, lambda run, job: job, note=note) as queue:
        jobs = ask(queue, jobs=5, workflow="note")
        for job in jobs:
            queue.wait(job.id, timeout=PATIENCE)
        assert ran == [job.id for job in jobs]
        assert [one.job.id for one in queue.thread(11, 7)] == ran


def test_admission_does_not_wait_for_work(url: str) -> None:
    """While the only worker is busy on the thread, another request on it is admitted, and cancelling ends both."""
    started, go = threading.Event(), threading.Event()

    def hold(run: Run, job: Job) -> Outcome:
        started.set()
        go.wait(PATIENCE)
        run.step("end", lambda: "", str)
        return Outcome(status="no_change", reason="")

    def admit(run: Run, job: Job) -> Outcome | Job:
        return job if job.workflow == "hold" else refused(run, job)

    with admitting(url, admit, hold=hold) as queue:
        [busy] = ask(queue, workflow="hold")
        assert started.wait(PATIENCE)
        [waiting] = ask(queue, workflow="hold")
        [other] = ask(queue)
        assert queue.wait(other.id, timeout=PATIENCE).outcome is not None
        until(lambda: (queue.job(waiting.id) or waiting).state == "queued")  # type: ignore[union-attr]
        assert sorted(queue.cancel_issue(11, 7)) == sorted([busy.id, waiting.id])
        go.set()
        assert [one.state for one in queue.thread(11, 7)] == ["cancelled", "cancelled", "ended"]


def test_a_request_cancelled_in_its_admission_is_not_queued(url: str) -> None:
    """Whatever the admission decides afterwards: the job never runs."""
    inside, go = threading.Event(), threading.Event()

    def admit(run: Run, job: Job) -> Outcome | Job:
        inside.set()
        go.wait(PATIENCE)
        return job

    with admitting(url, admit) as queue:
        [job] = ask(queue)
        assert inside.wait(PATIENCE)
        assert queue.cancel_issue(11, 7) == [job.id]
        go.set()
        [after] = ask(queue)
        queue.wait(after.id, timeout=PATIENCE)
        record = queue.job(job.id)
        assert record is not None
        assert (record.state, record.outcome) == ("cancelled", None)


def test_an_admission_may_cancel_what_it_admitted_before(url: str) -> None:
    """Two requests of one comment, of which the second takes the first one's place: that one runs."""
    seen: list[str] = []

    def admit(run: Run, job: Job) -> Outcome | Job:
        if seen:
            run.step("take place", lambda: queue.cancel(seen[0]), bool)
        seen.append(job.id)
        return job

    with admitting(url, admit) as queue:
        _, second = ask(queue, jobs=2)
        until(lambda: all(one.state in ("ended", "cancelled") for one in queue.thread(11, 7)))
        found = queue.job(second.id)
        assert found is not None
        assert found.state == "ended"


def test_a_cancellation_while_the_job_is_being_queued_ends_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cancels before the job's row is there does not find it; the admission does it then."""
    with admitting(url, lambda run, job: job) as queue:
        edge = queue._worker.edge  # type: ignore[union-attr]
        put_in = edge.put_in

        def cancel_first(job: Job, admission: str) -> None:
            monkeypatch.setattr(edge, "put_in", put_in)
            assert queue.cancel_issue(11, 7) == [job.id]
            put_in(job, admission)

        monkeypatch.setattr(edge, "put_in", cancel_first)
        [job] = ask(queue)
        until(lambda: (queue.job(job.id) or job).state == "cancelled")  # type: ignore[union-attr]
        [after] = ask(queue)
        queue.wait(after.id, timeout=PATIENCE)
        record = queue.job(job.id)
        assert record is not None
        assert (record.state, record.outcome) == ("cancelled", None)


def test_a_label_taken_off_at_once_ends_what_no_worker_has_seen(sqlite_url: str) -> None:
    """The job is found in its delivery, before any worker took it in."""
    web = Queue(sqlite_url, worker=False)
    web.start()
    [job] = ask(web)
    assert web.cancel_issue(11, 7, label="Qwen") == [job.id]
    web.stop()
    with admitting(sqlite_url, lambda run, job: job) as queue:
        [after] = ask(queue)
        queue.wait(after.id, timeout=PATIENCE)
        assert [one.state for one in queue.thread(11, 7)] == ["cancelled", "ended"]


def test_the_state_label_of_the_repository_s_own_name_ends_its_work(sqlite_url: str) -> None:
    """Where policy names the label, its state label ends the work that a command asked for; another label nothing."""
    web = Queue(sqlite_url, worker=False)
    web.start()
    delivery, job = make()
    job = job.model_copy(update={"trigger": "", "label": "autofix"})
    web.submit(delivery, job, "Started.")
    assert web.cancel_issue(11, 7, label="status:working") == []
    assert web.cancel_issue(11, 7, label="autofix") == []
    assert web.cancel_issue(11, 7, label="Autofix:Working") == [job.id]
    web.stop()


def test_a_comment_that_waits_for_its_answer_outlives_the_closing(sqlite_url: str) -> None:
    """ "Close with comment" closes while the comment is in its admission: the comment is answered all the same."""
    web = Queue(sqlite_url, worker=False)
    web.start()
    delivery, job = make()
    asked = job.model_copy(update={"trigger": "", "admission": True})
    web.submit_all([Submission(delivery, "Started.", (asked,))])
    assert web.cancel_issue(11, 7) == []
    web.stop()
    with admitting(sqlite_url, refused) as queue:
        assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="refused", reason="No.")


def test_only_what_was_asked_for_until_then_is_cancelled(sqlite_url: str) -> None:
    """What was asked for after a moment is not ended by what happened at that moment."""
    web = Queue(sqlite_url, worker=False)
    web.start()
    first = submit(web)
    later = submit(web)
    assert web.cancel_issue(11, 7, before=first.created_at) == [first.id]
    assert web.cancel_issue(11, 7, before=later.created_at) == [later.id]
    web.stop()


def test_a_thread_with_thousands_of_requests_is_still_read(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids of its jobs are looked up in several statements, and each job is found once."""
    monkeypatch.setattr("workflows.durable.job_rows.LOOKED_UP_AT_ONCE", 7)
    web = Queue(sqlite_url, worker=False)
    web.start()
    jobs = [submit(web) for _ in range(5)]
    assert [one.job.id for one in web.thread(11, 7)] == [job.id for job in jobs]
    assert len(web.cancel_issue(11, 7)) == 5
    web.stop()


@pytest.mark.parametrize(
    "broken", [BrokenWorld("github", "GitHub is down."), sa.exc.OperationalError("", {}, OSError())]
)
def test_an_outcome_is_not_lost_to_who_is_told_of_it(sqlite_url: str, broken: Exception) -> None:
    """When the others' places cannot be shown, the job that ended has its outcome all the same."""

    def tell(job: Job) -> None:
        raise broken

    queue = Queue(sqlite_url, worker=True, concurrency=1, poll_seconds=0.05)
    queue.register("count", done)
    queue.register_admission(lambda run, job: job, on_ended=tell)
    queue.start()
    try:
        [job] = ask(queue)
        assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="no_change", reason="done")
    finally:
        queue.stop(5)


def test_an_admission_that_is_held_back_keeps_no_thread(url: str) -> None:
    """Six threads whose admission is held back leave the four places to others; their own later requests wait.

    When the time is over they go on in their order, with the steps that they had made.
    """
    over = threading.Event()
    made: list[str] = []
    admitted: list[int] = []

    def ask_github() -> str:
        if not over.is_set():
            raise JobPostponed(1.0)
        return "answer"

    def admit(run: Run, job: Job) -> Outcome | Job:
        run.step("first", lambda: made.append(job.id), type(None))
        if job.number < 100:
            run.step("ask", ask_github, str)
            admitted.append(job.number)
        return refused(run, job)

    with admitting(url, admit) as queue:
        held = [ask(queue, number=number)[0] for number in range(1, 7) for _ in range(2)]
        until(lambda: len(made) == 6)
        other = ask(queue, number=100)[0]
        assert queue.wait(other.id, timeout=PATIENCE).outcome is not None
        assert len(made) == 7
        assert [queue.job(job.id).outcome for job in held] == [None] * 12  # type: ignore[union-attr]
        over.set()
        for job in held:
            assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="refused", reason="No.")
        assert sorted(made) == sorted(job.id for job in [*held, other])
        assert sorted(admitted) == sorted(job.number for job in held)


def test_jobs_of_one_thread_run_in_their_order(url: str) -> None:
    """Those that were asked for within the same second, and taken in together, too."""
    begun: list[str] = []
    gate = threading.Event()

    def work(run: Run, job: Job) -> Outcome:
        assert gate.wait(PATIENCE)
        begun.append(job.id)
        return done(run, job)

    asked = [make() for _ in range(8)]
    web = Queue(url, worker=False)
    web.start()
    for number, (delivery, job) in enumerate(asked):
        received = delivery.received_at.replace(microsecond=1000 * number)
        web.submit(delivery.model_copy(update={"received_at": received}), job, "Started.")
    web.stop(5)
    queue = Queue(url, worker=True, concurrency=2, poll_seconds=0.05)
    queue.register("count", work)
    queue.start()
    try:
        until(lambda: all(queue.job(job.id) for _, job in asked))
        gate.set()
        for _, job in asked:
            assert queue.wait(job.id, timeout=PATIENCE).outcome is not None
        assert begun == [job.id for _, job in asked]
    finally:
        gate.set()
        queue.stop(5)


def test_work_that_is_held_back_as_it_begins_keeps_no_thread(url: str) -> None:
    """The one place for work is left to another thread's job, as often as it takes; the later job of its own waits."""
    tries: Counter[int] = Counter()
    begun: list[str] = []

    def work(run: Run, job: Job) -> Outcome:
        tries[job.number] += 1
        if job.number == 1 and (tries[1] < 4 or not tries[2]):
            raise JobPostponed(0.1)
        begun.append(job.id)
        return done(run, job)

    queue = Queue(url, worker=True, concurrency=1, poll_seconds=0.05, max_attempts=2)
    queue.register("count", work)
    queue.start()
    try:
        held = [submit(queue, number=1)]
        until(lambda: tries[1])  # two of the same millisecond have no order
        held.append(submit(queue, number=1))
        other = submit(queue, number=2)
        assert queue.wait(other.id, timeout=PATIENCE).outcome is not None
        for job in held:
            assert queue.wait(job.id, timeout=PATIENCE).outcome == Outcome(status="no_change", reason="done")
        assert begun == [other.id, *(job.id for job in held)]
    finally:
        queue.stop(5)


def test_what_is_cancelled_while_it_is_held_back_stays_so(url: str) -> None:
    """Its turn comes again, and passes to the next request of its thread."""
    tries: list[str] = []

    def admit(run: Run, job: Job) -> Outcome | Job:
        tries.append(job.id)
        if len(tries) == 1:
            raise JobPostponed(3.0)
        return refused(run, job)

    with admitting(url, admit) as queue, capture_logs() as logs:
        [first] = ask(queue)
        until(lambda: any(entry["event"] == "job_postponed" for entry in logs))
        assert queue.cancel_issue(11, 7) == [first.id]
        [second] = ask(queue)
        assert queue.wait(second.id, timeout=PATIENCE).outcome is not None
        until(lambda: not queue._worker.edge.parked)  # type: ignore[union-attr]
        [third] = ask(queue, number=8)
        assert queue.wait(third.id, timeout=PATIENCE).outcome is not None
        assert queue.job(first.id).state == "cancelled"  # type: ignore[union-attr]
        assert tries == [first.id, second.id, third.id]


def test_an_admission_that_died_goes_on(sqlite_url: str) -> None:
    """kill -9 after a step of the admission and before the job is queued: it is queued once, the step not repeated."""
    log = Path(sqlite_url.removeprefix("sqlite:///")).with_suffix(".log")
    child = multiprocessing.get_context("spawn").Process(target=_die_in_admission, args=(sqlite_url, str(log)))
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == -signal.SIGKILL

    def admit(run: Run, job: Job) -> Outcome | Job:
        run.step("once", lambda: log.write_text(log.read_text() + "once\n"), int)
        return job

    with admitting(sqlite_url, admit) as queue:
        [record] = queue.jobs()
        assert queue.wait(record.job.id, timeout=PATIENCE).outcome == Outcome(status="no_change", reason="done")
        assert len(queue.jobs()) == 1
    assert log.read_text() == "once\n"


def _die_in_admission(url: str, log: str) -> None:
    def admit(run: Run, job: Job) -> Outcome | Job:
        run.step("once", lambda: Path(log).write_text("once\n"), int)
        os.kill(os.getpid(), signal.SIGKILL)
        return job

    with admitting(url, admit) as queue:
        ask(queue)
        time.sleep(60)
