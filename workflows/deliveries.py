"""The record of what GitHub delivered, and the one durable act that stores a delivery together with its job.

Deliveries that wait at the same time share one transaction, so that many receipts cost one flush of the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from workflows.database import QueueUnavailable, describe
from workflows.types import Job, Noun

log = structlog.get_logger(__name__)

SCHEMA_VERSION = 1
BATCH = 128
"""Deliveries in one transaction, at most."""

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
    sa.Column("job_id", sa.Text, index=True),
    sa.Index("forgehand_deliveries_issue", "repository_id", "number"),
)

Enqueue = Callable[[sa.Connection, Job], None]


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
        version = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar()
        if version is None:
            connection.execute(versions.insert().values(version=SCHEMA_VERSION))
        elif version > SCHEMA_VERSION:
            raise QueueUnavailable(
                f"The database was written by a newer Forgehand (schema {version}, this one knows {SCHEMA_VERSION}): "
                "run the newer version, or restore the backup from before the upgrade."
            )


class Receipts:
    """The one writer of deliveries in this process; ``enqueue`` adds a job inside the same transaction."""

    def __init__(self, engine: sa.Engine, enqueue: Enqueue) -> None:
        self._engine = engine
        self._enqueue = enqueue
        self._waiting: list[tuple[Delivery, Job | None, str, Future[Receipt]]] = []
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="receipts")
        insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
        self._insert = insert(deliveries).on_conflict_do_nothing(index_elements=["guid"]).returning(deliveries.c.guid)

    def submit(self, delivery: Delivery, job: Job | None, decision: str) -> Future[Receipt]:
        """Store the delivery and the job; the future is done after the commit.

        It raises QueueUnavailable when nothing was stored.
        """
        future: Future[Receipt] = Future()
        with self._lock:
            self._waiting.append((delivery, job, decision, future))
        self._writer.submit(self._flush).add_done_callback(_report_bug)
        return future

    def close(self) -> None:
        """Store what waits, then end the writer."""
        self._writer.shutdown(wait=True)

    def _flush(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        if not batch:
            return
        failure = QueueUnavailable("The delivery could not be stored: see the log for the error.")
        receipts: list[Receipt] = []
        try:
            with self._engine.begin() as connection:
                for delivery, job, decision, _ in batch:
                    receipts.append(self._store(connection, delivery, job, decision))
        except sa.exc.SQLAlchemyError as error:
            failure = QueueUnavailable(describe(error))
            receipts = []
        finally:
            # Also after a bug: a caller may never wait for an answer that does not come.
            done = len(receipts) == len(batch)
            for index, (_, _, _, future) in enumerate(batch):
                if done:
                    future.set_result(receipts[index])
                else:
                    future.set_exception(failure)

    def _store(self, connection: sa.Connection, delivery: Delivery, job: Job | None, decision: str) -> Receipt:
        row = delivery.model_dump(exclude={"received_at"})
        row |= {"received_ms": to_ms(delivery.received_at), "decision": decision, "job_id": job.id if job else None}
        if connection.execute(self._insert, row).first() is None:
            known = fetch_delivery(connection, delivery.guid)
            assert known is not None
            return Receipt(decision=known.decision, job_id=known.job_id, duplicate=True)
        if job is not None:
            self._enqueue(connection, job)
        return Receipt(decision=decision, job_id=row["job_id"])


def fetch_delivery(connection: sa.Connection, guid: str) -> DeliveryRecord | None:
    """The stored delivery with this id, or None."""
    row = connection.execute(sa.select(deliveries).where(deliveries.c.guid == guid)).mappings().first()
    return None if row is None else _record(row)


def fetch_deliveries(connection: sa.Connection, limit: int) -> list[DeliveryRecord]:
    """The last deliveries, newest first."""
    query = sa.select(deliveries).order_by(deliveries.c.received_ms.desc()).limit(limit)
    return [_record(row) for row in connection.execute(query).mappings()]


def fetch_jobs_of_issue(connection: sa.Connection, repository_id: int, number: int) -> list[str]:
    """The ids of the jobs that deliveries about this issue have started."""
    query = sa.select(deliveries.c.job_id).where(
        deliveries.c.repository_id == repository_id, deliveries.c.number == number, deliveries.c.job_id.is_not(None)
    )
    return list(connection.execute(query).scalars())


def delete_deliveries(connection: sa.Connection, before: datetime, *, keep_jobs: Iterable[str]) -> int:
    """Forget deliveries received before a moment, save those of the jobs in ``keep_jobs``; how many went."""
    old = sa.delete(deliveries).where(deliveries.c.received_ms < to_ms(before))
    kept = sa.or_(deliveries.c.job_id.is_(None), deliveries.c.job_id.not_in(list(keep_jobs)))
    return connection.execute(old.where(kept)).rowcount


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The moment, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


def _record(row: sa.RowMapping) -> DeliveryRecord:
    fields: dict[str, Any] = dict(row)
    return DeliveryRecord(received_at=from_ms(fields.pop("received_ms")), **fields)


def _report_bug(flushed: Future[None]) -> None:
    bug = flushed.exception()
    if bug is not None:
        log.error("receipt_bug", exc_info=bug)
