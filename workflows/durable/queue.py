"""Our port over the durable engine: deliveries go in, each job runs once to its end, whatever dies in between.

A job is bound to one thread's turn: of the jobs of one issue or pull request, one runs at a time, over all workers.
Before that it is admitted, in a queue of its own, so that what can be answered at once never waits for work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from workflows.durable import deliveries as records
from workflows.durable.database import (
    QueueUnavailable,
    WorkerLock,
    check_writable,
    describe,
    is_sqlite,
    open_engine,
    sqlite_path,
    with_driver,
)
from workflows.durable.deliveries import Delivery, DeliveryRecord, Receipt, Submission
from workflows.durable.edge import Admit, BugAnswer, Work, WorkflowFunction
from workflows.durable.job_records import STATES, JobRecord, JobState, hangs_on
from workflows.durable.job_rows import ADMISSION, WORKFLOW, JobRows, admission_id
from workflows.durable.pickle_guard import forbid_pickle
from workflows.durable.run import InlineRun
from workflows.durable.worker import APPLICATION, Pace, Store, Worker
from workflows.trajectory.database import delete_events
from workflows.types import Job

__all__ = [
    "Delivery",
    "DeliveryRecord",
    "InlineRun",
    "JobRecord",
    "Queue",
    "QueueUnavailable",
    "Receipt",
    "Submission",
]

KEEP_AT_LEAST = timedelta(days=3)
"""GitHub can redeliver for three days; a forgotten delivery would start its job again."""
RECEIPT_SECONDS = 5.0
"""A receipt may wait this long for the database: GitHub gives up after ten seconds."""


class Queue:
    """The queue as one process sees it: a web process submits, a worker also runs jobs (one Queue a process).

    ``concurrency``: jobs at once in this worker. ``on_bug`` answers the issue when a workflow breaks. On PostgreSQL,
    ``lease_seconds`` is the time after which others take a silent worker for dead, and ``on_lost`` must end the
    process at once. ``retention`` is how long deliveries and ended jobs are kept.
    """

    def __init__(
        self,
        database_url: str,
        *,
        worker: bool,
        concurrency: int = 2,
        on_bug: BugAnswer | None = None,
        lease_seconds: float = 30.0,
        on_lost: Callable[[], None] | None = None,
        poll_seconds: float = 0.2,
        max_attempts: int = 10,
        retention: timedelta = timedelta(days=30),
    ) -> None:
        self._url = database_url
        self._is_worker = worker
        self._pace = Pace(concurrency, lease_seconds, on_lost, poll_seconds, max_attempts)
        self._retention = retention
        self._work = Work(on_bug=on_bug)
        self._worker: Worker | None = None
        self._arrived = threading.Event()
        self._undo: list[Callable[[], Any]] = []

    def register(self, name: str, function: WorkflowFunction) -> None:
        """Make ``function`` the workflow of that name; before :meth:`start`."""
        self._work.functions[name] = function

    def register_admission(self, admit: Admit, *, on_ended: Callable[[Job], None] = lambda job: None) -> None:
        """Have ``admit`` look at each job that asks for it, before it is queued; before :meth:`start`.

        ``on_ended`` is told of each job that left its thread free for the next.
        """
        self._work.admit = admit
        self._work.on_ended = on_ended

    def start(self, *, prepare: Callable[[], None] = lambda: None) -> None:
        """Open the database, create what is missing and, in a worker, begin to run jobs.

        ``prepare`` is called in a worker before its first job; on SQLite no other process runs jobs then, so that what
        a killed one left behind may go. Raises what it raises, and QueueUnavailable with what to do: no database, a
        newer schema, another worker on the same file.
        """
        forbid_pickle()
        with ExitStack() as undo:
            undo.callback(self._close)
            try:
                self._open()
                if self._worker is not None:
                    prepare()
                    self._worker.start()
            except sa.exc.SQLAlchemyError as error:
                raise QueueUnavailable(describe(error)) from error
            undo.pop_all()

    def stop(self, drain_seconds: float = 20.0) -> bool:
        """Claim no more, let running jobs reach the end of their step, and close; the jobs go on after a restart.

        After half of ``drain_seconds`` their commands and requests are ended. False when a step outlasted all of them:
        it will run again, and the process should end without waiting for its thread.
        """
        drained = self._worker is None or self._worker.stop(drain_seconds)
        self._close()
        return drained

    def submit(self, delivery: Delivery, job: Job | None, decision: str) -> Receipt:
        """Store a delivery, its decision in words, and its job, in one durable act.

        The same delivery id never makes a second job. Raises QueueUnavailable when nothing was stored.
        """
        return self.submit_all([Submission(delivery, decision, (job,) if job else ())])[0]

    def submit_all(self, submissions: Sequence[Submission]) -> list[Receipt]:
        """:meth:`submit` for several (2,000 at most) at the price of one: all are stored, or none."""
        try:
            with self._receipt_engine.begin() as connection:
                receipts = records.store(connection, submissions)
        except sa.exc.SQLAlchemyError as error:
            raise QueueUnavailable(describe(error)) from error
        self._arrived.set()
        return receipts

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that has not ended; a running one ends in seconds. Whether there was one to cancel."""
        found = self.job(job_id)
        # The admission of what is admitted has others to look at yet: those that its delivery asked for beside it.
        admissions = [job_id] if found is None or found.job.admission else []
        return bool(self._rows.cancel(admissions=admissions, jobs=[job_id]))

    def cancel_issue(
        self, repository_id: int, number: int, *, label: str | None = None, before: datetime | None = None
    ) -> list[str]:
        """Cancel the jobs of one thread; the ids of those that had not ended.

        ``label``: those alone that this label asked for, or shows as being worked on. ``before``: those alone that were
        asked for until then. A comment whose admission is under way keeps it, for it is to be answered.
        """
        wanted = [
            record.job
            for record in self.thread(repository_id, number)
            if record.state in ("queued", "running")
            and (before is None or record.job.created_at <= before)
            and (label is None or hangs_on(record.job, label))
        ]
        admissions = [job.id for job in wanted if job.admission and job.trigger]
        jobs = [job.id for job in wanted if not job.admission]
        return self._rows.cancel(admissions=admissions, jobs=[*admissions, *jobs])

    def thread(self, repository_id: int, number: int) -> list[JobRecord]:
        """The jobs of one issue or pull request that are on record, in the order in which they were asked for."""
        self._rows.take_in()
        with self._engine.connect() as connection:
            found = self._rows.records(records.fetch_jobs_of_issue(connection, repository_id, number))
        return sorted(found, key=lambda record: (record.job.created_at, len(record.job.id), record.job.id))

    def asked_by(self, repository_id: int, actor_id: int, *, since: datetime) -> list[Job]:
        """The jobs of one person's requests in a repository that were queued since then, in no order."""
        found = [record.job for record in self._rows.since(since)]
        return [job for job in found if job.repository.id == repository_id and job.actor.id == actor_id]

    def deliveries_of(self, repository_id: int, number: int, limit: int = 30) -> list[DeliveryRecord]:
        """The last deliveries about one issue or pull request, newest first."""
        with self._engine.connect() as connection:
            return records.fetch_deliveries_of_issue(connection, repository_id, number, limit)

    def job(self, job_id: str) -> JobRecord | None:
        """The job, or None when it was never there or is forgotten."""
        self._rows.take_in()
        return next(iter(self._rows.records([job_id])), None)

    def jobs(self, *, states: Sequence[JobState] = (), limit: int = 50) -> list[JobRecord]:
        """The last jobs, newest first; ``states`` narrows."""
        self._rows.take_in()
        return self._rows.last(states, limit)

    def delivery(self, guid: str) -> DeliveryRecord | None:
        """The stored delivery with this id, or None."""
        with self._engine.connect() as connection:
            return records.fetch_delivery(connection, guid)

    def deliveries(self, limit: int = 50) -> list[DeliveryRecord]:
        """The last deliveries, newest first."""
        with self._engine.connect() as connection:
            return records.fetch_deliveries(connection, limit)

    def check(self) -> None:
        """Raise QueueUnavailable unless the database answers and would take a write now."""
        check_writable(self._receipt_engine)

    def wait(self, job_id: str, *, timeout: float) -> JobRecord:
        """The job once it has ended or was cancelled. Raises TimeoutError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            record = self.job(job_id)
            if record is not None and record.state in ("ended", "cancelled"):
                return record
            time.sleep(min(0.05, self._pace.poll_seconds))
        raise TimeoutError(f"Job {job_id} has not ended within {timeout} s.")

    def prune(self, before: datetime) -> int:
        """Forget deliveries received, and jobs ended, before a moment at least three days ago; how many jobs went."""
        if before > datetime.now(UTC) - KEEP_AT_LEAST:
            raise ValueError("Rows younger than three days must stay: GitHub may still redeliver them.")
        self._rows.take_in()
        ended = [*STATES["ended"], *STATES["cancelled"]]
        old = self._client.list_workflows(
            name=[WORKFLOW, ADMISSION],
            status=ended,
            completed_before=before.isoformat(),
            load_input=False,
            load_output=False,
        )
        with self._engine.begin() as connection:
            unended = [*STATES["queued"], *STATES["running"]]
            kept = self._client.list_workflows(
                name=[WORKFLOW, ADMISSION], status=unended, load_input=False, load_output=False
            )
            ids = [status.workflow_id.removeprefix(admission_id("")) for status in kept]
            records.delete_deliveries(connection, before, keep_jobs=ids)
        for start in range(0, len(old), 500):
            gone = [status.workflow_id for status in old[start : start + 500]]
            self._client.delete_workflows(gone)
            with self._engine.begin() as connection:
                delete_events(connection, gone)
        return len(old)

    def _open(self) -> None:
        if self._is_worker and is_sqlite(self._url):
            lock = WorkerLock(sqlite_path(self._url))
            lock.acquire()
            self._undo.append(lock.release)
        self._engine = open_engine(self._url, wait_seconds=30.0, connections=self._pace.concurrency + 8)
        self._undo.append(self._engine.dispose)
        check_writable(self._engine)
        DBOS.migrate(with_driver(self._url))
        records.create_tables(self._engine)
        self._client = DBOSClient(
            system_database_engine=self._engine, serializer=DBOSPortableJSONSerializer(), application_name=APPLICATION
        )
        self._undo.append(self._client.destroy)
        self._rows = JobRows(self._engine, self._client)
        self._receipt_engine = open_engine(self._url, wait_seconds=RECEIPT_SECONDS, connections=2)
        self._undo.append(self._receipt_engine.dispose)
        if self._is_worker:
            store = Store(self._url, self._engine, self._receipt_engine, self._client, self._rows)
            self._worker = Worker(store, self._work, self._pace, prune=self._prune_old, arrived=self._arrived)
            self._undo.append(self._worker.close)

    def _prune_old(self) -> None:
        self.prune(datetime.now(UTC) - self._retention)

    def _close(self) -> None:
        while self._undo:
            self._undo.pop()()
