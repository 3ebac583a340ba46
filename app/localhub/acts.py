"""What people and Apps do to issues, with the webhooks that follow; the caller holds the store's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.localhub import bare
from app.localhub.answers import Refusal, too_long, validation_failed
from app.localhub.events import announce, links_of
from app.localhub.records import App, Comment, Issue, Json, Label, LabelEvent, Reaction, Repository, User
from app.localhub.shapes import comment_json, issue_json, label_json, user_json
from app.localhub.shapes_pulls import pull_json
from app.localhub.store import Store

TITLE_LIMIT = 256
BODY_LIMIT = 65536


@dataclass(frozen=True)
class Actor:
    """Who acts: a user, or an App's bot with its App."""

    user: User
    app: App | None = None


def announce_issue(
    store: Store, repo: Repository, issue: Issue, *, action: str, actor: Actor, extra: dict[str, Any] | None = None
) -> None:
    """An ``issues`` event, or ``pull_request`` when the issue is one."""
    links = links_of(store)
    if issue.pull:
        details: Json = {"number": issue.number, "pull_request": pull_json(links, repo, issue)}
    else:
        details = {"issue": issue_json(links, repo, issue)}
    event = "pull_request" if issue.pull else "issues"
    announce(store, repo, event, action=action, sender=actor.user, details=details | (extra or {}))


def check_texts(resource: str, *, title: str | None = None, body: str | None = None) -> None:
    """Raise GitHub's refusal for a missing title or an over-long text."""
    if title is not None and not title.strip():
        raise validation_failed(resource, code="missing_field", field="title")
    if title is not None and len(title) > TITLE_LIMIT:
        raise too_long(resource, "title", TITLE_LIMIT)
    if body is not None and len(body) > BODY_LIMIT:
        raise too_long(resource)


def new_issue(store: Store, repo: Repository, actor: Actor, *, title: str, body: str | None) -> Issue:
    """A numbered issue in the repository, not yet announced."""
    now = store.now()
    number = max(repo.issues, default=0) + 1
    issue = Issue(store.new_id(), number, actor.user, title, body, created_at=now, updated_at=now, app=actor.app)
    repo.issues[number] = issue
    return issue


def open_issue(
    store: Store, repo: Repository, actor: Actor, *, title: str, body: str | None, labels: Sequence[str] = ()
) -> Issue:
    """Open an issue: ``issues.opened``, then ``issues.labeled`` for each label."""
    check_texts("Issue", title=title, body=body)
    issue = new_issue(store, repo, actor, title=title, body=body)
    announce_issue(store, repo, issue, action="opened", actor=actor)
    add_labels(store, repo, issue, actor=actor, names=labels)
    return issue


def add_labels(store: Store, repo: Repository, issue: Issue, *, actor: Actor, names: Sequence[str]) -> None:
    """Put labels on an issue; unknown ones are made, present ones change nothing."""
    for name in names:
        label = store.add_label(repo, name)
        if label not in issue.labels:
            issue.labels.append(label)
            touch(store, issue)
            announce_label(store, repo, issue, label=label, actor=actor, action="labeled")


def announce_label(store: Store, repo: Repository, issue: Issue, *, label: Label, actor: Actor, action: str) -> None:
    """``labeled`` or ``unlabeled``; kept among the issue's events too."""
    event = LabelEvent(store.new_id(), action, label, actor.user, store.now(), app=actor.app)
    issue.label_events.append(event)
    extra = {"label": label_json(links_of(store), repo, label)}
    announce_issue(store, repo, issue, action=action, actor=actor, extra=extra)


def remove_label(store: Store, repo: Repository, issue: Issue, *, actor: Actor, name: str) -> None:
    """Take a label off. Raises Refusal 404 ``Label does not exist`` when it is not on the issue."""
    label = next((label for label in issue.labels if label.name.lower() == name.lower()), None)
    if label is None:
        raise Refusal(404, "Label does not exist")
    issue.labels.remove(label)
    touch(store, issue)
    announce_label(store, repo, issue, label=label, actor=actor, action="unlabeled")


def touch(store: Store, issue: Issue) -> None:
    """The issue changed now."""
    issue.updated_at = store.now()


def edit_issue(store: Store, repo: Repository, issue: Issue, *, actor: Actor, changes: Json) -> None:
    """Change title, body, state, labels or assignees; each kind of change has its own event."""
    resource = "PullRequest" if issue.pull else "Issue"
    check_texts(resource, title=changes.get("title"), body=changes.get("body"))
    before: Json = {}
    for name in ("title", "body"):
        if name in changes and changes[name] != getattr(issue, name):
            before[name] = {"from": getattr(issue, name) or ""}
            setattr(issue, name, changes[name])
    if before:
        touch(store, issue)
        announce_issue(store, repo, issue, action="edited", actor=actor, extra={"changes": before})
    if "labels" in changes:
        wanted = [name.lower() for name in changes["labels"]]
        for label in [label for label in issue.labels if label.name.lower() not in wanted]:
            remove_label(store, repo, issue, actor=actor, name=label.name)
        add_labels(store, repo, issue, actor=actor, names=changes["labels"])
    if "assignees" in changes:
        assign(store, repo, issue, actor=actor, people=changes["assignees"])
    if changes.get("state") not in (None, issue.state):
        set_state(store, repo, issue, actor=actor, state=changes["state"], reason=changes.get("state_reason"))


def assign(store: Store, repo: Repository, issue: Issue, *, actor: Actor, people: Sequence[User]) -> None:
    """Set the assignees; each new one is announced."""
    added = [user for user in people if user not in issue.assignees]
    issue.assignees = list(people)
    touch(store, issue)
    for user in added:
        extra = {"assignee": user_json(links_of(store), user)}
        announce_issue(store, repo, issue, action="assigned", actor=actor, extra=extra)


def set_state(
    store: Store, repo: Repository, issue: Issue, *, actor: Actor, state: str, reason: str | None = None
) -> None:
    """Close or reopen."""
    closing = state == "closed"
    issue.state = "closed" if closing else "open"
    issue.closed_at = store.now() if closing else None
    issue.closed_by = actor.user if closing else None
    tip = bare.branch_sha(repo.path, issue.pull.head) if issue.pull and not issue.pull.fork and not closing else None
    if issue.pull and tip:
        # While it was closed, nothing that was pushed moved it.
        issue.pull.head_sha = tip
    issue.state_reason = None if issue.pull else (reason or "completed") if closing else "reopened"
    touch(store, issue)
    announce_issue(store, repo, issue, action="closed" if closing else "reopened", actor=actor)


def add_comment(store: Store, repo: Repository, issue: Issue, *, actor: Actor, body: str) -> Comment:
    """Comment on an issue or pull request."""
    if not body.strip():
        raise validation_failed("IssueComment", code="unprocessable", field="data", message="Body cannot be blank")
    check_texts("IssueComment", body=body)
    now = store.now()
    comment = Comment(store.new_id(), actor.user, body, created_at=now, updated_at=now, app=actor.app)
    issue.comments.append(comment)
    touch(store, issue)
    announce_comment(store, repo, issue, comment=comment, actor=actor, action="created")
    return comment


def announce_comment(
    store: Store,
    repo: Repository,
    issue: Issue,
    *,
    comment: Comment,
    actor: Actor,
    action: str,
    changes: Json | None = None,
) -> None:
    """An ``issue_comment`` event."""
    links = links_of(store)
    details: Json = {
        "issue": issue_json(links, repo, issue),
        "comment": comment_json(links, repo, issue, comment=comment),
    }
    if changes is not None:
        details["changes"] = changes
    announce(store, repo, "issue_comment", action=action, sender=actor.user, details=details)


def edit_comment(store: Store, repo: Repository, issue: Issue, *, comment: Comment, actor: Actor, body: str) -> None:
    """Change a comment's text."""
    check_texts("IssueComment", body=body)
    changes: Json = {"body": {"from": comment.body}}
    comment.body, comment.updated_at = body, store.now()
    announce_comment(store, repo, issue, comment=comment, actor=actor, action="edited", changes=changes)


def delete_comment(store: Store, repo: Repository, issue: Issue, *, comment: Comment, actor: Actor) -> None:
    """Remove a comment."""
    issue.comments.remove(comment)
    announce_comment(store, repo, issue, comment=comment, actor=actor, action="deleted")


def add_reaction(store: Store, reactions: list[Reaction], user: User, *, content: str) -> tuple[Reaction, bool]:
    """The user's reaction of this kind, and whether it is new; GitHub sends no webhook for one."""
    for reaction in reactions:
        if reaction.user is user and reaction.content == content:
            return reaction, False
    made = Reaction(store.new_id(), user, content, store.now())
    reactions.append(made)
    return made, True


def remove_reaction(reactions: list[Reaction], user: User, *, content: str) -> None:
    """Take the user's reaction of this kind back; none is fine."""
    reactions[:] = [each for each in reactions if (each.user, each.content) != (user, content)]


def delete_issue(store: Store, repo: Repository, issue: Issue, *, actor: Actor) -> None:
    """Make an issue vanish, with ``issues.deleted``. A pull request goes without a word: none can on GitHub."""
    del repo.issues[issue.number]
    if issue.pull is None:
        announce_issue(store, repo, issue, action="deleted", actor=actor)
