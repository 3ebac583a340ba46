"""A test run in words for the model: how it ended, what changed against the run before any change, what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from workflows.agent.clipping import clip
from workflows.agent.done.tally import FAILED, Delta, compare_runs
from workflows.types import TestCase, TestRun

MOST_FAILURES_SHOWN = 10
MOST_NAMED = 10
LONGEST_MESSAGE = 600
LONGEST_ID = 300
LOG_BESIDE_FAILURES = 3_000
LOG_ALONE = 10_000


def render_tests(done: TestRun, *, baseline: TestRun | None = None) -> str:
    """A test run for the model: the command, counts, the delta against ``baseline``, the first failures, the log's end.

    Tests that passed before come before new ones, and those before the ones that failed before too.
    """
    lines = [f"$ {done.command}", _render_ending(done)]
    delta = compare_runs(done, baseline) if baseline is not None else None
    failures = [case for case in done.cases or () if case.outcome in FAILED]
    if delta is not None:
        failures = [*delta.broken, *delta.unknown, *delta.old]
    if done.cases is not None:
        lines.append(_render_counts(done.cases, delta))
    if delta is not None:
        lines += _render_delta(delta)
    elif baseline is not None and done.exit_code != 0:
        lines.append(_render_exit_before(baseline))
    for case in failures[:MOST_FAILURES_SHOWN]:
        head = f"{case.outcome.upper()} {clip(case.id, LONGEST_ID)}"
        lines.append(f"{head}: {clip(case.message.strip(), LONGEST_MESSAGE)}")
    if len(failures) > MOST_FAILURES_SHOWN:
        lines.append(f"… and {len(failures) - MOST_FAILURES_SHOWN} more")
    if done.exit_code != 0 and done.log_tail:
        lines += ["End of the log:", clip(done.log_tail, LOG_BESIDE_FAILURES if failures else LOG_ALONE)]
    return "\n".join(lines)


def _render_ending(done: TestRun) -> str:
    if done.timed_out:
        return "timed out and was ended; run fewer targets"
    if done.out_of_memory:
        return f"exit code {done.exit_code}: the sandbox ran out of memory; run fewer targets"
    return f"exit code {done.exit_code}"


def _render_counts(cases: Sequence[TestCase], delta: Delta | None) -> str:
    counts = Counter(case.outcome for case in cases)
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "no tests were run"
    if delta is None or not delta.old:
        return told
    if not delta.broken and not delta.unknown:
        return f"{told} (all that fail failed before your change too)"
    return f"{told} ({len(delta.old)} of them failed before your change too)"


def _render_delta(delta: Delta) -> list[str]:
    lines = []
    if delta.broken or delta.unknown:
        broken = [case.id for case in delta.broken]
        fresh = [f"{case.id} (did not run before)" for case in delta.unknown]
        lines.append(f"newly failing: {_named([*broken, *fresh])}")
    if delta.mended:
        lines.append(f"now passing: {_named(delta.mended)}")
    return lines


def _render_exit_before(baseline: TestRun) -> str:
    if baseline.exit_code == 0:
        return "before your change this repository's tests passed"
    if baseline.exit_code is None:
        return "before your change the tests did not end either"
    return f"before your change the tests failed too (exit code {baseline.exit_code})"


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(clip(name, LONGEST_ID) for name in ids[:MOST_NAMED])
    return shown + (f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else "")
