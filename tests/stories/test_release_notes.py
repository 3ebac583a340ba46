"""Release notes of a range: everything that was merged and everybody, in the comment and in a draft, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.stories.conftest import Ground, Told, open_ground
from tests.stories.scripts import UNTESTED
from workflows import write_release_notes

ASKED = "You write the opening of a release's notes"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[Ground]:
    with open_ground(tmp_path_factory.mktemp("release") / "world", engine) as ground:
        yield ground


def play(ground: Ground, *replies: str) -> None:
    ground.script[:] = [{"match": ASKED, "content": reply} for reply in replies]


def released(ground: Ground, name: str) -> tuple[str, int]:
    """A repository with v1, two merged pull requests (one squashed) and a direct commit, then v2; and an issue."""
    hub = ground.world.hub
    repository = ground.world.create_repository(name, UNTESTED)
    hub.create_user("bob")
    hub.set_permission(repository, "bob", "write")
    hub.create_tag(repository, "v1", "alice")
    for author, title, squash in (("alice", "feat: read the file once", False), ("bob", "fix: close it", True)):
        hub.commit(repository, {f"{author}.txt": title}, message=title, branch=author, author=author)
        number = hub.open_pull_request(repository, author, head=author, title=title, body="Why.").number
        hub.merge_pull_request(repository, number, "alice", squash=squash)
    hub.commit(repository, {"direct.txt": "1"}, message="Straight to main", author="alice")
    hub.create_tag(repository, "v2", "alice")
    return repository, hub.create_issue(repository, "alice", "Release v2").number


def ask(ground: Ground, repository: str, number: int, span: str = "v1..v2", *, jobs: int = 1) -> Told:
    # The same within two minutes would be one request.
    ground.world.hub.add_comment(repository, number, "alice", f"/qwen release-notes {span} turns={jobs}")
    return ground.told(repository, number, jobs=jobs)


LISTED = (
    "- read the file once by `@alice` in #1",
    "- close it by `@bob` in #2",
    "Straight to main",
    "`@alice`, `@bob`",
)


def test_everything_stands_in_a_draft_and_in_the_comment(ground: Ground) -> None:
    """Every pull request, direct commit and author is in both; the draft is the newer tag's; nothing is published."""
    repository, number = released(ground, "drafted")
    play(ground, "# News\n\nFiles are read once, thanks to @bob. Fixes #1.")
    told = ask(ground, repository, number)
    assert told.outcome.status == "answered", told.outcome
    [release] = ground.world.hub.releases(repository)
    assert (release.tag, release.name, release.draft) == ("v2", "v2", True)
    for text in (release.body, told.comments[-1]):
        assert "## Highlights\n\nFiles are read once, thanks to `@bob`." in text
        assert "Fixes #1" not in text
        assert [line for line in LISTED if line not in text] == []
    comment = ground.world.hub.comments(repository, number)[0].id
    assert told.writes == [
        f"POST issues/comments/{comment}/reactions",
        f"POST issues/{number}/comments",
        "POST releases",
    ]


def test_without_a_model_the_notes_are_right(ground: Ground) -> None:
    """A model that fails costs the opening alone; asked again, our draft is brought up to date, and is the only one."""
    repository, number = released(ground, "modelless")
    ground.script[:] = [{"match": ASKED, "content": "", "faults": [{"status": 400, "body": "no", "times": -1}]}]
    told = ask(ground, repository, number)
    assert told.outcome.status == "answered", told.outcome
    [release] = ground.world.hub.releases(repository)
    assert "## Highlights" not in release.body
    assert [line for line in LISTED if line not in release.body] == []
    play(ground, "Files are read once.")
    ask(ground, repository, number, jobs=2)
    [again] = ground.world.hub.releases(repository)
    assert again.id == release.id
    assert "## Highlights\n\nFiles are read once." in again.body


def test_a_published_release_is_left_alone(ground: Ground) -> None:
    """Its text stays as its people wrote it; the notes are said, and that they are only said."""
    hub = ground.world.hub
    repository, number = released(ground, "published")
    hub.create_release(repository, "alice", "v2", body="Our own words.")
    play(ground, "Files are read once.")
    told = ask(ground, repository, number)
    [release] = hub.releases(repository)
    assert (release.body, release.draft) == ("Our own words.", False)
    assert told.comments[-1].startswith("**The notes.** `v2` is published already, and was left as it is.")
    assert [line for line in LISTED if line not in told.comments[-1]] == []
    assert not any("releases" in write for write in told.writes)


def test_what_is_incomplete_is_published_nowhere(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the notes would have to leave somebody out, that is an error which is said, and there is no draft."""
    monkeypatch.setattr(write_release_notes, "LONGEST_RELEASE", 150)
    repository, number = released(ground, "incomplete")
    play(ground, "")
    told = ask(ground, repository, number)
    assert told.outcome.status == "failed"
    said = told.comments[-1]
    assert said.startswith("**No notes:** The notes would not be complete, so they are published nowhere.")
    assert "is missing." in said
    assert ground.world.hub.releases(repository) == []


def test_longer_than_a_comment(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes that only a release can hold are in the draft, and the comment says so instead of showing a part."""
    monkeypatch.setattr(write_release_notes, "LONGEST_COMMENT", 150)
    repository, number = released(ground, "longer")
    play(ground, "")
    told = ask(ground, repository, number)
    said = told.comments[-1]
    assert "They are in the release alone: they are longer than a comment may be (2 pull requests, 4 commits)." in said
    [release] = ground.world.hub.releases(repository)
    assert [line for line in LISTED if line not in release.body] == []


def test_up_to_a_branch_drafts_no_release(ground: Ground) -> None:
    """A range that ends with no tag is answered on a pull request as well, and makes no release."""
    hub = ground.world.hub
    repository, _ = released(ground, "open-ended")
    hub.commit(repository, {"more.txt": "1"}, branch="work", author="alice")
    number = hub.open_pull_request(repository, "alice", head="work", title="More").number
    play(ground, "")
    told = ask(ground, repository, number, "v1..main")
    assert told.outcome.status == "answered", told.outcome
    assert told.comments[-1].startswith("**The notes.** The range does not end with a tag, so no release was drafted.")
    assert hub.releases(repository) == []


def test_a_range_that_means_nothing(ground: Ground) -> None:
    """An unknown tag and a reversed range are answered with what was probably meant."""
    repository, number = released(ground, "mistaken")
    unknown = ask(ground, repository, number, "v1..v3")
    assert unknown.outcome.status == "refused"
    assert "There is no tag, branch or commit `v3`. Did you mean" in unknown.comments[-1]
    reversed_ = ask(ground, repository, number, "v2..v1", jobs=2)
    assert "Did you mean `v1..v2`?" in reversed_.comments[-1]
