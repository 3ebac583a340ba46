"""Whether a pull request is reviewed without being asked: by policy, and by what it is."""

from __future__ import annotations

from workflows.outcome import Outcome
from workflows.repository.policy import WRITERS
from workflows.requests.allowance import say_used_up
from workflows.requests.asked import Asked
from workflows.requests.job_services import JobServices, opened_by_us
from workflows.review.approvals import take_back_overtaken
from workflows.services import GitHub
from workflows.types import Job, PullRequest

PUSHED = "review synchronize"
RETARGETED = "review edited"
REOPENED = "review reopened"
"""Requests of events that the policy knows apart; they are named after GitHub's actions."""
UNREAD = "push"
"""The request of a move that no review follows by itself, whatever the policy says: our own, or the operator's wish."""
MOVES = (PUSHED, RETARGETED)
"""The requests after which a pull request is another change than it was; the policy calls both a push."""
PUSHES = (*MOVES, UNREAD)


def look_unasked(github: GitHub, job: Job, asked: Asked, services: JobServices) -> Outcome | None:
    """Why a pull request is not reviewed without being asked; None when it is.

    Either way what we approved before it moved is approved no more.
    """
    policy, pull = asked.policy.review, github.fetch_pull_request(job.number)
    reason = ""
    if pull is not None and pull.state == "open" and job.request in (*PUSHES, REOPENED):
        take_back_overtaken(github, job, pull, services)
    if pull is None or pull.state == "closed":
        reason = "The pull request is closed."
    elif job.request == UNREAD:
        reason = "This push is not reviewed without being asked."
    elif policy.auto == "never":
        reason = "The policy has `review.auto: never`: a command starts a review."
    elif opened_by_us(pull, services):
        reason = "Our own pull request is reviewed by people."
    elif pull.draft and not policy.drafts:
        reason = "Drafts are not reviewed without being asked."
    elif pull.author.type != "User" and not policy.bots:
        reason = "Pull requests of bots are not reviewed without being asked."
    elif job.request in MOVES and not policy.push:
        reason = "What is pushed is not reviewed without being asked: the policy has `review.push: false`."
    elif job.request == REOPENED and not policy.reopened:
        reason = "What is opened again is not reviewed without being asked: the policy has `review.reopened: false`."
    elif not _by_writer(github, pull):
        reason = "Its author has no write permission: a command starts a review."
        if policy.auto == "all":
            reason = say_used_up(job, pull.author, asked.policy, services)
    return Outcome(status="ignored", reason=reason) if reason else None


def _by_writer(github: GitHub, pull: PullRequest) -> bool:
    return pull.author.type != "User" or github.fetch_permission(pull.author.login) in WRITERS
