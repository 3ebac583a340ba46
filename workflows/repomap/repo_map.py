"""The map of one commit of a mirror: built once from its blobs, kept in a cache, asked any number of times."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from workflows.git.mirror_reads import REGULAR
from workflows.git.mirrors import Mirror
from workflows.repomap.cache import Cache, is_spoiled
from workflows.repomap.graph import Graph, MappedFile, build_graph
from workflows.repomap.languages import language_of
from workflows.repomap.paths import weight_of
from workflows.repomap.relevance import MOST_HOLDERS, query_names, rank_files
from workflows.repomap.render import Candidate, render_folders, render_symbols
from workflows.repomap.symbols import FileSymbols, words_of
from workflows.repomap.workers import Source, Workers

BUILD_SECONDS = 60.0
MOST_FILES = 10_000
LARGEST_FILE = 512_000
MOST_CANDIDATES = 150
FEWEST_TOKENS, MOST_TOKENS = 200, 20_000
# A definition that the question names is worth as much as one that so many files refer to.
NAMED_WORTH, PARTLY_NAMED_WORTH = 20.0, 3.0


def open_repo_map(mirror: Mirror, commit: str, *, cache: Path, seconds: float = BUILD_SECONDS) -> RepoMap:
    """The map of a commit in the mirror; nothing is read before it is asked.

    ``cache`` is a file of this repository alone, for all of its commits and any number of processes; it is made when
    absent, made again when spoiled, and may be deleted. ``seconds`` bound the one build that an unknown commit needs.
    """
    return RepoMap(mirror, commit, cache, seconds)


class RepoMap:
    """A commit's files and definitions, ranked. Safe to ask from several threads; close it, or use it as a context."""

    def __init__(self, mirror: Mirror, commit: str, path: Path, seconds: float) -> None:
        self._mirror, self._commit, self._path, self._seconds = mirror, commit, path, seconds
        self._lock = threading.Lock()
        self._cache: Cache | None = None
        self._graph: Graph | None = None
        self.parsed = 0
        """How many files were parsed for this map so far, rather than found in the cache."""

    def render(self, *, query: str = "", focus: Sequence[str] = (), path: str = "", max_tokens: int = 2_000) -> str:
        """The files that matter most, with their definitions, in about ``max_tokens`` (200 to 20,000).

        ``query``: words, names and paths of the matter (an issue's text will do). ``focus``: paths already touched.
        ``path``: show only this folder or file. Odd content never raises; GitFailure when the mirror is broken, and
        BrokenWorld when the parser is not installed.
        """
        max_tokens = max(FEWEST_TOKENS, min(max_tokens, MOST_TOKENS))
        under = path.strip().strip("/")
        under = "" if under == "." else under.removeprefix("./")
        with self._lock:
            # The file, once more after it was spoiled or busy, and then memory, which has no reason to fail.
            for place in (self._path, self._path):
                try:
                    return self._render(self._open(place), query, focus, under, max_tokens)
                except sqlite3.Error as error:
                    self._drop_cache(error)
            return self._render(self._open(None), query, focus, under, max_tokens)

    def close(self) -> None:
        """Let go of the cache's file."""
        with self._lock:
            if self._cache is not None:
                self._cache.close()
            self._cache = None

    def __enter__(self) -> RepoMap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, place: Path | None) -> Cache:
        if self._cache is None:
            self._cache = Cache(place)
        return self._cache

    def _drop_cache(self, error: sqlite3.Error) -> None:
        if self._cache is not None:
            self._cache.close()
        self._cache = self._graph = None
        if is_spoiled(error):
            self._path.unlink(missing_ok=True)

    def _render(self, cache: Cache, query: str, focus: Sequence[str], under: str, max_tokens: int) -> str:
        graph = self._find_graph(cache)
        ranked = rank_files(graph, query, focus=focus, keys_of=lambda word: cache.keys_of(word, limit=MOST_HOLDERS + 1))
        shown = [one for one in ranked if _is_under(graph.files[one[0]].path, under)]
        candidates = _candidates(cache, graph, shown[:MOST_CANDIDATES], query_names(query))
        answer = render_symbols(candidates, head=self._head(graph), files=len(shown), max_tokens=max_tokens)
        if answer is not None:
            return answer
        paths = [entry.path for entry in self._mirror.tree(self._commit) if _is_under(entry.path, under)]
        if not paths:
            place = f"at `{under[:200]}` in" if under else "in"
            return f"Nothing is {place} the base commit. Leave `path` out, or find the folder with glob."
        head = f"No definitions are known here. The folders and some of their files:\n{self._head(graph)}"
        return render_folders(paths, head=head, max_tokens=max_tokens)

    def _head(self, graph: Graph) -> str:
        head = (
            f"The repository at its base commit {self._commit[:12]}, most relevant first; what changed since is not "
            "in it. Numbers are lines."
        )
        if graph.unread:
            head += f"\nNot complete: {graph.unread:,} files were not read within {self._seconds:.0f} s. Use grep too."
        if graph.lost:
            head += f"\nFiles that could not be parsed, and are missing: {graph.lost:,}."
        return head

    def _find_graph(self, cache: Cache) -> Graph:
        if self._graph is None:
            self._graph = cache.graph(self._commit) or self._build_graph(cache)
        return self._graph

    def _build_graph(self, cache: Cache) -> Graph:
        files = self._source_files()
        keys = {file.key for file in files}
        known = cache.known(keys)
        unread = self._parse(cache, [file for file in files if file.key not in known])
        symbols = dict(cache.symbols(keys))
        readable = {key: one for key, one in symbols.items() if one is not None}
        graph = build_graph(files, readable, unread=unread, lost=len(symbols) - len(readable))
        cache.save_graph(self._commit, graph, keys=keys)
        return graph

    def _source_files(self) -> list[MappedFile]:
        files = []
        for entry in self._mirror.tree(self._commit):
            language = language_of(entry.path)
            if language is not None and entry.mode in REGULAR:
                files.append(MappedFile(entry.path, language, f"{entry.oid}:{language}"))
        files.sort(key=lambda file: (-weight_of(file.path), file.path.count("/"), file.path))
        return files[:MOST_FILES]

    def _parse(self, cache: Cache, files: Sequence[MappedFile]) -> int:
        """Put the symbols of files into the cache, in order, as far as time allows; how many files are left."""
        deadline = time.monotonic() + self._seconds
        by_oid: dict[str, set[str]] = defaultdict(set)
        for file in files:
            by_oid[file.key.partition(":")[0]].add(file.language)
        left = {file.key for file in files}
        with Workers() as workers:
            for contents in self._mirror.blobs(by_oid, limit=LARGEST_FILE):
                sources = [
                    Source(f"{oid}:{language}", language, content)
                    for oid, content in contents.items()
                    for language in sorted(by_oid[oid])
                ]
                parsed = workers.parse(sources, deadline=deadline)
                cache.save_symbols(parsed)
                self.parsed += len(parsed)
                left.difference_update(parsed)
                if len(parsed) < len(sources):
                    return len(left)
        cache.save_symbols(dict.fromkeys(left, FileSymbols()))  # too large: known to have none
        return 0


def _candidates(
    cache: Cache, graph: Graph, ranked: Sequence[tuple[int, float]], names: Sequence[str]
) -> Iterator[Candidate]:
    whole = {name.lower() for name in names}
    parts = set().union(*map(words_of, names))
    for number, score in ranked:
        file = graph.files[number]
        symbols = dict(cache.symbols([file.key])).get(file.key) or FileSymbols()
        worths = [
            worth
            + (NAMED_WORTH if one.name.lower() in whole else PARTLY_NAMED_WORTH if words_of(one.name) & parts else 0)
            for worth, one in zip(graph.worths[number], symbols.definitions, strict=False)
        ]
        yield Candidate(file.path, score, symbols.definitions[: len(worths)], worths)


def _is_under(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")
