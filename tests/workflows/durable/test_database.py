"""A SQLite file, with whichever library opens it: what is committed is on the disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from workflows.durable import database
from workflows.durable.database import open_engine, sqlite_driver, wal_is_safe
from workflows.durable.queue import Queue

EXTRA = 3
"""``PRAGMA synchronous``: the folder is synced too (https://sqlite.org/pragma.html#pragma_synchronous)."""


@pytest.fixture(params=["newest", "python"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if request.param == "python":
        monkeypatch.setattr(database, "sqlite_driver", lambda: sqlite3)
    return database.sqlite_driver()


def read(path: Path, *statements: str) -> list[object]:
    engine = open_engine(f"sqlite:///{path}", wait_seconds=5)
    with engine.begin() as connection:
        found = [connection.exec_driver_sql(statement) for statement in statements]
        answers = [row.scalar() if row.returns_rows else None for row in found]
    engine.dispose()
    return answers


def test_a_commit_is_synced_and_a_log_is_used_where_it_is_safe(driver: ModuleType, tmp_path: Path) -> None:
    """No setting gives durability up, and no library with the WAL-reset bug writes a log."""
    journal, synchronous = read(tmp_path / "db", "PRAGMA journal_mode", "PRAGMA synchronous")
    assert synchronous == EXTRA
    assert journal == ("wal" if wal_is_safe(driver.sqlite_version_info) else "delete")


def test_the_newest_library_here_is_taken() -> None:
    """The one in its wheel, unless Python's own is newer; and it is one that may write a log."""
    pysqlite3 = pytest.importorskip("pysqlite3.dbapi2", reason="it has no wheel for this machine")
    assert sqlite_driver().sqlite_version_info == max(pysqlite3.sqlite_version_info, sqlite3.sqlite_version_info)
    assert wal_is_safe(sqlite_driver().sqlite_version_info)


def test_a_file_goes_from_one_library_to_the_other_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade, and a downgrade after it, find what the other one committed."""
    path = tmp_path / "db"
    for count, driver in enumerate((sqlite3, sqlite_driver(), sqlite3)):
        monkeypatch.setattr(database, "sqlite_driver", lambda driver=driver: driver)
        create, insert = "CREATE TABLE IF NOT EXISTS t (n INTEGER)", f"INSERT INTO t VALUES ({count})"
        assert read(path, create, insert, "SELECT count(*) FROM t")[-1] == count + 1


def test_the_files_of_a_log_are_private_too(tmp_path: Path) -> None:
    """Patches of private repositories lie in them while the database is open."""
    with open_engine(f"sqlite:///{tmp_path / 'db'}", wait_seconds=5).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
        files = list(tmp_path.glob("db*"))
        assert files
        assert not any(file.stat().st_mode & 0o077 for file in files)


def test_an_engine_more_gives_no_lock_away(driver: ModuleType, tmp_path: Path) -> None:
    """Locks belong to a process and a file: who closes it anywhere gives all of them away, to a second writer."""
    url = f"sqlite:///{tmp_path / 'db'}"
    write = f"import {driver.__name__} as d; d.connect({str(tmp_path / 'db')!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    with open_engine(url, wait_seconds=5).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        open_engine(url, wait_seconds=5)
        other = subprocess.run([sys.executable, "-c", write], check=False, capture_output=True, text=True)
        assert "database is locked" in other.stderr


def test_the_durable_engine_opens_it_by_the_same_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two libraries in one process know nothing of each other's locks."""
    pytest.importorskip("pysqlite3.dbapi2", reason="there is only one library")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Python's own library was used")

    monkeypatch.setattr(sqlite3.dbapi2, "connect", refuse)
    monkeypatch.setattr(sqlite3, "connect", refuse)
    queue = Queue(f"sqlite:///{tmp_path / 'db'}", worker=True)
    queue.start()
    queue.stop(5)
