"""The text of a map: files with their definitions, or folders, within a number of tokens; one line stays one line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workflows.repomap.paths import weight_of
from workflows.repomap.symbols import Definition

# Source and paths hold more tokens than prose: three bytes each is on the safe side of four.
BYTES_PER_TOKEN = 3
TAIL_BYTES = 60
FEWEST_LINES, MOST_LINES = 4, 15
NAMES_A_FOLDER = 6


@dataclass(frozen=True)
class Candidate:
    """A file that may be shown. ``score`` is the file's; ``worths`` has one number a definition."""

    path: str
    score: float
    definitions: Sequence[Definition]
    worths: Sequence[float]


def render_symbols(candidates: Iterable[Candidate], *, head: str, files: int, max_tokens: int) -> str | None:
    """The map: ``head``, as many of the candidates (best first) as fit, and how many of ``files`` were left out.

    None when nothing can be shown. No more candidates are taken than fit.
    """
    room = max_tokens * BYTES_PER_TOKEN - _size(head) - TAIL_BYTES
    parts = [head]
    shown = 0
    best_score = 0.0
    for candidate in candidates:
        if not candidate.definitions:
            continue
        best_score = best_score or candidate.score or 1.0
        most = max(FEWEST_LINES, round(MOST_LINES * candidate.score / best_score))
        lines = [_clean(candidate.path), *map(_line, _best(candidate, most))]
        while len(lines) > 2 and sum(map(_size, lines)) > room:
            lines.pop()
        cost = sum(map(_size, lines))
        if cost > room:
            if shown:
                break
            continue  # a path of several thousand bytes is no reason to show nothing
        room -= cost
        parts += lines
        shown += 1
    if not shown:
        return None
    return "\n".join([*parts, f"… {files - shown:,} more files"] if files > shown else parts)


def render_folders(paths: Sequence[str], *, head: str, max_tokens: int) -> str:
    """The folders of a repository, the more important first, each with some of its files, as many as fit."""
    folders: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders[folder].append(name)
    room = max_tokens * BYTES_PER_TOKEN - _size(head) - TAIL_BYTES
    ordered = sorted(
        folders, key=lambda one: (one != "", -weight_of(f"{one}/"), one.count("/"), -len(folders[one]), one)
    )
    parts = [head]
    for folder in ordered:
        names = sorted(folders[folder])
        more = f", … {len(names) - NAMES_A_FOLDER:,} more" if len(names) > NAMES_A_FOLDER else ""
        line = _clean(f"{folder or '.'}/: {', '.join(names[:NAMES_A_FOLDER])}{more}")
        if _size(line) > room:
            break
        room -= _size(line)
        parts.append(line)
    left = len(folders) - len(parts) + 1
    return "\n".join([*parts, f"… {left:,} more folders"] if left else parts)


def _best(candidate: Candidate, most: int) -> list[Definition]:
    ranked = sorted(
        zip(candidate.worths, candidate.definitions, strict=True), key=lambda one: (-one[0], one[1].depth, one[1].line)
    )
    return sorted((definition for _, definition in ranked[:most]), key=lambda one: one.line)


def _line(definition: Definition) -> str:
    return f"{definition.line:>5} {'  ' * min(definition.depth, 4)}{_clean(definition.signature)}"


def _size(line: str) -> int:
    return len(line.encode("utf-8", "replace")) + 1


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
