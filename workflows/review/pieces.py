"""A long file's diff in pieces: cut between hunks, or within a long one between its lines. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from workflows.review.diff import NUMBERS, FileDiff

_HUNK = re.compile(rb"@@ -(\d+)(?:,\d+)? \+(\d+)")


def shown_size(raw: bytes) -> int:
    """How many characters a reviewer is shown of hunks, each line with its numbers; at most one for each byte."""
    return len(raw) + NUMBERS * raw.count(b"\n")


def split_file(file: FileDiff, room: int) -> tuple[FileDiff | None, FileDiff | None]:
    """As much of a file's beginning as ``room`` characters hold, and the rest; None for what there is none of.

    A hunk that is not longer than ``room`` is not cut.
    """
    hunks = re.split(rb"(?m)(?=^@@ )", file.raw)
    hunks = [hunk for hunk in hunks if hunk]
    taken, left = 0, room
    while taken < len(hunks) and shown_size(hunks[taken]) <= left:
        left -= shown_size(hunks[taken])
        taken += 1
    first, rest = hunks[:taken], hunks[taken:]
    if rest and shown_size(rest[0]) > room:
        within, after = _split_hunk(rest[0], left)
        first, rest = [*first, within], [after, *rest[1:]]
    return _piece(file, b"".join(first)), _piece(file, b"".join(rest))


def first_line(file: FileDiff) -> int:
    """The line of the new file with which its hunks begin, 0 where they say none."""
    match = _HUNK.match(file.raw)
    return int(match[2]) if match else 0


def _piece(file: FileDiff, raw: bytes) -> FileDiff | None:
    if not raw:
        return None
    whole = raw == file.raw
    return replace(file, raw=raw, added=raw.count(b"\n+"), removed=raw.count(b"\n-"), in_part=file.in_part or not whole)


def _split_hunk(hunk: bytes, room: int) -> tuple[bytes, bytes]:
    """The beginning of a hunk that ``room`` holds, empty when that is not even a line, and the rest as a hunk too."""
    head, *lines = _lines(hunk)
    match = _HUNK.match(head)
    if match is None:
        return b"", hunk
    left, taken = room - 60, 0
    while taken < len(lines) and shown_size(lines[taken]) <= left:
        left -= shown_size(lines[taken])
        taken += 1
    # What says that a line has no end belongs to that line.
    while taken and taken < len(lines) and lines[taken].startswith(b"\\"):
        taken -= 1
    if not taken:
        return b"", hunk
    old, new = int(match[1]), int(match[2])
    first = lines[:taken]
    return _hunk(old, new, first), _hunk(old + _count(first, b"+"), new + _count(first, b"-"), lines[taken:])


def _lines(hunk: bytes) -> list[bytes]:
    """The lines of a hunk, which end with a newline alone: a carriage return is content."""
    return [line + b"\n" for line in hunk.removesuffix(b"\n").split(b"\n")]


def _hunk(old: int, new: int, lines: list[bytes]) -> bytes:
    return b"@@ -%d,%d +%d,%d @@\n" % (old, _count(lines, b"+"), new, _count(lines, b"-")) + b"".join(lines)


def _count(lines: list[bytes], without: bytes) -> int:
    """How many of them are on the side that lacks the lines of this sign."""
    return sum(not line.startswith((without, b"\\")) for line in lines)
