"""The one stateful store of the local GitHub: every record, the ids, the clock, the write journal, and the lock."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

from app.localhub.records import (
    ROLES,
    App,
    Comment,
    Delivery,
    Installation,
    Issue,
    JournalEntry,
    Label,
    Repository,
    ReviewComment,
    Role,
    Token,
    User,
)

T = TypeVar("T")
DOWNLOADS = "/localhub-downloads/"
Send = Callable[[Delivery], None]
DEFAULT_LABELS = {
    "bug": "d73a4a",
    "documentation": "0075ca",
    "enhancement": "a2eeef",
    "good first issue": "7057ff",
    "help wanted": "008672",
}


class Store:
    """All state. Hold ``lock`` (it may be taken twice by one thread) around every read or write of the records."""

    def __init__(self, folder: Path, *, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.apps: dict[int, App] = {}
        self.installations: dict[int, Installation] = {}
        self.repositories: dict[int, Repository] = {}
        self.old_names: dict[str, int] = {}
        self.tokens: dict[str, Token] = {}
        self.deliveries: dict[int, Delivery] = {}
        self.journal: list[JournalEntry] = []
        self.downloads: dict[str, bytes] = {}
        self.send: Send = lambda delivery: None
        self._ids = count(1001)

    def new_id(self) -> int:
        """A number that no other record has."""
        return next(self._ids)

    def now(self) -> datetime:
        """The local GitHub's clock, in whole seconds of UTC."""
        return datetime.now(UTC).replace(microsecond=0)

    def record(self, method: str, path: str, *, actor: str, body: object, status: int) -> None:
        """Append one write to the journal."""
        with self.lock:
            self.journal.append(JournalEntry(self.now(), method, path, actor, body, status))

    def add_user(self, login: str, *, type: str = "User", app_slug: str | None = None) -> User:
        """The account with this login, created when absent."""
        found = self.users.get(login.lower())
        if found is None:
            found = User(self.new_id(), login, app_slug=app_slug)
            found.type = "Bot" if type == "Bot" else "Organization" if type == "Organization" else "User"
            self.users[login.lower()] = found
        return found

    def add_app(
        self,
        slug: str,
        *,
        private_key: str,
        public_key: str,
        permissions: Mapping[str, str] | None = None,
        events: Sequence[str] = (),
    ) -> App:
        """Register an App with its bot; it has no webhook yet."""
        number = self.new_id()
        app = self.apps[number] = App(
            number,
            slug,
            slug.replace("-", " ").title() if "-" in slug else slug.capitalize(),
            owner=self.add_user("app-owner"),
            bot=self.add_user(f"{slug}[bot]", type="Bot", app_slug=slug),
            client_id=f"Iv23li{number:014d}",
            public_key=public_key,
            private_key=private_key,
            permissions=dict(permissions or {}),
            events=tuple(events),
            created_at=self.now(),
        )
        return app

    def add_token(self, user: User, *, installation: Installation | None = None) -> Token:
        """A fresh token in GitHub's form: ``ghs_`` of an installation, ``ghp_`` of a user, and 36 characters."""
        letters = string.ascii_letters + string.digits
        prefix = "ghs_" if installation else "ghp_"
        token = Token(prefix + "".join(secrets.choice(letters) for _ in range(36)), user, installation)
        self.tokens[token.value] = token
        return token

    def add_download(self, content: bytes) -> str:
        """An address, not to be guessed, at which anybody can fetch this text, as GitHub's logs have one."""
        key = secrets.token_urlsafe(24)
        self.downloads[key] = content
        return f"{self.origin}{DOWNLOADS}{key}"

    def find_repository(self, full_name: str) -> Repository | None:
        """The repository with this ``owner/name`` now, upper and lower case alike."""
        wanted = full_name.lower()
        return next((r for r in self.repositories.values() if r.full_name.lower() == wanted), None)

    def installation_for(self, app: App, repo: Repository) -> Installation | None:
        """The App's installation that covers a repository."""
        for found in self.installations.values():
            chosen = found.repositories is None or repo.id in found.repositories
            if chosen and found.app is app and found.account is repo.owner:
                return found
        return None

    def add_label(self, repo: Repository, name: str, color: str = "ededed") -> Label:
        """The repository's label of this name, created when absent."""
        label = repo.labels.get(name.lower())
        if label is None:
            label = repo.labels[name.lower()] = Label(self.new_id(), name, color)
        return label


def role_of(repo: Repository, user: User) -> Role:
    """What a user may do: the seeded role, admin for the owner, read for everyone on a public repository."""
    if user is repo.owner:
        return "admin"
    return repo.roles.get(user.login.lower(), "none" if repo.private else "read")


def has_role(repo: Repository, user: User, wanted: Role) -> bool:
    """Whether the user's role is ``wanted`` or more."""
    return ROLES.index(role_of(repo, user)) >= ROLES.index(wanted)


def find_comment(repo: Repository, comment_id: int) -> tuple[Issue, Comment] | None:
    """A conversation comment and its issue."""
    return next(((i, c) for i in repo.issues.values() for c in i.comments if c.id == comment_id), None)


def find_review_comment(repo: Repository, comment_id: int) -> tuple[Issue, ReviewComment] | None:
    """A review comment and its pull request."""
    pulls = (i for i in repo.issues.values() if i.pull)
    return next(((i, c) for i in pulls if i.pull for c in i.pull.comments if c.id == comment_id), None)
