"""The last word of a job, for the tracking comment: what came out, or honestly why nothing did."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.outcome import Status
from workflows.publish import Published
from workflows.solve import Solution

CANCELLED = "Cancelled: nothing was published."
LONGEST_PATCH = 30_000

_STOPS = {
    "turns": "the budget of turns was used up",
    "tokens": "the budget of tokens was used up",
    "seconds": "the time was used up",
    "money": "the budget of money was used up",
    "no_tool_calls": "the model stopped working with its tools",
    "malformed": "the model kept sending calls that could not be read",
    "model_unavailable": "the model could not be reached any more",
    "cancelled": "the job was cancelled",
    "finished": "the model said that it was done",
}


@dataclass(frozen=True)
class Ending:
    """An end without a pull request: the outcome's status and reason, and the comment's Markdown."""

    status: Status
    reason: str
    text: str


def choose(solution: Solution) -> Ending | None:
    """The end without a pull request that a solution deserves, or None when it is to be published."""
    if solution.described.problems:
        reason = f"The change breaks the rules for changes: {solution.described.problems[0]}"
        listed = "\n".join(f"- {problem}" for problem in solution.described.problems[:20])
        return Ending("rejected", reason, f"**No pull request:** the change breaks the rules for changes.\n\n{listed}")
    if solution.described.patch.empty:
        return _without_change(solution)
    if solution.verdict.status == "worse":
        reason = solution.verdict.reasons[0]
        listed = "\n".join(f"- {line}" for line in solution.verdict.reasons)
        text = f"**No pull request:** the change makes things worse.\n\n{listed}\n\n{render_patch(solution)}"
        return Ending("worse", reason, text)
    return None


def render_success(published: Published, solution: Solution) -> str:
    """The last word of a published job."""
    verdict = solution.verdict
    word = {"verified": "verified", "unverified": "**not verified**", "no_tests": "**not tested**"}[verdict.status]
    return f"Done: draft pull request #{published.pull_request}, {word}. {verdict.reasons[0]}"


def render_unpublished(reason: str, solution: Solution) -> str:
    """The last word when the change was good and could not be published."""
    return f"**Not published:** {reason}\n\n{render_patch(solution)}"


def render_failure(message: str) -> str:
    """The last word when something outside failed for good."""
    return f"**Stopped:** {message}\n\nNothing was published. When it is mended, apply the label again."


def quiet(text: str) -> str:
    """The text without live mentions: an answer notifies nobody but its thread."""
    return text.replace("@", "@\u2060") if "@" in text else text


def render_patch(solution: Solution) -> str:
    """The change itself, folded, so that the work is not lost; its files alone when it is long."""
    diff = solution.described.diff
    if len(diff) > LONGEST_PATCH:
        names = "\n".join(f"- `{file.path}`" for file in solution.described.patch.files[:50])
        return f"The change is too long to show here ({len(diff):,} characters). Its files:\n\n{names}"
    fence = "`" * max(3, _longest_backticks(diff) + 1)
    return f"<details><summary>The change as a patch</summary>\n\n{fence}diff\n{diff.rstrip()}\n{fence}\n</details>"


def _longest_backticks(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest


def _without_change(solution: Solution) -> Ending:
    said = solution.finish.summary.strip() if solution.finish else ""
    if solution.finish is not None and solution.finish.no_change_needed:
        reason = "No change is needed."
        return Ending("no_change", reason, f"**No change needed.** The model's reasons:\n\n{said or '(none given)'}")
    why = _STOPS[solution.stop] + (f": {solution.stop_detail}" if solution.stop_detail else "")
    reason = f"No change was made: {why}."
    text = f"**No pull request:** {reason[0].lower()}{reason[1:]}"
    return Ending("no_change", reason, f"{text}\n\n{said}" if said else text)
