"""How the one database, SQLite or PostgreSQL, is opened: every commit reaches the disk before it counts.

Only one process at a time may run jobs on a SQLite file; :class:`WorkerLock` holds that rule.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from sandbox.file_lock import try_lock


class QueueUnavailable(Exception):
    """The database cannot be used now. The message says what to do; a receipt that meets it is answered 503."""


def open_engine(database_url: str, *, wait_seconds: float, connections: int = 10) -> sa.Engine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``; a lock is waited for ``wait_seconds`` at most.

    Nothing is read or written yet, but a new SQLite file is created, for its owner alone.
    """
    url = sa.make_url(with_driver(database_url))
    if not is_sqlite(database_url):
        return _open_postgresql(url, wait_seconds=wait_seconds, connections=connections)
    path = sqlite_path(database_url)
    _create_private(path)
    engine = sa.create_engine(url, pool_size=connections, max_overflow=0, pool_timeout=wait_seconds)
    version = engine.dialect.dbapi.sqlite_version_info  # type: ignore[union-attr]

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        _prepare_sqlite(connection, version, wait_seconds)

    return engine


def sqlite_driver() -> ModuleType:
    """The driver with the newest SQLite here: pysqlite3's own where it is installed, or Python's (decision 0017)."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    drivers: tuple[ModuleType, ModuleType] = (sqlite3, dbapi2)
    return max(drivers, key=lambda driver: driver.sqlite_version_info)


class NewestSQLite(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect for :func:`sqlite_driver`; DBOS, which opens an engine of its own, gets it by the URL."""

    driver = "newest"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver's module."""
        return sqlite_driver()


sa.dialects.registry.register(f"sqlite.{NewestSQLite.driver}", __name__, NewestSQLite.__name__)


def with_driver(database_url: str) -> str:
    """The URL by which a process opens its database, everywhere.

    Of a SQLite file each library in a process must be the same one: neither knows of the other's locks, and whoever
    closes the file gives all of them away (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    scheme, colon, rest = database_url.partition(":")
    return f"sqlite+{NewestSQLite.driver}{colon}{rest}" if scheme == "sqlite" else database_url


def is_sqlite(database_url: str) -> bool:
    """Whether the URL names an embedded SQLite file."""
    return database_url.startswith("sqlite")


def sqlite_path(database_url: str) -> Path:
    """The file that a SQLite URL names. Raises QueueUnavailable for a database in memory."""
    database = sa.make_url(database_url).database
    if not database or database == ":memory:":
        raise QueueUnavailable("The database must be a file: use sqlite:////absolute/path/forgehand.sqlite3.")
    return Path(database)


def check_writable(engine: sa.Engine) -> None:
    """Raise QueueUnavailable unless the database answers and would take a write now."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                # Takes the write lock, which a read-only file and a foreign writer refuse, and gives it back.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
            elif connection.execute(sa.text("SELECT pg_is_in_recovery()")).scalar():
                raise QueueUnavailable(
                    "The PostgreSQL server is a read-only standby: point DATABASE_URL at the primary."
                )
    except sa.exc.SQLAlchemyError as error:
        raise QueueUnavailable(describe(error)) from error


def describe(error: sa.exc.SQLAlchemyError) -> str:
    """One sentence on a database error, without the statement and its values."""
    cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
    return f"The database refuses: {cause}. See that it runs, that the disk has room, and that its files are writable."


class WorkerLock:
    """An advisory lock beside a SQLite file, held for as long as a process runs jobs on it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises QueueUnavailable when another process holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not try_lock(descriptor):
            os.close(descriptor)
            raise QueueUnavailable(
                f"Another process already runs jobs on this database ({self._path} is locked). "
                "Stop it first, or set DATABASE_URL to PostgreSQL to run several workers."
            )
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; may be called twice. The end of the process does the same."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite's write-ahead log is free of the reset bug (https://sqlite.org/wal.html#walresetbug)."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def _open_postgresql(url: sa.URL, *, wait_seconds: float, connections: int) -> sa.Engine:
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=wait_seconds,
        pool_pre_ping=True,
        connect_args={
            "application_name": "forgehand",
            "connect_timeout": max(2, int(wait_seconds)),
            "options": f"-c lock_timeout={int(wait_seconds * 1000)}",
            # A peer that vanished without a word is noticed by the kernel, not by a reader of this log.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


def _create_private(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never one that is there: closing it gives away every lock that this process has on it (as in with_driver).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise QueueUnavailable(f"The database {path} cannot be opened ({error.strerror}): check the folder.") from error


def _prepare_sqlite(connection: Any, version: tuple[int, int, int], wait_seconds: float) -> None:
    # IMMEDIATE takes the write lock with the first write, so that two writers queue instead of failing half-way.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout={int(wait_seconds * 1000)}")
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal_is_safe(version) else 'DELETE'}")
    # With a journal that is deleted, FULL does not sync the folder: after a power cut the journal may be back, and with
    # it what was there before the commit. With a write-ahead log EXTRA is FULL: one sync a commit.
    connection.execute("PRAGMA synchronous=EXTRA")
    connection.execute("PRAGMA foreign_keys=ON")
    # DBOS orders a thread's jobs by the database's clock. It asks by Python's version, below 3.12 for whole seconds.
    connection.create_function("unixepoch", -1, _unixepoch)
    connection.create_function("strftime", 2, _strftime)


def _unixepoch(*modifiers: str) -> float | int:
    return _CLOCK.next_seconds() if "subsec" in modifiers else int(time.time())


def _strftime(form: str, moment: str) -> float:
    if (form, moment) != ("%s", "now"):
        raise ValueError(f"strftime({form!r}, {moment!r}) is not what DBOS asks for")
    return _CLOCK.next_seconds()


class _Clock:
    """The time in milliseconds, never twice the same: what was asked for later is later."""

    def __init__(self) -> None:
        self._last = 0
        self._asking = threading.Lock()

    def next_seconds(self) -> float:
        """Seconds since 1970, of which SQLite makes whole milliseconds when it multiplies them."""
        with self._asking:
            self._last = max(time.time_ns() // 1_000_000, self._last + 1)
            seconds = self._last / 1000
            while seconds * 1000 != self._last:
                seconds = math.nextafter(seconds, math.inf if seconds * 1000 < self._last else 0.0)
            return seconds


_CLOCK = _Clock()
