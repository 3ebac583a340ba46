"""What stories of reviews have in common: a change with one defect, what reviewers say of it, and what they posted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.demo.scripted_model import ScriptedModel
from app.localhub.faults import Fault
from app.localhub.records import Review, ReviewComment
from tests.stories.conftest import Ground
from tests.stories.scripts import call, finish, turn
from tests.stories.world import JOB_SECONDS
from workflows.durable.queue import JobRecord

FILES = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 1) == 2\n",
}
CHANGED = "def add(a, b):\n    return a + b\n\n\ndef mean(numbers):\n    return sum(numbers) / len(numbers)\n"
FINDING = {
    "severity": "important",
    "category": "bug",
    "confidence": 0.9,
    "path": "calc.py",
    "line": 6,
    "code": "    return sum(numbers) / len(numbers)",
    "title": "The mean of no numbers divides by zero",
    "body": "`mean([])` raises ZeroDivisionError.",
    "command": "python -c 'import calc; calc.mean([])'",
    "suggestion": "    return sum(numbers) / len(numbers) if numbers else 0",
}
TASTE = {**FINDING, "severity": "minor", "line": 5, "code": "def mean(numbers):", "title": "The name could be longer"}


def report(*findings: dict[str, Any]) -> dict[str, Any]:
    """The session that runs one command and hands these findings over."""
    return turn(finish(json.dumps({"findings": findings})))


REFUTER: dict[str, Any] = {"match": "You are the second reader of a code review", "content": "{}"}


def stands(ground: Ground, **fallen: Any) -> dict[str, Any]:
    """What the second reader says, by finding."""
    return {"match": "You are the second reader of a code review", "content": json.dumps(fallen)}


RUN = turn(call("bash", command="python -c 'import calc; calc.mean([])'"))


def propose(
    ground: Ground,
    name: str,
    *,
    policy: str = "",
    author: str = "alice",
    body: str = "",
    issue: str = "",
    draft: bool = False,
    changed: Mapping[str, str | bytes | None] | None = None,
) -> tuple[str, int]:
    """A repository with a pull request from its own branch, which changes ``changed``."""
    files = {**FILES, ".github/qwen.yml": policy} if policy else FILES
    repository = ground.world.create_repository(name, files)
    if issue:
        ground.world.hub.create_issue(repository, "alice", issue, issue)
    ground.world.hub.commit(repository, changed or {"calc.py": CHANGED}, branch="mean", start="main")
    return repository, ground.world.hub.open_pull_request(
        repository, author, head="mean", title="A mean", body=body, draft=draft
    ).number


class Meanwhile(Fault):
    """Once a model has begun to read, the next GET of ``path`` is answered late: something happens before."""

    def __init__(self, ground: Ground, does: Callable[[], None], path: str) -> None:
        super().__init__("status", method="GET", path=path, status=502)
        self._ground, self._does = ground, does
        self._told = len(told_to_model(ground))

    def matches(self, method: str, path: str, body: bytes) -> bool:
        """Whether a model has been asked since."""
        return len(told_to_model(self._ground)) > self._told and super().matches(method, path, body)

    def act(self) -> None:
        """What happens."""
        self._does()


@contextmanager
def meanwhile(ground: Ground, does: Callable[[], None], *, path: str = r"/pulls/\d+$") -> Iterator[None]:
    """Have this happen while a review reads, before it gets ``path`` next: by default the pull request."""
    fault = ground.world.hub.faults.add(Meanwhile(ground, does, path))
    try:
        yield
    finally:
        ground.world.hub.faults.clear()
    assert fault.struck == 1


def until_waiting(ground: Ground, repository: str, number: int, *, queued: int, joined: int = 0) -> None:
    """Wait until so many jobs of a thread are queued, and so many others joined them."""
    identity = ground.world.hub.repository(repository).id

    def is_so() -> bool:
        found = ground.inside.queue.thread(identity, number)
        waiting = [one for one in found if one.state == "queued" and not one.job.admission]
        gone = [one for one in found if one.outcome is not None and one.outcome.status == "joined"]
        return len(waiting) == queued and len(gone) == joined

    ground.world.wait_until(is_so, 90, "the next reviews to wait")


def reviews(ground: Ground, repository: str, number: int) -> list[Review]:
    """All reviews of a pull request."""
    pull = ground.world.hub.issue(repository, number).pull
    assert pull is not None
    return pull.reviews


def line_comments(ground: Ground, repository: str, number: int) -> list[ReviewComment]:
    """All comments on its diff."""
    pull = ground.world.hub.issue(repository, number).pull
    assert pull is not None
    return pull.comments


def ended(ground: Ground, repository: str, number: int, *, jobs: int) -> list[JobRecord]:
    """The thread's jobs once there are that many and all have ended."""
    identity = ground.world.hub.repository(repository).id

    def found() -> list[JobRecord]:
        return ground.inside.queue.thread(identity, number)

    ground.world.wait_until_heard()
    ground.world.wait_until(
        lambda: len(found()) >= jobs and all(one.state in ("ended", "cancelled") for one in found()),
        JOB_SECONDS,
        "its end",
    )
    return found()


def judges(**verdicts: tuple[bool, str]) -> dict[str, Any]:
    """What the model says of people's answers, by finding."""
    said = {name: {"accepted": accepted, "say": say} for name, (accepted, say) in verdicts.items()}
    return {"match": "Your task is to judge their answers", "content": json.dumps(said)}


def name_of(comment: ReviewComment) -> str:
    """The finding that a comment of ours is about."""
    return comment.body.partition("forgehand:finding=")[2][:12]


def command(ground: Ground, repository: str, number: int, words: str) -> None:
    """A person asks."""
    ground.world.hub.add_comment(repository, number, "alice", words)


def is_resolved(ground: Ground, repository: str, number: int, comment: ReviewComment) -> bool:
    """Whether the thread that this comment begins is resolved."""
    pull = ground.world.hub.issue(repository, number).pull
    assert pull is not None
    return comment.id in pull.resolved


def told_to_model(ground: Ground) -> list[str]:
    """The model's requests so far."""
    assert isinstance(ground.world.model, ScriptedModel)
    return [request.body.decode() for request in ground.world.model.completions()]
