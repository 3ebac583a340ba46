"""Trajectories in the database: one row an event; two writers of one session are told apart by its sequence."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from workflows.durable.deliveries import create_tables, deliveries, fetch_jobs_of_issue, from_ms, metadata, to_ms
from workflows.durable.run import JobInterrupted
from workflows.plans.estimate import PastJob
from workflows.trajectory.commits import SharedCommits
from workflows.trajectory.events import GENESIS, Entry, Event, link
from workflows.trajectory.store import SessionHead

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


class DatabaseTrajectories:
    """All sessions of an installation."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._commits = SharedCommits(engine, events)
        create_tables(engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def open(self, job_id: str, session: str = "agent") -> DatabaseLog:
        """The log of one session; without events when there is no such session."""
        return DatabaseLog(self._engine, self._commits, job_id, session)

    def sessions(self) -> list[SessionHead]:
        """Every stored session, the newest first."""
        key = (events.c.job_id, events.c.session)
        turns = sa.select(*key, sa.func.max(events.c.turn).label("turns")).group_by(*key)
        marks = (
            sa.select(events)
            .where(events.c.kind.in_(("session", "end", "answer", "repair", "continue")))
            .order_by(events.c.seq)
        )
        with self._engine.connect() as connection:
            counted = {(row.job_id, row.session): row.turns for row in connection.execute(turns)}
            marked = [(row.job_id, row.session, _event(row)) for row in connection.execute(marks)]
        grouped: dict[tuple[str, str], list[Event]] = {}
        for job_id, session, event in marked:
            grouped.setdefault((job_id, session), []).append(event)
        heads = [_head(job_id, session, found, counted) for (job_id, session), found in grouped.items()]
        return sorted(heads, key=lambda head: head.started, reverse=True)

    def waiting(self, repository_id: int, number: int) -> tuple[str, datetime] | None:
        """The job of this issue whose session ended with a question that is open, and when it was put."""
        marks = sa.select(events).where(events.c.session == "agent", events.c.kind.in_(("end", "answer", "continue")))
        with self._engine.connect() as connection:
            jobs = fetch_jobs_of_issue(connection, repository_id, number)
            ordered = marks.where(events.c.job_id.in_(jobs)).order_by(events.c.at_ms, events.c.seq)
            last = list(connection.execute(ordered))[-1:]
        if not last or last[0].kind != "end" or json.loads(last[0].payload)["stop"] != "asked":
            return None
        return last[0].job_id, from_ms(last[0].at_ms)

    def past(self, repository_id: int, limit: int = 20) -> list[PastJob]:
        """What the last finished sessions of a repository used, newest first."""
        ends = (
            sa.select(events.c.job_id, events.c.payload)
            .join(deliveries, deliveries.c.job_id == events.c.job_id)
            .where(deliveries.c.repository_id == repository_id, events.c.session == "agent", events.c.kind == "end")
            .order_by(events.c.at_ms.desc())
            .limit(limit)
        )
        spent = sa.select(events.c.job_id, events.c.kind, events.c.payload).where(
            events.c.session == "agent", events.c.kind.in_(("llm_response", "compaction", "turn"))
        )
        with self._engine.connect() as connection:
            found = list(connection.execute(ends))
            finished = list(dict.fromkeys(row.job_id for row in found if json.loads(row.payload)["stop"] == "finished"))
            rows = list(connection.execute(spent.where(events.c.job_id.in_(finished))))
        return [_past(row for row in rows if row.job_id == job_id) for job_id in finished]


class DatabaseLog:
    """One session's events. A second writer, such as a worker that was taken for dead, meets JobInterrupted."""

    def __init__(self, engine: sa.Engine, commits: SharedCommits, job_id: str, session: str) -> None:
        self._engine = engine
        self._commits = commits
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
            self._commits.store(rows)
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


def _head(job_id: str, session: str, marks: Sequence[Event], turns: Mapping[tuple[str, str], int]) -> SessionHead:
    opening = marks[0]
    last = marks[-1]
    return SessionHead(
        job_id=job_id,
        session=session,
        repository=str(opening.payload.get("repository", "")),
        number=int(opening.payload.get("number", 0)),
        started=opening.at,
        turns=turns[job_id, session],
        stop=last.payload["stop"] if last.kind == "end" else None,
    )


def _past(rows: Iterable[Any]) -> PastJob:
    turns, seconds, usd = 0, 0.0, 0.0
    for row in rows:
        payload = json.loads(row.payload)
        if row.kind == "turn":
            turns, seconds = turns + 1, seconds + float(payload.get("seconds", 0.0))
        else:
            usd += float(payload.get("usage", {}).get("usd", 0.0))
    return PastJob(turns=turns, seconds=seconds, usd=usd)


def _event(row: sa.Row[Any]) -> Event:
    return Event(
        seq=row.seq,
        at=from_ms(row.at_ms),
        kind=row.kind,
        turn=row.turn,
        payload=json.loads(row.payload),
        chain=row.chain,
    )
