"""What lies between two commits: read from the mirror, for the texts that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git, make_source
from workflows.git.history import changed_paths, find_commit, find_tag, messages_between, net_lines
from workflows.git.mirrors import Mirror, Mirrors


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """main has two commits, "work" left it after the first and has two of its own."""
    source = make_source(tmp_path / "source", {"a.txt": "one\n", "b.txt": "two\n"})
    git(source, "tag", "v1")
    git(source, "checkout", "-q", "-b", "work")
    git(source, "mv", "b.txt", "c.txt")
    git(source, "commit", "-q", "-m", "feat: rename\n\nIts body.")
    (source / "ä.txt").write_text("new\n")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "fix: add")
    git(source, "checkout", "-q", "main")
    (source / "a.txt").write_text("another\n")
    git(source, "commit", "-q", "-a", "-m", "on main")
    git(source, "tag", "-a", "v2", "-m", "annotated")
    return source


@pytest.fixture
def mirror(tmp_path: Path, source: Path) -> Mirror:
    mirror = Mirrors(tmp_path / "mirrors", local_checkouts=True).at(7)
    mirror.fetch(str(source))
    return mirror


def test_between_two_branches(mirror: Mirror, source: Path) -> None:
    """The messages and paths are those of the one side since the two parted, and none of the other's."""
    head, tip = git(source, "rev-parse", "work"), git(source, "rev-parse", "main")
    base = mirror.merge_base(tip, head)
    assert base == git(source, "rev-parse", "v1")
    assert messages_between(mirror, base, head) == ("fix: add", "feat: rename\n\nIts body.")
    assert messages_between(mirror, base, head, most=1) == ("fix: add",)
    assert changed_paths(mirror, base, head) == ("c.txt", "ä.txt")


def test_net_lines(mirror: Mirror, source: Path) -> None:
    """What came less what went, over all files: a moved one counts nothing, a binary one neither."""
    start = git(source, "rev-parse", "work")
    git(source, "checkout", "-q", "work")
    (source / "c.txt").write_text("+++ two\n--- three\n" * 40_000)
    (source / "a.txt").unlink()
    (source / "data").write_bytes(b"\0\n" * 100)
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "longer")
    mirror.fetch(str(source))
    head = git(source, "rev-parse", "work")
    assert net_lines(mirror, start, head) == 80_000 - 1 - 1
    assert net_lines(mirror, head, start) == -79_998
    assert net_lines(mirror, git(source, "rev-parse", "v1"), start) == 1


def test_no_common_past(mirror: Mirror, source: Path) -> None:
    """Two commits without a common past have no place where they parted."""
    alone = git(source, "commit-tree", git(source, "rev-parse", "main^{tree}"), "-m", "alone")
    git(source, "update-ref", "refs/heads/alone", alone)
    mirror.fetch(str(source))
    assert mirror.merge_base(alone, git(source, "rev-parse", "main")) is None


def test_names(mirror: Mirror, source: Path) -> None:
    """A tag, annotated or not, comes before a branch and a commit id; what is none of them is nothing."""
    tip = git(source, "rev-parse", "main")
    assert find_tag(mirror, "v2") == tip
    assert find_tag(mirror, "main") is None
    assert find_commit(mirror, "main") == tip
    assert find_commit(mirror, tip[:10]) == tip
    assert find_commit(mirror, "v3") is None
    git(source, "branch", "v1", "main")
    mirror.fetch(str(source))
    assert find_commit(mirror, "v1") == git(source, "rev-parse", "refs/tags/v1")
