"""A section of ours in somebody's text: everything else stays as it was, character for character."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.texts.marked_section import parse_section, put_section, section_room
from workflows.texts.outbound import MARKER, MAX_CHARACTERS, clean_outbound

OPEN = "<!-- forgehand:section=describe -->"
CLOSE = "<!-- forgehand:end=describe -->"


def put(body: str, section: str = "new") -> str:
    """Put it, and check that a second time changes nothing and that it is read back."""
    once = put_section(body, section, name="describe")
    assert once is not None
    assert put_section(once, section, name="describe") == once
    assert parse_section(once, name="describe") == section
    return once


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", f"{OPEN}\nnew\n{CLOSE}"),
        ("words", f"words\n\n{OPEN}\nnew\n{CLOSE}"),
        ("words\n", f"words\n\n{OPEN}\nnew\n{CLOSE}"),
        (f"a\n{OPEN}\nold\n{CLOSE}\nb", f"a\n{OPEN}\nnew\n{CLOSE}\nb"),
        (f"a\r\n{OPEN}\r\nold\r\n{CLOSE}\r\nb\r\n", f"a\r\n{OPEN}\nnew\n{CLOSE}\r\nb\r\n"),
        (f"{OPEN}\n{CLOSE}", f"{OPEN}\nnew\n{CLOSE}"),
        # doubled: the last one is ours
        (f"{OPEN}\n1\n{CLOSE}\nx\n{OPEN}\n2\n{CLOSE}", f"{OPEN}\n1\n{CLOSE}\nx\n{OPEN}\nnew\n{CLOSE}"),
        # damaged: what is left is somebody's
        (f"a\n{OPEN}\nmine now?", f"a\n{OPEN}\nmine now?\n\n{OPEN}\nnew\n{CLOSE}"),
        (f"a\n{CLOSE}\nb", f"a\n{CLOSE}\nb\n\n{OPEN}\nnew\n{CLOSE}"),
        (f"{CLOSE}\na\n{OPEN}", f"{CLOSE}\na\n{OPEN}\n\n{OPEN}\nnew\n{CLOSE}"),
        (f"{OPEN}\na\n{OPEN}\nold\n{CLOSE}\nb", f"{OPEN}\na\n{OPEN}\nnew\n{CLOSE}\nb"),
        # somebody's words about the markers
        (f"> {OPEN}\n> {CLOSE}", f"> {OPEN}\n> {CLOSE}\n\n{OPEN}\nnew\n{CLOSE}"),
        # an end that would swallow it
        ("```\ncode", f"{OPEN}\nnew\n{CLOSE}\n\n```\ncode"),
        ("```\ncode\n```", f"```\ncode\n```\n\n{OPEN}\nnew\n{CLOSE}"),
        ("~~~\n```", f"{OPEN}\nnew\n{CLOSE}\n\n~~~\n```"),
        ("a <!-- hidden", f"{OPEN}\nnew\n{CLOSE}\n\na <!-- hidden"),
        ("a <!-- hidden -->", f"a <!-- hidden -->\n\n{OPEN}\nnew\n{CLOSE}"),
    ],
)
def test_where_it_is_put(body: str, expected: str) -> None:
    """A complete section is replaced where it stands; without one, it is put where it is seen."""
    assert put(body) == expected


def test_other_names() -> None:
    """Sections of other names are somebody else's words."""
    other = put_section("words", "theirs", name="evidence")
    assert other is not None
    assert put(other).startswith(other)
    assert parse_section(other, name="describe") is None


def test_its_own_markers() -> None:
    """A section that holds its own marker could never be found again: that is a bug of the caller's."""
    with pytest.raises(ValueError, match="markers"):
        put_section("words", f"a\n{CLOSE}\nb", name="describe")


@pytest.mark.parametrize("body", ["", "x", "x" * 60_000, "x" * 65_400, "x\n" * 32_000, "```\n" + "x" * 64_000])
def test_the_limit(body: str) -> None:
    """A section as long as the room fits exactly; one character more does not, and the body is never cut."""
    for current in (body, put_section(body, "old", name="describe") or body):
        room = section_room(current, name="describe")
        fits = put_section(current, "y" * room, name="describe")
        assert fits is not None
        assert len(fits) == MAX_CHARACTERS
        assert put_section(current, "y" * (room + 1), name="describe") is None


def test_no_room() -> None:
    """A body at the limit has no room, and nothing is written."""
    assert section_room("x" * MAX_CHARACTERS, name="describe") == 0
    assert put_section("x" * MAX_CHARACTERS, "", name="describe") is None


def test_the_markers_pass_the_filter() -> None:
    """The markers are of the form that our own filter keeps."""
    assert MARKER.fullmatch(OPEN)
    assert clean_outbound(put("words")) == put("words")


_pieces = st.sampled_from([OPEN, CLOSE, "\n", "\r\n", "words", "```", "~~~", "<!--", "-->", " ", "> "])


@given(st.lists(_pieces, max_size=25).map("".join), st.text(alphabet="ab\n `<", max_size=20))
def test_other_words_are_left_alone(body: str, section: str) -> None:
    """However damaged a body is: it is the same again without what was put in, and putting again changes nothing."""
    written = put(body, section)
    again = put(written, "other")
    before, _, rest = again.partition(f"{OPEN}\nother\n{CLOSE}")
    assert written == f"{before}{OPEN}\n{section}\n{CLOSE}{rest}"
    if parse_section(body, name="describe") is None:
        assert body in (before.rstrip("\n"), before.removesuffix("\n"), before.removesuffix("\n\n"), rest[2:], before)
    else:
        assert body.startswith(before)
        assert body.endswith(rest)


@pytest.mark.parametrize("piece", [f"{OPEN}\n", f"{CLOSE}\n", f"{OPEN}\n{CLOSE}\n", "```\n", "<!--", "\n", "> "])
def test_hostile_size(piece: str) -> None:
    """A body of 65,536 characters costs under half a second, on a busy machine too."""
    body = piece * (65_536 // len(piece))
    start = time.thread_time()
    put_section(body, "new", name="describe")
    assert time.thread_time() - start < 0.5
