"""A section of ours inside a text that is somebody else's, between two hidden markers; no other character changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from workflows.texts.outbound import MAX_CHARACTERS

_FENCE = re.compile(r"[ \t>]{0,20}(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)")


def put_section(body: str, section: str, *, name: str, limit: int = MAX_CHARACTERS) -> str | None:
    """``body`` with ``section`` as its section ``name``; None when that is longer than ``limit`` characters.

    A complete section of that name is replaced where it stands: the last one, when somebody copied it. Without one, as
    when a marker was damaged, it is put at the end, or at the start of a text whose end is in an open code block or
    comment. What a damaged section held is left alone: whose words they are by now cannot be known. Raises ValueError
    for a section that holds such a marker. ``name`` is letters, digits and dashes.
    """
    if any(pattern.search(section) for pattern in _markers(name)):
        raise ValueError("a section cannot hold its own markers")
    start, end = _place(body, name) or _new_place(body)
    written = f"{body[:start]}{_dressed(body, section, name)}{body[end:]}"
    return written if len(written) <= limit else None


def section_room(body: str, *, name: str, limit: int = MAX_CHARACTERS) -> int:
    """How many characters a section ``name`` may have in this body; 0 when there is no room."""
    start, end = _place(body, name) or _new_place(body)
    return max(0, limit - (len(body) - (end - start)) - len(_dressed(body, "", name)))


def parse_section(body: str, *, name: str) -> str | None:
    """The words between the markers as they stand now, with plain line ends; None without a complete section."""
    place = _place(body, name)
    if place is None:
        return None
    lines = body[slice(*place)].replace("\r\n", "\n").strip("\n").split("\n")
    return "\n".join(lines[1:-1])


def _opening(name: str) -> str:
    return f"<!-- forgehand:section={name} -->"


def _closing(name: str) -> str:
    return f"<!-- forgehand:end={name} -->"


@lru_cache(maxsize=16)
def _markers(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Each marker, alone on its line: in a quote or a sentence it is somebody's words about us."""
    opening, closing = (rf"(?m)^{re.escape(text)}(?=[ \t]*\r?$)" for text in (_opening(name), _closing(name)))
    return re.compile(opening), re.compile(closing)


def _place(body: str, name: str) -> tuple[int, int] | None:
    """Where the last complete section stands, its markers included: a closing marker and the opening one before it."""
    found = None
    opened = None
    for position, end, opens in _marks(body, name):
        if opens:
            opened = position
        elif opened is not None:
            found = (opened, end)
            opened = None
    return found


def _marks(body: str, name: str) -> Iterator[tuple[int, int, bool]]:
    opening, closing = _markers(name)
    marks = [(*match.span(), True) for match in opening.finditer(body)]
    marks += [(*match.span(), False) for match in closing.finditer(body)]
    yield from sorted(marks)


def _new_place(body: str) -> tuple[int, int]:
    at = 0 if _open_ended(body) else len(body)
    return at, at


def _dressed(body: str, section: str, name: str) -> str:
    """The section between its markers, with blank lines towards the words around it when it is new there."""
    text = f"{_opening(name)}\n{section}\n{_closing(name)}"
    if _place(body, name) is not None or not body:
        return text
    if _open_ended(body):
        return f"{text}\n\n"
    return f"\n\n{text}" if not body.endswith("\n") else f"\n{text}"


def _open_ended(body: str) -> bool:
    """Whether what is added at the end would be swallowed: a fence or an HTML comment is still open there."""
    fence = ""
    for line in body.splitlines():
        match = _FENCE.fullmatch(line)
        if match is None:
            continue
        if not fence:
            fence = match["fence"] if match["fence"][0] == "~" or "`" not in match["info"] else ""
        elif match["fence"].startswith(fence) and not match["info"].strip():
            fence = ""
    return bool(fence) or body.rfind("<!--") > body.rfind("-->")
