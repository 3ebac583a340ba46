"""What a workflow is handed to make its steps durable, and the same without a database.

A step's value always passes through JSON, so that a replay cannot differ from the first run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from dbos import DBOS
from dbos import error as dbos_error
from pydantic import TypeAdapter

from workflows.services import BrokenWorld, JobCancelled

T = TypeVar("T")
log = structlog.get_logger(__name__)


class JobInterrupted(BaseException):
    """This process may not go on with the job: it stops, or another worker owns the job now.

    Not an Exception, so that no workflow takes it for its own failure: only ``finally`` sees it pass.
    """


class InlineRun:
    """A run without a database: every step runs, nothing is stored."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self.over = threading.Event()
        """Never set: nothing ends an inline run but the end of its process."""

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job_id

    def step(self, name: str, function: Callable[[], T], returns: type[T]) -> T:
        """The result of running the step now, passed through JSON as a durable one is."""
        value: T = _load(_perform(name, function, returns), returns)
        return value

    def now(self) -> datetime:
        """The time."""
        return self.step("now", _utc_now, datetime)

    def check(self) -> None:
        """Nothing cancels or stops an inline run but the end of its process."""


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
            stored = DBOS.run_step({"name": name}, lambda: _perform(name, function, returns))
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
        value: T = _load(stored, returns)
        return value

    def now(self) -> datetime:
        """The time, as a step: the same on replay."""
        return self.step("now", _utc_now, datetime)

    def check(self) -> None:
        """Raise JobCancelled once the job is cancelled, JobInterrupted when the process stops."""
        if self._stopping.is_set():
            raise JobInterrupted("the process stops")
        if self._is_cancelled():
            self.cancelled = True
            raise JobCancelled(f"Job {self._job_id} was cancelled.")


@lru_cache(maxsize=256)
def _adapter(returns: Any) -> TypeAdapter[Any]:
    return TypeAdapter(returns)


def _perform(name: str, function: Callable[[], object], returns: Any) -> dict[str, Any]:
    started = time.monotonic()
    try:
        stored = {"ok": _adapter(returns).dump_python(function(), mode="json")}
    except BrokenWorld as broken:
        # Tagged data and not an exception: exceptions change their class on the way through a database.
        stored = {"broken": {"kind": broken.kind, "message": broken.message}}
    log.debug("step", step=name, seconds=round(time.monotonic() - started, 3), broken="broken" in stored)
    return stored


def _load(stored: dict[str, Any], returns: Any) -> Any:
    if "broken" in stored:
        raise BrokenWorld(stored["broken"]["kind"], stored["broken"]["message"])
    return _adapter(returns).validate_python(stored["ok"])


def _utc_now() -> datetime:
    return datetime.now(UTC)
