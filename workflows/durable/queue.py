"""Our port over the durable engine: deliveries go in, each job runs once to its end, whatever dies in between.

A job is bound to one thread's turn: of the jobs of one issue or pull request, one runs at a time, over all workers.
Before that it is admitted, in a queue of its own, so that what can be answered at once never waits for work.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer

from workflows.durable import deliveries as store
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
from workflows.durable.durable_run import DurableRun
from workflows.durable.job_records import STATES, JobRecord, JobState, hangs_on
from workflows.durable.job_rows import ADMISSION, ADMISSIONS, QUEUE, WORKFLOW, JobRows, admission_id
from workflows.durable.lease import Lease
from workflows.durable.pickle_guard import forbid_pickle
from workflows.durable.run import InlineRun, JobInterrupted, JobPostponed
from workflows.outcome import Outcome
from workflows.services import BrokenWorld, JobCancelled, Run
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

log = structlog.get_logger(__name__)

APPLICATION = "forgehand"
ADMITTED_AT_ONCE = 4
VERSION = "wf-1"
"""Constant on purpose: DBOS's default is a hash of the sources, which strands every running job at an upgrade."""
KEEP_AT_LEAST = timedelta(days=3)
"""GitHub can redeliver for three days; a forgotten delivery would start its job again."""
RECEIPT_SECONDS = 5.0
"""A receipt may wait this long for the database: GitHub gives up after ten seconds."""
HOUSEKEEPING_SECONDS = 2.0
WATCH_SECONDS = 0.5
PRUNE_SECONDS = 3600.0

WorkflowFunction = Callable[[Run, Job], Outcome]
Admit = Callable[[Run, Job], Outcome | Job]
"""The job that is to be queued, or the outcome when there is nothing to be done for it."""
BugAnswer = Callable[[Run, Job, str], None]


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
        self._worker = worker
        self._concurrency = concurrency
        self._on_bug = on_bug
        self._lease_seconds = lease_seconds
        self._on_lost = on_lost or _end_process
        self._poll_seconds = poll_seconds
        self._max_attempts = max_attempts
        self._retention = retention
        self._functions: dict[str, WorkflowFunction] = {}
        self._admit: Admit | None = None
        self._on_ended: Callable[[Job], None] = lambda job: None
        self._stopping = threading.Event()
        self._running: dict[str, DurableRun] = {}
        self._parked: dict[str, float] = {}
        self._arrived = threading.Event()
        self._changed = threading.Condition()
        self._undo: list[Callable[[], Any]] = []

    def register(self, name: str, function: WorkflowFunction) -> None:
        """Make ``function`` the workflow of that name; before :meth:`start`."""
        self._functions[name] = function

    def register_admission(self, admit: Admit, *, on_ended: Callable[[Job], None] = lambda job: None) -> None:
        """Have ``admit`` look at each job that asks for it, before it is queued; before :meth:`start`.

        ``on_ended`` is told of each job that left its thread free for the next.
        """
        self._admit = admit
        self._on_ended = on_ended

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
                if self._worker:
                    prepare()
                    self._launch()
            except sa.exc.SQLAlchemyError as error:
                raise QueueUnavailable(describe(error)) from error
            undo.pop_all()

    def stop(self, drain_seconds: float = 20.0) -> bool:
        """Claim no more, let running jobs reach the end of their step, and close; the jobs go on after a restart.

        After half of ``drain_seconds`` their commands and requests are ended. False when a step outlasted all of them:
        it will run again, and the process should end without waiting for its thread.
        """
        self._stopping.set()
        with self._changed:
            drained = self._changed.wait_for(lambda: not self._running, timeout=drain_seconds / 2)
            for run in self._running.values():
                run.over.set()
            drained = drained or self._changed.wait_for(lambda: not self._running, timeout=drain_seconds / 2)
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
                receipts = store.store(connection, submissions)
        except sa.exc.SQLAlchemyError as error:
            raise QueueUnavailable(describe(error)) from error
        self._arrived.set()
        return receipts

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that has not ended; a running one ends in seconds. Whether there was one to cancel."""
        self._rows.take_in()
        return bool(self._rows.cancel(admissions=[job_id], jobs=[job_id]))

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
            found = self._rows.records(store.fetch_jobs_of_issue(connection, repository_id, number))
        return sorted(found, key=lambda record: (record.job.created_at, len(record.job.id), record.job.id))

    def deliveries_of(self, repository_id: int, number: int, limit: int = 30) -> list[DeliveryRecord]:
        """The last deliveries about one issue or pull request, newest first."""
        with self._engine.connect() as connection:
            return store.fetch_deliveries_of_issue(connection, repository_id, number, limit)

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
            return store.fetch_delivery(connection, guid)

    def deliveries(self, limit: int = 50) -> list[DeliveryRecord]:
        """The last deliveries, newest first."""
        with self._engine.connect() as connection:
            return store.fetch_deliveries(connection, limit)

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
            time.sleep(min(0.05, self._poll_seconds))
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
            store.delete_deliveries(connection, before, keep_jobs=ids)
        for start in range(0, len(old), 500):
            gone = [status.workflow_id for status in old[start : start + 500]]
            self._client.delete_workflows(gone)
            with self._engine.begin() as connection:
                delete_events(connection, gone)
        return len(old)

    def _open(self) -> None:
        if self._worker and is_sqlite(self._url):
            lock = WorkerLock(sqlite_path(self._url))
            lock.acquire()
            self._undo.append(lock.release)
        self._engine = open_engine(self._url, wait_seconds=30.0, connections=self._concurrency + 8)
        self._undo.append(self._engine.dispose)
        check_writable(self._engine)
        DBOS.migrate(with_driver(self._url))
        store.create_tables(self._engine)
        self._client = DBOSClient(
            system_database_engine=self._engine, serializer=DBOSPortableJSONSerializer(), application_name=APPLICATION
        )
        self._undo.append(self._client.destroy)
        self._rows = JobRows(self._engine, self._client)
        self._receipt_engine = open_engine(self._url, wait_seconds=RECEIPT_SECONDS, connections=2)
        self._undo.append(self._receipt_engine.dispose)

    def _launch(self) -> None:
        executor_id = "local"
        if not is_sqlite(self._url):
            executor_id = f"{socket.gethostname()}-{uuid.uuid4()}"
            lease = self._take_lease(executor_id)
        for name, at_once in ((QUEUE, self._concurrency), (ADMISSIONS, ADMITTED_AT_ONCE)):
            self._client.register_queue(
                name,
                partition_concurrency=1,
                worker_concurrency=at_once,
                polling_interval_sec=self._poll_seconds,
            )
        config = DBOSConfig(
            name=APPLICATION,
            system_database_url=with_driver(self._url),
            system_database_engine=self._engine,
            application_version=VERSION,
            executor_id=executor_id,
            serializer=DBOSPortableJSONSerializer(),
            # Without a bound DBOS makes a thread a job, and some Pythons keep them.
            max_executor_threads=self._concurrency + ADMITTED_AT_ONCE + 8,
            log_level="WARNING",
        )
        DBOS(config=config)
        self._undo.append(lambda: DBOS.destroy(destroy_registry=True))

        # Its own limit is only a backstop: ours answers the issue first.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=self._max_attempts + 5)
        def run_stored(stored: dict[str, Any]) -> dict[str, Any]:
            return self._run_stored(stored)

        @DBOS.workflow(name=ADMISSION, max_recovery_attempts=self._max_attempts + 5)
        def admit_stored(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return self._admit_stored(stored)

        DBOS.launch()
        if not is_sqlite(self._url):
            lease.keep()
        for body in (self._keep_taking_in, self._keep_house, self._keep_watch):
            thread = threading.Thread(target=body, daemon=True, name=body.__name__.strip("_"))
            thread.start()
            self._undo.append(thread.join)

    def _take_lease(self, executor_id: str) -> Lease:
        # An engine of its own: jobs that use up the connections must not cost the worker its lease.
        engine = open_engine(self._url, wait_seconds=self._lease_seconds / 3, connections=1)
        lease = Lease(
            engine,
            executor_id,
            ttl=self._lease_seconds,
            on_lost=self._lose,
            running=self._rows.executors,
            recover=_recover,
        )
        lease.take()
        self._undo += [engine.dispose, lease.give_back]
        return lease

    def _close(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _lose(self) -> None:
        self._stopping.set()
        self._on_lost()

    def _keep_taking_in(self) -> None:
        while not self._stopping.is_set():
            # Deliveries of this process are told of; those of web processes are looked for.
            self._arrived.wait(self._poll_seconds)
            self._arrived.clear()
            try:
                self._rows.take_in()
            except sa.exc.SQLAlchemyError as error:
                log.warning("jobs_not_taken_in", reason=describe(error))
                self._stopping.wait(HOUSEKEEPING_SECONDS)

    def _run_stored(self, stored: dict[str, Any]) -> dict[str, Any]:
        """What DBOS calls for a claimed job, on a thread of its pool."""
        job = Job.model_validate(stored)
        with self._busy_with(job.id, job) as run:
            try:
                outcome = self._run(run, job, self._work)
            finally:
                if run.cancelled:
                    self._tell_ended(job)
        assert isinstance(outcome, Outcome)
        self._tell_ended(job)
        return outcome.model_dump(mode="json")

    def _tell_ended(self, job: Job) -> None:
        try:
            self._on_ended(job)
        except (BrokenWorld, sa.exc.SQLAlchemyError) as error:
            # The outcome is known, and may not be lost to what is only shown.
            log.warning("end_not_told", job=job.id, reason=str(error).splitlines()[0])

    def _admit_stored(self, stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What DBOS calls for a delivery's jobs before they are queued: an outcome each, or that it was queued."""
        decided = []
        for job in [Job.model_validate(one) for one in stored]:
            with self._busy_with(admission_id(stored[0]["id"]), job) as run:
                found = self._run(run, job, partial(self._look_at, admission_id(stored[0]["id"])))
                decided.append({"outcome": found.model_dump(mode="json") if isinstance(found, Outcome) else None})
        return decided

    @contextmanager
    def _busy_with(self, workflow_id: str, job: Job) -> Iterator[DurableRun]:
        """A run for one claimed job, known as under way until it is left."""
        run = DurableRun(job.id, stopping=self._stopping, is_cancelled=lambda: self._is_cancelled(workflow_id))
        with self._changed:
            self._running[workflow_id] = run
        try:
            with structlog.contextvars.bound_contextvars(job=job.id, delivery=job.delivery_id):
                yield run
        finally:
            with self._changed:
                self._running.pop(workflow_id, None)
                self._changed.notify_all()

    def _queue_admitted(self, job: Job, admission: str) -> None:
        with self._engine.begin() as connection:
            self._rows.enqueue(connection, job.model_copy(update={"admission": False}).model_dump(mode="json"))
        # Whoever cancelled the admission before this was stored did not find the job.
        if self._is_cancelled(admission):
            self._rows.cancel_rows([job.id])

    def _look_at(self, admission: str, run: Run, job: Job, _reason: str) -> Outcome | Job:
        found = job if self._admit is None else self._admit(run, job)
        if isinstance(found, Job):
            run.step("queue", partial(self._queue_admitted, found, admission), type(None))
        return found

    def _run(self, run: DurableRun, job: Job, first: Callable[[Run, Job, str], Outcome | Job]) -> Outcome | Job:
        """The queue's edge: every way a job can end comes by here. Raises JobInterrupted alone."""
        if self._stopping.is_set():
            raise JobInterrupted("the process stops")
        started = "admission_started" if job.admission else "job_started"
        log.info(started, workflow=job.workflow, repository=job.repository.full_name, number=job.number)
        reason = ""
        outcome: Outcome | Job
        for act in (first, self._answer):  # the answer to a failure can fail itself
            try:
                outcome = act(run, job, reason)
                break
            except JobCancelled:
                outcome = Outcome(status="cancelled", reason="The job was cancelled.")
                break
            except sa.exc.SQLAlchemyError as error:
                log.error("job_parked", reason=describe(error))
                # What could not store a step cannot store an outcome either.
                self._park(job)
                raise JobInterrupted("the database refuses") from error
            except JobPostponed as later:
                log.warning("job_postponed", seconds=round(later.seconds))
                self._park(job, later.seconds)
                raise
            except BrokenWorld as broken:
                log.error("job_broken", kind=broken.kind, reason=broken.message)
                reason = reason or broken.message
            except Exception as bug:  # the one broad except: the issue gets an answer to our bugs too
                log.error("job_bug", exc_info=bug)
                reason = reason or f"Forgehand itself failed ({type(bug).__name__}): its log tells more about {job.id}."
        else:
            outcome = Outcome(status="failed", reason=reason)
        if run.cancelled:
            log.info("job_cancelled")
            raise JobInterrupted("the job is cancelled, and its row says so already")
        if isinstance(outcome, Outcome):
            log.info("job_ended", status=outcome.status, reason=outcome.reason)
        return outcome

    def _work(self, run: Run, job: Job, _reason: str) -> Outcome:
        attempts = self._client.list_workflows(workflow_ids=[job.id], load_input=False)[0].recovery_attempts or 0
        if attempts > self._max_attempts:
            raise BrokenWorld(
                "job",
                f"The job was started {self._max_attempts} times and its worker ended each time, so it is given up. "
                "Ask the operator to look at the worker's memory and log, then label the issue again.",
            )
        if job.workflow not in self._functions:
            raise BrokenWorld("job", f"No workflow is named {job.workflow}: upgrade every worker to the same version.")
        return self._functions[job.workflow](run, job)

    def _is_cancelled(self, job_id: str) -> bool:
        return bool(self._rows.cancelled_of([job_id]))

    def _answer(self, run: Run, job: Job, reason: str) -> Outcome:
        if self._on_bug is not None:
            self._on_bug(run, job, reason)
        return Outcome(status="failed", reason=reason)

    def _park(self, job: Job, seconds: float = 0.0) -> None:
        """Leave the job where its last checkpoint is, for so long at least; it keeps its thread's turn, and no thread
        of ours.
        """
        self._parked[DBOS.workflow_id or job.id] = time.monotonic() + seconds

    def _take_up_parked(self) -> None:
        due = {row: at for row, at in list(self._parked.items()) if at <= time.monotonic()}
        if not due:
            return
        # Forgotten first: it may be parked again the moment that it is taken up.
        for row in due:
            del self._parked[row]
        try:
            check_writable(self._receipt_engine)
            self._rows.put_back(list(due))
        except (QueueUnavailable, sa.exc.SQLAlchemyError):
            for row, at in due.items():
                self._parked.setdefault(row, at)
            raise

    def _keep_watch(self) -> None:
        """Tell running jobs of their cancellation, by whichever process it was: they may be waiting for a command."""
        while not self._stopping.wait(WATCH_SECONDS):
            with self._changed:
                running = dict(self._running)
            if not running:
                continue
            try:
                for job_id in self._rows.cancelled_of(list(running)):
                    running[job_id].over.set()
            except sa.exc.SQLAlchemyError as error:
                log.warning("cancellations_not_looked_for", reason=describe(error))

    def _keep_house(self) -> None:
        pruned = time.monotonic()
        while not self._stopping.wait(HOUSEKEEPING_SECONDS):
            try:
                self._take_up_parked()
                if time.monotonic() - pruned > PRUNE_SECONDS:
                    pruned = time.monotonic()
                    self.prune(datetime.now(UTC) - self._retention)
            except (QueueUnavailable, sa.exc.SQLAlchemyError) as error:
                log.warning("housekeeping_postponed", reason=str(error).splitlines()[0])


def _recover(dead: Set[str]) -> None:
    # Private, and there is no public way that keeps attempts and checks the owner: docs/decisions/0002-dbos.md.
    DBOS._recover_pending_workflows(sorted(dead))


def _end_process() -> None:
    # Not sys.exit: that waits for the threads of jobs which another worker is about to continue.
    os._exit(75)
