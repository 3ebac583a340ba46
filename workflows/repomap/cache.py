"""The stored symbols of a repository's blobs and the graphs of its commits: one SQLite file, which may be lost."""

from __future__ import annotations

import sqlite3
import sys
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from workflows.repomap.graph import Graph, encode_graph, parse_graph
from workflows.repomap.languages import grammar_versions
from workflows.repomap.symbols import FileSymbols, encode_symbols, parse_stored, words_of

FORMAT = 2
BUSY_SECONDS = 10.0
GRAPHS_KEPT = 8
STALE_BLOBS_KEPT = 20_000
_TABLES = {
    "blob": "key TEXT PRIMARY KEY, symbols BLOB NOT NULL",
    "word": "word TEXT, key TEXT, PRIMARY KEY (word, key)",
    "graph": "commit_id TEXT PRIMARY KEY, made REAL NOT NULL, body BLOB NOT NULL",
}


class SpoiledRow(sqlite3.DatabaseError):
    """A row that nobody of ours wrote."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_spoiled(error: sqlite3.Error) -> bool:
    """Whether the file's content is wrong and it must be made again, rather than busy, full or out of reach."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CANTOPEN) & 0xFF  # the rest of an extended code
    return code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Cache:
    """An open cache; ``path`` None is one in memory. Every method raises sqlite3.Error when the file is no good."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            _make_folder(path.parent)
        self._database = sqlite3.connect(
            ":memory:" if path is None else path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # A crash of the machine may spoil the file; it is made again then.
        self._database.execute("PRAGMA synchronous = OFF")
        if not self._is_ours():
            self._make_tables()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def known(self, keys: Collection[str]) -> set[str]:
        """Which of the keys have stored symbols."""
        return {key for part in _parts(keys) for (key,) in self._select("key", part)}

    def symbols(self, keys: Collection[str]) -> Iterator[tuple[str, FileSymbols | None]]:
        """The symbols of those keys that have some; None for a file that broke the parser."""
        for part in _parts(keys):
            for key, stored in self._select("key, CAST(symbols AS BLOB)", part):
                symbols = parse_stored(stored)
                if symbols is None and stored:
                    raise SpoiledRow(key)
                yield key, symbols

    def save_symbols(self, symbols: Mapping[str, FileSymbols | None]) -> None:
        """Keep symbols by key (None: the file broke the parser), and the words of their definitions' names."""
        bodies = [(key, encode_symbols(one) if one else b"") for key, one in symbols.items()]
        words = []
        for key, one in symbols.items():
            names = {definition.name for definition in one.definitions} if one else set()
            words += [(word, key) for word in sorted(set().union(*map(words_of, names)))]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO blob VALUES (?, ?)", bodies)
            self._database.executemany("INSERT OR IGNORE INTO word VALUES (?, ?)", words)

    def keys_of(self, word: str, *, limit: int) -> list[str]:
        """The keys of blobs that define a name with this word, in order; at most ``limit``."""
        found = self._database.execute("SELECT key FROM word WHERE word = ? ORDER BY key LIMIT ?", (word, limit))
        return [key for (key,) in found]

    def graph(self, commit: str) -> Graph | None:
        """The graph of a commit, if it is kept."""
        found = self._database.execute("SELECT CAST(body AS BLOB) FROM graph WHERE commit_id = ?", (commit,)).fetchone()
        if found is None:
            return None
        graph = parse_graph(found[0])
        if graph is None:
            raise SpoiledRow(commit)
        return graph

    def save_graph(self, commit: str, graph: Graph, *, keys: Collection[str]) -> None:
        """Keep a commit's graph, and the youngest others; drop blobs outside ``keys`` when they have become many.

        The symbols of all ``keys`` stand behind a kept graph: it is not kept when some are unread, or were dropped by
        another process.
        """
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if len(self.known(keys)) < len(keys):
                return
            row = (commit, time.time(), encode_graph(graph))
            self._database.execute("INSERT OR REPLACE INTO graph VALUES (?, ?, ?)", row)
            self._database.execute(
                "DELETE FROM graph WHERE commit_id NOT IN (SELECT commit_id FROM graph ORDER BY made DESC LIMIT ?)",
                (GRAPHS_KEPT,),
            )
            (stored,) = self._database.execute("SELECT count(*) FROM blob").fetchone()
            if stored > len(keys) + STALE_BLOBS_KEPT:
                self._keep_only(commit, keys)

    def _is_ours(self) -> bool:
        return bool(self._database.execute("PRAGMA user_version").fetchone()[0] == _version())

    def _make_tables(self) -> None:
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if self._is_ours():  # another process was faster
                return
            for name, columns in _TABLES.items():
                self._database.execute(f"DROP TABLE IF EXISTS {name}")
                self._database.execute(f"CREATE TABLE {name} ({columns}) WITHOUT ROWID")
            self._database.execute(f"PRAGMA user_version = {_version()}")

    def _keep_only(self, commit: str, keys: Collection[str]) -> None:
        self._database.execute("CREATE TEMP TABLE kept (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._database.executemany("INSERT OR IGNORE INTO kept VALUES (?)", [(key,) for key in keys])
        self._database.execute("DELETE FROM blob WHERE key NOT IN kept")
        self._database.execute("DELETE FROM word WHERE key NOT IN kept")
        self._database.execute("DELETE FROM graph WHERE commit_id != ?", (commit,))  # the others miss blobs now
        self._database.execute("DROP TABLE kept")

    def _select(self, columns: str, keys: list[str]) -> sqlite3.Cursor:
        marks = ",".join("?" * len(keys))
        return self._database.execute(f"SELECT {columns} FROM blob WHERE key IN ({marks})", keys)  # noqa: S608


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sqlite3.OperationalError(f"The cache's folder cannot be made: {error}") from error


def _parts(keys: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), 500):
        yield ordered[start : start + 500]


def _version() -> int:
    said = f"{FORMAT} {sys.byteorder} {grammar_versions()}"
    return zlib.crc32(said.encode()) & 0x7FFFFFFF or 1
