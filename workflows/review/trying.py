"""Suggestions tried in the sandbox before anybody sees them: applied to the head, and the tests run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workflows.review.findings import Finding
from workflows.review.suggestions import SuggestionCheck, SuggestionMistake, patch_suggestions
from workflows.types import Patch, TestRun

ReadFile = Callable[[str], tuple[str, bytes] | None]
"""Mode and content of a file of the head, None where it is none."""


def try_suggestions(
    findings: Sequence[Finding],
    *,
    head: str,
    read: ReadFile,
    run: Callable[[Patch], TestRun | None] | None,
    before: TestRun | None,
) -> tuple[Finding, ...]:
    """Each finding with what became of its suggestion; one that does not apply is taken away.

    ``run`` gives the tests with a patch, None where they cannot be run; ``before`` are they without one.
    """
    tried = []
    for finding in findings:
        if finding.suggestion is None or finding.anchor is None:
            tried.append(finding)
            continue
        file = read(finding.path)
        files = {} if file is None else {finding.path: file}
        patch = patch_suggestions(head, files, [(finding.anchor, finding.suggestion)])
        if isinstance(patch, SuggestionMistake):
            tried.append(finding.model_copy(update={"suggestion": None}))
            continue
        check = SuggestionCheck(status="untested", reason="No test command is known, or it may not be run here.")
        if run is not None:
            check = judge_run(run(patch), before)
        tried.append(finding.model_copy(update={"check": check}))
    return tuple(tried)


def judge_run(after: TestRun | None, before: TestRun | None) -> SuggestionCheck:
    """What a run with the suggestion says, against the run without it: nothing that passed may fail."""
    if after is None or after.timed_out or after.exit_code is None:
        return SuggestionCheck(status="untested", reason="The tests did not run to their end.")
    command = after.command
    if after.cases is None or before is None or before.cases is None:
        good = after.exit_code == 0
        return SuggestionCheck(status="tested" if good else "failed", command=command)
    passed = {case.id for case in after.cases if case.outcome == "passed"}
    broken = {case.id for case in before.cases if case.outcome == "passed"} - passed
    return SuggestionCheck(status="failed" if broken else "tested", passed=len(passed), command=command)
