"""Test runs in words: what the model is told, and in which order."""

from __future__ import annotations

from workflows.agent.clipping import clip
from workflows.agent.done.run_report import render_tests
from workflows.agent.done.tally import MOST_FAILING, compare_runs, failing_ids, tally
from workflows.types import TestCase, TestRun


def run(*cases: str, exit_code: int | None = 1, **more: object) -> TestRun:
    """A run from words such as ``failed:a``."""
    told = [case.partition(":") for case in cases]
    return TestRun.model_validate(
        {
            "command": "pytest -q",
            "exit_code": exit_code,
            "seconds": 1.0,
            "cases": [{"id": name, "outcome": outcome} for outcome, _, name in told],
        }
        | more
    )


def test_clip_keeps_head_and_tail() -> None:
    """What is left out is counted, and short text stays as it is."""
    assert clip("short", 10) == "short"
    assert clip("a" * 50 + "b" * 50, 20) == "a" * 10 + "\n[… 80 characters left out …]\n" + "b" * 10


def test_test_runs_are_told_with_counts_and_first_failures() -> None:
    """Counts, at most ten failures with their messages, and the end of the log."""
    failures = [TestCase(id=f"t::{n}", outcome="failed", message="assert 1 == 2") for n in range(12)]
    cases = (*failures, TestCase(id="t::ok", outcome="passed"))
    done = TestRun(command="pytest -q", exit_code=1, seconds=2.0, cases=cases, log_tail="=== 12 failed ===")
    text = render_tests(done)
    assert text.startswith("$ pytest -q\nexit code 1\n12 failed, 1 passed\nFAILED t::0: assert 1 == 2")
    assert "… and 2 more" in text
    assert text.endswith("End of the log:\n=== 12 failed ===")
    assert render_tests(TestRun(command="x", exit_code=0, seconds=1.0)) == "$ x\nexit code 0"
    hung = TestRun(command="x", exit_code=None, seconds=1.0, timed_out=True, cases=())
    assert "timed out" in render_tests(hung)
    assert "no tests were run" in render_tests(hung)


def test_the_delta_names_what_is_new() -> None:
    """Newly failing tests come first, those that passed before ahead of new ones; the old failures are counted."""
    before = run("failed:old", "failed:mended", "passed:fine", "passed:soon broken")
    after = run("failed:old", "passed:mended", "error:fresh", "failed:soon broken", "passed:fine")
    text = render_tests(after, baseline=before)
    assert text.splitlines()[2:] == [
        "2 failed, 2 passed, 1 error (1 of them failed before your change too)",
        "newly failing: soon broken, fresh (did not run before)",
        "now passing: mended",
        "FAILED soon broken: ",
        "ERROR fresh: ",
        "FAILED old: ",
    ]


def test_old_failures_alone_are_told_as_such() -> None:
    """A suite that was red before is no worse for being as red now."""
    text = render_tests(run("failed:old", "passed:fine"), baseline=run("failed:old"))
    assert "1 failed, 1 passed (all that fail failed before your change too)" in text
    assert "newly failing" not in text


def test_a_baseline_without_a_report_speaks_by_its_exit_code() -> None:
    """Which tests failed before is not known, but whether they did."""
    silent = TestRun(command="x", exit_code=2, seconds=1.0)
    assert "failed too (exit code 2)" in render_tests(run("failed:a"), baseline=silent)
    green = silent.model_copy(update={"exit_code": 0})
    assert "before your change this repository's tests passed" in render_tests(run("failed:a"), baseline=green)
    hung = silent.model_copy(update={"exit_code": None})
    assert "did not end either" in render_tests(run("failed:a"), baseline=hung)
    assert "before" not in render_tests(run("passed:a", exit_code=0), baseline=green)


def test_a_flood_of_failures_stays_short() -> None:
    """Ten thousand failing tests with long names and messages are told in a few pages."""
    cases = tuple(TestCase(id=f"{n}" * 500, outcome="failed", message="m" * 90_000) for n in range(10_000))
    done = TestRun(command="x", exit_code=1, seconds=1.0, cases=cases, log_tail="l" * 90_000)
    assert len(render_tests(done, baseline=run("passed:a"))) < 20_000
    assert len(tally(done, targeted=False).failing) == MOST_FAILING
    assert tally(done, targeted=False).failed == 10_000


def test_a_tally_counts_and_names() -> None:
    """Errors are failures, skipped tests are neither, a test that failed twice is named once."""
    counted = tally(run("failed:a", "error:b", "failed:a", "passed:c", "skipped:d"), targeted=True)
    assert (counted.exit_code, counted.passed, counted.failed, counted.failing) == (1, 1, 3, ("a", "b"))
    assert counted.targeted
    assert counted.counted
    assert not tally(TestRun(command="x", exit_code=0, seconds=1.0), targeted=False).counted
    assert failing_ids(None) == ()
    assert compare_runs(run(), TestRun(command="x", exit_code=0, seconds=1.0)) is None


def test_a_test_that_was_run_twice_counts_as_it_failed() -> None:
    """A parametrised id that passes once and fails once is failing, before and after."""
    delta = compare_runs(run("passed:a", "failed:a", "passed:b"), run("failed:b", "passed:b"))
    assert delta is not None
    assert [case.id for case in delta.unknown + delta.broken] == ["a"]
    assert delta.mended == ("b",)
