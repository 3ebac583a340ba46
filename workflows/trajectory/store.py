"""Which sessions are stored, and how one of them is opened for reading."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from workflows.trajectory.log import SessionLog
from workflows.types import Noun, StopReason


class SessionHead(Noun):
    """One stored session in one line. ``stop`` is None while it runs, or when its process died for good."""

    job_id: str
    session: str = "agent"
    repository: str
    number: int
    started: datetime
    turns: int = 0
    stop: StopReason | None = None


class TrajectoryStore(Protocol):
    """The sessions of an installation."""

    def sessions(self) -> list[SessionHead]:
        """Every stored session, the newest first."""

    def open(self, job_id: str, session: str = "agent") -> SessionLog:
        """The log of one session; without events when there is no such session."""
