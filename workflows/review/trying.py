"""Suggestions tried in the sandbox before anybody sees them: applied to the head, parsed, and the tests run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from sandbox.container import Sandbox
from workflows.repomap.languages import language_of
from workflows.repomap.workers import Source, Workers
from workflows.review.findings import Finding
from workflows.review.suggestions import SuggestionCheck, SuggestionMistake, patch_suggestions
from workflows.services import BrokenWorld
from workflows.types import Patch, TestRun

log = structlog.get_logger()

PARSE_SECONDS = 30.0

ReadFile = Callable[[str], tuple[str, bytes] | None]
"""Mode and content of a file of the head, None where it is none."""


@dataclass(frozen=True)
class Trial:
    """What suggestions are tried with.

    ``read`` gives files of the ``head``. ``breaks`` tells of a path, its content before and after, the syntax error
    that this makes, empty for none. ``run`` gives the tests with a patch; None where they cannot be run, and
    ``untested`` says why. ``before`` are they without a patch.
    """

    head: str
    read: ReadFile
    breaks: Callable[[str, bytes, bytes], str]
    run: Callable[[Patch], TestRun | None] | None
    before: TestRun | None
    untested: str = ""


def try_suggestions(findings: Sequence[Finding], trial: Trial) -> tuple[Finding, ...]:
    """Each finding with what became of its suggestion; one that does not apply is taken away."""
    return tuple(_try(finding, trial) for finding in findings)


def _try(finding: Finding, trial: Trial) -> Finding:
    if finding.suggestion is None or finding.anchor is None:
        return finding
    file = trial.read(finding.path)
    files = {} if file is None else {finding.path: file}
    patch = patch_suggestions(trial.head, files, [(finding.anchor, finding.suggestion)])
    if isinstance(patch, SuggestionMistake):
        return finding.model_copy(update={"suggestion": None})
    [changed] = patch.files
    broken = trial.breaks(finding.path, files[finding.path][1], changed.content or b"")
    if broken:
        check = SuggestionCheck(status="failed", reason=broken)
    elif trial.run is None:
        check = SuggestionCheck(status="untested", reason=trial.untested)
    else:
        check = judge_run(trial.run(patch), trial.before)
    return finding.model_copy(update={"check": check})


def find_broken_syntax(sandbox: Sandbox, path: str, before: bytes, after: bytes) -> str:
    """What the sandbox's own parsers say of a file's change: the error that was not there before, or nothing.

    Languages that it cannot parse, and files that are not text, have none to tell.
    """
    try:
        contents = before.decode("utf-8"), after.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    errors = []
    for content in contents:
        answer = sandbox.tool("write_file", {"path": path, "content": content})
        errors.append(str(answer.data.get("syntax_error", "")))
    # The head stays as it was for whoever comes next.
    sandbox.tool("write_file", {"path": path, "content": contents[0]})
    return errors[1] if not errors[0] else ""


def find_unreadable(path: str, before: bytes, after: bytes) -> str:
    """What the grammars of the repo map say of a file's change, for languages of which the sandbox has no parser.

    They are lenient: where the file could not be read before, there is nothing to tell.
    """
    language = language_of(path)
    if language is None:
        return ""
    sources = [Source(when, language, content) for when, content in (("before", before), ("after", after))]
    try:
        with Workers() as workers:
            parsed = workers.parse(sources, deadline=time.monotonic() + PARSE_SECONDS)
    except BrokenWorld as broken:
        log.warning("suggestion not parsed", path=path, reason=broken.message)
        return ""
    old, new = parsed.get("before"), parsed.get("after")
    if old is None or new is None or old.broken_at or not new.broken_at:
        return ""
    return f"line {new.broken_at} cannot be read as {language}"


def judge_run(after: TestRun | None, before: TestRun | None) -> SuggestionCheck:
    """What a run with the suggestion says, against the run without it: nothing may fail that did not fail before.

    Where nothing passes, a run shows nothing.
    """
    if after is None or after.timed_out or after.exit_code is None:
        return SuggestionCheck(status="untested", reason="the tests did not run to their end")
    green, command = after.exit_code == 0, after.command
    passed, failing = _ids(after, "passed"), _ids(after, "failed", "error")
    known = before is not None and before.cases is not None
    fails = failing - _ids(before, "failed", "error") if known else set()
    lost = _ids(before, "passed") - passed if not green or after.cases is not None else set()
    turned_red = not green and before is not None and before.exit_code == 0
    if fails or lost or turned_red:
        return SuggestionCheck(status="failed", command=command)
    if not green and (not known or after.cases is None):
        return SuggestionCheck(status="untested", reason="the tests fail, and do not say which", command=command)
    if after.cases is not None and not passed:
        return SuggestionCheck(status="untested", reason="no test passes here", command=command)
    return SuggestionCheck(status="tested", passed=len(passed), failed=len(failing), command=command)


def _ids(run: TestRun | None, *outcomes: str) -> set[str]:
    cases = run.cases if run is not None else None
    return {case.id for case in cases or () if case.outcome in outcomes}
