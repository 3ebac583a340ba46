"""What an event means for us, decided from the event alone: pure, and total over everything GitHub sends."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.commands.grammar import parse_comment
from app.commands.plain_words import asks_to_fix
from app.commands.routes import ANSWER, route
from app.webhook import Event, EventIssue
from workflows.durable.deliveries import MOST_JOBS, job_id
from workflows.progress.state_labels import state_label
from workflows.review.unasked import MOVES, UNREAD
from workflows.types import Command, CommandError, CommentRef, IssueText, Job

BURST_SECONDS = 30.0
"""Comments on lines and red checks come in bursts: a job that they ask for waits so long for the rest of them."""
CLOCKS_DIFFER = timedelta(minutes=1)
"""GitHub's clock and ours, at most: the App's tokens work no longer beyond."""
OUR_MARK = "<!-- forgehand:"
"""In every comment of ours: whoever copies one says nothing new."""
REVIEWED = ("opened", "reopened", "ready_for_review", "synchronize", "review_requested")
RED = ("failure", "timed_out", "startup_failure")


@dataclass(frozen=True)
class Start:
    """Run these jobs, in their order."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Signal:
    """Run this job if its thread waits for an answer: a comment without a command may be one."""

    job: Job
    otherwise: str


@dataclass(frozen=True)
class Cancel:
    """End the jobs of this thread that have not ended, at once; ``job`` then says so where they spoke.

    ``label``: those alone that this label asked for, or shows as being worked on. ``before``: those alone that were
    asked for until then, for events come late and in any order.
    """

    repository_id: int
    number: int
    reason: str
    job: Job | None = None
    label: str | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Ignore:
    """Do nothing, for a reason that is recorded with the delivery."""

    reason: str


Dispatch = Start | Signal | Cancel | Ignore


@dataclass(frozen=True)
class Audience:
    """Whom we serve, and by which names we are called.

    Empty sets mean everyone; both hold GitHub's ids, for names can be renamed and squatted. ``app_id`` and
    ``app_slug`` are our own. ``label`` is the one that works without a policy. ``reviews``: pull requests are
    reviewed without being asked.
    """

    app_slug: str | None = None
    app_id: int | None = None
    prefix: str = "/qwen"
    label: str = "qwen"
    reviews: bool = True
    installations: frozenset[int] = frozenset()
    repositories: frozenset[int] = frozenset()


def dispatch(event: Event, audience: Audience) -> Dispatch:
    """What is to be done. Whether the actor may, and the label is the right one, is policy, and decided later."""
    if event.unread:
        return Ignore(f"Not read: {event.unread}.")
    if event.name == "ping":
        return Ignore("A ping: the webhook is set up.")
    if event.name not in _KINDS:
        return Ignore(f"Nothing is done on {event.name} events.")
    if event.repository is None:
        return Ignore("The event names no repository of an installation.")
    if audience.installations and event.repository.installation_id not in audience.installations:
        return Ignore(f"Installation {event.repository.installation_id} is not among those served.")
    if audience.repositories and event.repository.id not in audience.repositories:
        return Ignore(f"Repository {event.repository.id} is not among those served.")
    return _KINDS[event.name](event, audience)


def _dispatch_thread(event: Event, audience: Audience) -> Dispatch:
    """An issue or a pull request itself changed."""
    issue = event.issue
    if issue is None:
        return Ignore("The event is not about an issue or a pull request.")
    what = "pull request" if issue.is_pull_request else "issue"
    if event.action in ("closed", "deleted", "transferred"):
        done = "merged" if issue.merged else event.action
        return _cancel(event, issue, f"The {what} was {done}.")
    if issue.is_pull_request and (event.action in REVIEWED or event.left.base):
        return _dispatch_change(event, issue, audience)
    if event.action not in ("labeled", "unlabeled"):
        return Ignore(f"Nothing is done when a {what} is {event.action or 'changed'}.")
    if event.label is None:
        return Ignore("The event names no label.")
    if stranger := _not_a_person(event, audience):
        return Ignore(stranger)
    if event.action == "unlabeled":
        working = state_label("working", trigger=audience.label).name.casefold()
        reason = f"The label `{event.label}` was taken off."
        return _cancel(event, issue, reason, label=None if event.label.casefold() == working else event.label)
    if issue.state != "open":
        return Ignore(f"The {what} is not open.")
    workflow = "review_pull" if issue.is_pull_request else "fix_issue"
    request = f"label {event.label.casefold()}"
    return Start((_make_job(event, issue, workflow, trigger=event.label, request=request),))


def _dispatch_change(event: Event, issue: EventIssue, audience: Audience) -> Dispatch:
    """A pull request has something new to review. Whether it is reviewed without being asked is policy."""
    ours = f"{audience.app_slug}[bot]"
    if event.sender is None:
        return Ignore("The event names no actor.")
    if event.action == "review_requested":
        if event.reviewer != ours:
            return Ignore("Somebody else's review was asked for.")
        if stranger := _not_a_person(event, audience):
            return Ignore(stranger)
        return Start((_make_job(event, issue, "review_pull", command=Command(word="review"), request="review asked"),))
    if issue.author is not None and issue.author.login == ours:
        return Ignore("Our own change: we do not review ourselves without being asked.")
    request = f"review {event.action}"
    if event.sender.login == ours or not audience.reviews:
        if request not in MOVES:
            return Ignore("This installation reviews on command alone.")
        # It is not read, and so takes back what we approved before it.
        return Start((_make_job(event, issue, "review_pull", request=UNREAD, head=issue.head_sha),))
    delay = BURST_SECONDS if request in MOVES else 0.0
    job = _make_job(event, issue, "review_pull", request=request, delay=delay, head=issue.head_sha)
    return Start((job,))


def _dispatch_comment(event: Event, audience: Audience) -> Dispatch:
    """Somebody commented: in the conversation, on a line of a diff, or a whole review."""
    issue, comment = event.issue, event.comment
    if issue is None or comment is None:
        return Ignore("The event names no comment of an issue or a pull request.")
    if event.action not in ("created", "submitted"):
        return Ignore(f"Nothing is done when a comment is {event.action or 'changed'}: write a new one.")
    if comment.app_id is not None and comment.app_id == audience.app_id:
        return Ignore("Our own comment.")
    if stranger := _not_a_person(event, audience):
        return Ignore(stranger)
    if OUR_MARK in comment.body:
        return Ignore("The comment holds a hidden mark of ours, so it is a copy of what we said.")
    found = parse_comment(
        comment.body, prefix=audience.prefix, slug=audience.app_slug, on_pull_request=issue.is_pull_request
    )
    if found:
        return Start(_jobs_of(event, issue, found))
    if comment.kind == "review" and comment.state in ("changes_requested", "commented"):
        # A single comment on a line comes as a review too.
        delay = 0.0 if comment.body.strip() else BURST_SECONDS
        return Start((_make_job(event, issue, "address_feedback", request="feedback", delay=delay),))
    if comment.reply_to is not None and asks_to_fix(comment.body):
        # In a thread of ours it is a command; whose it is, the admission sees.
        return Start((_make_job(event, issue, "hear_replies", command=Command(word="fix")),))
    if comment.reply_to is not None:
        return Start((_make_job(event, issue, "hear_replies", request="replies", delay=BURST_SECONDS),))
    if comment.kind == "issue":
        answer = _make_job(event, issue, "fix_issue", request="answer")
        return Signal(answer, "The comment holds no command.")
    return Ignore("The comment holds no command.")


def _dispatch_checks(event: Event, audience: Audience) -> Dispatch:
    checks = event.checks
    if event.action != "completed" or checks is None:
        return Ignore("Nothing is done before a check suite is complete.")
    if checks.app_id == audience.app_id and audience.app_id is not None:
        return Ignore("Our own checks.")
    if checks.conclusion not in RED:
        return Ignore(f"The checks ended as {checks.conclusion or 'unknown'}.")
    if not checks.pulls:
        return Ignore("The checks belong to no pull request of this repository.")
    if event.sender is None:
        return Ignore("The event names no actor.")
    pull = EventIssue(number=checks.pulls[0], is_pull_request=True)
    request = f"checks {checks.head_sha}"
    job = _make_job(event, pull, "fix_checks", request=request, delay=BURST_SECONDS, head=checks.head_sha)
    return Start((job,))


def _jobs_of(event: Event, issue: EventIssue, found: Sequence[Command | CommandError]) -> tuple[Job, ...]:
    """A job a command; all that could not be read is answered by one."""
    errors = [one for one in found if isinstance(one, CommandError)]
    commands = [one for one in found if isinstance(one, Command)][: MOST_JOBS - 1]
    jobs = []
    for index, command in enumerate(commands, 1):
        workflow = route(command, on_pull_request=issue.is_pull_request)
        same = hashlib.sha256(command.model_dump_json(exclude={"line"}).encode()).hexdigest()
        jobs.append(_make_job(event, issue, workflow, index=index, command=command, request=same))
    if errors:
        words = "\n\n".join(error.message for error in errors)
        jobs.append(_make_job(event, issue, ANSWER, index=len(jobs) + 1, words=words))
    return tuple(jobs)


def _cancel(event: Event, issue: EventIssue, reason: str, *, label: str | None = None) -> Cancel:
    assert event.repository is not None
    job = None if event.sender is None else _make_job(event, issue, "tidy", words=reason, label=label or "")
    closed = issue.closed_at if event.action == "closed" else None
    before = None if closed is None else closed + CLOCKS_DIFFER
    return Cancel(event.repository.id, issue.number, reason, job, label, before)


def _not_a_person(event: Event, audience: Audience) -> str:
    """Why the one who caused the event starts no work; empty for a person."""
    if event.sender is None:
        return "The event names no actor."
    if event.sender.login == f"{audience.app_slug}[bot]":
        return "Our own change."
    if event.sender.type != "User" or event.sender.login.endswith("[bot]"):
        return f"Only people start work, and {event.sender.login} is not one."
    return ""


def _make_job(
    event: Event,
    issue: EventIssue,
    workflow: str,
    *,
    index: int = 1,
    trigger: str = "",
    command: Command | None = None,
    words: str = "",
    request: str = "",
    delay: float = 0.0,
    head: str | None = None,
    label: str = "",
) -> Job:
    assert event.repository is not None
    assert event.sender is not None
    comment = event.comment
    return Job(
        id=job_id(event.delivery_id, index),
        workflow=workflow,
        repository=event.repository,
        number=issue.number,
        actor=event.sender,
        trigger=trigger,
        delivery_id=event.delivery_id,
        created_at=event.received_at,
        text=IssueText(title=issue.title, body=issue.body) if event.issue is not None else None,
        command=command,
        comment=CommentRef(kind=comment.kind, id=comment.id) if comment else None,
        words=words,
        request=request,
        on_pull_request=issue.is_pull_request,
        head=head,
        left=event.left,
        admission=True,
        delay=delay,
        label=label,
    )


_KINDS = {
    "issues": _dispatch_thread,
    "pull_request": _dispatch_thread,
    "issue_comment": _dispatch_comment,
    "pull_request_review": _dispatch_comment,
    "pull_request_review_comment": _dispatch_comment,
    "check_suite": _dispatch_checks,
}
