"""The failed checks of a commit: read with their logs, judged, and told to people and to the agent."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.checks.check_log import excerpt_log
from workflows.checks.failed_checks import CheckFailure, classify_check
from workflows.services import GitHub
from workflows.texts.outbound import clean_line, code_span
from workflows.texts.untrusted import fence_untrusted, show_hidden
from workflows.types import Annotation, CheckRun, Noun

RED = frozenset({"failure", "timed_out", "startup_failure", "action_required", "cancelled", "stale"})
MOST_CHECKS = 10
MOST_CHARACTERS = 24_000  # of all logs together, for the agent
LEAST_CHARACTERS = 2_000
MOST_ANNOTATIONS = 30


class RedCheck(Noun):
    """One failed check: why it failed, and what of its log and its annotations matters (text from outside)."""

    check: CheckRun
    failure: CheckFailure
    log: str = ""
    annotations: tuple[Annotation, ...] = ()


class RedChecks(Noun):
    """The failed checks of a commit, by any App but ours; ``running`` names those that have not ended."""

    red: tuple[RedCheck, ...] = ()
    running: tuple[str, ...] = ()

    @property
    def ours_to_mend(self) -> tuple[RedCheck, ...]:
        """Those whose cause is perhaps the code."""
        return tuple(one for one in self.red if one.failure.kind in ("code", "unknown"))

    @property
    def machinery(self) -> tuple[RedCheck, ...]:
        """Those that failed for reasons outside of the code."""
        return tuple(one for one in self.red if one.failure.kind == "infrastructure")

    @property
    def waiting(self) -> tuple[RedCheck, ...]:
        """Those that are other people's to deal with."""
        return tuple(one for one in self.red if one.failure.kind == "not_ours")


def fetch_red_checks(github: GitHub, sha: str, *, our_slug: str) -> RedChecks:
    """The failed checks of a commit as they are now; the first ten are read. Raises BrokenWorld."""
    runs = [run for run in github.fetch_check_runs(sha) if run.app_slug != our_slug]
    failed = [run for run in runs if run.conclusion in RED][:MOST_CHECKS]
    room = max(LEAST_CHARACTERS, MOST_CHARACTERS // max(1, len(failed)))
    return RedChecks(
        red=tuple(_read(github, run, room) for run in failed),
        running=tuple(run.name for run in runs if run.status != "completed"),
    )


def render_check_task(checks: Sequence[RedCheck], *, sha: str) -> str:
    """The request to the agent: what failed, fenced, and what counts as mending it."""
    told = (
        f"Checks failed on this pull request at {sha[:10]}. Find the cause in the code and mend it. Do not skip, "
        "weaken or delete tests, and do not silence a tool, to make a check pass. Where a check failed for a reason "
        "that is not in this repository, change nothing for it. Say in `summary`, for each check, what was wrong."
    )
    return "\n\n".join([told, *(_render_for_agent(one) for one in checks)])


def say_checks(checks: Sequence[RedCheck]) -> str:
    """The checks as a list for people, each with its reason and the line that says so."""
    return "\n".join(f"- {code_span(one.check.name[:100])}: {_why(one.failure)}" for one in checks)


def _read(github: GitHub, run: CheckRun, room: int) -> RedCheck:
    log = github.fetch_check_log(run.id) if run.app_slug == "github-actions" else None
    annotations = tuple(github.fetch_annotations(run.id)) if run.annotations else ()
    failure = classify_check(run, log=log, annotations=annotations)
    told = excerpt_log(log, room) if log else "\n\n".join(part for part in (run.title, run.summary, run.text) if part)
    return RedCheck(check=run, failure=failure, log=told[:room], annotations=annotations[:MOST_ANNOTATIONS])


def _render_for_agent(one: RedCheck) -> str:
    lines = [
        f"{note.path}:{note.start_line}: {note.level}: {note.title} {note.message}"[:500] for note in one.annotations
    ]
    text = "\n".join(part for part in ("\n".join(lines), one.log) if part) or "(it says nothing)"
    return fence_untrusted(f"check {one.check.name}", show_hidden(text))


def _why(failure: CheckFailure) -> str:
    return f"{failure.reason} ({code_span(clean_line(failure.line))})" if failure.line else failure.reason
