"""LocalHub: the local GitHub as an object that a test or the demo starts, seeds, acts in, and looks into."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from app.localhub import acts_pulls, bare
from app.localhub.acts import Actor
from app.localhub.checks_of_apps import ChecksOfApps
from app.localhub.deliveries import SECONDS, Postman, redeliver
from app.localhub.edge import Edge, Observer, ResettableProtocol
from app.localhub.events import API_PREFIX, ping
from app.localhub.faults import Fault, Faults
from app.localhub.people import People
from app.localhub.records import ROLES, App, Delivery, Installation, Issue, JournalEntry, Repository, Role
from app.localhub.store import DEFAULT_LABELS, Store

PERMISSIONS = {
    "metadata": "read",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
}
EVENTS = (
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "delete",
    "check_run",
    "check_suite",
)
START_SECONDS = 20.0


class LocalHub(People, ChecksOfApps):
    """A local GitHub on 127.0.0.1, with one registered App, empty but for what you seed.

    Usage::

        hub = LocalHub(folder, webhook_url="http://127.0.0.1:8000/webhook", webhook_secret="s3cret")
        hub.start()                                   # or: with LocalHub(folder) as hub:
        hub.create_repository("octo/calc", files={"calc.py": "..."})     # owner made, App installed, private
        hub.create_user("alice")
        hub.set_permission("octo/calc", "alice", "write")
        number = hub.create_issue("octo/calc", "alice", "add is wrong", "1 + 1 gives 3").number
        hub.add_label("octo/calc", number, "qwen", "alice")              # -> issues.labeled is sent
        hub.wait_for_deliveries()
        hub.pull_requests("octo/calc"), hub.comments("octo/calc", number), hub.journal
        hub.comment_on_line("octo/calc", 2, "alice", Wanted("calc.py", "why?", line=3))      # app/localhub/people.py
        hub.add_check_run("octo/calc", "fix", "tests", outcome=Outcome("failure", log="…"))  # …/checks_of_apps.py
        hub.stop()

    The client needs ``hub.api_url`` (GHES style, with ``/api/v3``; the root works too), ``hub.app_id`` and
    ``hub.private_key_pem``; a person's REST token comes from ``hub.create_token("alice")``. Pages: ``hub.html_url``.
    Faults: ``hub.faults.add(Fault("status", method="POST", path="/pulls$", after_write=True))``.

    The Python methods act as the user they are given and send the same webhooks as REST, but they ask for no
    permission. The records they return are live: they change as the hub works on. A data folder may be used again, but
    nothing in it is read: every start is empty.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        webhook_url: str | None = None,
        webhook_secret: str = "",
        webhook_seconds: float = SECONDS,
        port: int = 0,
        app_slug: str = "forgehand",
        private_key_pem: str | None = None,
        permissions: Mapping[str, str] | None = None,
        events: Sequence[str] = EVENTS,
    ) -> None:
        # asyncio turns Nagle's delay off (40 ms a call on a kept connection) only where the protocol is named.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.data_dir = Path(data_dir)
        super().__init__(Store(self.data_dir, origin=f"http://127.0.0.1:{self.port}"))
        self.faults = Faults()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.data_dir))
        self._postman = Postman(self.store, seconds=webhook_seconds)
        self._edge = Edge(self.store, self.faults)
        config = uvicorn.Config(
            self._edge.application(),
            http=ResettableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="localhub", daemon=True)
        self.app = self.create_app(
            app_slug,
            permissions=permissions,
            events=events,
            webhook_url=webhook_url,
            webhook_secret=webhook_secret,
            private_key_pem=private_key_pem,
        )

    # --- the server ---------------------------------------------------------------------------------------------

    def start(self) -> LocalHub:
        """Serve. Returns itself once connections are taken; raises TimeoutError after 20 seconds."""
        self._postman.start()
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"The local GitHub did not start on port {self.port}; see its log for the reason.")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End the server and the webhook worker; the data folder stays."""
        self._edge.closing.set()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
            self._postman.stop()
        self._socket.close()

    def __enter__(self) -> LocalHub:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def observe(self, observer: Observer) -> None:
        """Have every REST exchange shown to ``observer``, in the thread that answers it."""
        self._edge.observers.append(observer)

    @property
    def html_url(self) -> str:
        """The root of the pages, without a slash at the end."""
        return self.store.origin

    @property
    def api_url(self) -> str:
        """The root of the REST API, GHES style."""
        return self.store.origin + API_PREFIX

    # --- Apps and people ----------------------------------------------------------------------------------------

    @property
    def app_id(self) -> int:
        """The id of the App made at the start."""
        return self.app.id

    @property
    def private_key_pem(self) -> str:
        """Its private key."""
        return self.app.private_key

    @property
    def bot_login(self) -> str:
        """The login under which it writes: ``SLUG[bot]``."""
        return self.app.bot.login

    def create_app(
        self,
        slug: str,
        *,
        permissions: Mapping[str, str] | None = None,
        events: Sequence[str] = EVENTS,
        webhook_url: str | None = None,
        webhook_secret: str = "",
        private_key_pem: str | None = None,
    ) -> App:
        """Register an App, with a new RSA key unless one is given; :meth:`install` or a new repository installs it."""
        private = private_key_pem or new_key()
        with self.store.lock:
            app = self.store.add_app(
                slug,
                private_key=private,
                public_key=public_key_of(private),
                permissions=permissions or PERMISSIONS,
                events=events,
            )
            app.webhook_url, app.webhook_secret = webhook_url, webhook_secret
        return app

    def set_webhook(self, url: str | None, secret: str = "", *, app: App | None = None) -> None:
        """Point the App's webhook somewhere else, or nowhere."""
        with self.store.lock:
            chosen = app or self.app
            chosen.webhook_url, chosen.webhook_secret = url, secret

    def install(self, owner: str, *, app: App | None = None, repositories: Sequence[str] | None = None) -> Installation:
        """Install an App on an account, on all repositories or on those named (``owner/name``)."""
        with self.store.lock:
            chosen = app or self.app
            account = self.store.add_user(owner, type="Organization")
            found = next(
                (i for i in self.store.installations.values() if i.app is chosen and i.account is account), None
            )
            if found is None:
                found = Installation(
                    self.store.new_id(), chosen, account, dict(chosen.permissions), created_at=self.store.now()
                )
                self.store.installations[found.id] = found
            found.repositories = {self.repository(name).id for name in repositories} if repositories else None
            return found

    def expire_tokens(self) -> None:
        """Let every installation token end now."""
        with self.store.lock:
            for token in self.store.tokens.values():
                if token.installation:
                    token.expires_at = self.store.now()

    def create_user(self, login: str) -> str:
        """Make a person (no harm when there is one) and return the login."""
        with self.store.lock:
            return self.store.add_user(login).login

    def create_token(self, login: str) -> str:
        """A personal token with which this person uses REST and git."""
        with self.store.lock:
            return self.store.add_token(self.store.add_user(login)).value

    def set_permission(self, repository: str, login: str, role: Role) -> None:
        """Give a person a role: none, read, triage, write, maintain or admin."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role; use one of {', '.join(ROLES)}.")
        with self.store.lock:
            self.repository(repository).roles[self.store.add_user(login).login.lower()] = role

    # --- repositories -------------------------------------------------------------------------------------------

    def create_repository(
        self,
        full_name: str,
        *,
        files: Mapping[str, str | bytes] | None = None,
        folder: Path | None = None,
        private: bool = True,
        default_branch: str = "main",
        description: str | None = None,
        install: bool = True,
    ) -> Repository:
        """Make ``owner/name`` with one commit of ``files`` or of a folder's files (without both: empty).

        The owner becomes an organization unless it is a person already. ``install``: also install the App on it.
        """
        owner, _, name = full_name.partition("/")
        if self.store.find_repository(full_name):
            raise ValueError(f"There is a repository {full_name} already; choose another name.")
        with self.store.lock:
            account = self.store.add_user(owner, type="Organization")
            path = self._folder / f"{self.store.new_id()}.git"
            bare.create(path, default_branch)
            now = self.store.now()
            repo = Repository(self.store.new_id(), account, name, path, private, created_at=now, pushed_at=now)
            repo.default_branch, repo.description = default_branch, description
            self.store.repositories[repo.id] = repo
            for label, color in DEFAULT_LABELS.items():
                self.store.add_label(repo, label, color)
            if install and self.store.installation_for(self.app, repo) is None:
                self.install(owner)
        content = dict(files or {})
        if folder:
            content |= read_folder(folder)
        if content:
            self.commit(full_name, content, message="Initial commit", announce=False)
        return repo

    def commit(
        self,
        repository: str,
        files: Mapping[str, str | bytes | None],
        *,
        message: str = "Change files",
        branch: str | None = None,
        author: str = "octocat",
        start: str | None = None,
        announce: bool = True,
        force: bool = False,
    ) -> str:
        """Commit files onto a branch (made from ``start`` or the default branch when new) and return the commit's id.

        ``None`` removes a path; a content of bytes beginning with ``#!`` becomes executable. Pull requests follow.
        ``force``: what the branch held is pushed away, and it begins at ``start`` again.
        """
        repo = self.repository(repository)
        with self.store.lock:
            name = branch or repo.default_branch
            tip = None if force else bare.branch_sha(repo.path, name)
            parent = tip or bare.resolve(repo.path, start or repo.default_branch)
            entries: dict[str, tuple[str, str] | None] = {}
            for path, content in files.items():
                raw = content.encode() if isinstance(content, str) else content
                mode = "100755" if raw and raw.startswith(b"#!") else "100644"
                entries[path] = None if raw is None else (mode, bare.write_blob(repo.path, raw))
            tree = bare.write_tree(repo.path, parent, entries)
            actor = Actor(self.store.add_user(author))
            person = acts_pulls.person_of(self.store, actor)
            sha = bare.write_commit(repo.path, tree, [parent] if parent else [], message, author=person)
            if announce:
                acts_pulls.move_branch(self.store, repo, f"refs/heads/{name}", after=sha, actor=actor)
            else:
                bare.move_ref(repo.path, f"refs/heads/{name}", sha)
        return sha

    def open_pull_request_from_fork(
        self, repository: str, author: str, *, files: Mapping[str, str | bytes | None], title: str, body: str = ""
    ) -> Issue:
        """Open one whose head, a commit of ``files``, is in the author's own copy of the repository."""
        repo = self.repository(repository)
        fork = f"{author}/{repo.name}"
        self.store.add_user(author)
        copy = self.store.find_repository(fork) or self.create_repository(fork, install=False)
        with self.store.lock:
            branch = f"of-{author}"
            self.commit(repository, files, branch=branch, author=author, announce=False)
            issue = acts_pulls.open_pull(
                self.store,
                repo,
                self._who(author),
                head=branch,
                base=repo.default_branch,
                title=title,
                body=body,
                fork=copy,
            )
            bare.move_ref(repo.path, f"refs/heads/{branch}", bare.ZERO)
            return issue

    def rename_repository(self, full_name: str, name: str) -> None:
        """Give a repository another name; the old one redirects."""
        with self.store.lock:
            repo = self.repository(full_name)
            self.store.old_names[full_name.lower()] = repo.id
            repo.name = name

    def archive_repository(self, full_name: str) -> None:
        """Make a repository read-only."""
        with self.store.lock:
            self.repository(full_name).archived = True

    def read_file(self, repository: str, path: str, ref: str | None = None) -> bytes | None:
        """A file's bytes at a ref (the default branch unless given), or None."""
        repo = self.repository(repository)
        commit = bare.resolve(repo.path, ref or repo.default_branch)
        entry = bare.entry_at(repo.path, commit, path) if commit else None
        return bare.read_object(repo.path, "blob", entry.sha) if entry and entry.type == "blob" else None

    def branches(self, repository: str) -> dict[str, str]:
        """Branch names and the commits they are on."""
        found = bare.refs(self.repository(repository).path, "refs/heads/")
        return {name.removeprefix("refs/heads/"): sha for name, sha in found.items()}

    def clone_url(self, repository: str) -> str:
        """The address for git, without credentials."""
        return f"{self.html_url}/{self.repository(repository).full_name}.git"

    # --- webhooks and the journal -------------------------------------------------------------------------------

    def ping(self) -> Delivery:
        """Send ``ping``, as GitHub does when a webhook is made."""
        with self.store.lock:
            return ping(self.store, self.app)

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send a delivery again under the same GUID."""
        with self.store.lock:
            return redeliver(self.store, delivery)

    def wait_for_deliveries(self, timeout: float = 120.0) -> None:
        """Return when every webhook queued so far was sent. Raises TimeoutError after ``timeout`` seconds."""
        if not self._postman.wait(timeout):
            raise TimeoutError(f"Some webhooks were not sent within {timeout} seconds; is the receiver hanging?")

    @property
    def deliveries(self) -> list[Delivery]:
        """The delivery log, oldest first; ``payload`` is the signed bytes, ``status_code`` what came back."""
        with self.store.lock:
            return list(self.store.deliveries.values())

    @property
    def journal(self) -> list[JournalEntry]:
        """Every write by REST and every ref moved, oldest first."""
        with self.store.lock:
            return list(self.store.journal)


def new_key() -> str:
    """A fresh RSA key in the PEM form in which GitHub hands one out."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public_key_of(private: str) -> str:
    """The public half of a PEM key. Raises ValueError for anything else."""
    public = serialization.load_pem_private_key(private.encode(), password=None).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files below a folder by their paths, without ``.git``, caches and links."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__", "node_modules"))
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


__all__ = ["Fault", "LocalHub"]
