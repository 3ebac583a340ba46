"""Where a session's events go: appended in one commit, before what they announce is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from workflows.trajectory.events import GENESIS, Entry, Event, link


class SessionLog(Protocol):
    """The events of one session of one job. One writer at a time."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Store the entries in one durable act, before this returns."""

    def events(self) -> list[Event]:
        """All events so far, in order."""


class MemoryLogs:
    """The logs of the sessions of one job in one process, by the sessions' names."""

    def __init__(self) -> None:
        self._logs: dict[str, MemoryLog] = {}

    def __call__(self, session: str) -> MemoryLog:
        """The log of the session with this name."""
        return self._logs.setdefault(session, MemoryLog())


class MemoryLog:
    """A session's events for as long as the process lives: for a session that nobody resumes."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def append(self, entries: Sequence[Entry]) -> None:
        """Add the entries."""
        for entry in entries:
            before = self._events[-1].chain if self._events else GENESIS
            self._events.append(
                Event(
                    seq=len(self._events) + 1,
                    at=datetime.now(UTC),
                    kind=entry.kind,
                    turn=entry.turn,
                    payload=entry.payload,
                    chain=link(before, entry),
                )
            )

    def events(self) -> list[Event]:
        """All events so far, in order."""
        return list(self._events)
