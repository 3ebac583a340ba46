"""A fresh local GitHub for each test, a receiver for its webhooks, a plain REST client, and the judge over it all."""

from __future__ import annotations

import json
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from github import Auth, Github, GithubIntegration

from app.localhub import bare
from app.localhub.server import LocalHub, new_key
from tests.openapi_judge import Judge

SECRET = "a secret for tests"
REPO = "octo/calc"
UNHURRIED: dict[str, Any] = {"seconds_between_requests": 0, "seconds_between_writes": 0}  # PyGithub waits otherwise
FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "README.md": "# calc\n",
    "docs/guide.md": "\n".join(f"line {number}" for number in range(1, 41)) + "\n",
}


@dataclass
class Receiver:
    """What arrived at the webhook address; ``status`` is what it answers, ``hold`` delays the answer while unset."""

    url: str = ""
    status: int = 202
    hold: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> list[str]:
        """The arrived events as ``event.action``."""
        return [".".join(filter(None, (h["x-github-event"], json.loads(b).get("action")))) for h, b in self.got]

    def payload(self, name: str) -> Any:
        """The last payload of an ``event.action``."""
        place = len(self.got) - 1 - self.events()[::-1].index(name)
        return json.loads(self.got[place][1])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server that takes webhooks."""
    taken = Receiver()
    taken.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            taken.hold.wait(30)
            self.send_response(taken.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        taken.url = f"http://127.0.0.1:{server.server_port}/webhook"
        yield taken
        taken.hold.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def app_key() -> str:
    """One key pair for all tests: making one takes longer than most of them."""
    return new_key()


@pytest.fixture
def hub(tmp_path: Path, receiver: Receiver, app_key: str) -> Iterator[LocalHub]:
    """A local GitHub with octo/calc (private), alice (write) and mallory (nothing); judged when the test is over."""
    judge = Judge()
    made = LocalHub(tmp_path, webhook_url=receiver.url, webhook_secret=SECRET, private_key_pem=app_key)
    made.observe(judge.watch)
    with made:
        made.create_repository(REPO, files=FILES)
        made.create_user("alice")
        made.create_user("mallory")
        made.set_permission(REPO, "alice", "write")
        yield made
        receiver.hold.set()
        made.wait_for_deliveries()
        judge.check(made.deliveries)


@dataclass
class Rest:
    """Plain HTTP to the REST API; every call returns the response, whatever its status."""

    root: str
    token: str | None = None

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        return requests.request(method, self.root + path, json=body, headers=sent, timeout=30, allow_redirects=False)


def integration(hub: LocalHub) -> GithubIntegration:
    """PyGithub as the App."""
    return GithubIntegration(auth=Auth.AppAuth(hub.app_id, hub.private_key_pem), base_url=hub.api_url, **UNHURRIED)


def mint(hub: LocalHub, **permissions: str) -> str:
    """An installation token; without arguments one with all permissions."""
    app = integration(hub)
    return app.get_access_token(app.get_repo_installation("octo", "calc").id, permissions=permissions or None).token


@pytest.fixture
def rest(hub: LocalHub) -> Rest:
    """REST as the App's installation."""
    return Rest(hub.api_url, mint(hub))


@pytest.fixture
def github(hub: LocalHub) -> Github:
    """PyGithub as the App's installation; it never tries again by itself."""
    return Github(auth=Auth.Token(mint(hub)), base_url=hub.api_url, retry=None, **UNHURRIED)


def person(hub: LocalHub, login: str) -> Rest:
    """REST as a person."""
    return Rest(hub.api_url, hub.create_token(login))


def git(*arguments: str, token: str | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run git, with a token as ``x-access-token`` from the environment, and never ask for a password."""
    extra = {"GIT_TERMINAL_PROMPT": "0"}
    if token:
        value = b64encode(f"x-access-token:{token}".encode()).decode()
        extra |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader"}
        extra["GIT_CONFIG_VALUE_0"] = f"Authorization: Basic {value}"
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=bare.environment(extra), capture_output=True, text=True, check=False
    )


def commit_all(folder: Path, message: str = "Work") -> str:
    """Commit everything in a clone and return the commit's id."""
    git("add", "-A", cwd=folder)
    done = git(
        "-c", "user.name=Tester", "-c", "user.email=tester@example.invalid", "commit", "-qm", message, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return git("rev-parse", "HEAD", cwd=folder).stdout.strip()
