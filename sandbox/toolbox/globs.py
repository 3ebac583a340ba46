"""Globs: * and ? stay in one folder, ** crosses folders, {a,b} and [abc] choose.

A regular expression would do, but one with several stars tries them in countless ways before it says no, and no other
thread runs meanwhile. So a pattern becomes a finite automaton here, and its deterministic form is made as far as paths
need it: https://swtch.com/~rsc/regexp/regexp1.html
"""

from __future__ import annotations

import re
from functools import reduce
from operator import getitem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Fits = Callable[[str], object]
    Row = dict[str, "_Place"]
else:
    Row = dict

_WILD = ("**/", "**", "*")
# Steps that are remembered, each counted with the states that it leads to: enough for any sensible pattern.
_REMEMBERED = 200_000


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test for relative paths; a pattern without a slash matches at any depth. Raises re.error.

    A test takes time in proportion to the path's length times the pattern's at most.
    """
    pattern = pattern[2:] if pattern.startswith("./") else pattern
    if "/" not in pattern:
        pattern = "**/" + pattern
    return _Automaton(pattern).matches


class _Automaton:
    """States are numbers from 0, where paths begin; ``_end`` is where those that match end."""

    def __init__(self, pattern: str) -> None:
        self._steps: list[list[tuple[Fits, int]]] = []  # of each state: what a character must fit, and where it leads
        self._jumps: list[list[int]] = []  # of each state: where one is as well
        self._end = self._build(pattern)
        self._places: dict[frozenset[int], _Place] = {}
        self._folder = ""  # the last path's, with its slash, and where it leads
        self._begin_anew()

    def matches(self, path: str) -> bool:
        """Whether the whole path fits."""
        folder, slash, name = path.rpartition("/")
        if folder + slash != self._folder:  # names of one folder mostly come one after the other
            self._folder, self._inside = folder + slash, reduce(getitem, folder + slash, self._first)
        return bool(self._inside.states) and self._end in reduce(getitem, name, self._inside).states

    def follow(self, states: Iterable[int], char: str) -> _Place:
        """Where a character leads from all of the states."""
        reached = (to for state in states for fits, to in self._steps[state] if fits(char))
        if self._left <= 0:
            self._begin_anew()
        place = self._place(reached)
        self._left -= 1 + len(place.states)
        return place

    def _begin_anew(self) -> None:
        for place in self._places.values():
            place.clear()  # they lead to each other, and would wait for the collector
        self._places.clear()
        self._left = _REMEMBERED
        self._first = self._place([0])
        self._folder, self._inside = "", self._first

    def _place(self, reached: Iterable[int]) -> _Place:
        states, open_ends = set(), list(reached)
        while open_ends:
            state = open_ends.pop()
            if state not in states:
                states.add(state)
                open_ends += self._jumps[state]
        key = frozenset(states)
        if key not in self._places:
            self._places[key] = _Place(self, key)
        return self._places[key]

    def _build(self, pattern: str) -> int:
        """Add the pattern's states; the last one."""
        here, before = self._add(), ""
        groups: list[tuple[int, int]] = []  # where the choices of each open brace begin and end
        for sign, fits in _parse(pattern):
            if sign == "{":
                groups.append((here, self._add()))
                here = self._add(here)
            elif sign == ",":
                self._jumps[here].append(groups[-1][1])
                here = self._add(groups[-1][0])
            elif sign == "}":
                self._jumps[here].append(groups[-1][1])
                here = groups.pop()[1]
            elif not sign:
                self._steps[here].append((fits, self._add()))
                here = self._steps[here][-1][1]
            elif sign != before:  # the same once more adds nothing
                here = self._add_wild(here, sign)
            before = sign
        if groups:
            raise re.error("a brace is not closed")
        return here

    def _add(self, before: int | None = None) -> int:
        """A new state, to which one jumps from the one before."""
        self._steps.append([])
        self._jumps.append([])
        state = len(self._steps) - 1
        if before is not None:
            self._jumps[before].append(state)
        return state

    def _add_wild(self, before: int, sign: str) -> int:
        state = self._add(before)
        if sign == "**/":  # any number of whole folders
            folder = self._add()
            self._steps[state].append((_in_name, folder))
            self._steps[folder] += [(_in_name, folder), ("/".__eq__, state)]
        else:
            self._steps[state].append((_in_name if sign == "*" else _anything, state))
        return state


class _Place(Row):
    """States that a path may be in at once, as a table of where each next character leads, filled when asked."""

    def __init__(self, automaton: _Automaton, states: frozenset[int]) -> None:
        super().__init__()
        self._automaton = automaton
        self.states = states

    def __missing__(self, char: str) -> _Place:
        place = self[char] = self._automaton.follow(self.states, char)
        return place


def _parse(pattern: str) -> Iterator[tuple[str, Fits]]:
    """The pattern's signs (a wild one, a brace, a comma between braces), or "" with what one character must fit."""
    at, depth = 0, 0
    while at < len(pattern):
        char = pattern[at]
        wild = next((sign for sign in _WILD if pattern.startswith(sign, at)), "")
        negated = pattern.startswith(("[!", "[^"), at)
        closing = pattern.find("]", at + 2 + negated) if char == "[" else -1
        if wild:
            yield wild, _anything
        elif closing > 0:
            inside = re.sub(r"[\\\[&|~]", r"\\\g<0>", pattern[at + 1 + negated : closing])
            yield "", re.compile("[" + "^" * negated + inside + "]").match
        elif char == "{" or (char in ",}" and depth):
            depth += {"{": 1, "}": -1, ",": 0}[char]
            yield char, _anything
        else:
            yield "", _in_name if char == "?" else char.__eq__
        at = closing + 1 if closing > 0 else at + (len(wild) or 1)


def _in_name(char: str) -> bool:
    return char != "/"


def _anything(_: str) -> bool:
    return True
