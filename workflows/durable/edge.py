"""The queue's edge: each job that this worker claimed is seen to its end here, or to where another run takes it up.

Every way a job can end comes by here, our own bugs too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS

from workflows.durable.database import describe
from workflows.durable.durable_run import DurableRun
from workflows.durable.job_rows import JobRows, admission_id
from workflows.durable.run import JobInterrupted, JobPostponed
from workflows.outcome import Outcome
from workflows.services import BrokenWorld, JobCancelled, Run
from workflows.types import Job

log = structlog.get_logger(__name__)

WorkflowFunction = Callable[[Run, Job], Outcome]
Admit = Callable[[Run, Job], Outcome | Job]
"""The job that is to be queued, or the outcome when there is nothing to be done for it."""
BugAnswer = Callable[[Run, Job, str], None]


@dataclass
class Work:
    """What a worker is made for: its workflows by name, what looks at a job before it is queued, and who is told."""

    functions: dict[str, WorkflowFunction] = field(default_factory=dict)
    admit: Admit | None = None
    on_ended: Callable[[Job], None] = lambda job: None
    on_bug: BugAnswer | None = None


class Edge:
    """The jobs that run in this process. ``parked`` are those that left their thread: until which second, by their row.

    Once ``stopping`` is set no step is begun any more.
    """

    def __init__(self, rows: JobRows, work: Work, *, stopping: threading.Event, max_attempts: int) -> None:
        self._rows = rows
        self._given = work
        self._stopping = stopping
        self._max_attempts = max_attempts
        self._running: dict[str, DurableRun] = {}
        self._changed = threading.Condition()
        self.parked: dict[str, float] = {}

    def running(self) -> dict[str, DurableRun]:
        """The runs under way, by their rows."""
        with self._changed:
            return dict(self._running)

    def drain(self, seconds: float) -> bool:
        """Wait until nothing runs; after half of the time what runs is told that it is over. False: something does."""
        with self._changed:
            drained = self._changed.wait_for(lambda: not self._running, timeout=seconds / 2)
            for run in self._running.values():
                run.over.set()
            return drained or self._changed.wait_for(lambda: not self._running, timeout=seconds / 2)

    def run_stored(self, stored: dict[str, Any]) -> dict[str, Any]:
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

    def admit_stored(self, stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
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

    def _look_at(self, admission: str, run: Run, job: Job, _reason: str) -> Outcome | Job:
        found = job if self._given.admit is None else self._given.admit(run, job)
        if isinstance(found, Job):
            run.step("queue", partial(self.put_in, found, admission), type(None))
        return found

    def put_in(self, job: Job, admission: str) -> None:
        """Queue what was admitted."""
        self._rows.put_in(job.model_copy(update={"admission": False}))
        # Whoever cancelled the admission before this was stored did not find the job.
        if self._is_cancelled(admission):
            self._rows.cancel_rows([job.id])

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
        if self._rows.attempts(job.id) > self._max_attempts:
            raise BrokenWorld(
                "job",
                f"The job was started {self._max_attempts} times and its worker ended each time, so it is given up. "
                "Ask the operator to look at the worker's memory and log, then label the issue again.",
            )
        if job.workflow not in self._given.functions:
            raise BrokenWorld("job", f"No workflow is named {job.workflow}: upgrade every worker to the same version.")
        return self._given.functions[job.workflow](run, job)

    def _answer(self, run: Run, job: Job, reason: str) -> Outcome:
        if self._given.on_bug is not None:
            self._given.on_bug(run, job, reason)
        return Outcome(status="failed", reason=reason)

    def _tell_ended(self, job: Job) -> None:
        try:
            self._given.on_ended(job)
        except (BrokenWorld, sa.exc.SQLAlchemyError) as error:
            # The outcome is known, and may not be lost to what is only shown.
            log.warning("end_not_told", job=job.id, reason=str(error).splitlines()[0])

    def _park(self, job: Job, seconds: float = 0.0) -> None:
        """Leave the job where its last checkpoint is, for so long at least; it keeps its thread's turn, and no thread
        of ours.
        """
        self.parked[DBOS.workflow_id or job.id] = time.monotonic() + seconds

    def _is_cancelled(self, job_id: str) -> bool:
        return bool(self._rows.cancelled_of([job_id]))
