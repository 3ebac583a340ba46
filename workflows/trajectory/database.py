"""Trajectories in the database: one row an event; two writers of one session are told apart by its sequence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from workflows.deliveries import from_ms, metadata, to_ms
from workflows.run import JobInterrupted
from workflows.trajectory.events import GENESIS, Entry, Event, link

events = sa.Table(
    "forgehand_events",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("session", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("chain", sa.Text, nullable=False),
)


class DatabaseLog:
    """One session's events. A second writer, such as a worker that was taken for dead, meets JobInterrupted."""

    def __init__(self, engine: sa.Engine, job_id: str, session: str) -> None:
        self._engine = engine
        self._job_id = job_id
        self._session = session
        self._last: tuple[int, str] | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        """Store the entries in one durable act; raises JobInterrupted when another writer was here meanwhile."""
        if not entries:
            return
        seq, chain = self._last or self._read_last()
        now = to_ms(datetime.now(UTC))
        rows = []
        for entry in entries:
            seq, chain = seq + 1, link(chain, entry)
            rows.append(
                {
                    "job_id": self._job_id,
                    "session": self._session,
                    "seq": seq,
                    "at_ms": now,
                    "kind": entry.kind,
                    "turn": entry.turn,
                    "payload": json.dumps(entry.payload, ensure_ascii=False),
                    "chain": chain,
                }
            )
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(events), rows)
        except sa.exc.IntegrityError as error:
            raise JobInterrupted("another worker writes this trajectory") from error
        self._last = seq, chain

    def events(self) -> list[Event]:
        """All events so far, in order."""
        query = sa.select(events).where(*self._mine()).order_by(events.c.seq)
        with self._engine.connect() as connection:
            found = [_event(row) for row in connection.execute(query)]
        self._last = (found[-1].seq, found[-1].chain) if found else (0, GENESIS)
        return found

    def _read_last(self) -> tuple[int, str]:
        query = sa.select(events.c.seq, events.c.chain).where(*self._mine()).order_by(events.c.seq.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return (row.seq, row.chain) if row else (0, GENESIS)

    def _mine(self) -> Sequence[sa.ColumnElement[bool]]:
        return events.c.job_id == self._job_id, events.c.session == self._session


def delete_events(connection: sa.Connection, job_ids: Iterable[str]) -> None:
    """Forget the trajectories of these jobs."""
    connection.execute(sa.delete(events).where(events.c.job_id.in_(list(job_ids))))


def _event(row: sa.Row[Any]) -> Event:
    return Event(
        seq=row.seq,
        at=from_ms(row.at_ms),
        kind=row.kind,
        turn=row.turn,
        payload=json.loads(row.payload),
        chain=row.chain,
    )
