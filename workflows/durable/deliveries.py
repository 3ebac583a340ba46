"""The record of what GitHub delivered; a delivery and the jobs it asks for are one row, and so one durable act.

The jobs wait in their row until they are handed to the durable engine, which any process may do, and do again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from workflows.durable.database import QueueUnavailable
from workflows.types import Job, Noun

SCHEMA_VERSION = 1
MOST_JOBS = 11
"""Of one delivery: a comment may hold ten commands, and what could not be read is answered by one more."""
GUID_CHARACTERS = 36
"""https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers"""

metadata = sa.MetaData()
versions = sa.Table("forgehand_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
deliveries = sa.Table(
    "forgehand_deliveries",
    metadata,
    sa.Column("guid", sa.Text, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("repository", sa.Text, nullable=False),
    sa.Column("repository_id", sa.BigInteger),
    sa.Column("number", sa.BigInteger),
    sa.Column("received_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("job_id", sa.Text),
    sa.Column("waiting_job", sa.Text),
    sa.Index("forgehand_deliveries_issue", "repository_id", "number"),
)
_WAITING = deliveries.c.waiting_job.is_not(None)
# An sa.Index with a condition would load the dialect of PostgreSQL in every process.
_WAITING_INDEX = (
    "CREATE INDEX IF NOT EXISTS forgehand_deliveries_waiting ON forgehand_deliveries (received_ms) "
    "WHERE waiting_job IS NOT NULL"
)


class Delivery(Noun):
    """One webhook POST: ``digest`` is the SHA-256 of its raw body in hex; ``repository`` the full name or empty."""

    guid: str
    event: str
    action: str = ""
    repository: str = ""
    repository_id: int | None = None
    number: int | None = None
    received_at: datetime
    digest: str


class DeliveryRecord(Delivery):
    """A stored delivery: what was decided, in words, and the job it started."""

    decision: str
    job_id: str | None = None


class Receipt(Noun):
    """What became of a delivery. ``duplicate``: it was stored before, and this is what became of it then."""

    decision: str
    job_id: str | None = None
    duplicate: bool = False


def create_tables(engine: sa.Engine) -> None:
    """Create our tables beside those of DBOS. Raises QueueUnavailable when a newer Forgehand made them."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # CREATE TABLE IF NOT EXISTS can still collide between two processes that start together.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7041776001)"))
        metadata.create_all(connection)
        connection.exec_driver_sql(_WAITING_INDEX)
        version = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar()
        if version is None:
            connection.execute(versions.insert().values(version=SCHEMA_VERSION))
        elif version > SCHEMA_VERSION:
            raise QueueUnavailable(
                f"The database was written by a newer Forgehand (schema {version}, this one knows {SCHEMA_VERSION}): "
                "run the newer version, or restore the backup from before the upgrade."
            )


@dataclass(frozen=True)
class Submission:
    """A delivery to be stored, what was decided in words, and the jobs to be started, if any, in their order."""

    delivery: Delivery
    decision: str
    jobs: tuple[Job, ...] = ()


def store(connection: sa.Connection, submissions: Sequence[Submission]) -> list[Receipt]:
    """Store deliveries in one statement (2,000 at most), and say of each what became of it, in their order.

    A delivery id that is there already, or comes twice, changes nothing; the unique index decides.
    """
    rows = {submission.delivery.guid: _row(submission) for submission in reversed(submissions)}
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    columns = ", ".join(column.name for column in deliveries.columns)
    one = "(" + ", ".join([mark] * len(deliveries.columns)) + ")"
    # Written by hand: SQLAlchemy would compile a statement of this many parameters anew for each number of rows.
    inserted = connection.exec_driver_sql(
        f"INSERT INTO {deliveries.name} ({columns}) VALUES {', '.join([one] * len(rows))} "  # noqa: S608 - our own names
        "ON CONFLICT (guid) DO NOTHING RETURNING guid",
        tuple(value for row in rows.values() for value in row),
    )
    new = set(inserted.scalars())
    receipts = []
    for submission in submissions:
        guid = submission.delivery.guid
        known = None if guid in new else fetch_delivery(connection, guid)
        new.discard(guid)
        receipts.append(_receipt(submission, known))
    return receipts


def job_id(delivery_id: str, number: int = 1) -> str:
    """The id of a delivery's job; ``number`` counts from 1."""
    return f"gh-{delivery_id}" if number == 1 else f"gh-{delivery_id}-{number}"


def fetch_waiting(connection: sa.Connection, limit: int) -> dict[str, list[dict[str, Any]]]:
    """The oldest jobs that the engine does not have yet, as JSON objects, by delivery id; their rows stay locked."""
    query = sa.select(deliveries.c.guid, deliveries.c.waiting_job).where(_WAITING)
    oldest = query.order_by(deliveries.c.received_ms, deliveries.c.guid).limit(limit).with_for_update()
    found = {row.guid: json.loads(row.waiting_job) for row in connection.execute(oldest)}
    # A row of an earlier version holds one job and not a list.
    return {guid: jobs if isinstance(jobs, list) else [jobs] for guid, jobs in found.items()}


def mark_taken(connection: sa.Connection, guids: Iterable[str]) -> None:
    """The engine has the jobs of these deliveries."""
    taken = sa.update(deliveries).where(deliveries.c.guid.in_(list(guids)))
    connection.execute(taken.values(waiting_job=None))


def fetch_delivery(connection: sa.Connection, guid: str) -> DeliveryRecord | None:
    """The stored delivery with this id, or None."""
    row = connection.execute(sa.select(deliveries).where(deliveries.c.guid == guid)).mappings().first()
    return None if row is None else _record(row)


def fetch_deliveries(connection: sa.Connection, limit: int) -> list[DeliveryRecord]:
    """The last deliveries, newest first."""
    query = sa.select(deliveries).order_by(deliveries.c.received_ms.desc()).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def fetch_jobs_of_issue(connection: sa.Connection, repository_id: int, number: int) -> list[str]:
    """The ids that jobs of deliveries about this thread have or could have, oldest delivery first."""
    query = sa.select(deliveries.c.job_id, deliveries.c.guid).where(
        deliveries.c.repository_id == repository_id, deliveries.c.number == number, deliveries.c.job_id.is_not(None)
    )
    found: dict[str, None] = {}
    for row in connection.execute(query.order_by(deliveries.c.received_ms, deliveries.c.guid)):
        found[row.job_id] = None
        found.update(dict.fromkeys(job_id(row.guid, number) for number in range(2, MOST_JOBS + 1)))
    return list(found)


def fetch_deliveries_of_issue(
    connection: sa.Connection, repository_id: int, number: int, limit: int
) -> list[DeliveryRecord]:
    """The last deliveries about this thread, newest first."""
    query = sa.select(deliveries).where(deliveries.c.repository_id == repository_id, deliveries.c.number == number)
    newest = query.order_by(deliveries.c.received_ms.desc(), deliveries.c.guid).limit(limit)
    return [_record(row) for row in connection.execute(newest).mappings()]


def delete_deliveries(connection: sa.Connection, before: datetime, *, keep_jobs: Iterable[str]) -> int:
    """Forget deliveries received before a moment, save those of the jobs in ``keep_jobs``; how many went."""
    old = sa.delete(deliveries).where(deliveries.c.received_ms < to_ms(before))
    firsts = {job[: len(job_id("")) + GUID_CHARACTERS] for job in keep_jobs}
    kept = sa.or_(deliveries.c.job_id.is_(None), deliveries.c.job_id.not_in(firsts))
    return connection.execute(old.where(kept)).rowcount


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The moment, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _row(submission: Submission) -> tuple[object, ...]:
    delivery, jobs = submission.delivery, submission.jobs
    fields = {
        **delivery.model_dump(exclude={"received_at"}),
        "received_ms": to_ms(delivery.received_at),
        "decision": submission.decision,
        "job_id": jobs[0].id if jobs else None,
        "waiting_job": json.dumps([job.model_dump(mode="json") for job in jobs]) if jobs else None,
    }
    return tuple(fields[column.name] for column in deliveries.columns)


def _receipt(submission: Submission, known: DeliveryRecord | None) -> Receipt:
    if known is not None:
        return Receipt(decision=known.decision, job_id=known.job_id, duplicate=True)
    return Receipt(decision=submission.decision, job_id=submission.jobs[0].id if submission.jobs else None)


def _record(row: sa.RowMapping) -> DeliveryRecord:
    fields: dict[str, Any] = dict(row)
    del fields["waiting_job"]
    return DeliveryRecord(received_at=from_ms(fields.pop("received_ms")), **fields)
