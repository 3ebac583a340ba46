"""Markdown's code fences: which stretches of a text show code instead of saying something."""

from __future__ import annotations

import re

_LINE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$", re.MULTILINE)


class Fences:
    """The fence lines of a text. Ask for ever later places: lines are passed once."""

    def __init__(self, text: str) -> None:
        self._lines = list(_LINE.finditer(text))
        self._at = 0
        self._end = len(text)

    def hiding(self, start: int, place: int) -> int | None:
        """The end of the fenced block that holds ``place``, or None; fences before ``start`` do not count.

        A fence that is never closed runs to the end of the text, as in Markdown.
        """
        while self._at < len(self._lines):
            opening = self._lines[self._at]
            if opening.start() < start:
                self._at += 1
                continue
            if opening.start() > place:
                return None
            end = self._close(opening)
            if end > place:
                return end
        return None

    def _close(self, opening: re.Match[str]) -> int:
        while self._at + 1 < len(self._lines):
            self._at += 1
            line = self._lines[self._at]
            closes = line["mark"][0] == opening["mark"][0] and len(line["mark"]) >= len(opening["mark"])
            if closes and not line["info"].strip():
                self._at += 1
                return line.end()
        self._at = len(self._lines)
        return self._end


def only_fence(text: str) -> str | None:
    """What stands in the fence that is all of ``text``, or None."""
    bare = text.strip()
    first, last = _LINE.match(bare), bare.rfind("\n") + 1
    if first is None or last <= first.end() or bare[last:].strip() != first["mark"]:
        return None
    return bare[first.end() : last]
