"""A pull request's changelog entry: one commit in the repository's own way, once, or said where it cannot be pushed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import docker
import pytest

from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import WRONG

ASKED = "You write the changelog entry of somebody's pull request"
RIGHT = {"calc.py": "def add(a, b):\n    return a + b\n"}
UNRELEASED = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [1.0.0]\n\n- First.\n"
POLICY = ".github/qwen.yml"
ENTRY = {"needed": True, "reason": "Users see it.", "category": "Fixed", "text": "`add` adds."}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("changelog") / "world", engine) as ground:
        yield ground


def play(ground: Ground, **changes: Any) -> None:
    ground.script[:] = [{"match": ASKED, "content": json.dumps(ENTRY | changes)}]


def pull_of(ground: Ground, name: str, files: Mapping[str, str]) -> tuple[str, int]:
    """A repository in which alice has opened a pull request."""
    hub = ground.world.hub
    repository = ground.world.create_repository(name, {**WRONG, **files})
    hub.commit(repository, RIGHT, message="Mend add", branch="work", author="alice")
    return repository, hub.open_pull_request(repository, "alice", head="work", title="Mend add").number


def ask(ground: Ground, repository: str, number: int, *, jobs: int = 1) -> Told:
    # The same within two minutes would be one request.
    ground.world.hub.add_comment(repository, number, "alice", f"/qwen changelog turns={jobs}")
    return ground.told(repository, number, jobs=jobs)


def asked(ground: Ground) -> int:
    """How often the model was asked."""
    requests = ground.world.model.requests  # type: ignore[union-attr]
    return sum(request.json["messages"][0]["content"].startswith(ASKED) for request in requests)


def test_one_commit_under_unreleased(ground: Ground) -> None:
    """The entry is one commit on the branch, on top of its head, and nothing else of the file changes."""
    repository, number = pull_of(ground, "kept", {"CHANGELOG.md": UNRELEASED})
    before = ground.world.hub.branches(repository)["work"]
    play(ground)
    told = ask(ground, repository, number)
    assert told.outcome.status == "pushed", told.outcome
    written = (ground.world.hub.read_file(repository, "CHANGELOG.md", "work") or b"").decode()
    assert written == UNRELEASED.replace("- A thing.\n", "- A thing.\n\n### Fixed\n\n- `add` adds.\n")
    comment = ground.world.hub.comments(repository, number)[0].id
    assert told.writes == [
        f"POST issues/comments/{comment}/reactions",
        f"POST issues/{number}/comments",
        "PUSH work",
    ]
    pushed = [entry for entry in ground.world.hub.journal if entry.method == "PUSH" and repository in entry.path][-1]
    assert pushed.body["before"] == before
    assert told.comments[-1].startswith("Done: the entry is in `CHANGELOG.md`, commit ")


def test_asked_again_nothing_is_doubled(ground: Ground) -> None:
    """The entry that is there is found, whatever its words, without asking the model."""
    repository, number = pull_of(ground, "again", {"CHANGELOG.md": UNRELEASED})
    play(ground)
    ask(ground, repository, number)
    tip, before = ground.world.hub.branches(repository)["work"], asked(ground)
    play(ground, text="Other words.")
    told = ask(ground, repository, number, jobs=2)
    assert told.outcome.status == "no_change"
    assert told.outcome.reason == "The pull request has an entry already, in `CHANGELOG.md`."
    assert told.branches["work"] == tip
    assert asked(ground) == before


def test_a_fragment_of_its_own(ground: Ground) -> None:
    """Where fragments are kept, the entry is a file of its own, which no other pull request touches."""
    settings = '[tool.towncrier]\ndirectory = "news"\nfilename = "NEWS.md"\n'
    repository, number = pull_of(ground, "fragments", {"pyproject.toml": settings, "news/.gitignore": "!.gitignore\n"})
    play(ground)
    told = ask(ground, repository, number)
    assert told.outcome.status == "pushed", told.outcome
    assert ground.world.hub.read_file(repository, f"news/{number}.bugfix.md", "work") == b"`add` adds.\n"
    again = ask(ground, repository, number, jobs=2)
    assert "has an entry already" in again.outcome.reason


def test_no_entry_is_needed(ground: Ground) -> None:
    """The model's reason is the answer, and nothing is pushed."""
    repository, number = pull_of(ground, "unneeded", {"CHANGELOG.md": UNRELEASED})
    play(ground, needed=False, reason="Only a test changed, @octocat.", text="")
    told = ask(ground, repository, number)
    assert told.outcome.status == "no_change"
    said = told.comments[-1]
    assert said.startswith("**No changelog entry was written:** No entry is needed: Only a test changed, `@octocat`.")
    assert "PUSH work" not in told.writes


def test_the_policy_wants_none(ground: Ground) -> None:
    """With `changelog: none` nobody is asked."""
    repository, number = pull_of(ground, "none", {"CHANGELOG.md": UNRELEASED, POLICY: "changelog: none\n"})
    before = asked(ground)
    told = ask(ground, repository, number)
    assert told.outcome.reason == "The policy wants no entries: `changelog: none`."
    assert asked(ground) == before


@pytest.mark.parametrize("policy", ["changelog: body\n", "label: qwen\n"], ids=["body", "no file"])
def test_without_a_file_it_is_said(ground: Ground, policy: str) -> None:
    """Where the changelog is the pull requests' text, or there is none, the entry stands in the comment."""
    repository, number = pull_of(ground, f"said-{len(policy)}", {POLICY: policy})
    play(ground)
    told = ask(ground, repository, number)
    assert told.outcome.status == "answered", told.outcome
    assert "Under **Fixed**:\n\n```markdown\n- `add` adds.\n```" in told.comments[-1]
    assert "PUSH work" not in told.writes


def test_a_fork_is_told_what_to_write(ground: Ground) -> None:
    """Nothing can be pushed to a fork: the entry and its place are said."""
    repository = ground.world.create_repository("forked", {**WRONG, "CHANGELOG.md": UNRELEASED})
    pull = ground.world.hub.open_pull_request_from_fork(repository, "carol", files=RIGHT, title="Mend add")
    play(ground)
    told = ask(ground, repository, pull.number)
    assert told.outcome.status == "answered", told.outcome
    said = told.comments[-1]
    assert "comes from a fork" in said
    assert "It belongs into `CHANGELOG.md`. Under **Fixed**:\n\n```markdown\n- `add` adds.\n```" in said
    assert list(told.branches) == ["main"]


def test_a_branch_that_moved_meanwhile(ground: Ground) -> None:
    """What a person pushed while the entry was worded is not overwritten; the entry is not lost."""
    hub = ground.world.hub
    repository, number = pull_of(ground, "moved", {"CHANGELOG.md": UNRELEASED})
    moved = threading.Event()
    ground.script[:] = [{"match": ASKED, "content": json.dumps(ENTRY), "held": moved}]
    before = asked(ground)
    hub.add_comment(repository, number, "alice", "/qwen changelog")
    ground.world.wait_until(lambda: asked(ground) > before, 90, "the model to be asked")
    tip = hub.commit(repository, {"more.txt": "more\n"}, branch="work", author="alice")
    moved.set()
    told = ground.told(repository, number)
    assert told.outcome.status == "rejected"
    assert told.branches["work"] == tip
    assert "**Nothing was pushed:** GitHub refused the push to `work`" in told.comments[-1]
    assert "- `add` adds." in told.comments[-1]


def test_a_protected_changelog(ground: Ground) -> None:
    """The rules for changes hold for an entry too."""
    files = {"CHANGELOG.md": UNRELEASED, POLICY: "protected: CHANGELOG.md\n"}
    repository, number = pull_of(ground, "protected", files)
    play(ground)
    told = ask(ground, repository, number)
    assert told.outcome.status == "rejected"
    assert "this path is protected" in told.comments[-1]
    assert "PUSH work" not in told.writes
