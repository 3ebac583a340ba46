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
from pydantic import TypeAdapter

from workflows.services import BrokenWorld

T = TypeVar("T")
log = structlog.get_logger(__name__)


class JobInterrupted(BaseException):
    """This process may not go on with the job: it stops, or another worker owns the job now.

    Not an Exception, so that no workflow takes it for its own failure: only ``finally`` sees it pass.
    """


class JobPostponed(JobInterrupted):
    """What the job needs is held back for so many ``seconds``: until then it keeps no thread, and then it goes on."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"held back for {seconds:.0f} s")
        self.seconds = seconds


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
        value: T = load_step(perform_step(name, function, returns), returns)
        return value

    def now(self) -> datetime:
        """The time."""
        return self.step("now", utc_now, datetime)

    def check(self) -> None:
        """Nothing cancels or stops an inline run but the end of its process."""


@lru_cache(maxsize=256)
def _adapter(returns: Any) -> TypeAdapter[Any]:
    return TypeAdapter(returns)


def perform_step(name: str, function: Callable[[], object], returns: Any) -> dict[str, Any]:
    """Run a step now; its value, or how the world broke, as plain JSON."""
    started = time.monotonic()
    try:
        stored = {"ok": _adapter(returns).dump_python(function(), mode="json")}
    except BrokenWorld as broken:
        # Tagged data and not an exception: exceptions change their class on the way through a database.
        stored = {"broken": {"kind": broken.kind, "message": broken.message}}
    log.debug("step", step=name, seconds=round(time.monotonic() - started, 3), broken="broken" in stored)
    return stored


def load_step(stored: dict[str, Any], returns: Any) -> Any:
    """A step's value from what :func:`perform_step` gave. Raises BrokenWorld."""
    if "broken" in stored:
        raise BrokenWorld(stored["broken"]["kind"], stored["broken"]["message"])
    return _adapter(returns).validate_python(stored["ok"])


def utc_now() -> datetime:
    """The time, which a step stores."""
    return datetime.now(UTC)
