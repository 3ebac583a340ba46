"""A merge under way: the same commits wherever the work goes on, and nothing of it where there is nothing to merge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.workflows.git.test_mirrors import file, git, make_source, patch
from workflows.git.mirrors import Mirror, Mirrors
from workflows.git.process import GitFailure
from workflows.merges.base_merge import BaseMerge, Carried, Situation, read_situation
from workflows.progress.stages import Stages
from workflows.requests.thread_work import Thread
from workflows.services import BrokenWorld
from workflows.types import Actor, Job, PullRequest, RepositoryRef

JOB = Job(
    id="gh-1",
    workflow="update_branch",
    repository=RepositoryRef(installation_id=1, id=7, full_name="octo/project"),
    number=3,
    actor=Actor(id=9, login="alice", type="User"),
    trigger="",
    delivery_id="1",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


class Machine:
    """What a merge sees of its thread, on a machine with mirrors of its own."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.mirrors = Mirrors(folder, local_checkouts=True)
        self.source = source
        self.job = JOB
        self.services = SimpleNamespace(secrets=(), jobs=SimpleNamespace(thread=lambda *_: []))

    def fetch(self) -> Mirror:
        mirror = self.mirrors.at(7)
        mirror.fetch(str(self.source))
        return mirror

    def mirror(self, *commits: str) -> Mirror:
        mirror = self.mirrors.at(7)
        return mirror if all(mirror.holds(commit) for commit in commits) else self.fetch()

    @property
    def thread(self) -> Thread:
        return cast(Thread, self)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """`topic` and `main` have both changed the same line."""
    source = make_source(tmp_path / "source", {"a.txt": "one\n"})
    git(source, "checkout", "-q", "-b", "topic")
    (source / "a.txt").write_text("ours\n")
    git(source, "commit", "-q", "-am", "ours")
    git(source, "checkout", "-q", "main")
    (source / "a.txt").write_text("theirs\n")
    git(source, "commit", "-q", "-am", "theirs")
    return source


def pull_of(source: Path, head: str = "topic", base: str = "main") -> PullRequest:
    return PullRequest(
        number=3,
        title="",
        body="",
        head=head,
        base=base,
        head_sha=git(source, "rev-parse", head),
        draft=False,
        state="open",
        html_url="",
    )


def merge(machine: Machine, pull: PullRequest, situation: Situation) -> BaseMerge:
    return BaseMerge(machine.thread, pull, cast(Stages, None), situation)


def test_another_machine_makes_the_same_commits(tmp_path: Path, source: Path) -> None:
    """Where a job goes on elsewhere, the draft with its marks and the merge commit are made again with the same ids."""
    pull = pull_of(source)
    first, second = Machine(tmp_path / "first", source), Machine(tmp_path / "second", source)
    situation = read_situation(first.thread, pull)
    assert [one.path for one in situation.conflicts] == ["a.txt"]
    change = patch(situation.draft, file("a.txt", b"both\n"))
    made = merge(first, pull, situation).commit(first.mirror(), change)

    there = merge(second, pull, situation).mirror()
    assert there.holds(situation.draft)
    assert b"<<<<<<<" in (there.read_file(situation.draft, "a.txt") or b"")
    assert merge(second, pull, situation).commit(there, change) == made
    assert there.read_file(made, "a.txt") == b"both\n"
    assert git(there.path, "log", "-1", "--format=%P", made).split() == [situation.head, situation.base]
    assert git(there.path, "log", "-1", "--format=%s", made) == "Merge branch 'main' into topic"


def test_what_was_resolved_is_carried_on(tmp_path: Path, source: Path) -> None:
    """Onto what somebody pushed meanwhile, the same on another machine; and again onto what came after that."""
    pull = pull_of(source)
    first, second = Machine(tmp_path / "first", source), Machine(tmp_path / "second", source)
    situation = read_situation(first.thread, pull)
    change = patch(situation.draft, file("a.txt", b"both\n"))
    before = merge(first, pull, situation), merge(second, pull, situation)

    head = push_more(source, "b.txt")
    now = Carried(before[0], change).bring_onto(head, first.fetch())
    assert now.clean
    there = replace(merge(second, pull, now), carried=Carried(before[1], change)).mirror()
    assert there.read_file(now.draft, "a.txt") == b"both\n"
    assert there.read_file(now.draft, "b.txt") == b"more\n"
    assert git(there.path, "log", "-1", "--format=%P", now.draft).split() == [head, situation.base]

    again = replace(merge(first, pull, now), carried=Carried(before[0], change))
    later = Carried(again, patch(now.draft)).bring_onto(push_more(source, "c.txt"), first.fetch())
    assert first.mirror().read_file(later.draft, "a.txt") == b"both\n"
    assert first.mirror().read_file(later.draft, "c.txt") == b"more\n"


@pytest.mark.parametrize(("path", "problem"), [("a.txt", "conflicts with that in `a.txt`"), ("", "was rewritten")])
def test_what_cannot_be_carried_on(tmp_path: Path, source: Path, path: str, problem: str) -> None:
    """The same lines, and a branch that was rewritten: the person's work stays as it is."""
    pull, machine = pull_of(source), Machine(tmp_path / "mirrors", source)
    situation = read_situation(machine.thread, pull)
    carried = Carried(merge(machine, pull, situation), patch(situation.draft, file("a.txt", b"both\n")))
    machine.fetch()
    if path:
        head = push_more(source, path)
    else:
        git(source, "checkout", "-q", "topic")
        git(source, "commit", "-q", "--amend", "-m", "rewritten")
        head = git(source, "rev-parse", "topic")
    assert problem in carried.bring_onto(head, machine.fetch()).problem


def push_more(source: Path, path: str) -> str:
    """One more commit on `topic`; its id."""
    git(source, "checkout", "-q", "topic")
    (source / path).write_text("more\n")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", path)
    return git(source, "rev-parse", "topic")


def test_there_may_be_nothing_to_merge(tmp_path: Path, source: Path) -> None:
    """A branch with all of its base, a base that is gone, and histories without a common commit are told apart."""
    machine = Machine(tmp_path / "mirrors", source)
    git(source, "branch", "ahead", "main")
    assert read_situation(machine.thread, pull_of(source, head="ahead")).current

    gone = read_situation(machine.thread, pull_of(source, base="main").model_copy(update={"base": "gone"}))
    assert gone.problem == "The base branch `gone` is gone."

    git(source, "checkout", "-q", "--orphan", "alone")
    git(source, "commit", "-q", "-m", "alone")
    alone = read_situation(machine.thread, pull_of(source, head="alone"))
    assert "have no commit in common" in alone.problem
    assert not alone.clean


def test_a_head_that_is_gone_is_asked_for_again(tmp_path: Path, source: Path) -> None:
    """A head that GitHub named and git has not, because it was just rewritten, ends the job with what to do."""
    pull = pull_of(source).model_copy(update={"head_sha": "1" * 40})
    with pytest.raises(BrokenWorld, match="moved just now") as raised:
        read_situation(Machine(tmp_path / "mirrors", source).thread, pull)
    assert not isinstance(raised.value, GitFailure)
