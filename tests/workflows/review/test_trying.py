"""A suggestion is shown as tested only when it applied, parsed, and broke no test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.workflows.review.test_render import finding
from workflows.review.suggestions import Suggestion, render_check
from workflows.review.trying import Trial, find_unreadable, judge_run, try_suggestions
from workflows.types import TestCase, TestRun

HEAD = "a" * 40
CONTENT = b"x = 1\ny = 2\n"


def run(*outcomes: Any, exit_code: int | None = 0) -> TestRun:
    cases = tuple(TestCase(id=f"t{number}", outcome=outcome) for number, outcome in enumerate(outcomes))
    return TestRun(command="pytest", exit_code=exit_code, seconds=1.0, cases=cases or None, timed_out=exit_code is None)


TRIAL = Trial(
    head=HEAD,
    read=lambda path: ("100644", CONTENT) if path == "a.py" else None,
    breaks=lambda path, before, after: "line 2: never closed" if b"(" in after else "",
    run=None,
    before=run("passed", "failed", exit_code=1),
    untested="no test command is known",
)


@pytest.mark.parametrize(
    ("after", "status", "passed"),
    [
        (run("passed", "failed", exit_code=1), "tested", 1),
        (run("passed", "passed", "passed"), "tested", 3),
        (run("failed", "passed", exit_code=1), "failed", 1),
        (run("passed", exit_code=None), "untested", 0),
        (run(exit_code=0), "tested", 0),
        (run(exit_code=2), "failed", 0),
        (None, "untested", 0),
    ],
    ids=str,
)
def test_what_the_tests_say(after: TestRun | None, status: str, passed: int) -> None:
    """Tests that failed before may fail; one that passed may not; a run without an end, or without words, says less."""
    [tried] = try_suggestions([finding(suggestion=Suggestion(lines=("y = 3",)))], replace(TRIAL, run=lambda _: after))
    assert tried.check is not None
    assert tried.check.status == status
    assert tried.check.passed == passed or status != "tested"


NOTHING_KNOWN = run(exit_code=2)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (run("passed", "failed", exit_code=1), run("passed", "failed", exit_code=1), "1 passed, 1 failed as before"),
        (run("failed", exit_code=2), run("failed", exit_code=2), "no test passes here"),
        (run("skipped"), run("skipped"), "no test passes here"),
        (NOTHING_KNOWN, NOTHING_KNOWN, "the tests fail, and do not say which"),
        (None, run("passed", "failed", exit_code=1), "the tests fail, and do not say which"),
        (run("passed"), run("passed", "failed", exit_code=1), "broke something"),
        (run("passed"), run("passed", "failed"), "broke something"),
        (run("passed", "passed"), run("passed"), "broke something"),
        (run(), NOTHING_KNOWN, "broke something"),
        (run("passed", exit_code=0), run("passed", exit_code=1), "broke something"),
        (None, run("passed"), "Applied and tested: 1 passed."),
    ],
    ids=str,
)
def test_a_run_shows_something_only_where_tests_pass(before: TestRun | None, after: TestRun, said: str) -> None:
    """What fails with and without a suggestion is said; where nothing passes it is untested; a new failure is one."""
    assert said in render_check(judge_run(after, before))


@pytest.mark.parametrize(
    ("path", "before", "after", "broken"),
    [
        ("a.go", b"package a\n\nvar x = 1\n", b"package a\n\nvar x = (1\n", True),
        ("a.go", b"package a\n\nvar x = 1\n", b"package a\n\nvar x = 2\n", False),
        ("a.go", b"package a\nvar x = (1\n", b"package a\nvar x = (2\n", False),
        ("a.ts", b"const x: number = 1;\n", b"const x: number = {;\n", True),
        ("a.ts", b"const x: number = 1;\n", b"const x: Array<number> = [1];\n", False),
        ("notes.md", b"x\n", b"(\n", False),
    ],
)
def test_what_no_parser_of_the_sandbox_reads(path: str, before: bytes, after: bytes, broken: bool) -> None:
    """A grammar tells of a suggestion that breaks a file in another language, and not of what was broken before."""
    assert bool(find_unreadable(path, before, after)) == broken


def test_what_is_not_run() -> None:
    """Without tests it says why; what does not parse is not run; what does not apply, or is none, is not shown."""
    shown = finding(suggestion=Suggestion(lines=("y = 3",)))
    broken = finding(suggestion=Suggestion(lines=("y = (3",)))
    elsewhere = finding(path="b.py", suggestion=Suggestion(lines=("y = 3",)))
    same = finding(suggestion=Suggestion(lines=("y = 2",)))
    found = try_suggestions([shown, broken, elsewhere, same, finding()], TRIAL)
    assert [one.check and (one.check.status, one.check.reason) for one in found] == [
        ("untested", "no test command is known"),
        ("failed", "line 2: never closed"),
        None,
        None,
        None,
    ]
    assert [one.suggestion is None for one in found] == [False, False, True, True, True]
