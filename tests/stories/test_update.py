"""The base branch merged into a pull request: proved before it is pushed, conflicts resolved or honestly left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

import docker
import pytest

from app.localhub.faults import Fault
from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import UNTESTED, call, finish, turn, write
from tests.stories.world import World

CALC = {
    "calc.py": "def add(a, b):\n    return a + b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(2, 1) == 3\n",
}
OURS = {"calc.py": "def add(first, second):\n    return first + second\n"}
THEIRS = {"calc.py": "def add(a, b):\n    return int(a) + int(b)\n"}
NO_REVIEWS = {".github/qwen.yml": "review:\n  auto: never\n"}
BOTH = "def add(first, second):\n    return int(first) + int(second)\n"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("update") / "world", engine) as ground:
        yield ground


def diverged(
    ground: Ground,
    name: str,
    *,
    files: Mapping[str, str | bytes],
    ours: Mapping[str, str | bytes | None],
    theirs: Mapping[str, str | bytes | None],
) -> tuple[str, int]:
    """A pull request by alice whose base moved on after it was begun."""
    hub = ground.world.hub
    repository = ground.world.create_repository(name, {**files, **NO_REVIEWS})
    hub.commit(repository, ours, branch="topic", author="alice", message="Ours")
    number = hub.open_pull_request(repository, "alice", head="topic", title="Rename the numbers").number
    if theirs:
        hub.commit(repository, theirs, branch="main", author="alice", message="Theirs: @bob/whole numbers")
    return repository, number


@pytest.mark.parametrize("words", ["/qwen update", "/qwen fix add a test", "/qwen ci"])
def test_nothing_is_pushed_to_the_default_branch(ground: Ground, words: str) -> None:
    """Of a release's pull request the head is the default branch, and what is pushed there nobody has reviewed."""
    hub = ground.world.hub
    repository = ground.world.create_repository(f"release-{words.split()[1]}", {**CALC, **NO_REVIEWS})
    hub.commit(repository, OURS, branch="release", author="alice", message="Released")
    head = hub.commit(repository, {"new.py": "new = 1\n"}, branch="main", author="alice", message="New")
    number = hub.open_pull_request(repository, "alice", head="main", base="release", title="Release").number
    told = asked(ground, repository, number, words)
    assert told.outcome.status == "refused", told.outcome
    assert "This pull request comes from the default branch, `main`, to which nothing is pushed" in answer(told)
    assert hub.branches(repository)["main"] == head
    assert not [write for write in told.writes if "PUSH" in write]


PUSHED = ["POST check-runs", "PUSH topic", "POST check-runs"]
"""The live stage on the head, the merge, and the evidence on it."""


def asked(ground: Ground, repository: str, number: int, words: str) -> Told:
    """What came of a command of alice's."""
    ground.world.hub.add_comment(repository, number, "alice", words)
    return ground.told(repository, number)


def answer(told: Told) -> str:
    """The tracking comment without its footer."""
    return told.comments[1].partition("\n\n<sub>")[0]


def parents(ground: Ground, repository: str, commit: str) -> list[str]:
    path = ground.world.hub.repository(repository).path
    shown = subprocess.run(
        ["git", "--git-dir", str(path), "log", "-1", "--format=%P", commit], check=True, capture_output=True, text=True
    )
    return shown.stdout.split()


def lasting(told: Told) -> list[str]:
    """All writes but the edits of the live check."""
    return [write for write in told.writes if not write.startswith("PATCH check-runs/")]


def acknowledged(ground: Ground, told: Told) -> list[str]:
    comment = ground.world.hub.comments(told.repository, told.number)[0].id
    return [f"POST issues/comments/{comment}/reactions", f"POST issues/{told.number}/comments"]


def test_a_clean_update(ground: Ground) -> None:
    """`/qwen update` pushes one merge commit with both parents, proved by the tests; no model has a part in it."""
    repository, number = diverged(ground, "clean", files=CALC, ours=OURS, theirs={"notes.txt": "New.\n"})
    head, base = (ground.world.hub.branches(repository)[name] for name in ("topic", "main"))
    ground.play()
    told = asked(ground, repository, number, "/qwen update")

    assert told.outcome.status == "pushed", told.outcome
    assert lasting(told) == [*acknowledged(ground, told), *PUSHED]
    assert told.branches["topic"] == told.outcome.commit
    assert parents(ground, repository, told.branches["topic"]) == [head, base]
    assert ground.world.hub.read_file(repository, "notes.txt", "topic") == b"New.\n"
    assert ground.world.hub.read_file(repository, "calc.py", "topic") == OURS["calc.py"].encode()
    assert f"**Updated:** `main` at `{base[:10]}` is merged into the branch as" in answer(told)
    assert "All tests pass after the change (1 test executed)." in answer(told)
    assert "Work on the change" not in answer(told)
    [run] = ground.world.hub.check_runs(repository, told.branches["topic"])
    assert (run.conclusion, run.title) == ("success", "Verified: 1 pass-to-pass")
    assert ground.world.state_labels(repository, number) == ["qwen:in-review"]


def test_up_to_date_is_an_answer(ground: Ground) -> None:
    """A branch that has all of its base is said to be up to date, for `rebase` too; nothing is pushed."""
    repository, number = diverged(ground, "current", files=UNTESTED, ours={"notes.txt": "Mine.\n"}, theirs={})
    ground.play()
    told = asked(ground, repository, number, "/qwen rebase")
    assert told.outcome.status == "no_change"
    assert answer(told).startswith("The branch is up to date: `main` at `")
    assert lasting(told) == acknowledged(ground, told)


def test_an_update_that_breaks_tests_is_not_pushed(ground: Ground) -> None:
    """A merge without conflicts that breaks a test is not pushed, and the test is named."""
    ours = {"test_more.py": "from calc import add\n\n\ndef test_words():\n    assert add('a', 'b') == 'ab'\n"}
    repository, number = diverged(ground, "broken", files=CALC, ours=ours, theirs=THEIRS)
    before = ground.world.hub.branches(repository)
    ground.play()
    told = asked(ground, repository, number, "/qwen update")
    assert told.outcome.status == "worse", told.outcome
    assert "has no conflicts, but makes things worse. Nothing was pushed." in answer(told)
    assert "test_words" in answer(told)
    assert told.branches == before
    assert lasting(told) == [*acknowledged(ground, told), "POST check-runs"]


def test_an_update_with_conflicts_names_them(ground: Ground) -> None:
    """`update` does not resolve conflicts: it names the files and the command that does."""
    repository, number = diverged(ground, "names", files=CALC, ours=OURS, theirs=THEIRS)
    ground.play()
    told = asked(ground, repository, number, "/qwen update")
    assert told.outcome.status == "refused"
    assert "- `calc.py`: changed on both sides" in answer(told)
    assert "`/qwen resolve` has them resolved." in answer(told)
    assert lasting(told) == acknowledged(ground, told)


def test_a_conflict_is_resolved(ground: Ground) -> None:
    """`/qwen resolve`: the agent gets the marks and both sides' commits; one merge commit with both parents follows."""
    repository, number = diverged(ground, "resolved", files=CALC, ours=OURS, theirs=THEIRS)
    head, base = (ground.world.hub.branches(repository)[name] for name in ("topic", "main"))
    ground.play(
        turn(call("read_file", path="calc.py")),
        turn(write("calc.py", BOTH), call("run_tests")),
        *[turn(finish("calc.py: the new names, and whole numbers. /qwen fix @alice"))] * 2,
    )
    told = asked(ground, repository, number, "/qwen resolve")

    assert told.outcome.status == "pushed", told.outcome
    assert lasting(told) == [*acknowledged(ground, told), *PUSHED]
    made = told.branches["topic"]
    assert parents(ground, repository, made) == [head, base]
    assert ground.world.hub.read_file(repository, "calc.py", "topic") == BOTH.encode()
    assert f"**Resolved:** `main` at `{base[:10]}` is merged as `{made[:10]}`" in answer(told)
    assert "1 conflicting file resolved, verified." in answer(told)
    assert "The model's words:" in answer(told)
    assert "Perhaps not finished" not in answer(told)
    assert "the new names, and whole numbers." in answer(told)
    assert "@alice" not in answer(told).replace("`@alice`", "")
    opening = ground.inside.composition.trajectories.open(told.job).events()[0].payload["prompt"]
    assert "changed on this branch by" in opening
    assert "Theirs: @bob/whole numbers" in opening
    assert "On the branch before the merge: 1 passed, 0 failed." in opening
    read = ground.inside.composition.trajectories.open(told.job).events()
    assert any("<<<<<<< " in str(event.payload) for event in read)
    [run] = ground.world.hub.check_runs(repository, made)
    assert run.conclusion == "success"


def test_marks_that_are_left_are_not_claimed(ground: Ground) -> None:
    """A session that leaves a mark of a conflict behind pushes nothing, and the answer names the file."""
    theirs = {"notes.txt": "Two notes.\n", "calc.py": THEIRS["calc.py"]}
    files = {**CALC, "notes.txt": "One note.\n"}
    repository, number = diverged(ground, "marks", files=files, ours={**OURS, "notes.txt": "My note.\n"}, theirs=theirs)
    before = ground.world.hub.branches(repository)
    ground.play(turn(write("calc.py", BOTH)), turn(finish("All conflicts are resolved.")), turn(finish("Yes.")))
    told = asked(ground, repository, number, "/qwen resolve")

    assert told.outcome.status == "rejected", told.outcome
    assert "**Not resolved:** Conflict marks are left" in answer(told)
    assert "- `notes.txt`" in answer(told)
    assert "- `calc.py`" not in answer(told)
    assert "Nothing was pushed." in answer(told)
    assert told.branches == before
    assert lasting(told) == [*acknowledged(ground, told), "POST check-runs"]


def test_a_resolution_that_loses_a_side_is_not_pushed(ground: Ground) -> None:
    """A resolution that breaks what passed on the branch is told its verdict once, and then not pushed."""
    ours = {
        **OURS,
        "test_more.py": "from calc import add\n\n\ndef test_names():\n    assert add(first=1, second=2) == 3\n",
    }
    repository, number = diverged(ground, "lost", files=CALC, ours=ours, theirs=THEIRS)
    before = ground.world.hub.branches(repository)
    ground.play(turn(write("calc.py", THEIRS["calc.py"])), *[turn(finish("Resolved."))] * 4)
    told = asked(ground, repository, number, "/qwen resolve")
    assert told.outcome.status == "worse", told.outcome
    assert "test_names" in answer(told)
    assert told.branches == before


def test_without_tests_nothing_is_claimed(ground: Ground) -> None:
    """Where no test can be run the merge is pushed, and said not to be claimed as resolved."""
    repository, number = diverged(
        ground, "untested", files=UNTESTED, ours={"notes.txt": "Mine.\n"}, theirs={"notes.txt": "Yours.\n"}
    )
    ground.play(turn(write("notes.txt", "Mine.\nYours.\n")), turn(finish("Both notes.")))
    told = asked(ground, repository, number, "/qwen resolve")
    assert told.outcome.status == "pushed", told.outcome
    assert "**Merged, but not claimed as resolved:**" in answer(told)
    assert "no test ran: read the merge before you rely on it." in answer(told)
    assert [run.conclusion for run in ground.world.hub.check_runs(repository, told.branches["topic"])] == ["neutral"]


def test_a_protected_path_is_for_a_person(ground: Ground) -> None:
    """A conflict in a protected path begins no session; what a clean merge brings may touch such a path."""
    workflow = ".github/workflows/ci.yml"
    files = {**UNTESTED, workflow: "on: push\n"}
    repository, number = diverged(
        ground, "held", files=files, ours={workflow: "on: pull_request\n"}, theirs={workflow: "on: release\n"}
    )
    ground.play()
    told = asked(ground, repository, number, "/qwen resolve")
    assert told.outcome.status == "refused"
    assert f"A person must resolve this one: `{workflow}` may not be changed by an agent." in answer(told)

    repository, number = diverged(
        ground, "brought", files=files, ours={"notes.txt": "Mine.\n"}, theirs={workflow: "on: release\n"}
    )
    told = asked(ground, repository, number, "/qwen resolve")
    assert told.outcome.status == "pushed", told.outcome


class PushFirst(Fault):
    """Somebody pushes to the branch before our push gets there."""

    def __init__(self, world: World, repository: str, *, times: int = 1, **files: str) -> None:
        super().__init__("status", method="POST", path=f"/{repository}.git/git-receive-pack$", times=times)
        self.hub = world.hub
        self.repository = repository
        self.files = files or {"more": "A person's.\n"}
        self.pushed: list[str] = []
        world.hub.faults.add(self)

    def act(self) -> None:
        """Push: each time something more."""
        files = {f"{name}.py": text + "# more\n" * len(self.pushed) for name, text in self.files.items()}
        self.pushed.append(self.hub.commit(self.repository, files, branch="topic", author="alice"))


def test_an_update_that_comes_too_late_is_made_again(ground: Ground) -> None:
    """A commit that a person pushes before ours stays: the base is merged on top of it, and the tests run on that."""
    repository, number = diverged(ground, "late", files=CALC, ours=OURS, theirs={"notes.txt": "New.\n"})
    base = ground.world.hub.branches(repository)["main"]
    first = PushFirst(ground.world, repository)
    ground.play()
    told = asked(ground, repository, number, "/qwen update")

    assert told.outcome.status == "pushed", told.outcome
    assert parents(ground, repository, told.branches["topic"]) == [first.pushed[0], base]
    assert "the merge was made on top of that and tested again." in answer(told)
    assert "- [x] Bring the merge onto what was pushed meanwhile: onto `" in told.comments[1]
    assert lasting(told) == [*acknowledged(ground, told), *PUSHED]


def test_an_update_that_always_comes_too_late_is_given_up(ground: Ground) -> None:
    """After three times it is said that somebody was quicker each time; the last commit of theirs is the tip."""
    repository, number = diverged(ground, "too-late", files=CALC, ours=OURS, theirs={"notes.txt": "New.\n"})
    first = PushFirst(ground.world, repository, times=99)
    ground.play()
    told = asked(ground, repository, number, "/qwen update")

    assert told.outcome.status == "rejected", told.outcome
    assert len(first.pushed) == 3
    assert told.branches["topic"] == first.pushed[-1]
    assert "**Not updated:** 3 times the merge was made and tested, and each time somebody pushed" in answer(told)
    assert lasting(told) == [*acknowledged(ground, told), "POST check-runs"]


def test_an_update_that_breaks_what_was_pushed_meanwhile(ground: Ground) -> None:
    """What a person pushes meanwhile has its tests run on the merge too: one that fails there keeps the merge away."""
    repository, number = diverged(ground, "late-broken", files=CALC, ours={"notes.txt": "Mine.\n"}, theirs=THEIRS)
    words = "from calc import add\n\n\ndef test_words():\n    assert add('a', 'b') == 'ab'\n"
    first = PushFirst(ground.world, repository, test_more=words)
    ground.play()
    told = asked(ground, repository, number, "/qwen update")
    assert told.outcome.status == "worse", told.outcome
    assert "test_words" in answer(told)
    assert told.branches["topic"] == first.pushed[0]


def test_a_resolution_is_brought_onto_what_was_pushed_meanwhile(ground: Ground) -> None:
    """The agent is not asked again: its resolution is merged with the person's commit, tested there and pushed."""
    repository, number = diverged(ground, "raced", files=CALC, ours=OURS, theirs=THEIRS)
    base = ground.world.hub.branches(repository)["main"]
    first = PushFirst(ground.world, repository, times=2)
    ground.play(turn(write("calc.py", BOTH), call("run_tests")), *[turn(finish("Resolved."))] * 2)
    told = asked(ground, repository, number, "/qwen resolve")

    assert told.outcome.status == "pushed", told.outcome
    assert parents(ground, repository, told.branches["topic"]) == [first.pushed[1], base]
    assert ground.world.hub.read_file(repository, "calc.py", "topic") == BOTH.encode()
    assert ground.world.hub.read_file(repository, "more.py", "topic") == b"A person's.\n# more\n"
    assert "the merge was made on top of that and tested again." in answer(told)
    assert answer(told).startswith("**Resolved:**")
    assert lasting(told) == [*acknowledged(ground, told), *PUSHED]


def test_a_resolution_that_conflicts_with_what_was_pushed_meanwhile(ground: Ground) -> None:
    """Where the person changed the same lines their commit stays the tip, and the resolution is shown."""
    repository, number = diverged(ground, "raced-lines", files=CALC, ours=OURS, theirs=THEIRS)
    first = PushFirst(ground.world, repository, calc="def add(one, two):\n    return one + two\n")
    ground.play(turn(write("calc.py", BOTH), call("run_tests")), *[turn(finish("Resolved."))] * 2)
    told = asked(ground, repository, number, "/qwen resolve")

    assert told.outcome.status == "rejected", told.outcome
    assert told.branches["topic"] == first.pushed[0]
    assert "**Not pushed:** Somebody pushed to `topic` meanwhile, and the merge conflicts with that" in answer(told)
    assert "int(first) + int(second)" in answer(told)
    assert lasting(told) == [*acknowledged(ground, told), "POST check-runs"]


def test_a_closed_pull_request_is_refused(ground: Ground) -> None:
    """On a closed pull request nothing is begun, and the answer says what to do."""
    repository, number = diverged(ground, "closed", files=UNTESTED, ours={"notes.txt": "Mine.\n"}, theirs={})
    ground.world.hub.close_issue(repository, number, "alice")
    ground.play()
    told = asked(ground, repository, number, "/qwen resolve")
    assert told.outcome.status == "refused"
    assert "This pull request is closed. Reopen it, then ask again." in told.comments[1]
