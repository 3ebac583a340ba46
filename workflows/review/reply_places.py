"""Which file and lines a point of a reviewer's reply is about, in whatever form a model writes them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from workflows.review.anchors import Anchor, LineMap
from workflows.types import Side

NOTHING_MOVED: Mapping[str, str] = MappingProxyType({})
LONGEST_RANGE = 500
SHORTEST_PART = 6
"""Signs of code without white space: a shorter piece of a line may stand anywhere."""
_SHOWN_NUMBERS = re.compile(r"^\s*(?:\d+[\s:|]+){1,2}")
_LINE_AFTER = re.compile(r"(?:#L|:L?)\d+(?:[-:,]L?\d+)*$")


def text_of(item: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that holds words, stripped."""
    values = (item.get(name) for name in names)
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def find_path(written: str, changed: Collection[str], others: Collection[str], *, moved: Mapping[str, str]) -> str:
    """The file that is meant, of those ``changed`` first; empty when there is none, or several could be.

    ``moved`` are the names of files before the change, with those of now.
    """
    forms = list(dict.fromkeys(_forms(written)))
    for form in forms:
        if form in changed or form in others:
            return form
    for form in forms:
        if form in moved:
            return moved[form]
    for known in (changed, others):
        ends = tuple(f"/{form}" for form in forms if form)
        meant = [path for path in known if ends and path.endswith(ends)]
        if meant:
            return meant[0] if len(meant) == 1 else ""
    return ""


def locate(item: Mapping[str, Any], lines: LineMap) -> tuple[Anchor | None, bool]:
    """The anchor that an item means, and whether it is on all the lines that it names, in the head.

    Models miscount lines, so the code that they quote has the last word: where it is nowhere, no line is meant.
    """
    said = text_of(item, "side").upper()
    side: Side = "LEFT" if said == "LEFT" or not lines.numbers("RIGHT") else "RIGHT"
    first, last = _range(item)
    quoted = next((line for line in text_of(item, "code").split("\n") if re.search(r"\w", line)), "")
    if quoted:
        side, near = _find_quoted(quoted, lines, side, (first, last))
        if not near:
            return None, False
        if first is None or first not in near:
            moved = min(near, key=lambda number: (abs(number - (first or number)), number))
            first, last = moved, moved + (last - first if first is not None and last is not None else 0)
    if last is None or first is None:
        return None, False
    anchor = lines.fit(last, side=side, start_line=first)
    return anchor, anchor is not None and (anchor.side, anchor.first, anchor.line) == ("RIGHT", first, last)


def _forms(written: str) -> Iterator[str]:
    """A path as it is written, and without what models put around it; the shorter, the later."""
    yield written
    plain = _LINE_AFTER.sub("", written.strip("`'\" ")).strip("`'\" ").replace("\\", "/")
    yield plain
    plain = re.sub(r"^(?:\.?/)+", "", plain)
    yield plain
    plain = plain.removeprefix("workspace/")
    yield plain
    yield re.sub(r"^[ab]/", "", plain)


def _find_quoted(
    quoted: str, lines: LineMap, side: Side, named: tuple[int | None, int | None]
) -> tuple[Side, tuple[int, ...]]:
    """The side and the lines that hold this code: the side that is meant first, and of the named lines parts too."""
    other: Side = "RIGHT" if side == "LEFT" else "LEFT"
    bare = _SHOWN_NUMBERS.sub("", quoted).lstrip()
    for text in (quoted, bare):
        for on in (side, other):
            if near := lines.find(text, side=on):
                return on, near
    # A sign of the diff before the line is a habit.
    if bare[:1] in ("+", "-"):
        for on in ("LEFT", "RIGHT") if bare[0] == "-" else (side, other):
            if near := lines.find(bare[1:], side=on):
                return on, near
    first, last = named
    numbers = range(first, last + 1) if first is not None and last is not None else ()
    return side, tuple(number for number in numbers if _is_part(bare, lines.text(number, side=side) or ""))[:1]


def _is_part(quoted: str, line: str) -> bool:
    """Whether one is a piece of the other: quotes leave out comments, or end in an ellipsis."""
    one, other = ("".join(text.rstrip("….").split()) for text in (quoted, line))
    return min(len(one), len(other)) >= SHORTEST_PART and (one in other or other in one)


def _range(item: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The first and last line in whatever form: numbers, "12", "L12-15"."""
    first = _first_numbers(item, ("start_line", "startLine", "line_start", "first_line"))
    last = _first_numbers(
        item, ("line", "end_line", "lines", "endLine", "line_end", "last_line", "line_number", "lineNumber")
    )
    numbers = [*first[:1], *last]
    if not numbers:
        return None, None
    low, high = min(numbers), max(numbers)
    return low, min(high, low + LONGEST_RANGE)


def _first_numbers(item: Mapping[str, Any], names: tuple[str, ...]) -> list[int]:
    return next((found for name in names if (found := _numbers(item.get(name)))), [])


def _numbers(value: Any) -> list[int]:
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [int(value)] if 0 < value < 10**9 and value == int(value) else []
    if isinstance(value, list):
        return [number for one in value[:2] for number in _numbers(one)]
    if not isinstance(value, str):
        return []
    return [int(digits) for digits in re.findall(r"(?<![.\d])(\d{1,9})(?:\.0+)?(?!\d)", value)[:2] if int(digits)]
