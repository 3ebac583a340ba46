"""The check run of a review: how it ended by the repository's policy, and every open finding as an annotation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from workflows.review.findings import SEVERITIES, Finding, Point, Severity
from workflows.review.ledger import Ledger
from workflows.services import Conclusion, GitHub
from workflows.texts.outbound import clean_line
from workflows.types import Annotation, Job

NAME = "Forgehand review"
LEVELS: dict[Severity, str] = {"critical": "failure", "important": "warning", "minor": "notice"}
FailOn = Literal["never", "critical", "important"]


def conclude(fail_on: FailOn, severities: Sequence[Severity]) -> Conclusion:
    """How the check ends with these findings open: neutral, unless the policy says that such a one fails it."""
    if fail_on != "never" and any(SEVERITIES.index(one) <= SEVERITIES.index(fail_on) for one in severities):
        return "failure"
    return "neutral" if any(one != "minor" for one in severities) else "success"


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


def show_check(
    github: GitHub,
    job: Job,
    *,
    head: str,
    fail_on: FailOn,
    new: Sequence[Finding],
    ledger: Ledger,
    title: str,
    secrets: Collection[str],
) -> int:
    """The check run on the reviewed head, made or found, with what is open now: what is new, and what stood before."""
    names = {one.id for one in new}
    stood = [one for one in ledger.entries if one.state == "open" and one.id not in names]
    severities = [*(one.severity for one in new), *(one.severity for one in stood)]
    before = f" {len(stood)} from earlier reviews are open." if stood else ""
    check = github.find_or_create_check_run(
        head_sha=head,
        name=NAME,
        external_id=f"{job.id}:review",
        title=title,
        summary=f"{len(new)} new findings.{before} The review on the pull request says more.",
        conclusion=conclude(fail_on, severities),
    )
    github.add_annotations(check, annotate([*new, *stood], secrets=secrets))
    return check
