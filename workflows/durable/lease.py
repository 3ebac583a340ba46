"""The lease that a worker on PostgreSQL holds, and the reaper that takes over the jobs of workers whose lease ran out.

A worker that cannot renew its lease in time must end itself before another one starts its jobs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Set

import sqlalchemy as sa
import structlog

from workflows.durable.database import QueueUnavailable, describe
from workflows.durable.deliveries import metadata

log = structlog.get_logger(__name__)

REAPER_LOCK = 7041776002
leases = sa.Table(
    "forgehand_leases",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
)


class Lease:
    """A row that says "this worker lives", renewed three times per ``ttl`` seconds by the database's clock.

    ``on_lost`` is called once, from a thread of ours, when the row is gone or could not be renewed for ``ttl``
    seconds. ``running`` gives the executor ids that own running jobs; ``recover`` takes those of the dead.
    """

    def __init__(
        self,
        engine: sa.Engine,
        executor_id: str,
        *,
        ttl: float,
        on_lost: Callable[[], None],
        running: Callable[[], Set[str]],
        recover: Callable[[Set[str]], None],
    ) -> None:
        self._engine = engine
        self._executor_id = executor_id
        self._ttl = ttl
        self._on_lost = on_lost
        self._running = running
        self._recover = recover
        self._ended = threading.Event()
        self._renewed = time.monotonic()
        self._threads = [threading.Thread(target=body, daemon=True) for body in (self._beat, self._watch)]

    def take(self) -> None:
        """Write the row; must come before the first job is claimed. Raises QueueUnavailable."""
        try:
            with self._engine.begin() as connection:
                row = {"executor_id": self._executor_id, "beat_at": sa.func.now()}
                connection.execute(leases.insert().values(row))
        except sa.exc.SQLAlchemyError as error:
            raise QueueUnavailable(describe(error)) from error
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """Start to renew it, and to look for the dead."""
        for thread in self._threads:
            thread.start()

    def give_back(self) -> None:
        """Stop renewing and delete the row, so that others take over at once."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=self._ttl)
        try:
            with self._engine.begin() as connection:
                connection.execute(leases.delete().where(leases.c.executor_id == self._executor_id))
        except sa.exc.SQLAlchemyError as error:
            log.warning("lease_not_given_back", reason=describe(error), effect=f"others wait {self._ttl} s")

    def _beat(self) -> None:
        while not self._ended.wait(self._ttl / 3):
            try:
                self._renew()
                self._reap()
            except sa.exc.SQLAlchemyError as error:
                log.warning("lease_not_renewed", reason=describe(error))

    def _renew(self) -> None:
        asked = time.monotonic()
        with self._engine.begin() as connection:
            renewal = leases.update().where(leases.c.executor_id == self._executor_id)
            kept = connection.execute(renewal.values(beat_at=sa.func.now())).rowcount
        if kept:
            self._renewed = asked
        else:
            self._lose("another worker took this one for dead")

    def _watch(self) -> None:
        # A thread of its own: after a pause of the process, or with a hanging connection, _beat may not get to look.
        while not self._ended.wait(min(0.5, self._ttl / 10)):
            if time.monotonic() - self._renewed > self._ttl:
                self._lose(f"no answer from the database for {self._ttl} s")

    def _lose(self, reason: str) -> None:
        if not self._ended.is_set():
            self._ended.set()
            log.critical("lease_lost", executor=self._executor_id, reason=reason)
            self._on_lost()

    def _reap(self) -> None:
        # First who runs jobs, then who lives: a worker that starts in between has its lease before its first job.
        running = self._running()
        with self._engine.begin() as connection:
            if not connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(REAPER_LOCK))).scalar():
                return
            oldest = sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, self._ttl)
            connection.execute(leases.delete().where(leases.c.beat_at < oldest))
            living = set(connection.execute(sa.select(leases.c.executor_id)).scalars())
        dead = running - living
        if dead:
            log.warning("workers_dead", executors=sorted(dead), action="their jobs go on here or elsewhere")
            self._recover(dead)
