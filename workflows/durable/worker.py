"""A worker: claims jobs by the durable engine, takes in what was delivered, and keeps watch and house beside it."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer

from workflows.durable.database import QueueUnavailable, check_writable, describe, is_sqlite, open_engine, with_driver
from workflows.durable.edge import Edge, Work
from workflows.durable.job_rows import ADMISSION, ADMISSIONS, QUEUE, WORKFLOW, JobRows
from workflows.durable.lease import Lease

log = structlog.get_logger(__name__)

APPLICATION = "forgehand"
ADMITTED_AT_ONCE = 4
VERSION = "wf-1"
"""Constant on purpose: DBOS's default is a hash of the sources, which strands every running job at an upgrade."""
HOUSEKEEPING_SECONDS = 2.0
WATCH_SECONDS = 0.5
PRUNE_SECONDS = 3600.0


@dataclass(frozen=True)
class Store:
    """An open database: ``receipts`` is an engine that waits for it only as long as a receipt may."""

    url: str
    engine: sa.Engine
    receipts: sa.Engine
    client: DBOSClient
    rows: JobRows


@dataclass(frozen=True)
class Pace:
    """How a worker works. ``concurrency`` jobs at once; ``lease_seconds`` after which others take a silent worker for
    dead, where there are others; ``on_lost`` then ends the process at once.
    """

    concurrency: int
    lease_seconds: float
    on_lost: Callable[[], None] | None
    poll_seconds: float
    max_attempts: int


class Worker:
    """Runs the jobs of a store, once started. ``prune`` forgets what is old; ``arrived`` is set by receipts."""

    def __init__(
        self, store: Store, work: Work, pace: Pace, *, prune: Callable[[], object], arrived: threading.Event
    ) -> None:
        self._store = store
        self._pace = pace
        self._prune = prune
        self._arrived = arrived
        self._stopping = threading.Event()
        self.edge = Edge(store.rows, work, stopping=self._stopping, max_attempts=pace.max_attempts)
        self._undo: list[Callable[[], Any]] = []

    def start(self) -> None:
        """Begin to run jobs. Raises QueueUnavailable and SQLAlchemyError."""
        executor_id = "local"
        if not is_sqlite(self._store.url):
            executor_id = f"{socket.gethostname()}-{uuid.uuid4()}"
            lease = self._take_lease(executor_id)
        for name, at_once in ((QUEUE, self._pace.concurrency), (ADMISSIONS, ADMITTED_AT_ONCE)):
            self._store.client.register_queue(
                name,
                partition_concurrency=1,
                worker_concurrency=at_once,
                polling_interval_sec=self._pace.poll_seconds,
            )
        config = DBOSConfig(
            name=APPLICATION,
            system_database_url=with_driver(self._store.url),
            system_database_engine=self._store.engine,
            application_version=VERSION,
            executor_id=executor_id,
            serializer=DBOSPortableJSONSerializer(),
            # Without a bound DBOS makes a thread a job, and some Pythons keep them.
            max_executor_threads=self._pace.concurrency + ADMITTED_AT_ONCE + 8,
            log_level="WARNING",
        )
        DBOS(config=config)
        self._undo.append(lambda: DBOS.destroy(destroy_registry=True))

        # Its own limit is only a backstop: ours answers the issue first.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=self._pace.max_attempts + 5)
        def run_stored(stored: dict[str, Any]) -> dict[str, Any]:
            return self.edge.run_stored(stored)

        @DBOS.workflow(name=ADMISSION, max_recovery_attempts=self._pace.max_attempts + 5)
        def admit_stored(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return self.edge.admit_stored(stored)

        DBOS.launch()
        if not is_sqlite(self._store.url):
            lease.keep()
        for body in (self._keep_taking_in, self._keep_house, self._keep_watch):
            thread = threading.Thread(target=body, daemon=True, name=body.__name__.strip("_"))
            thread.start()
            self._undo.append(thread.join)

    def stop(self, drain_seconds: float) -> bool:
        """Claim no more and let running jobs reach the end of their step; False when one outlasted the time."""
        self._stopping.set()
        return self.edge.drain(drain_seconds)

    def close(self) -> None:
        """End what :meth:`start` began."""
        self._stopping.set()
        while self._undo:
            self._undo.pop()()

    def _take_lease(self, executor_id: str) -> Lease:
        # An engine of its own: jobs that use up the connections must not cost the worker its lease.
        engine = open_engine(self._store.url, wait_seconds=self._pace.lease_seconds / 3, connections=1)
        lease = Lease(
            engine,
            executor_id,
            ttl=self._pace.lease_seconds,
            on_lost=self._lose,
            running=self._store.rows.executors,
            recover=_recover,
        )
        lease.take()
        self._undo += [engine.dispose, lease.give_back]
        return lease

    def _lose(self) -> None:
        self._stopping.set()
        (self._pace.on_lost or _end_process)()

    def _keep_taking_in(self) -> None:
        while not self._stopping.is_set():
            # Deliveries of this process are told of; those of web processes are looked for.
            self._arrived.wait(self._pace.poll_seconds)
            self._arrived.clear()
            try:
                self._store.rows.take_in()
            except sa.exc.SQLAlchemyError as error:
                log.warning("jobs_not_taken_in", reason=describe(error))
                self._stopping.wait(HOUSEKEEPING_SECONDS)

    def _take_up_parked(self) -> None:
        due = {row: at for row, at in list(self.edge.parked.items()) if at <= time.monotonic()}
        if not due:
            return
        # Forgotten first: it may be parked again the moment that it is taken up.
        for row in due:
            del self.edge.parked[row]
        try:
            check_writable(self._store.receipts)
            self._store.rows.put_back(list(due))
        except (QueueUnavailable, sa.exc.SQLAlchemyError):
            for row, at in due.items():
                self.edge.parked.setdefault(row, at)
            raise

    def _keep_watch(self) -> None:
        """Tell running jobs of their cancellation, by whichever process it was: they may be waiting for a command."""
        while not self._stopping.wait(WATCH_SECONDS):
            running = self.edge.running()
            if not running:
                continue
            try:
                for job_id in self._store.rows.cancelled_of(list(running)):
                    running[job_id].over.set()
            except sa.exc.SQLAlchemyError as error:
                log.warning("cancellations_not_looked_for", reason=describe(error))

    def _keep_house(self) -> None:
        pruned = time.monotonic()
        while not self._stopping.wait(HOUSEKEEPING_SECONDS):
            try:
                self._take_up_parked()
                if time.monotonic() - pruned > PRUNE_SECONDS:
                    pruned = time.monotonic()
                    self._prune()
            except (QueueUnavailable, sa.exc.SQLAlchemyError) as error:
                log.warning("housekeeping_postponed", reason=str(error).splitlines()[0])


def _recover(dead: Set[str]) -> None:
    # Private, and there is no public way that keeps attempts and checks the owner: docs/decisions/0002-dbos.md.
    DBOS._recover_pending_workflows(sorted(dead))


def _end_process() -> None:
    # Not sys.exit: that waits for the threads of jobs which another worker is about to continue.
    os._exit(75)
