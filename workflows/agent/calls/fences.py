"""Markdown's code, fenced or in a line: which stretches of a text show code instead of saying something."""

from __future__ import annotations

import re

_BACKTICKS = re.compile(r"`+")
# Not `{3,}: what begins with plain characters is looked for several times as fast.
_MARK = re.compile(r"(?P<mark>```+|~~~+)(?P<info>[^\n]*)")


class Fences:
    """The fence lines of a text. Ask for ever later places: lines are passed once.

    ``left_open``: the last block that was found is never closed.
    """

    def __init__(self, text: str) -> None:
        self.left_open = False
        self._text = text
        self._next = self._search(0)

    def hiding(self, start: int, place: int) -> int | None:
        """The end of the fenced block that holds ``place``, or None; fences before ``start`` do not count.

        A fence that is never closed runs to the end of the text, as in Markdown.
        """
        if self._next is not None and self._next.start() < start:
            self._next = self._search(start)
        while self._next is not None and self._next.start() < place:
            end = self._close(self._next)
            if end > place:
                return end
        return None

    def _close(self, opening: re.Match[str]) -> int:
        """The end of the block that ``opening`` begins; the line after it is the next one to look at."""
        line = self._search(opening.end())
        while line is not None and not _closes(line, opening):
            line = self._search(line.end())
        self._next = self._search(line.end()) if line is not None else None
        self.left_open = line is None
        return line.end() if line is not None else len(self._text)

    def _search(self, start: int) -> re.Match[str] | None:
        for found in _MARK.finditer(self._text, start):
            # Up to three spaces may stand before a fence; with four it is a line of indented code.
            _, newline, indent = self._text[max(0, found.start() - 4) : found.start()].rpartition("\n")
            if not indent.strip(" ") and (newline or found.start() <= 3):
                return found
        return None


class CodeSpans:
    """The code within lines. Ask for ever later places: a line is passed once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._opened = ""

    def holds(self, start: int, place: int) -> bool:
        """Whether backticks before ``place``, in its line and from ``start`` on, are not closed there."""
        begins = max(start, self._text.rfind("\n", self._at, place) + 1)
        if begins > self._at:
            self._at, self._opened = begins, ""
        for run in _BACKTICKS.finditer(self._text, self._at, place):
            self._opened = "" if run[0] == self._opened else self._opened or run[0]
        self._at = place
        return bool(self._opened)


def _closes(line: re.Match[str], opening: re.Match[str]) -> bool:
    same = line["mark"][0] == opening["mark"][0] and len(line["mark"]) >= len(opening["mark"])
    return same and not line["info"].strip()


def only_fence(text: str) -> str | None:
    """What stands in the fence that is all of ``text``, or None; its end may be missing, as models end with a call."""
    bare = text.strip()
    first, last = _MARK.match(bare), bare.rfind("\n") + 1
    if first is None or last <= first.end():
        return None
    return bare[first.end() : last if bare[last:].strip() == first["mark"] else len(bare)]
