"""Which issues a change is held against: those that its author says it closes, in words."""

from __future__ import annotations

import time

import pytest

from workflows.review.demands import Demand, Demands, parse_closed, say_demands

OURS = "octo/calc"


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ("Closes #1, fixes octo/calc#2.\nResolves: https://github.com/Octo/Calc/issues/3", (1, 2, 3)),
        ("fixes other/repository#4", ()),
        ("<!-- Link the issue: Closes #1 -->\nA mean. Closes #2", (2,)),
        ("<!--\nCloses #1\n-->\n", ()),
        ("Write `Closes #1` or ``fixes `#2` `` there. Fixes #3", (3,)),
        ("```\nCloses #1\n~~~\nCloses #2\n```\nCloses #3", (3,)),
        ("~~~text\nCloses #1\n", ()),
        ("> Closes #1\n\nCloses #2", (2,)),
        ("Closes #1. Closes #1.", (1,)),
    ],
)
def test_what_a_description_closes(body: str, numbers: tuple[int, ...]) -> None:
    """GitHub's words in the author's own lines count; comments of a template, code and quotes do not."""
    assert parse_closed(body, OURS) == numbers


@pytest.mark.parametrize("body", ["`" * 60_000, "`a" * 30_000, "` `` " * 12_000, "<!--" * 15_000, "> " * 30_000])
def test_hostile_descriptions_take_little_time(body: str) -> None:
    """However its backticks and comments are put, a description is read in time in proportion to it."""
    began = time.thread_time()
    assert parse_closed(body, OURS) == ()
    assert time.thread_time() - began < 2


def test_what_the_change_was_held_against_is_said() -> None:
    """Each issue is named, and those that were too many."""
    demands = tuple(Demand(number=number, author="alice", title="t", body="b") for number in (7, 8))
    said = say_demands(Demands(demands=demands, left_out=(9,)))
    assert said.startswith("The change was held against the issues that it says it closes: `#7`, `#8`; ")
    assert said.endswith("; for want of room not against `#9`.")
    assert say_demands(Demands(left_out=(9,))) == ""
