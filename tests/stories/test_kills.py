"""kill -9 right after a write, in work other than the main job and feedback: each write is there once in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.stories.conftest import MakeWorld
from tests.stories.kills import Kill, survive
from tests.stories.scripts import DESCRIBED, FIX, UNTESTED, WRONG, finish, turn, write
from tests.stories.world import REPOSITORY, World
from workflows.texts.marked_section import parse_section

NO_REVIEWS = {".github/qwen.yml": "review:\n  auto: never\n"}
PUSH = "git-receive-pack"
LISTS = ("files", "tests", "risks", "questions")
PLAN = {"summary": "`add` subtracts.", "steps": ["Turn it around."], **{name: [] for name in LISTS}}
ENTRY = {"needed": True, "reason": "Users see it.", "category": "Fixed", "text": "`add` adds."}
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"
ABOUT: Mapping[str, Any] = {
    "type": "fix",
    "scope": "",
    "breaking": False,
    "title": "Add",
    "summary": "It adds now.",
    "files": {"calc.py": "The operator."},
}


def open_pull(world: World, *, ours: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    """A pull request by alice from `topic`, whose base moved on if there is something of ``theirs``."""
    world.hub.commit(REPOSITORY, dict(ours), message="Mend add", branch="topic", author="alice")
    number = world.hub.open_pull_request(REPOSITORY, "alice", head="topic", title="Mend add").number
    if theirs:
        world.hub.commit(REPOSITORY, dict(theirs), branch="main", author="alice")
    return number


def kill_at(world: World, path: str, **which: Any) -> Kill:
    kill = Kill(world, path, **which)
    world.hub.faults.add(kill)
    return kill


def acts(world: World) -> list[str]:
    """What was written, in its order; reactions, which GitHub itself keeps single, are left out."""
    return [act for act in world.writes(REPOSITORY) if not act.endswith("/reactions")]


@pytest.mark.parametrize("word", ["update", "resolve"])
def test_a_merge(make_world: MakeWorld, word: str) -> None:
    """Killed after the push, and after the check run that follows it, the merge is one commit with one check run."""
    ours, theirs = {"notes.txt": "Mine.\n"}, {"notes.txt" if word == "resolve" else "more.txt": "Yours.\n"}
    both = write("notes.txt", "Mine.\nYours.\n")
    world = make_world({**UNTESTED, **NO_REVIEWS}, [DESCRIBED, turn(both), turn(finish("Both notes."))])
    number = open_pull(world, ours=ours, theirs=theirs)
    kill = kill_at(world, PUSH) if word == "resolve" else kill_at(world, "/check-runs", nth=2)
    world.serve()
    world.hub.add_comment(REPOSITORY, number, "alice", f"/qwen {word}")
    survive(kill)
    [job] = world.ended()

    assert job.outcome is not None
    assert job.outcome.status == "pushed", job.outcome
    assert acts(world) == [f"POST issues/{number}/comments", "POST check-runs", "PUSH topic", "POST check-runs"]
    assert world.hub.branches(REPOSITORY)["topic"] == job.outcome.commit
    assert [run.status for run in world.hub.check_runs(REPOSITORY)] == ["completed"] * 2
    assert len(world.comments(number)) == 2


def test_a_plan_and_its_approval(make_world: MakeWorld) -> None:
    """Killed after the plan was posted, and after the work that was approved had its comment."""
    handed = turn(finish(json.dumps(PLAN)))
    world = make_world(WRONG, [DESCRIBED, handed, *FIX, *FIX[1:]])
    number = world.hub.create_issue(REPOSITORY, "alice", "add is wrong", "`add(1, 1)` is 0.").number
    comments = f"/issues/{number}/comments"
    posted, taken_up = kill_at(world, comments, nth=2), kill_at(world, comments, nth=3)
    world.serve()
    world.hub.add_comment(REPOSITORY, number, "alice", "/qwen plan")
    survive(posted)
    world.ended()
    world.hub.add_comment(REPOSITORY, number, "alice", "/qwen approve")
    survive(taken_up)
    planned, done = world.ended(jobs=2)

    assert planned.outcome is not None
    assert done.outcome is not None
    assert (planned.outcome.status, done.outcome.status) == ("planned", "pull_request")
    said = f"POST issues/{number}/comments"
    assert acts(world) == [said, said, said, "PUSH qwen/issue-1-add-is-wrong", "POST pulls", "POST check-runs"]


def test_texts(make_world: MakeWorld) -> None:
    """Killed after the write that each of them is about: a description, a changelog entry, a draft of release notes."""
    asked = {
        "You write the description of somebody's pull request": json.dumps(ABOUT),
        "You write the changelog entry of somebody's pull request": json.dumps(ENTRY),
        "You write the opening of a release's notes": "It adds.",
    }
    script = [{"match": words, "content": said} for words, said in asked.items()]
    world = make_world({**WRONG, **NO_REVIEWS, "CHANGELOG.md": CHANGELOG}, script)
    world.hub.create_tag(REPOSITORY, "v1", "alice")
    number = open_pull(world, ours={"calc.py": "def add(a, b):\n    return a + b\n"}, theirs={})
    world.hub.commit(REPOSITORY, {"direct.txt": "1"}, message="Straight to main", author="alice")
    world.hub.create_tag(REPOSITORY, "v2", "alice")
    world.serve()
    for jobs, (command, write_of, method) in enumerate(
        [
            ("describe", f"/pulls/{number}", "PATCH"),
            ("changelog", PUSH, "POST"),
            ("release-notes v1..v2", "/releases", "POST"),
        ],
        1,
    ):
        kill = kill_at(world, write_of, method=method)
        world.hub.add_comment(REPOSITORY, number, "alice", f"/qwen {command}")
        survive(kill)
        world.ended(jobs=jobs)

    found = world.ended(jobs=3)
    assert [one.outcome.status for one in found if one.outcome] == ["answered", "pushed", "answered"]
    said = f"POST issues/{number}/comments"
    assert acts(world) == [said, f"PATCH pulls/{number}", said, "PUSH topic", said, "POST releases"]
    body = world.hub.issue(REPOSITORY, number).body or ""
    assert "It adds now." in (parse_section(body, name="description") or "")
    assert body.count("It adds now.") == 1
    assert (world.hub.read_file(REPOSITORY, "CHANGELOG.md", "topic") or b"").count(b"`add` adds.") == 1
    assert len(world.hub.releases(REPOSITORY)) == 1
