"""A change whose branch moved: brought onto what people pushed, or kept away from it."""

from __future__ import annotations

import pytest

from tests.workflows.git.test_mirrors import DATE, FORGEHAND, branch_with, file, git, mirror, resolved, source
from workflows.git.mirrors import Mirror
from workflows.pulls.salvage import Salvaged, salvage

__all__ = ["mirror", "source"]

LINES = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"


def move(mirror: Mirror, commit: str) -> None:
    """The branch ``work``, as a fetch leaves it."""
    git(mirror.path, "update-ref", "refs/heads/work", commit)


@pytest.fixture
def base(mirror: Mirror) -> str:
    return branch_with(mirror, resolved(mirror), file("a.txt", LINES))


def test_a_branch_that_did_not_move(mirror: Mirror, base: str) -> None:
    """There is nothing to bring anywhere: the push was refused for another reason."""
    move(mirror, base)
    ours = branch_with(mirror, base, file("a.txt", LINES.replace(b"1", b"one")))
    assert salvage(mirror, branch="work", base=base, commit=ours) == Salvaged()


def test_both_changes_are_kept(mirror: Mirror, base: str) -> None:
    """What a person pushed stays as it is, and the change is what it was, on top of that."""
    ours = branch_with(mirror, base, file("a.txt", LINES.replace(b"1", b"one")), file("new", b"x"))
    theirs = branch_with(mirror, base, file("a.txt", LINES.replace(b"9", b"nine")), file("lib/b.py", None))
    move(mirror, theirs)

    found = salvage(mirror, branch="work", base=base, commit=ours)

    assert found.head == theirs
    assert found.patch is not None
    assert [one.path for one in found.patch.files] == ["a.txt", "new"]
    made = mirror.commit(found.patch, base=theirs, message="m", author=FORGEHAND, committer=FORGEHAND, date=DATE)
    assert mirror.read_file(made, "a.txt") == LINES.replace(b"1", b"one").replace(b"9", b"nine")
    assert mirror.read_file(made, "lib/b.py") is None


def test_what_does_not_merge_stays_away(mirror: Mirror, base: str) -> None:
    """Changes of the same lines are a conflict, named by path; there is no patch."""
    ours = branch_with(mirror, base, file("a.txt", LINES.replace(b"1", b"one")))
    move(mirror, branch_with(mirror, base, file("a.txt", LINES.replace(b"1", b"eins"))))
    found = salvage(mirror, branch="work", base=base, commit=ours)
    assert found.patch is None
    assert found.problem == "Somebody pushed to `work` meanwhile, and the change conflicts with that in `a.txt`."


def test_a_branch_that_was_rewritten(mirror: Mirror, base: str) -> None:
    """A forced push takes the ground away: a merge would bring back what was taken out."""
    ours = branch_with(mirror, base, file("new", b"x"))
    move(mirror, branch_with(mirror, resolved(mirror), file("b.txt", b"b")))
    assert "was rewritten meanwhile" in salvage(mirror, branch="work", base=base, commit=ours).problem


def test_a_branch_that_is_gone(mirror: Mirror, base: str) -> None:
    """A deleted branch is not made again."""
    ours = branch_with(mirror, base, file("new", b"x"))
    assert "was deleted meanwhile" in salvage(mirror, branch="gone", base=base, commit=ours).problem


def test_somebody_was_faster(mirror: Mirror, base: str) -> None:
    """The same change by a person leaves nothing to push."""
    ours = branch_with(mirror, base, file("new", b"x"))
    move(mirror, branch_with(mirror, base, file("new", b"x"), file("more", b"y")))
    found = salvage(mirror, branch="work", base=base, commit=ours)
    assert (found.patch, found.problem) == (
        None,
        "Somebody pushed to `work` meanwhile, and the change is in that already.",
    )
