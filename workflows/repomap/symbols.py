"""What is known of one file's content: its definitions and references, and their stored form."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import jiter

SHORTEST_WORD = 3
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
    """What a file defines, in its order, and how often it uses each name."""

    definitions: tuple[Definition, ...] = ()
    references: tuple[tuple[str, int], ...] = ()


def encode_symbols(symbols: FileSymbols) -> bytes:
    """The stored form of symbols: one JSON array of two arrays."""
    definitions = [[one.name, one.line, one.depth, one.signature] for one in symbols.definitions]
    return json.dumps([definitions, symbols.references], separators=(",", ":")).encode()


def parse_stored(stored: bytes) -> FileSymbols | None:
    """The symbols of a stored form; None when it is not one. Safe on any bytes: they come from a worker or a disk."""
    try:
        value: Any = jiter.from_json(stored)
        definitions, references = value
        return FileSymbols(
            tuple(
                Definition(_text(name), _count(line), _count(depth), _text(say))
                for name, line, depth, say in definitions
            ),
            tuple((_text(name), _count(times)) for name, times in references),
        )
    except (ValueError, TypeError):
        return None


def words_of(name: str) -> set[str]:
    """A name in lower case, and its parts at underscores and capitals, without very short ones."""
    parts = {part.lower() for part in _PARTS.findall(name)} | {name.lower()}
    return {part for part in parts if len(part) >= SHORTEST_WORD}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise TypeError
    return value
