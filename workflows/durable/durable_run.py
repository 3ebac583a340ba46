"""A workflow's steps made durable by DBOS; apart from run.py, for what runs without a database need not load it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from dbos import DBOS
from dbos import error as dbos_error

from workflows.durable.run import JobInterrupted, load_step, perform_step, utc_now
from workflows.services import JobCancelled

T = TypeVar("T")


class DurableRun:
    """A run whose steps are stored by DBOS, on the thread that DBOS runs the workflow on.

    Steps may not be nested, nor be made from another thread. After ``stopping`` is set, the next step raises
    JobInterrupted; the job goes on from there in the next process. ``is_cancelled`` asks the database.
    """

    def __init__(self, job_id: str, *, stopping: threading.Event, is_cancelled: Callable[[], bool]) -> None:
        self._job_id = job_id
        self._stopping = stopping
        self._is_cancelled = is_cancelled
        self.cancelled = False
        """Whether a step has met the job's cancellation."""
        self.over = threading.Event()
        """Set by the queue when nothing may be waited for any more."""

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job_id

    def step(self, name: str, function: Callable[[], T], returns: type[T]) -> T:
        """The stored result of this step, or the result of running it now, stored before it is returned.

        Raises what was stored (BrokenWorld), JobCancelled once the job is cancelled, and lets a bug pass.
        """
        if self._stopping.is_set():
            raise JobInterrupted("the process stops")
        try:
            stored = DBOS.run_step({"name": name}, lambda: perform_step(name, function, returns))
        except (dbos_error.DBOSWorkflowCancelledError, dbos_error.DBOSWorkflowConflictIDError):
            # A cancellation within the step takes the job's ownership away, as another worker's takeover does.
            if not self._is_cancelled():
                raise JobInterrupted("another worker owns the job") from None
            self.cancelled = True
            raise JobCancelled(f"Job {self._job_id} was cancelled.") from None
        except dbos_error.DBOSException as error:
            if self._stopping.is_set():
                raise JobInterrupted("the process stopped before the step was stored") from error
            raise
        value: T = load_step(stored, returns)
        return value

    def now(self) -> datetime:
        """The time, as a step: the same on replay."""
        return self.step("now", utc_now, datetime)

    def check(self) -> None:
        """Raise JobCancelled once the job is cancelled, JobInterrupted when the process stops."""
        if self._stopping.is_set():
            raise JobInterrupted("the process stops")
        if self._is_cancelled():
            self.cancelled = True
            raise JobCancelled(f"Job {self._job_id} was cancelled.")
