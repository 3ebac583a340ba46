"""What an event means for us, decided from the event alone: pure, and total over everything GitHub sends."""

from __future__ import annotations

from dataclasses import dataclass

from app.webhook import Event
from workflows.types import IssueText, Job


@dataclass(frozen=True)
class Start:
    """Run this job."""

    job: Job


@dataclass(frozen=True)
class Cancel:
    """End the jobs of this issue that have not ended."""

    repository_id: int
    number: int
    reason: str


@dataclass(frozen=True)
class Ignore:
    """Do nothing, for a reason that is recorded with the delivery."""

    reason: str


Dispatch = Start | Cancel | Ignore


@dataclass(frozen=True)
class Audience:
    """Whom we serve. Empty sets mean everyone; both hold GitHub's ids, for names can be renamed and squatted."""

    app_slug: str | None = None
    installations: frozenset[int] = frozenset()
    repositories: frozenset[int] = frozenset()


def dispatch(event: Event, audience: Audience) -> Dispatch:
    """Start, Cancel or Ignore. Whether the actor may and the label is the right one is policy, and decided later."""
    if event.unread:
        return Ignore(f"Not read: {event.unread}.")
    if event.name == "ping":
        return Ignore("A ping: the webhook is set up.")
    if event.name != "issues":
        return Ignore(f"Nothing is done on {event.name} events.")
    if event.repository is None:
        return Ignore("The event names no repository of an installation.")
    if audience.installations and event.repository.installation_id not in audience.installations:
        return Ignore(f"Installation {event.repository.installation_id} is not among those served.")
    if audience.repositories and event.repository.id not in audience.repositories:
        return Ignore(f"Repository {event.repository.id} is not among those served.")
    return _dispatch_issue(event, audience)


def _dispatch_issue(event: Event, audience: Audience) -> Dispatch:
    assert event.repository is not None
    if event.issue is None or event.issue.is_pull_request:
        return Ignore("The event is not about an issue.")
    if event.action in ("closed", "deleted", "transferred"):
        return Cancel(event.repository.id, event.issue.number, f"The issue was {event.action}.")
    if event.action != "labeled":
        return Ignore(f"Nothing is done when an issue is {event.action or 'changed'}.")
    if event.label is None:
        return Ignore("The event names no label.")
    if event.sender is None:
        return Ignore("The event names no actor.")
    if event.sender.login == f"{audience.app_slug}[bot]":
        return Ignore("Our own change.")
    if event.sender.type != "User" or event.sender.login.endswith("[bot]"):
        return Ignore(f"Only people start work, and {event.sender.login} is not one.")
    if event.issue.state != "open":
        return Ignore("The issue is not open.")
    return Start(_make_job(event, "fix_issue", event.label))


def _make_job(event: Event, workflow: str, trigger: str) -> Job:
    assert event.repository is not None
    assert event.issue is not None
    assert event.sender is not None
    return Job(
        id=f"gh-{event.delivery_id}",
        workflow=workflow,
        repository=event.repository,
        number=event.issue.number,
        actor=event.sender,
        trigger=trigger,
        delivery_id=event.delivery_id,
        created_at=event.received_at,
        text=IssueText(title=event.issue.title, body=event.issue.body),
    )
