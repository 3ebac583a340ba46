"""Our text in the body of our own pull request: between markers, renewed only where people left it as we wrote it."""

from __future__ import annotations

import hashlib
import re
from itertools import count

from workflows.texts.marked_section import parse_sections, put_section
from workflows.texts.outbound import MAX_CHARACTERS

NAME = "change"
MARKS = 300
"""Characters, at most, that the markers and the seal take."""
_SEAL = re.compile(r"^<!-- forgehand:text=([0-9a-f]{16}) -->\s*\Z", re.MULTILINE)
_EDITED = "The work went on. The text above was edited by people, so it stays as it is, and this stands beside it."


def first_body(text: str) -> str:
    """The body as it is first written; ``text`` has at most MAX_CHARACTERS - MARKS characters."""
    return put_section("", _sealed(text), name=NAME) or text


def renewed_body(body: str, text: str) -> str | None:
    """``body`` as people left it, with ``text`` in the place of what we wrote last; None when there is no room.

    What people edited in our own text stays too: then the new one stands below. Done again, it changes nothing.
    """
    sections = parse_sections(body)
    names = (NAME if number == 1 else f"{NAME}-{number}" for number in count(1))
    name = next(name for name in names if name not in sections or _is_as_written(sections[name]))
    told = text if name == NAME else f"{_EDITED}\n\n{text}"
    return put_section(body, _sealed(told), name=name, limit=MAX_CHARACTERS)


def _sealed(text: str) -> str:
    """The text with a hidden digest of itself at its end, by which an edit is known."""
    # A repository's template could hold such a line; a section cannot.
    text = re.sub(r"(?m)^(<!-- forgehand):(?=section=|end=|text=)", r"\1 ", text)
    return f"{text}\n\n<!-- forgehand:text={_digest(text)} -->"


def _is_as_written(section: str | None) -> bool:
    if section is None:
        return False  # with markers within it, which we never write
    seal = _SEAL.search(section)
    return seal is not None and seal[1] == _digest(section[: seal.start()])


def _digest(text: str) -> str:
    # GitHub's page sends other line ends, and takes blanks off the end.
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n")]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
