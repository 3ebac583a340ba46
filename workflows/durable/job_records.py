"""Jobs as the database knows them: read from the rows of the durable engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import structlog
from pydantic import ValidationError

from workflows.durable import deliveries as store
from workflows.outcome import Outcome
from workflows.progress.state_labels import state_label
from workflows.types import Job, Noun

if TYPE_CHECKING:
    from dbos import WorkflowStatus

log = structlog.get_logger(__name__)

JobState = Literal["queued", "running", "ended", "cancelled"]
STATES: dict[JobState, list[str]] = {
    "queued": ["ENQUEUED", "DELAYED"],
    "running": ["PENDING"],
    "ended": ["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
    "cancelled": ["CANCELLED"],
}


class JobRecord(Noun):
    """A job as the database knows it. ``outcome`` is there once it has ended; ``attempts`` counts its starts."""

    job: Job
    state: JobState
    outcome: Outcome | None = None
    attempts: int = 0
    queued_at: datetime
    changed_at: datetime

    def was_cancelled_since(self, moment: datetime) -> bool:
        """Whether it was cancelled then or later. Rows of earlier versions on SQLite hold whole seconds: an earlier
        part of that second counts too.
        """
        return self.state == "cancelled" and moment.replace(microsecond=0) <= self.changed_at


def read_records(found: Sequence[WorkflowStatus]) -> list[JobRecord]:
    """The jobs of these rows, in their order. A job that its admission passed on is in its own row alone."""
    records: list[JobRecord] = []
    for status in found:
        try:
            records += _read(status)
        except ValidationError as error:
            # One row of another version, or one that was tampered with, may not hide the others.
            log.warning("job_unreadable", job=status.workflow_id, reason=str(error).splitlines()[0])
    queued = {record.job.id for record in records if not record.job.admission}
    return [record for record in records if not record.job.admission or record.job.id not in queued]


def hangs_on(job: Job, label: str) -> bool:
    """Whether taking this label off ends the job: it asked for it, or shows that it is worked on."""
    working = state_label("working", trigger=job.label).name if job.label else ""
    return bool(label) and label.casefold() in (job.trigger.casefold(), working.casefold())


def _read(status: WorkflowStatus) -> Iterator[JobRecord]:
    # DBOS gives text that it could not decode as it is.
    stored = status.input["args"][0] if isinstance(status.input, dict) else None
    jobs: list[Any] = stored if isinstance(stored, list) else [stored]
    outputs: list[Any] = [status.output] * len(jobs)
    if isinstance(stored, list) and isinstance(status.output, list):
        outputs = [decided["outcome"] for decided in status.output]
    for job, output in zip(jobs, outputs, strict=True):
        if status.status != "SUCCESS" or output is not None:
            yield _record(status, Job.model_validate(job), output)


def _record(status: WorkflowStatus, job: Job, output: Any) -> JobRecord:
    outcome = None
    if status.status == "SUCCESS":
        outcome = Outcome.model_validate(output)
    elif status.status in STATES["ended"]:
        outcome = Outcome(status="failed", reason=str(status.error or "The job was started too often."))
    assert status.created_at is not None
    return JobRecord(
        job=job,
        state=next(state for state, statuses in STATES.items() if status.status in statuses),
        outcome=outcome,
        attempts=status.recovery_attempts or 0,
        queued_at=store.from_ms(status.created_at),
        changed_at=store.from_ms(status.updated_at or status.created_at),
    )
