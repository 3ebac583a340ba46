"""The rows in which the durable engine keeps jobs: put in, found, read and cancelled, by any process.

A job has one row in the work queue, and before that its delivery has one in the queue of admissions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, EnqueueOptions

from workflows.durable import deliveries as store
from workflows.durable.job_records import STATES, JobRecord, JobState, read_records
from workflows.types import Job

WORKFLOW = "forgehand_job"
QUEUE = "jobs"
ADMISSION = "forgehand_admission"
ADMISSIONS = "admissions"
TAKE_IN = 50
"""Jobs handed over in one transaction: it must not hold up receipts."""
CLOCK_SECONDS = 0.002
"""A moment in which the clock moves on by which DBOS orders: it counts milliseconds."""
LOOKED_UP_AT_ONCE = 5_000
"""Databases bind so many values in a statement: SQLite 32,766, PostgreSQL 65,535."""


class JobRows:
    """The jobs of one database. Raises SQLAlchemyError."""

    def __init__(self, engine: sa.Engine, client: DBOSClient) -> None:
        self._engine = engine
        self._client = client

    def take_in(self) -> None:
        """Hand the jobs that wait in their deliveries to DBOS; twice is once, for the job's id is DBOS's key.

        DBOS orders a thread's jobs by when they were put in, which on PostgreSQL is when the transaction began: of each
        thread only the first goes with one transaction.
        """
        left = True
        while left:
            with self._engine.begin() as connection:
                waiting = store.fetch_waiting(connection, TAKE_IN)
                firsts = {_thread_key(jobs[0]): guid for guid, jobs in reversed(waiting.items())}.values()
                taken = {guid: jobs for guid, jobs in waiting.items() if guid in firsts}
                for jobs in taken.values():
                    self._hand_over(connection, jobs)
                if taken:
                    store.mark_taken(connection, taken)
            left = bool(waiting)
            if len(taken) < len(waiting):
                time.sleep(CLOCK_SECONDS)

    def _hand_over(self, connection: sa.Connection, jobs: list[dict[str, Any]]) -> None:
        """One admission for all jobs of a delivery, so that they come in their order; or each to the queue at once."""
        if not jobs[0].get("admission"):
            for job in jobs:
                self.enqueue(connection, job)
            return
        options: EnqueueOptions = {
            "workflow_name": ADMISSION,
            "queue_name": ADMISSIONS,
            "workflow_id": admission_id(jobs[0]["id"]),
            "queue_partition_key": _thread_key(jobs[0]),
        }
        self._client.enqueue_in_transaction(connection, options, jobs)

    def enqueue(self, connection: sa.Connection, job: dict[str, Any]) -> None:
        """Put a job into the work queue within this transaction; a second time changes nothing."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": job["id"],
            # DBOS accepts a row without the key, and never runs it.
            "queue_partition_key": _thread_key(job),
        }
        if job.get("delay"):
            options["delay_seconds"] = job["delay"]
        self._client.enqueue_in_transaction(connection, options, job)

    def put_in(self, job: Job) -> None:
        """:meth:`enqueue` in a transaction of its own."""
        with self._engine.begin() as connection:
            self.enqueue(connection, job.model_dump(mode="json"))

    def attempts(self, job_id: str) -> int:
        """How often the job was started."""
        [found] = self._client.list_workflows(workflow_ids=[job_id], load_input=False, load_output=False)
        return found.recovery_attempts or 0

    def records(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """The jobs with these ids that are there, in no order."""
        ids = [*job_ids, *(admission_id(job_id) for job_id in job_ids)]
        found = []
        for start in range(0, len(ids), LOOKED_UP_AT_ONCE):
            some = ids[start : start + LOOKED_UP_AT_ONCE]
            found += self._client.list_workflows(workflow_ids=some, name=[WORKFLOW, ADMISSION])
        wanted = set(job_ids)
        return [record for record in read_records(found) if record.job.id in wanted]

    def last(self, states: Sequence[JobState], limit: int) -> list[JobRecord]:
        """The last jobs, newest first; ``states`` narrows."""
        # An admission that passed its jobs on gives no record, so more rows than asked for are looked at.
        wanted = [status for state in states for status in STATES[state]] or None
        found = self._client.list_workflows(name=[WORKFLOW, ADMISSION], status=wanted, limit=2 * limit, sort_desc=True)
        return read_records(found)[:limit]

    def since(self, moment: datetime) -> list[JobRecord]:
        """The jobs that were put into the work queue since then, in no order."""
        return read_records(self._client.list_workflows(name=[WORKFLOW], start_time=moment.isoformat()))

    def cancel(self, *, admissions: Sequence[str], jobs: Sequence[str]) -> list[str]:
        """Cancel the admissions of some jobs, and jobs themselves; the ids of those that had not ended."""
        # Admissions first: what one of them has queued by then is there to be found.
        found = self.cancel_rows([admission_id(job_id) for job_id in admissions])
        found += self.cancel_rows(jobs)
        return sorted({row.removeprefix(admission_id("")) for row in found})

    def cancel_rows(self, rows: Sequence[str]) -> list[str]:
        """Cancel those of these rows of the engine that have not ended; which ones."""
        unended = [*STATES["queued"], *STATES["running"]]
        ids: list[str] = []
        for start in range(0, len(rows), LOOKED_UP_AT_ONCE):
            some = list(rows[start : start + LOOKED_UP_AT_ONCE])
            found = self._client.list_workflows(workflow_ids=some, status=unended, load_input=False, load_output=False)
            ids += [status.workflow_id for status in found]
        if ids:
            self._client.cancel_workflows(ids)
        return ids

    def put_back(self, rows: Sequence[str]) -> None:
        """Have these rows, which their worker left in the middle, claimed again; not those that ended meanwhile."""
        # The engine would begin again even what is cancelled.
        found = self._client.list_workflows(
            workflow_ids=list(rows), status=STATES["running"], load_input=False, load_output=False
        )
        left = sorted(status.workflow_id for status in found)
        admissions = [row for row in left if row.startswith(admission_id(""))]
        for name, own in ((ADMISSIONS, admissions), (QUEUE, sorted({*left} - {*admissions}))):
            if own:
                self._client.resume_workflows(own, queue_name=name)

    def cancelled_of(self, job_ids: list[str]) -> list[str]:
        """Those of these rows that are cancelled."""
        found = self._client.list_workflows(
            workflow_ids=job_ids, status=STATES["cancelled"], load_input=False, load_output=False
        )
        return [status.workflow_id for status in found]

    def executors(self) -> Set[str]:
        """Who owns running jobs, by the engine's word for a worker."""
        found = self._client.list_workflows(
            name=[WORKFLOW, ADMISSION], status="PENDING", load_input=False, load_output=False
        )
        return {status.executor_id for status in found if status.executor_id}


def admission_id(job_id: str) -> str:
    """The row of the admission of the delivery whose first job this is; empty: how all such rows begin."""
    return f"admit-{job_id}"


def _thread_key(job: Mapping[str, Any]) -> str:
    return f"{job['repository']['id']}/{job['number']}"
