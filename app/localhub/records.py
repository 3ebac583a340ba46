"""The records that the local GitHub holds: plain mutable dataclasses, owned by the store and guarded by its lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Json = dict[str, Any]
Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
Side = Literal["LEFT", "RIGHT"]
ROLES: tuple[Role, ...] = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass(eq=False)
class User:
    """An account: a person, an organization, or the bot of an App."""

    id: int
    login: str
    type: Literal["User", "Organization", "Bot"] = "User"
    app_slug: str | None = None


@dataclass(eq=False)
class App:
    """A registered GitHub App with its key pair and its one webhook."""

    id: int
    slug: str
    name: str
    owner: User
    bot: User
    client_id: str
    public_key: str
    private_key: str
    permissions: dict[str, str]
    events: tuple[str, ...]
    created_at: datetime
    webhook_url: str | None = None
    webhook_secret: str = ""


@dataclass(eq=False)
class Installation:
    """An App on an account. ``repositories`` None means all of the account's repositories."""

    id: int
    app: App
    account: User
    permissions: dict[str, str]
    created_at: datetime
    repositories: set[int] | None = None


@dataclass(eq=False)
class Token:
    """An access token: of a user (no installation, never expires) or of an installation."""

    value: str
    user: User
    installation: Installation | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    repositories: frozenset[int] | None = None
    expires_at: datetime | None = None


@dataclass(eq=False)
class Label:
    """A label of a repository."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(eq=False)
class LabelEvent:
    """A label put on an issue or taken off: ``action`` is ``labeled`` or ``unlabeled``."""

    id: int
    action: str
    label: Label
    actor: User
    created_at: datetime
    app: App | None = None


@dataclass(eq=False)
class Reaction:
    """One user's reaction to an issue or a comment."""

    id: int
    user: User
    content: str
    created_at: datetime


@dataclass(eq=False)
class Comment:
    """A comment in the conversation of an issue or pull request."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    app: App | None = None
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(eq=False)
class ReviewComment:
    """A comment on a line of a pull request's diff, with the hunk as it was then."""

    id: int
    review_id: int
    author: User
    body: str
    path: str
    commit_id: str
    diff_hunk: str
    position: int
    created_at: datetime
    updated_at: datetime
    line: int | None
    side: Side = "RIGHT"
    start_line: int | None = None
    start_side: Side | None = None
    in_reply_to: int | None = None
    subject_type: Literal["line", "file"] = "line"
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(eq=False)
class Review:
    """A review of a pull request; ``submitted_at`` is None while it is pending."""

    id: int
    author: User
    body: str
    state: Literal["PENDING", "COMMENTED", "APPROVED", "CHANGES_REQUESTED", "DISMISSED"]
    commit_id: str
    submitted_at: datetime | None


@dataclass(eq=False)
class Pull:
    """What a pull request has on top of an issue. ``head`` and ``base`` are branch names; the shas follow git.

    ``fork`` is the repository that the head is in, when that is another one.
    """

    id: int
    head: str
    base: str
    head_sha: str
    base_sha: str
    draft: bool = False
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)
    comments: list[ReviewComment] = field(default_factory=list)
    requested_reviewers: list[User] = field(default_factory=list)
    fork: Repository | None = None
    resolved: dict[int, User] = field(default_factory=dict)
    """Who resolved a thread, by the id of its first comment."""


@dataclass(eq=False)
class Issue:
    """An issue, or, with ``pull``, a pull request: they share one row of numbers."""

    id: int
    number: int
    author: User
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    app: App | None = None
    state: Literal["open", "closed"] = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: User | None = None
    labels: list[Label] = field(default_factory=list)
    label_events: list[LabelEvent] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    pull: Pull | None = None


@dataclass(eq=False)
class CheckSuite:
    """The check runs of one App on one commit; of GitHub Actions, those of one workflow's run."""

    id: int
    app: App
    head_sha: str
    workflow: str
    created_at: datetime


@dataclass(eq=False)
class CheckRun:
    """A check run by an App on one commit; annotations gather over updates.

    One by GitHub Actions is a job too: with a ``log`` once it ran, and a new record for every ``attempt``.
    """

    id: int
    suite: CheckSuite
    name: str
    started_at: datetime
    status: str = "queued"
    conclusion: str | None = None
    completed_at: datetime | None = None
    external_id: str = ""
    details_url: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: list[Json] = field(default_factory=list)
    log: bytes | None = None
    attempt: int = 1

    @property
    def app(self) -> App:
        """The App that it is by."""
        return self.suite.app

    @property
    def head_sha(self) -> str:
        """The commit that it is on."""
        return self.suite.head_sha


@dataclass(eq=False)
class Release:
    """A release; a draft has no ``published_at`` and no tag in git."""

    id: int
    author: User
    tag: str
    target: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    created_at: datetime
    published_at: datetime | None


@dataclass(eq=False)
class Repository:
    """A repository: its bare git repository is the folder ``path``."""

    id: int
    owner: User
    name: str
    path: Path
    private: bool
    created_at: datetime
    pushed_at: datetime
    default_branch: str = "main"
    description: str | None = None
    archived: bool = False
    roles: dict[str, Role] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)
    check_suites: dict[tuple[int, str, str], CheckSuite] = field(default_factory=dict)
    """By the App's id, the commit and the workflow."""
    releases: dict[int, Release] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner.login}/{self.name}"


@dataclass(eq=False)
class Delivery:
    """One attempt to send a webhook: what was sent, and what came back. ``duration`` is in seconds."""

    id: int
    guid: str
    app: App
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None
    payload: bytes
    delivered_at: datetime
    redelivery: bool = False
    request_headers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    duration: float = 0.0
    status: str = "pending"
    status_code: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""


@dataclass(frozen=True)
class JournalEntry:
    """One write that reached the local GitHub: a REST call by its method, or a moved ref (method ``PUSH``).

    ``actor`` is a login (or ``app:SLUG`` for a JWT); ``status`` is what was decided, even when a fault hid it.
    """

    at: datetime
    method: str
    path: str
    actor: str
    body: Any
    status: int
