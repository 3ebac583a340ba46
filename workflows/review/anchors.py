"""Where a finding stands: by line, for GitHub, and by a fingerprint of the code, to be found after a push. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from workflows.review.diff import Diff, DiffLine, FileDiff, parse_lines
from workflows.types import DraftComment, Noun, Side

CONTEXT = 4
MOST_CODE = 40
"""As many lines of a longer range are remembered: its beginning."""
MOST_TRIES = 20_000
MOST_HEAD_LINES = 100_000
"""As many lines of a whole file are looked through: its beginning."""
MOST_HEAD_FILES = 20
"""As many of them are kept, as they may be large."""
NO_FILES: Mapping[str, LineMap] = MappingProxyType({})
Outcome = Literal["exact", "moved", "gone", "ambiguous"]


class Fingerprint(Noun):
    """Digests of lines without their white space: those commented on, and up to four on either side, in file order.

    A digest that begins with ``-`` is of a line without a word, such as a bracket: it says little of the place.
    """

    code: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Anchor(Noun):
    """A line of the diff, or with ``start_line`` a range that ends with it: of one side, and within one hunk.

    Lines count from 1; LEFT is the base, RIGHT the head. ``outside``: it is a line of the head that the diff does not
    show, so GitHub takes no comment there.
    """

    path: str
    line: int
    start_line: int | None = None
    side: Side = "RIGHT"
    outside: bool = False
    fingerprint: Fingerprint

    @property
    def first(self) -> int:
        """The first line."""
        return self.line if self.start_line is None else self.start_line


class Placed(Noun):
    """Where an earlier anchor is now. ``anchor`` is None when its code is gone, or stands in several like places."""

    outcome: Outcome
    anchor: Anchor | None = None


@dataclass(frozen=True)
class _Rows:
    """One side of the diff, from top to bottom: numbers, hunks and digests in step, and where each is found."""

    numbers: list[int] = field(default_factory=list)
    hunks: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    at: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, line: DiffLine) -> None:
        self.at[number] = len(self.numbers)
        self.numbers.append(number)
        self.hunks.append(line.hunk)
        self.texts.append(line.text)


class LineMap:
    """The lines of one file on which GitHub takes a comment, for each side: all that its hunks show, context too.

    A range lies on one side, within one hunk, and begins above its end:
    https://docs.github.com/en/rest/pulls/comments#create-a-review-comment-for-a-pull-request

    With ``outside`` it is of all ``lines`` of a file, which take none: see :func:`map_files`.
    """

    def __init__(self, file: FileDiff, lines: Sequence[DiffLine] | None = None, *, outside: bool = False) -> None:
        self.path = file.path
        self._outside = outside
        self._rows: dict[Side, _Rows] = {"LEFT": _Rows(), "RIGHT": _Rows()}
        self._changed: set[tuple[Side, int]] = set()
        self._digests: dict[Side, list[str]] = {}
        self._places: dict[Side, dict[str, list[int]]] = {}
        for line in parse_lines(file) if lines is None else lines:
            if line.old is not None:
                self._rows["LEFT"].add(line.old, line)
            if line.new is not None:
                self._rows["RIGHT"].add(line.new, line)
            if line.kind == "removed" and line.old is not None:
                self._changed.add(("LEFT", line.old))
            elif line.kind == "added" and line.new is not None:
                self._changed.add(("RIGHT", line.new))

    def accepts(self, line: int, *, side: Side = "RIGHT", start_line: int | None = None) -> bool:
        """Whether GitHub takes a comment there."""
        rows = self._rows[side]
        if line not in rows.at:
            return False
        if start_line is None:
            return True
        return start_line < line and start_line in rows.at and self._hunk(start_line, side) == self._hunk(line, side)

    def numbers(self, side: Side) -> tuple[int, ...]:
        """All lines of a side that take a comment, in order."""
        return tuple(self._rows[side].numbers)

    def is_changed(self, line: int, *, side: Side = "RIGHT", start_line: int | None = None) -> bool:
        """Whether the change added (RIGHT) or removed (LEFT) one of these lines."""
        first = line if start_line is None else start_line
        if line - first > len(self._rows[side].numbers):
            return any(first <= number <= line for on, number in self._changed if on == side)
        return any((side, number) in self._changed for number in range(first, line + 1))

    def text(self, line: int, *, side: Side = "RIGHT") -> str | None:
        """A line's text, None where the diff does not show it."""
        rows = self._rows[side]
        return rows.texts[rows.at[line]] if line in rows.at else None

    def find(self, text: str, *, side: Side = "RIGHT") -> tuple[int, ...]:
        """The lines of a side that hold this code, white space aside, in order."""
        self._digested(side)
        return tuple(self._rows[side].numbers[at] for at in self._places[side].get(digest_line(text), ()))

    def anchor(self, line: int, *, side: Side = "RIGHT", start_line: int | None = None) -> Anchor | None:
        """The anchor at a line or a range; None where GitHub takes no comment."""
        if start_line == line:
            start_line = None
        if not self.accepts(line, side=side, start_line=start_line):
            return None
        return Anchor(
            path=self.path,
            line=line,
            start_line=start_line,
            side=side,
            outside=self._outside,
            fingerprint=self._fingerprint(start_line or line, line, side),
        )

    def fit(self, line: int, *, side: Side = "RIGHT", start_line: int | None = None) -> Anchor | None:
        """The anchor at the longest end, else the longest beginning, of a range that GitHub takes; None without one."""
        first = line if start_line is None else min(start_line, line)
        last = line if start_line is None else max(start_line, line)
        at = self._rows[side].at
        if last in at:
            start = last
            while start > first and self.accepts(last, side=side, start_line=start - 1):
                start -= 1
            return self.anchor(last, side=side, start_line=start)
        if first not in at:
            return None
        end = first
        while end < last and self.accepts(end + 1, side=side, start_line=first):
            end += 1
        return self.anchor(end, side=side, start_line=first)

    def place(self, anchor: Anchor) -> Placed:
        """Where an anchor's code is in this diff: in its place, moved, gone, or in several places that look alike."""
        side, code = anchor.side, anchor.fingerprint.code
        digests, rows = self._digested(side), self._rows[side]
        length = len(code)
        needed = _needed(anchor.fingerprint, outside=self._outside)
        scored: list[tuple[int, int]] = []
        candidates = self._places[side].get(code[0], []) if code else []
        for at in candidates[: max(1, MOST_TRIES // max(length, 1))]:
            last = at + length - 1
            if last >= len(digests) or rows.hunks[at] != rows.hunks[last] or tuple(digests[at : last + 1]) != code:
                continue
            score = self._score(anchor.fingerprint, at, last, side)
            if rows.numbers[at] == anchor.first or score >= needed:
                scored.append((score, at))
        if not scored:
            return Placed(outcome="gone")
        best = max(score for score, _ in scored)
        likely = [at for score, at in scored if score == best]
        # A copy elsewhere can have more of the old lines around it than the place itself, once something was added.
        here = next((at for score, at in scored if rows.numbers[at] == anchor.first and 2 * score >= best), None)
        if here is None and len(likely) > 1:
            return Placed(outcome="ambiguous")
        found = self._anchor_from(anchor, likely[0] if here is None else here)
        return Placed(outcome="moved" if here is None else "exact", anchor=found)

    def _anchor_from(self, anchor: Anchor, at: int) -> Anchor | None:
        first = self._rows[anchor.side].numbers[at]
        # What a long range's fingerprint left out is taken as it was long, as far as the hunk goes.
        return self.fit(first + anchor.line - anchor.first, side=anchor.side, start_line=first) or self.anchor(
            first, side=anchor.side
        )

    def _hunk(self, line: int, side: Side) -> int:
        rows = self._rows[side]
        return rows.hunks[rows.at[line]]

    def _fingerprint(self, first: int, last: int, side: Side) -> Fingerprint:
        digests, rows = self._digested(side), self._rows[side]
        start, end = rows.at[first], rows.at[last]
        hunk = rows.hunks[start]
        before = [at for at in range(max(0, start - CONTEXT), start) if rows.hunks[at] == hunk]
        after = [at for at in range(end + 1, min(len(digests), end + 1 + CONTEXT)) if rows.hunks[at] == hunk]
        return Fingerprint(
            code=tuple(digests[start : min(end + 1, start + MOST_CODE)]),
            before=tuple(digests[at] for at in before),
            after=tuple(digests[at] for at in after),
        )

    def _score(self, fingerprint: Fingerprint, first: int, last: int, side: Side) -> int:
        """How many lines around a place say that it is the one: those with words in them."""
        digests = self._digests[side]
        above = zip(reversed(fingerprint.before), reversed(digests[max(0, first - CONTEXT) : first]), strict=False)
        score = sum(one == other and not one.startswith("-") for one, other in above)
        if len(fingerprint.code) < MOST_CODE:
            below = zip(fingerprint.after, digests[last + 1 : last + 1 + CONTEXT], strict=False)
            score += sum(one == other and not one.startswith("-") for one, other in below)
        return score

    def _digested(self, side: Side) -> list[str]:
        if side not in self._digests:
            digests = [digest_line(text) for text in self._rows[side].texts]
            places: defaultdict[str, list[int]] = defaultdict(list)
            for at, digest in enumerate(digests):
                places[digest].append(at)
            self._digests[side], self._places[side] = digests, dict(places)
        return self._digests[side]


class _Maps(Mapping[str, LineMap]):
    """A large change has many lines and few findings: only the files that these are about are gone through."""

    def __init__(self, paths: Collection[str], make: Callable[[str], LineMap], *, kept: int | None = None) -> None:
        self._paths, self._make = paths, lru_cache(kept)(make)

    def __getitem__(self, path: str) -> LineMap:
        if path not in self._paths:
            raise KeyError(path)
        return self._make(path)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def map_lines(diff: Diff) -> Mapping[str, LineMap]:
    """The line maps of all files of which GitHub shows lines, by path, each made when it is first asked for."""
    files = {file.path: file for file in diff.files if file.takes_line_comments}
    return _Maps(files, lambda path: LineMap(files[path]))


def map_files(paths: Collection[str], read: Callable[[str], bytes | None]) -> Mapping[str, LineMap]:
    """All lines of the head's files, each read when it is first asked for: where code is that the diff does not show.

    What ``read`` does not give, and what is binary, has none.
    """

    def make(path: str) -> LineMap:
        return LineMap(FileDiff(path, path, "modified"), _lines(read(path)), outside=True)

    return _Maps(paths, make, kept=MOST_HEAD_FILES)


def digest_line(text: str) -> str:
    """A line's digest: its words and signs without the white space, so that a new indentation is the same code."""
    plain = re.sub(r"\s+", "", text)
    mark = "" if re.search(r"\w", plain) else "-"
    return mark + hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def draft_comment(anchor: Anchor, body: str) -> DraftComment:
    """The comment at an anchor, as it is to be made in a review."""
    return DraftComment(path=anchor.path, body=body, line=anchor.line, start_line=anchor.start_line, side=anchor.side)


def _lines(content: bytes | None) -> list[DiffLine]:
    if not content or b"\0" in content:
        return []
    texts = content.decode("utf-8", "replace").removesuffix("\n").split("\n", MOST_HEAD_LINES)[:MOST_HEAD_LINES]
    return [DiffLine("context", text, None, number, 0) for number, text in enumerate(texts, 1)]


def _needed(fingerprint: Fingerprint, *, outside: bool) -> int:
    """How many lines around another place must agree, before the code there is taken for the same.

    A whole file has more like lines than its hunks: there it is half of them.
    """
    around = sum(not digest.startswith("-") for digest in (*fingerprint.before, *fingerprint.after))
    words = sum(not digest.startswith("-") for digest in fingerprint.code)
    least = min(around, 2 if words == 0 else 1 if words < 3 else 0)
    return max(least, (around + 1) // 2) if outside else least
