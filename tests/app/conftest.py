"""A local GitHub for the tests of the client, and in it for each test a repository of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from app.github import GitHubApp
from app.github_repository import RepositoryClient
from app.github_retry import RetryRules
from app.localhub.reviews import Wanted
from app.localhub.server import LocalHub
from tests.app.fake_clock import FakeClock
from tests.openapi_judge import Judge
from workflows.types import RepositoryRef

FAULTS: dict[str, dict[str, Any]] = {
    "502": {"kind": "status", "status": 502},
    "503 in HTML": {"kind": "status", "status": 503},
    "reset": {"kind": "reset"},
    "timeout": {"kind": "timeout", "seconds": 2.0},
}
WORKING = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write"}
MARKER = "<!-- forgehand:job=1 -->"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """One local GitHub for all tests; in the end every request and answer is held against GitHub's description."""
    judge = Judge()
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub:
        hub.observe(judge.watch)
        yield hub
    # The local GitHub's answer for a submodule alone lacks submodule_git_url.
    assert [finding for finding in judge.findings() if "/contents/sub ->" not in finding] == []


@pytest.fixture
def hub(shared_hub: LocalHub) -> Iterator[LocalHub]:
    yield shared_hub
    shared_hub.faults.clear()


def make_app(
    hub: LocalHub, time_: FakeClock, *, pem: str | None = None, patience: float = 3900.0, answer_within: float = 20.0
) -> GitHubApp:
    rules = RetryRules(between_writes=0.0, patience=patience, clock=time_.clock)
    return GitHubApp(
        hub.app_id, pem or hub.private_key_pem, api_url=hub.api_url, rules=rules, timeouts=(20.0, answer_within)
    )


@dataclass
class Place:
    """A repository with one issue, the client on it, and what happened there."""

    hub: LocalHub
    name: str
    issue: int
    time: FakeClock
    app: GitHubApp
    ref: RepositoryRef
    github: RepositoryClient

    def writes(self, method: str, ending: str) -> list[Any]:
        """The writes that were really carried out here."""
        return [
            e
            for e in self.hub.journal
            if e.method == method and e.path == f"/repos/{self.name}{ending}" and e.status < 300
        ]

    def hurry(self) -> None:
        """Wait less than a second for an answer, for tests in which none comes."""
        self.app = make_app(self.hub, self.time, answer_within=0.7)
        self.github = self.app.for_repository(self.ref, WORKING)

    def client(self, permissions: dict[str, str] | None = None) -> RepositoryClient:
        return self.app.for_repository(self.ref, permissions or WORKING)

    def pull(self, **changes: Any) -> Any:
        wanted = {"head": "qwen/issue-1", "base": "main", "title": "Fix it", "body": "Because.", "draft": True}
        return self.github.find_or_create_pull_request(**{**wanted, **changes})

    def on(self, api_url: str) -> RepositoryClient:
        """A client of the same repository on another server, which is asked for nothing but what a test names."""
        rules = RetryRules(between_writes=0.0, clock=self.time.clock)
        app = GitHubApp(self.hub.app_id, self.hub.private_key_pem, api_url=api_url, rules=rules)
        return app.for_repository(self.ref, WORKING)

    def comment(self, number: int, body: str, *, author: str = "alice") -> int:
        """A comment on the line that the pull request changed; its id."""
        wanted = Wanted("calc.py", body, line=1)
        return self.hub.comment_on_line(self.name, number, author, wanted).id

    def check(self, conclusion: Any = None, **changes: Any) -> int:
        wanted = {"head_sha": self.hub.branches(self.name)["main"], "name": "Forgehand", "external_id": "job-1"}
        texts = {"title": "Working", "summary": "So far so good."}
        return self.github.find_or_create_check_run(**{**wanted, **texts, "conclusion": conclusion, **changes})


@pytest.fixture
def place(hub: LocalHub) -> Iterator[Place]:
    """Each test has a repository of its own on the one server."""
    name = f"octo/calc-{next(NUMBERS)}"
    repo = hub.create_repository(name, files={"calc.py": "x = 1\n", "docs/b.md": "b", "docs/a b.md": "ä"})
    hub.create_user("alice")
    issue = hub.create_issue(name, "alice", "add is wrong", "1 + 1 gives 3", labels=["bug"]).number
    hub.commit(name, {"calc.py": "x = 2\n"}, branch="qwen/issue-1", author="forgehand[bot]")
    time_ = FakeClock()
    app = make_app(hub, time_)
    ref = RepositoryRef(installation_id=app.installation_for(name) or 0, id=repo.id, full_name=name)
    yield Place(hub, name, issue, time_, app, ref, app.for_repository(ref, WORKING))
    hub.faults.clear()
    app.close()
