"""Which changed files are read first when a change is large: by what can go wrong in them, within a budget. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workflows.evidence.testfiles import is_test_path
from workflows.git.protected import protecting_pattern
from workflows.repository.sensitive import is_sensitive
from workflows.review.anchors import Anchor
from workflows.review.diff import Diff, FileDiff, parse_hunks, parse_lines
from workflows.review.pieces import first_line, shown_size, split_file

# Names of code where a slip costs most, as parts of a path.
_DELICATE = re.compile(
    r"(?:auth|login|session|passw|secret|token|crypt|permission|access|acl|role|payment|billing|invoice|price|money"
    r"|migrat|schema|query|sql|upload|deserial|serial|pickle|exec|shell|sandbox|proxy|webhook|lock|concurr|thread|cache"
    r"|admin|security|sanitiz|escape|validat)",
    re.IGNORECASE,
)
_PROSE = re.compile(r"\.(?:md|rst|txt|adoc|html?|css|scss|less|svg|po|pot)$|(?:^|/)(?:docs?|examples?)/", re.IGNORECASE)
_DATA = re.compile(r"\.(?:json|ya?ml|toml|ini|csv|xml|lock)$", re.IGNORECASE)


@dataclass(frozen=True)
class Ranked:
    """A file with its risk, 0 and up, and what speaks for it, a word each."""

    file: FileDiff
    risk: float
    because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Partition:
    """What is read, in parts for reviewers side by side, each in order of risk.

    ``unread`` are the paths whose lines nobody reads, with the reason: generated, vendored and huge files too.
    ``postponed`` are those among them for which another review may have room.
    """

    parts: tuple[tuple[FileDiff, ...], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    postponed: tuple[str, ...] = ()

    def part_of(self, path: str, anchor: Anchor | None) -> int:
        """The number of the part that holds a place best, from 0: its lines, else its file, else the first part."""
        fits = [max((_holds(file, path, anchor) for file in part), default=0) for part in self.parts]
        return fits.index(max(fits)) if fits else 0


def rank_files(files: Sequence[FileDiff]) -> list[Ranked]:
    """The files, the riskiest first; the same order every time."""
    return sorted((_ranked(file) for file in files), key=lambda one: (-one.risk, one.file.path))


def partition(diff: Diff, *, characters: int, parts: int = 1, only: Collection[str] | None = None) -> Partition:
    """The files to read, at most ``characters`` as a reviewer is shown them in each of at most ``parts`` parts.

    ``only`` are the paths that were asked for; others are left aside without being counted as unread. Files of one
    folder go to the same part where there is room, because they are understood together; a further part is begun only
    when those before it are full. What is longer than a part is read in pieces.
    """
    wanted = [file for file in diff.files if only is None or file.path in only]
    unread: list[tuple[str, str]] = [(file.path, file.left_out) for file in wanted if file.left_out]
    postponed: list[str] = []
    rooms = _Rooms(characters, [characters] * max(0, parts))
    for ranked in rank_files([file for file in wanted if file.raw and not file.left_out]):
        file = ranked.file
        rest = rooms.put(file)
        if rest is None:
            continue
        if shown_size(file.raw) > characters * parts:
            unread.append((file.path, f"{_from(rest)}longer than one review reads"))
        else:
            unread.append((file.path, f"{_from(rest)}the budget was used up by riskier files"))
            postponed.append(file.path)
    readable = [[file for file in part if parse_lines(file)] for part in rooms.placed]
    named = {file.path for part in rooms.placed for file in part if not parse_lines(file)}
    unread += [(path, "unreadable") for path in sorted(named)]
    if diff.cut:
        unread.append(("the rest of the change", "it is larger than can be read"))
    return Partition(tuple(tuple(part) for part in readable if part), tuple(unread), tuple(postponed))


class _Rooms:
    """What each part still has room for, in characters, and what was put into it."""

    def __init__(self, characters: int, left: list[int]) -> None:
        self._characters, self._left = characters, left
        self._homes: dict[str, int] = {}
        self.placed: list[list[FileDiff]] = [[] for _ in left]

    def put(self, file: FileDiff) -> FileDiff | None:
        """Put a file into a part, or what is too long for one into several; what of it had no room."""
        size, home = shown_size(file.raw), self._homes.get(_folder(file.path))
        # The first part with room: a change that one reviewer can read is not torn apart between several.
        parts = ([home] if home is not None else []) + list(range(len(self._left)))
        part = next((part for part in parts if self._left[part] >= size), None)
        if part is not None:
            self._place(file, part)
            return None
        rest: FileDiff | None = file
        for part in range(len(self._left)) if size > self._characters else ():
            if rest is not None:
                piece, after = split_file(rest, self._left[part])
                if piece is not None:
                    self._place(piece, part)
                    rest = after
        return rest

    def _place(self, file: FileDiff, part: int) -> None:
        self._left[part] -= shown_size(file.raw)
        self.placed[part].append(file)
        self._homes[_folder(file.path)] = part


def _from(rest: FileDiff) -> str:
    return f"from line {first_line(rest)} on, " if rest.in_part else ""


def _ranked(file: FileDiff) -> Ranked:
    risk = 1.0
    because: list[str] = []
    if protecting_pattern(file.path) or is_sensitive(file.path):
        risk, because = risk + 3, [*because, "decides what is built or run"]
    if is_test_path(file.path):
        risk, because = risk * 0.4, [*because, "test"]
    elif _DELICATE.search(file.path):
        risk, because = risk + 2, [*because, "delicate"]
    if _PROSE.search(file.path):
        risk, because = risk * 0.2, [*because, "prose"]
    elif _DATA.search(file.path) and "decides what is built or run" not in because:
        risk, because = risk * 0.5, [*because, "data"]
    if file.status in ("modified", "renamed", "type_changed") and file.removed:
        # What others rely on was changed, and not only added to.
        risk, because = risk * 1.5, [*because, "changes what was there"]
    if file.status == "deleted":
        risk, because = risk * 0.6, [*because, "deleted"]
    if file.old_mode and file.new_mode.endswith("755") and not file.old_mode.endswith("755"):
        risk, because = risk + 1, [*because, "became executable"]
    return Ranked(file, round(risk * (1 + math.log1p(file.lines_changed)), 3), tuple(because))


def _holds(file: FileDiff, path: str, anchor: Anchor | None) -> int:
    """How far a file, or a piece of one, holds a place: 2 with its last line, 1 without, 0 for another file."""
    if file.path != path:
        return 0
    if anchor is None:
        return 1
    left = anchor.side == "LEFT"
    ranges = ((one.old_start, one.old_lines) if left else (one.new_start, one.new_lines) for one in parse_hunks(file))
    return 2 if any(start <= anchor.line < start + lines for start, lines in ranges) else 1


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
