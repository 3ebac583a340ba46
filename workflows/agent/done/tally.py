"""What one test run showed, in numbers that fit in a checkpoint, and set against the run before any change."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.types import TestCase, TestRun, TestTally

MOST_FAILING = 200
FAILED = frozenset({"failed", "error"})


def tally(run: TestRun, *, targeted: bool) -> TestTally:
    """The numbers of a run. ``targeted``: it was not the whole suite. Failing ids keep the report's order."""
    cases = run.cases or ()
    failing = failing_ids(run)
    return TestTally(
        exit_code=run.exit_code,
        passed=sum(case.outcome == "passed" for case in cases),
        failed=sum(case.outcome in FAILED for case in cases),
        failing=failing[:MOST_FAILING],
        targeted=targeted,
        counted=run.cases is not None,
    )


def failing_ids(run: TestRun | None) -> tuple[str, ...]:
    """The ids of the tests that failed or ended in an error, each once, in the report's order; () without a report."""
    cases = run.cases if run is not None else None
    return tuple(dict.fromkeys(case.id for case in cases or () if case.outcome in FAILED))


@dataclass(frozen=True)
class Delta:
    """A run against the one before any change: failing cases by what they were before, and ids that pass now.

    ``broken`` passed before; ``unknown`` were not run before, or skipped; ``old`` failed before. Each in report order.
    """

    broken: tuple[TestCase, ...]
    unknown: tuple[TestCase, ...]
    old: tuple[TestCase, ...]
    mended: tuple[str, ...]


def compare_runs(run: TestRun, baseline: TestRun) -> Delta | None:
    """The delta of two runs, or None when one of them gave no report."""
    if run.cases is None or baseline.cases is None:
        return None
    red = {case.id for case in baseline.cases if case.outcome in FAILED}
    green = {case.id for case in baseline.cases if case.outcome == "passed"} - red
    failing = [case for case in run.cases if case.outcome in FAILED]
    failing_now = {case.id for case in failing}
    passing = (case.id for case in run.cases if case.outcome == "passed" and case.id not in failing_now)
    return Delta(
        broken=tuple(case for case in failing if case.id in green),
        unknown=tuple(case for case in failing if case.id not in green | red),
        old=tuple(case for case in failing if case.id in red),
        mended=tuple(dict.fromkeys(case for case in passing if case in red)),
    )
