"""Which file of a commit refers to which, what each file and definition is worth for it, and its stored form."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiter

from workflows.repomap.languages import LANGUAGES
from workflows.repomap.paths import weight_of
from workflows.repomap.symbols import FileSymbols

DAMPING = 0.85
ROUNDS = 25
# A name that more files than this define (get, run, __init__) does not say which of them is meant.
MOST_DEFINERS = 20
PLAIN_WORD = 0.05


@dataclass(frozen=True)
class MappedFile:
    """One file of a commit. ``language`` is empty when no grammar reads it; ``key`` finds its symbols in the cache."""

    path: str
    language: str
    key: str


@dataclass(frozen=True)
class Graph:
    """One row a file in every list.

    ``targets`` are the files it refers to, ``shares`` how its attention is divided among them (a row sums to 1),
    ``ranks`` how much the repository refers to it (they sum to 1), ``worths`` how much other files refer to each of its
    definitions. ``unread`` files were not read in time; ``lost`` ones broke the parser.
    """

    files: tuple[MappedFile, ...]
    targets: list[list[int]]
    shares: list[list[float]]
    ranks: list[float]
    worths: list[list[float]]
    unread: int = 0
    lost: int = 0


def build_graph(
    files: Sequence[MappedFile], symbols: Mapping[str, FileSymbols], *, unread: int = 0, lost: int = 0
) -> Graph:
    """The graph of files whose symbols are given by key; the same input gives the same graph."""
    definers: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    nothing = FileSymbols()
    for number, file in enumerate(files):
        for name in {one.name for one in symbols.get(file.key, nothing).definitions}:
            definers[_family(file)][name].append(number)
    users: dict[str, Counter[str]] = defaultdict(Counter)
    targets, shares = [], []
    for number, file in enumerate(files):
        attention: dict[int, float] = defaultdict(float)
        known = definers[_family(file)]
        for name, times in symbols.get(file.key, nothing).references:
            owners = known.get(name)
            if owners is None or len(owners) > MOST_DEFINERS or number in owners:
                continue
            users[_family(file)][name] += 1
            for owner in owners:
                attention[owner] += _telling(name) * math.sqrt(times) / len(owners)
        whole = sum(attention.values())
        targets.append(list(attention))
        shares.append([round(part / whole, 6) for part in attention.values()])
    worths = [
        [
            round(_telling(one.name) * users[_family(file)][one.name] / len(definers[_family(file)][one.name]), 4)
            for one in symbols.get(file.key, nothing).definitions
        ]
        for file in files
    ]
    return Graph(tuple(files), targets, shares, _ranks(files, targets, shares), worths, unread, lost)


def encode_graph(graph: Graph) -> bytes:
    """The stored form of a graph."""
    files = [[file.path, file.language, file.key] for file in graph.files]
    rows = [files, graph.targets, graph.shares, graph.ranks, graph.worths, graph.unread, graph.lost]
    return json.dumps(rows, separators=(",", ":")).encode()


def parse_graph(stored: bytes) -> Graph | None:
    """The graph of a stored form; None when it is spoiled."""
    try:
        value: Any = jiter.from_json(stored)
        files, targets, shares, ranks, worths, unread, lost = value
        size = len(files)
        graph = Graph(
            tuple(MappedFile(path, language, key) for path, language, key in files),
            targets,
            shares,
            ranks,
            worths,
            unread,
            lost,
        )
        if not size == len(targets) == len(shares) == len(ranks) == len(worths):
            return None
        return graph if all(not row or 0 <= min(row) <= max(row) < size for row in targets) else None
    except (ValueError, TypeError):
        return None


def _family(file: MappedFile) -> str:
    return LANGUAGES[file.language].family if file.language else ""


def _telling(name: str) -> float:
    # `name` and `line` are everybody's variables; `parse_line` and `Line` are rarely anything but the definition.
    return 1.0 if "_" in name.strip("_") or name.lower() != name else PLAIN_WORD


def _ranks(files: Sequence[MappedFile], targets: list[list[int]], shares: list[list[float]]) -> list[float]:
    # PageRank whose walks begin in own source more often than in tests or vendored files.
    whole = sum(weight_of(file.path) for file in files)
    begins = [weight_of(file.path) / whole for file in files]
    ranks = begins
    for _ in range(ROUNDS):
        flow = [0.0] * len(files)
        ended = 0.0  # in files that refer to nothing: such walks begin anew
        for rank, row, parts in zip(ranks, targets, shares, strict=True):
            if not row:
                ended += rank
            for target, part in zip(row, parts, strict=True):
                flow[target] += rank * part
        restart = 1 - DAMPING + DAMPING * ended
        ranks = [restart * begin + DAMPING * part for begin, part in zip(begins, flow, strict=True)]
    return [round(rank, 9) for rank in ranks]
