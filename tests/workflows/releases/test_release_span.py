"""A range of versions resolved: what it means, and what is said of one that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows.git.test_mirrors import git, make_source
from workflows.git.mirrors import Mirror, Mirrors
from workflows.releases import release_span
from workflows.releases.release_span import find_span
from workflows.releases.version_range import VersionRange


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """v1.0.0 on the first commit, v1.1.0 on the second; main is one further; "alone" shares nothing with them."""
    source = make_source(tmp_path / "source", {"a.txt": "one\n"})
    git(source, "tag", "v1.0.0")
    git(source, "commit", "-q", "--allow-empty", "-m", "second")
    git(source, "tag", "-a", "v1.1.0", "-m", "notes")
    git(source, "commit", "-q", "--allow-empty", "-m", "third")
    alone = git(source, "commit-tree", git(source, "rev-parse", "main^{tree}"), "-m", "alone")
    git(source, "update-ref", "refs/heads/alone", alone)
    return source


@pytest.fixture
def mirror(tmp_path: Path, source: Path) -> Mirror:
    mirror = Mirrors(tmp_path / "mirrors", local_checkouts=True).at(7)
    mirror.fetch(str(source))
    return mirror


def test_two_tags(mirror: Mirror, source: Path) -> None:
    """The commits that the tags are on; the newer one's name is the release's."""
    span = find_span(mirror, VersionRange(base="v1.0.0", head="v1.1.0"), default_branch="main")
    assert (span.base, span.head) == (git(source, "rev-parse", "v1.0.0"), git(source, "rev-parse", "v1.1.0^{commit}"))
    assert (span.tag, span.mistake) == ("v1.1.0", "")


@pytest.mark.parametrize("head", [None, "main"])
def test_up_to_a_branch(mirror: Mirror, source: Path, head: str | None) -> None:
    """A branch's tip ends the range, and no release is named after it."""
    span = find_span(mirror, VersionRange(base="v1.1.0", head=head), default_branch="main")
    assert (span.head, span.tag, span.mistake) == (git(source, "rev-parse", "main"), "", "")


@pytest.mark.parametrize(
    ("base", "head", "mistake"),
    [
        ("v1.0.1", "v1.1.0", "There is no tag, branch or commit `v1.0.1`. Did you mean `v1.0.0` or `v1.1.0`?"),
        ("v1.0.0", "nowhere", "There is no tag, branch or commit `nowhere`."),
        ("v1.1.0", "v1.0.0", "`v1.0.0` has nothing that `v1.1.0` has not. Did you mean `v1.0.0..v1.1.0`?"),
        ("main", None, "`main` has nothing that `main` has not."),
        ("alone", "v1.1.0", "`alone` and `v1.1.0` have no common past."),
    ],
)
def test_mistakes(mirror: Mirror, base: str, head: str | None, mistake: str) -> None:
    """Each says what is wrong, and what was probably meant."""
    assert find_span(mirror, VersionRange(base=base, head=head), default_branch="main").mistake == mistake


def test_a_range_that_is_too_large(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub would have to be asked about each of its commits: it is told how many there are."""
    monkeypatch.setattr(release_span, "MOST_COMMITS", 1)
    wanted = VersionRange(base="v1.0.0", head="main")
    assert "The range holds 2 commits" in find_span(mirror, wanted, default_branch="main").mistake
    monkeypatch.setattr(release_span, "MOST_COMMITS", 2)
    assert find_span(mirror, wanted, default_branch="main").mistake == ""
