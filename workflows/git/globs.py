"""Globs as in .gitignore, held against paths by an automaton.

A regular expression would do, but one with several stars tries them in countless ways before it says no, and no other
thread runs meanwhile. Here the states that a path may be in at once are the bits of a number:
https://en.wikipedia.org/wiki/Bitap_algorithm
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache

_SIGNS = re.compile(r"(\*\*/|/\*\*|\*\*|\*|\?)")


def matches_pattern(path: str, glob: str, *, any_case: bool = True) -> bool:
    """Whether a glob with ``**`` names a path or a folder above it.

    It takes steps in proportion to the path's length times the glob's at most; whoever takes in globs bounds theirs.
    """
    return _automaton(glob, any_case).matches(path)


class _Automaton:
    """State 0 is where paths begin. Numbers with a bit for each state: ``_any_loops`` and ``_name_loops`` stay where
    they are on any character, and on any but a slash; ``_fits`` go one state on, by character; ``_names`` do on any
    but a slash; ``_jumps`` are one state further on as well, and ``_leaps`` two. ``_end`` is the last one's.

    Nothing changes once it is made: threads share it.
    """

    def __init__(self, glob: str, *, any_case: bool) -> None:
        self._any_case = any_case
        self._any_loops = self._name_loops = self._names = self._jumps = self._leaps = 0
        self._fits: defaultdict[str, int] = defaultdict(int)
        self._end = 1
        parts = _SIGNS.split(glob.removeprefix("/"))
        # A folder's name protects what is in it, whether or not it ends with a slash.
        parts[-1] = parts[-1].removesuffix("/")
        for part in parts:
            self._add(part)
        # What every path has that matches: looked for first, as most paths have not.
        rarest = max(parts[::2], key=len)
        self._needed = re.compile(re.escape(rarest), re.IGNORECASE if any_case else 0)

    def matches(self, path: str) -> bool:
        """Whether the path, or a folder above it, fits."""
        if self._needed.search(path) is None:
            return False
        states = self._spread(1)
        for char in self._folded(path):
            if char == "/" and states & self._end:
                return True
            stay, go = self._any_loops, self._fits.get(char, 0)
            if char != "/":
                stay, go = stay | self._name_loops, go | self._names
            states = self._spread((states & stay) | (states & go) << 1)
            if not states:
                return False
        return bool(states & self._end)

    def _spread(self, states: int) -> int:
        """The same with the states that need no character more."""
        before = 0
        while states != before:
            before = states
            states |= (states & self._jumps) << 1 | (states & self._leaps) << 2
        return states

    def _folded(self, text: str) -> list[str]:
        """Its characters, each in one spelling of those that differ in letter case alone to the module ``re``."""
        return [char.lower()[0].upper() for char in text] if self._any_case else list(text)

    def _add(self, part: str) -> None:
        if part == "*":
            self._name_loops |= self._end
        elif part == "**":
            self._any_loops |= self._end
        elif part == "**/":  # nothing, or anything up to a slash
            self._leaps |= self._end
            self._jumps |= self._end
            self._any_loops |= self._end << 1
            self._fits["/"] |= self._end << 1
            self._end <<= 2
        elif part == "/**":  # nothing, or a slash and anything
            self._leaps |= self._end
            self._fits["/"] |= self._end
            self._any_loops |= self._end << 1
            self._jumps |= self._end << 1
            self._end <<= 2
        elif part == "?":
            self._names |= self._end
            self._end <<= 1
        else:
            for char in self._folded(part):
                self._fits[char] |= self._end
                self._end <<= 1


@lru_cache(maxsize=512)
def _automaton(glob: str, any_case: bool) -> _Automaton:
    return _Automaton(glob, any_case=any_case)
