"""The last word of a job, for the tracking comment: what came out, or honestly why nothing did.

Words of a model, a tool or a remote pass ``clean`` (such as :func:`clean_words`) before they stand in a text of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflows.outcome import Status
from workflows.progress.stops import say_stop
from workflows.publishing.publish import Published
from workflows.publishing.pull_request import render_usage
from workflows.solving.solve import Solution
from workflows.texts.outbound import clean_words, code_block, code_span

LONGEST_PATCH = 30_000
ANSWERED_BEFORE = (
    "The question of this thread was answered before, so this changed nothing. If it should, ask for it with a command."
)

Clean = Callable[[str], str]


@dataclass(frozen=True)
class Ending:
    """An end without a pull request: the outcome's status and reason, and the comment's Markdown."""

    status: Status
    reason: str
    text: str


def choose(solution: Solution, *, clean: Clean = clean_words) -> Ending | None:
    """The end without a pull request that a solution deserves, or None when it is to be published."""
    if solution.described.problems:
        reason = f"The change breaks the rules for changes: {solution.described.problems[0]}"
        listed = "\n".join(f"- {_line(problem, clean)}" for problem in solution.described.problems[:20])
        return Ending("rejected", reason, f"**No pull request:** the change breaks the rules for changes.\n\n{listed}")
    if solution.stop == "asked":
        return _with_question(solution, clean)
    if solution.described.patch.empty:
        return _without_change(solution, clean)
    if solution.verdict.status == "worse":
        reason = solution.verdict.reasons[0]
        listed = "\n".join(f"- {_line(reason, clean)}" for reason in solution.verdict.reasons)
        text = f"**No pull request:** the change makes things worse.\n\n{listed}\n\n{render_patch(solution)}"
        return Ending("worse", reason, text)
    return None


def render_success(published: Published, solution: Solution, *, clean: Clean = clean_words) -> str:
    """The last word of a published job."""
    verdict = solution.verdict
    word = {"verified": "verified", "unverified": "**not verified**", "no_tests": "**not tested**"}[verdict.status]
    lines = [f"Done: draft pull request #{published.pull_request}, {word}. {_line(verdict.reasons[0], clean)}"]
    if solution.unfinished:
        lines.append(f"**Perhaps not finished:** {_line(solution.unfinished, clean).rstrip('.')}.")
    if published.note:
        lines.append(clean(published.note))
    return "\n\n".join(lines)


def render_receipt(solution: Solution, seconds: float) -> str:
    """What the work has cost: turns, tokens, the job's wall time, money."""
    return f"<sub>{render_usage(solution.usage, turns=solution.turns, seconds=seconds)}</sub>"


def render_unpublished(reason: str, solution: Solution, *, clean: Clean = clean_words) -> str:
    """The last word when the change was good and could not be published."""
    return f"**Not published:** {clean(reason)}\n\n{render_patch(solution)}"


def render_failure(message: str, solution: Solution | None = None, *, clean: Clean = clean_words) -> str:
    """The last word when something outside failed for good; the change is shown if there was one by then."""
    lost = "No pull request was opened." if solution else "Nothing was published."
    lines = [f"**Stopped:** {clean(message)}", f"{lost} When it is mended, ask for it again."]
    if solution is not None and solution.described.diff:
        lines.append(render_patch(solution))
    return "\n\n".join(lines)


def render_cancelled(published: Published | None, *, on_pull_request: bool = False) -> str:
    """The last word of a cancelled job; ``on_pull_request``: of work on the branch of one."""
    if published is None or published.pull_request is None:
        return "Cancelled: nothing was published."
    if on_pull_request:
        return f"Cancelled, when {published.commit} was on the branch already."
    return f"Cancelled, when draft pull request #{published.pull_request} was open already."


def render_patch(solution: Solution) -> str:
    """The change itself, folded, so that the work is not lost; its files alone when it is long."""
    diff = solution.described.diff
    if len(diff) > LONGEST_PATCH:
        names = "\n".join(f"- {code_span(file.path)}" for file in solution.described.patch.files[:50])
        return f"The change is too long to show here ({len(diff):,} characters). Its files:\n\n{names}"
    return f"<details><summary>The change as a patch</summary>\n\n{code_block(diff, 'diff')}\n\n</details>"


def _with_question(solution: Solution, clean: Clean) -> Ending:
    asked = clean(solution.question).strip()
    text = (
        f"**A question before this goes on.**\n\n{asked}\n\nAnswer in a comment (people with write access): the work "
        "goes on where it stopped."
    )
    if not solution.described.patch.empty:
        text += f"\n\nThe change so far:\n\n{render_patch(solution)}"
    return Ending("asked", "The model asked a question.", text)


def _without_change(solution: Solution, clean: Clean) -> Ending:
    said = clean(solution.finish.summary).strip() if solution.finish else ""
    if solution.finish is not None and solution.finish.no_change_needed:
        reason = "No change is needed."
        return Ending("no_change", reason, f"**No change needed.** The model's reasons:\n\n{said or '(none given)'}")
    why = say_stop(solution.stop, solution.stop_detail)
    reason = f"No change was made: {why}."
    text = f"**No pull request:** no change was made: {_line(why, clean)}."
    return Ending("no_change", reason, f"{text}\n\n{said}" if said else text)


def _line(text: str, clean: Clean) -> str:
    return clean(" ".join(text.split()))
