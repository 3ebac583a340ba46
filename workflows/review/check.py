"""The check run of a review: how it ended by the repository's policy, and every open finding as an annotation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workflows.requests.thread_work import Thread
from workflows.review.findings import Finding, Point, Severity, Threshold, count_severities
from workflows.review.ledger import Ledger
from workflows.review.verdict import reaches
from workflows.services import Conclusion
from workflows.texts.outbound import clean_line, code_span
from workflows.types import Annotation

NAME = "Forgehand review"
LEVELS: dict[Severity, str] = {"critical": "failure", "important": "warning", "minor": "notice"}
MOST_UNREAD = 50
_PARTLY = "Not all of the change was read."


@dataclass(frozen=True)
class Checked:
    """What a check tells. ``new`` are found now; ``said``: a review of them was posted. ``unread`` are paths with the
    reason why they were not read, ``notes`` sentences of ours on what was left out. ``whole``: all was read that
    people wrote, and no session was stopped or handed over what could not be read.
    """

    new: Sequence[Finding]
    said: bool
    unread: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    whole: bool = True


def conclude(fail_on: Threshold, severities: Sequence[Severity], *, whole: bool = True) -> Conclusion:
    """How the check ends with these findings open: neutral, unless the policy says that such a one fails it.

    Of what was not read to its end (``whole``) nobody knows that it is a success: where the policy has the check fail,
    somebody has to act, for GitHub lets ``neutral`` pass a check that is required.
    https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/about-protected-branches#require-status-checks-before-merging
    """
    if any(reaches(fail_on, one) for one in severities):
        return "failure"
    if not whole and fail_on != "never":
        return "action_required"
    return "neutral" if not whole or any(one != "minor" for one in severities) else "success"


def annotate(points: Sequence[Point], *, secrets: Collection[str] = ()) -> tuple[Annotation, ...]:
    """The points on lines of the new files: an annotation stands at the head, so removed lines have none."""
    return tuple(
        Annotation(
            path=one.path,
            start_line=one.anchor.first,
            end_line=one.anchor.line,
            level=LEVELS[one.severity],
            message=clean_line(one.title, secrets, limit=1_000),
            title=one.severity.capitalize(),
        )
        for one in points
        if one.anchor is not None and one.anchor.side == "RIGHT"
    )


def show_check(thread: Thread, head: str, checked: Checked, ledger: Ledger) -> int:
    """The check run on the reviewed head, made or found, with what is open now: what is new, and what stood before."""
    names = {one.id for one in checked.new}
    stood = [one for one in ledger.entries if one.stands and one.id not in names]
    severities = [*(one.severity for one in checked.new), *(one.severity for one in stood)]
    check = thread.github.find_or_create_check_run(
        head_sha=head,
        name=NAME,
        external_id=f"{thread.job.id}:review",
        title=render_open([*checked.new, *stood], whole=checked.whole),
        summary=render_summary(checked, len(stood)),
        conclusion=conclude(thread.asked.policy.review.fail_on, severities, whole=checked.whole),
    )
    thread.github.add_annotations(check, annotate([*checked.new, *stood], secrets=thread.services.secrets))
    return check


def conclude_again(thread: Thread, head: str, ledger: Ledger) -> None:
    """The check of an earlier review of this head, once people's answers closed some of what it found.

    Whether all was read is told by that check's summary alone: the ledger knows of the last review of everything.
    """
    ours = thread.services.spoken.login.removesuffix("[bot]")
    runs = (
        [one for one in thread.github.fetch_check_runs(head) if (one.name, one.app_slug) == (NAME, ours)]
        if head
        else []
    )
    if not runs or not runs[-1].external_id:
        return
    still = [one for one in ledger.entries if one.stands]
    whole = _PARTLY not in runs[-1].summary
    thread.github.find_or_create_check_run(
        head_sha=head,
        name=NAME,
        external_id=runs[-1].external_id,
        title=render_open(still, whole=whole),
        summary=runs[-1].summary,
        conclusion=conclude(thread.asked.policy.review.fail_on, [one.severity for one in still], whole=whole),
    )


def say_stopped(why: str) -> str:
    """The note for people when a session was stopped, or handed over what could not be read."""
    return f"The review is perhaps not complete: {why}. `review full` reads everything again."


def render_open(points: Sequence[Point], *, whole: bool = True) -> str:
    """What is open in one plain line, the check's title."""
    counts = [f"{count} {severity}" for severity, count in count_severities(points).items()]
    nothing = "Nothing to say" if whole else "Not read to its end"
    return f"{', '.join(counts)} open" if counts else nothing


def render_summary(checked: Checked, stood: int) -> str:
    """What was found, what was left from before, and what was not read: where no review is posted, it says all."""
    found = f"{len(checked.new)} new {'finding' if len(checked.new) == 1 else 'findings'}"
    where = ": the review on the pull request says more." if checked.said else ", shown as annotations alone."
    parts = [f"{found}{where}" if checked.new else "Nothing new was found."]
    if stood:
        parts.append(f"{stood} from earlier reviews {'is' if stood == 1 else 'are'} open.")
    parts += [] if checked.whole else [_PARTLY]
    parts += [" ".join(clean_line(note, limit=600) for note in checked.notes)] if checked.notes else []
    lines = [f"- {code_span(path[:300])}: {reason}" for path, reason in checked.unread[:MOST_UNREAD]]
    more = len(checked.unread) - MOST_UNREAD
    lines += [f"- and {more} more"] if more > 0 else []
    listed = "\n".join(["Not read:", "", *lines]) if lines else ""
    return "\n\n".join(part for part in (" ".join(parts), listed) if part)
