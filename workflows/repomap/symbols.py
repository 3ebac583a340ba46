"""What is known of one file's content: its definitions and references, and their stored form."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import jiter

SHORTEST_WORD = 3
MOST_COUNTED = 1 << 31
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


@dataclass(frozen=True)
class Definition:
    """A named thing. ``line`` counts from 1; ``depth`` is how many types enclose it; ``signature`` is one line."""

    name: str
    line: int
    depth: int
    signature: str


@dataclass(frozen=True)
class FileSymbols:
    """What a file defines, in its order, and how often it uses each name.

    ``broken_at`` is the line of the first place that its grammar does not read, 0 for none.
    """

    definitions: tuple[Definition, ...] = ()
    references: tuple[tuple[str, int], ...] = ()
    broken_at: int = 0


def encode_symbols(symbols: FileSymbols) -> bytes:
    """The stored form of symbols: one JSON array of two arrays and a line."""
    definitions = [[one.name, one.line, one.depth, one.signature] for one in symbols.definitions]
    return json.dumps([definitions, symbols.references, symbols.broken_at], separators=(",", ":")).encode()


def parse_stored(stored: bytes) -> FileSymbols | None:
    """The symbols of a stored form; None when it is not one. Safe on any bytes: they come from a worker or a disk."""
    try:
        value: Any = jiter.from_json(stored)
    except ValueError:
        return None
    if not isinstance(value, list) or len(value) != 3:
        return None
    definitions, references, broken_at = value
    if type(broken_at) is not int or not 0 <= broken_at <= MOST_COUNTED:
        return None
    if not _are_rows(definitions, [str, int, int, str]) or not _are_rows(references, [str, int]):
        return None
    return FileSymbols(
        tuple(Definition(*row) for row in definitions),
        tuple((name, times) for name, times in references),
        broken_at,
    )


def words_of(name: str) -> set[str]:
    """A name in lower case, and its parts at underscores and capitals, without very short ones."""
    parts = {part.lower() for part in _PARTS.findall(name)} | {name.lower()}
    return {part for part in parts if len(part) >= SHORTEST_WORD}


def _are_rows(rows: object, types: list[type]) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, list) and [*map(type, row)] == types and 0 <= row[1] <= MOST_COUNTED for row in rows
    )
