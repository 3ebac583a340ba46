"""Why a check failed: the machinery, the code, or a person who is waited for; with the line that says so.

Words about a broken network or a full disk count only where the machinery says them: on the runner's own error lines,
or in a failed step in which no test runner, compiler or linter speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workflows.checks.check_log import LogStep, failed_steps, parse_check_log
from workflows.checks.failure_signs import (
    CODE,
    PEOPLE_APPS,
    PEOPLE_NAMES,
    PEOPLE_WORDS,
    RUNNER,
    TOLD_BY_A_TEST,
    TOOLS,
    Signs,
)
from workflows.types import Annotation, CheckRun, Noun

FailureKind = Literal["infrastructure", "code", "not_ours", "unknown"]
LONGEST_TOLD = 300
MOST_LOG = 1_000_000  # characters of the end of a log that are looked at
_ERROR = "##[error]"
_RUNNERS_PATHS = ("", ".github")  # where GitHub puts annotations that belong to no file


class CheckFailure(Noun):
    """Why a check failed. ``reason`` is a clause for people; ``line`` is the line that says so, empty when none does.

    The line is text from outside.
    """

    kind: FailureKind
    reason: str
    line: str = ""


def classify_check(check: CheckRun, *, log: str | None, annotations: Sequence[Annotation] = ()) -> CheckFailure:
    """Why a check did not succeed. ``log`` is its log or the end of it, None when there is none to be had.

    A base that is behind is not seen here: only git knows. "unknown" is for whoever reads the log: perhaps the code.
    """
    if check.conclusion == "action_required":
        return CheckFailure(kind="not_ours", reason="it waits for a person", line=_told(check.title))
    found = _waits_for_people(check)
    if found:
        return found
    steps = failed_steps(parse_check_log((log or "")[-MOST_LOG:]))
    return (
        _runner_failed(steps, annotations)
        or _code_failed(steps, annotations)
        or _tool_failed(steps)
        or _by_conclusion(check, steps)
    )


def _waits_for_people(check: CheckRun) -> CheckFailure | None:
    if check.app_slug in PEOPLE_APPS:
        return CheckFailure(kind="not_ours", reason="it waits for a person", line=_told(check.title or check.name))
    if check.app_slug == "github-actions":  # a job's name, such as "review", says nothing of who is waited for
        return None
    for text, signs in ((check.name, PEOPLE_NAMES), (check.title, PEOPLE_WORDS), (check.summary[:2_000], PEOPLE_WORDS)):
        meaning = signs.find(text)
        if meaning:
            return CheckFailure(kind="not_ours", reason=meaning, line=_told(text))
    return None


def _runner_failed(steps: Sequence[LogStep], annotations: Sequence[Annotation]) -> CheckFailure | None:
    lines = [one.message for one in annotations if one.path in _RUNNERS_PATHS and one.level == "failure"]
    lines += [line.removeprefix(_ERROR) for step in steps for line in step.lines if line.startswith(_ERROR)]
    return _first("infrastructure", RUNNER, [line for line in lines if not TOLD_BY_A_TEST.search(line[:2_000])])


def _code_failed(steps: Sequence[LogStep], annotations: Sequence[Annotation]) -> CheckFailure | None:
    found = _first("code", CODE, [line for step in steps for line in step.lines])
    if found:
        return found
    for one in annotations:
        if one.path not in _RUNNERS_PATHS and one.level == "failure":
            line = f"{one.path}:{one.start_line}: {one.message}"
            return CheckFailure(kind="code", reason="the check points at a line of the code", line=_told(line))
    return None


def _tool_failed(steps: Sequence[LogStep]) -> CheckFailure | None:
    lines = [line.removeprefix(_ERROR) for step in steps for line in step.lines]
    return _first("infrastructure", TOOLS, [line for line in lines if not TOLD_BY_A_TEST.search(line[:2_000])])


def _by_conclusion(check: CheckRun, steps: Sequence[LogStep]) -> CheckFailure:
    last = next((line for step in steps for line in step.lines if line.startswith(_ERROR)), check.title)
    line = _told(last.removeprefix(_ERROR))
    if check.conclusion == "cancelled":
        return CheckFailure(kind="not_ours", reason="somebody or another job cancelled it", line=line)
    if check.conclusion == "stale":  # https://docs.github.com/rest/guides/using-the-rest-api-to-interact-with-checks
        return CheckFailure(
            kind="infrastructure", reason="GitHub gave it up: it was not finished in 14 days", line=line
        )
    if check.conclusion == "startup_failure":
        return CheckFailure(kind="unknown", reason="its workflow could not be started", line=line)
    if check.conclusion == "timed_out":
        return CheckFailure(kind="unknown", reason="it ran out of time", line=line)
    return CheckFailure(kind="unknown", reason="its log names no cause that is known", line=line)


def _first(kind: FailureKind, signs: Signs, lines: Sequence[str]) -> CheckFailure | None:
    for line in lines:
        meaning = signs.find(line) if line.strip() else None
        if meaning:
            return CheckFailure(kind=kind, reason=meaning, line=_told(line))
    return None


def _told(line: str) -> str:
    plain = " ".join(line[: 4 * LONGEST_TOLD].split())
    return plain if len(plain) <= LONGEST_TOLD else f"{plain[: LONGEST_TOLD - 1]}…"
