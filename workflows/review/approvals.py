"""Our approvals: each is of the head that was read and onto its base, so whoever moves either takes it back."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.requests.job_services import JobServices
from workflows.review.ledger import parse_ledger
from workflows.services import GitHub
from workflows.types import Ends, Job, PullRequest, Review

MOVED = "The pull request has moved on: what it is now was not read."


def stands_approved(reviews: Sequence[Review], login: str, head: str) -> bool:
    """Whether our approval of this very head stands; ``login`` is our own."""
    return any(one.commit_id == head for one in _approved(reviews, login))


def overtaken(
    reviews: Sequence[Review], login: str, now: Ends, *, approved: Ends | None = None, left: Ends | None = None
) -> list[int]:
    """Our approvals that stand, of another head than the one ``now``, or given before it went onto another base.

    ``approved`` is what we approved last, as far as the ledger knows. ``left`` is what an event says was moved away
    from: GitHub's reads lag behind its events, while an event that comes late tells of nothing that was approved since.
    """
    left = left or Ends()
    base = approved.base if approved is not None else left.base
    elsewhere = base != "" and (base != now.base or base == left.base)
    return [
        one.id
        for one in _approved(reviews, login)
        if elsewhere or one.commit_id != now.head or one.commit_id == left.head
    ]


def take_back_overtaken(github: GitHub, job: Job, pull: PullRequest, services: JobServices) -> int:
    """Dismiss our approvals of what the pull request is not any more; how many. A second time changes nothing."""
    text = services.ledgers.read(job.repository.id, job.number)
    ledger = parse_ledger(text) if text is not None else None
    gone = overtaken(
        github.fetch_reviews(job.number),
        services.spoken.login,
        Ends(head=pull.head_sha, base=pull.base),
        approved=ledger.approved if ledger is not None else None,
        left=job.left,
    )
    return sum(github.dismiss_review(job.number, review, MOVED) for review in gone)


def may_be_approved(job: Job, services: JobServices) -> bool:
    """Whether we may have approved a pull request, as far as our own record tells: it is asked before GitHub is."""
    text = services.ledgers.read(job.repository.id, job.number)
    ledger = parse_ledger(text) if text is not None else None
    if ledger is None:
        return text is not None
    # What an earlier version wrote does not say.
    return ledger.approved is not None or "approved" not in ledger.model_fields_set


def _approved(reviews: Sequence[Review], login: str) -> list[Review]:
    return [one for one in reviews if login and one.author.login == login and one.state == "approved"]
