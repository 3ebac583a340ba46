"""A section of ours inside a text that is somebody else's, between two hidden markers; no other character changes."""

from __future__ import annotations

import re
from typing import NamedTuple

from workflows.texts.outbound import MAX_CHARACTERS

# A marker is alone on its line: in a quote or a sentence it is somebody's words about us.
_MARKER = re.compile(r"(?m)^<!-- forgehand:(section|end)=([A-Za-z0-9-]+) -->(?=[ \t]*\r?$)")
_FENCE = re.compile(r"[ \t>]{0,20}(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)")


def put_section(body: str, section: str, *, name: str, limit: int = MAX_CHARACTERS) -> str | None:
    """``body`` with ``section`` as its section ``name``; None when that is longer than ``limit`` characters.

    A complete section of that name is replaced where it stands: the last one, when somebody copied it. Without one, as
    when a marker was damaged, it is put at the end, or at the start of a text whose end is in an open code block or
    comment. What a damaged section held is left alone: whose words they are by now cannot be known. Raises ValueError
    for a section that holds such a marker. ``name`` is letters, digits and dashes.
    """
    if any(marker[2] == name for marker in _MARKER.finditer(section)):
        raise ValueError("a section cannot hold its own markers")
    start, end, _ = _places(body).get(name) or _new_place(body)
    written = f"{body[:start]}{_dressed(body, section, name)}{body[end:]}"
    return written if len(written) <= limit else None


def section_room(body: str, *, name: str, limit: int = MAX_CHARACTERS) -> int:
    """How many characters a section ``name`` may have in this body; 0 when there is no room."""
    start, end, _ = _places(body).get(name) or _new_place(body)
    return max(0, limit - (len(body) - (end - start)) - len(_dressed(body, "", name)))


def parse_section(body: str, *, name: str) -> str | None:
    """The words between the markers as they stand now, with plain line ends; None without a complete section."""
    place = _places(body).get(name)
    return None if place is None else _words(body, place)


def parse_sections(body: str) -> dict[str, str | None]:
    """Each complete section's words by its name, as :func:`parse_section` gives them; None where other markers stand
    between its own. So they are no longer than the body, all together.
    """
    return {name: None if place.mixed else _words(body, place) for name, place in _places(body).items()}


class _Place(NamedTuple):
    """Where a section stands, its markers included. ``mixed``: other markers are between its own."""

    start: int
    end: int
    mixed: bool = False


def _words(body: str, place: _Place) -> str:
    lines = body[place.start : place.end].replace("\r\n", "\n").strip("\n").split("\n")
    return "\n".join(lines[1:-1])


def _opening(name: str) -> str:
    return f"<!-- forgehand:section={name} -->"


def _closing(name: str) -> str:
    return f"<!-- forgehand:end={name} -->"


def _places(body: str) -> dict[str, _Place]:
    """The last complete section of each name: a closing marker and the opening one before it."""
    found: dict[str, _Place] = {}
    opened: dict[str, tuple[int, int]] = {}
    for count, marker in enumerate(_MARKER.finditer(body)):
        kind, name = marker.groups()
        if kind == "section":
            opened[name] = (marker.start(), count)
        elif name in opened:
            start, before = opened.pop(name)
            found[name] = _Place(start, marker.end(), mixed=count > before + 1)
    return found


def _new_place(body: str) -> _Place:
    at = 0 if _open_ended(body) else len(body)
    return _Place(at, at)


def _dressed(body: str, section: str, name: str) -> str:
    """The section between its markers, with blank lines towards the words around it when it is new there."""
    text = f"{_opening(name)}\n{section}\n{_closing(name)}"
    if name in _places(body) or not body:
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
