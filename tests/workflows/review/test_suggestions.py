"""Suggestions: what GitHub would commit is what is applied here, to the byte, and nothing that does not fit."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.review.lines import added_file
from workflows.review.anchors import Anchor
from workflows.review.suggestions import (
    Suggestion,
    SuggestionCheck,
    SuggestionMistake,
    apply_suggestion,
    parse_suggestion,
    patch_suggestions,
    render_check,
    render_suggestion,
)
from workflows.types import Patch


def anchored(content: bytes, first: int, last: int) -> Anchor:
    anchor = added_file("a.py", content).anchor(last, start_line=first)
    assert anchor is not None
    return anchor


@pytest.mark.parametrize(
    ("content", "first", "last", "lines", "expected"),
    [
        (b"a\nb\nc\n", 2, 2, ("x", "y"), b"a\nx\ny\nc\n"),
        (b"a\nb\nc\n", 2, 3, ("x",), b"a\nx\n"),
        (b"a\nb\nc", 3, 3, ("x",), b"a\nb\nx"),
        (b"a\nb\nc", 2, 2, ("x",), b"a\nx\nc"),
        (b"a\nb\nc", 3, 3, (), b"a\nb\n"),
        (b"a\nb\nc\n", 1, 3, (), b""),
        (b"a\nb\n", 1, 1, ("",), b"\nb\n"),
        (b"a\r\nb\r\nc\r\n", 2, 2, ("x", "y"), b"a\r\nx\r\ny\r\nc\r\n"),
        (b"a\r\nb\r\nc", 3, 3, ("x", "y"), b"a\r\nb\r\nx\r\ny"),
        (b"a\r\nb\r\nc", 2, 3, ("x", "y"), b"a\r\nx\r\ny"),
        (b"a\n\xffb\n", 1, 1, ("é",), "é\n".encode() + b"\xffb\n"),
    ],
)
def test_applied_to_the_byte(content: bytes, first: int, last: int, lines: tuple[str, ...], expected: bytes) -> None:
    """Only the anchor's lines change: line ends, a missing one at the end, and foreign bytes stay as they are."""
    assert apply_suggestion(content, anchored(content, first, last), Suggestion(lines=lines)) == expected


def test_refused_where_it_does_not_fit() -> None:
    """Other code at the lines, lines beyond the end, the left side, and a change of nothing are refused."""
    anchor = anchored(b"a\nb\nc\n", 2, 2)
    new = Suggestion(lines=("x",))
    for content, at, suggestion in (
        (b"a\nz\nb\nc\n", anchor, new),
        (b"a\n", anchor, new),
        (b"", anchor, new),
        (b"a\nb\nc\n", anchor.model_copy(update={"side": "LEFT"}), new),
        (b"a\nb\nc\n", anchor, Suggestion(lines=("b",))),
    ):
        assert isinstance(apply_suggestion(content, at, suggestion), SuggestionMistake)


def test_several_become_one_patch() -> None:
    """Suggestions for a file are applied together whatever their order; two for one line are refused, links too."""
    content = b"a\nb\nc\nd\n"
    first, second = anchored(content, 1, 1), anchored(content, 3, 4)
    chosen = [(first, Suggestion(lines=("x", "y"))), (second, Suggestion(lines=("z",)))]
    patch = patch_suggestions("0" * 40, {"a.py": ("100755", content)}, chosen)
    assert isinstance(patch, Patch)
    assert [(file.path, file.mode, file.content) for file in patch.files] == [("a.py", "100755", b"x\ny\nb\nz\n")]
    over = [*chosen, (anchored(content, 2, 3), Suggestion(lines=("q",)))]
    assert isinstance(patch_suggestions("0" * 40, {"a.py": ("100644", content)}, over), SuggestionMistake)
    same = [(first, Suggestion(lines=("a", "b"))), (first, Suggestion(lines=("a", "c")))]
    assert isinstance(patch_suggestions("0" * 40, {"a.py": ("100644", content)}, same), SuggestionMistake)
    assert isinstance(patch_suggestions("0" * 40, {"a.py": ("120000", content)}, chosen), SuggestionMistake)
    assert isinstance(patch_suggestions("0" * 40, {}, chosen), SuggestionMistake)


@given(st.lists(st.text(alphabet="a`~ \tsugestion", max_size=12), max_size=6).map(tuple))
def test_no_code_closes_its_fence(lines: tuple[str, ...]) -> None:
    """Whatever backticks the lines hold, the block ends at its own last line."""
    first, *within, last = render_suggestion(Suggestion(lines=lines)).split("\n")
    marks = first.removesuffix("suggestion")
    assert (last, tuple(within)) == (marks, lines)
    closing = re.compile(rf"[ \t]*`{{{len(marks)},}}[ \t]*")
    assert not any(closing.fullmatch(line) for line in within)


def test_what_a_model_writes() -> None:
    """A fence around the lines is taken off; blank lines and indentation stay; hidden characters are refused."""
    assert parse_suggestion("```python\n    x = 1\n\n```") == Suggestion(lines=("    x = 1", ""))
    assert parse_suggestion("  a\r\n  b\r\n") == Suggestion(lines=("  a", "  b"))
    assert parse_suggestion("```\nx = 1\n```\ny = 2") == Suggestion(lines=("```", "x = 1", "```", "y = 2"))
    assert isinstance(parse_suggestion("x = '\u202e'"), SuggestionMistake)
    assert isinstance(parse_suggestion("x\n" * 101), SuggestionMistake)
    assert render_check(SuggestionCheck(status="tested", passed=1214)) == "Applied and tested: 1,214 passed."
    assert render_check(SuggestionCheck(status="untested")) == "Not tested."


def test_a_hostile_suggestion_takes_linear_time() -> None:
    """Backticks that close and do not close are gone over once: no other thread runs meanwhile."""
    started = time.thread_time()
    hostile = ("`" * 30_000 + "\n" + "`" * 30_000, "```\n" * 15_000, "```\n" + " " * 60_000)
    for text in (f"{one}x" for one in hostile):
        assert isinstance(parse_suggestion(text), SuggestionMistake)
    assert time.thread_time() - started < 1.0
