"""The client on what happened between two commits, and on draft releases, against the local GitHub."""

from __future__ import annotations

import pytest

from app.localhub.server import Fault
from tests.app.conftest import FAULTS, MARKER, Place
from workflows.services import BrokenWorld
from workflows.types import Release


def merge(place: Place, branch: str, title: str, *, author: str = "alice", squash: bool = False) -> int:
    """A pull request with one commit, merged; its number."""
    place.hub.commit(place.name, {f"{branch}.txt": title}, branch=branch, author=author, message=f"{title}\n\nWhy.")
    number = place.hub.open_pull_request(place.name, author, head=branch, title=title, body="Words.").number
    place.hub.merge_pull_request(place.name, number, "bob", squash=squash)
    return number


def draft(place: Place, **changes: str) -> Release:
    wanted = {"tag": "v1.1", "target": "main", "name": "v1.1", "body": f"News.\n{MARKER}", "marker": MARKER}
    return place.github.find_or_create_release(**{**wanted, **changes})


def test_commits_between_two_tags(place: Place) -> None:
    """All commits of a range, over pages, oldest first, with message and the author's login where it is known."""
    place.hub.create_tag(place.name, "v1", "alice")
    for n in range(103):
        place.hub.commit(place.name, {"n.txt": str(n)}, author="alice", message=f"feat: {n}\n\nbody")
    place.hub.create_tag(place.name, "v2/rc", "alice")
    place.hub.commit(place.name, {"n.txt": "later"})
    found = place.github.fetch_compared_commits("v1", "v2/rc")
    assert [message for _, message, _ in found] == [f"feat: {n}\n\nbody" for n in range(103)]
    assert {login for _, _, login in found} == {"alice"}
    assert place.github.fetch_compared_commits("v2/rc", "v1") == []


def test_unknown_tag_is_named(place: Place) -> None:
    """A range with a tag that does not exist says what to name."""
    with pytest.raises(BrokenWorld, match=r"cannot compare v0\.\.\.main .*Name two tags"):
        place.github.fetch_compared_commits("v0", "main")


def test_every_merged_pull_request_once(place: Place) -> None:
    """Merged with a commit or squashed, each pull request of the range is there once; open and earlier ones are not."""
    merge(place, "early", "Before")
    place.hub.create_tag(place.name, "v1", "alice")
    one = merge(place, "one", "Add one")
    place.hub.add_label(place.name, one, "bug", "alice")
    two = merge(place, "two", "Add two", author="carol", squash=True)
    place.hub.commit(place.name, {"direct.txt": "x"}, author="alice", message="chore: direct")
    place.pull()
    found = place.github.fetch_merged_pulls("v1", "main")
    assert [(each.number, each.title, each.author.login) for each in found] == [
        (one, "Add one", "alice"),
        (two, "Add two", "carol"),
    ]
    assert (found[0].labels, found[0].body, found[1].labels) == (("bug",), "Words.", ())
    assert found[1].merge_commit in {sha for sha, _, _ in place.github.fetch_compared_commits("v1", "main")}
    assert found[0].merged_at <= found[1].merged_at


def test_draft_is_made_once_and_kept_up_to_date(place: Place) -> None:
    """The same tag gives the same draft, whose words follow; the same words send nothing; it makes no tag."""
    made = draft(place)
    assert (made.tag, made.draft, made.name) == ("v1.1", True, "v1.1")
    assert draft(place) == made
    assert place.writes("PATCH", f"/releases/{made.id}") == []
    changed = draft(place, body=f"More news.\n{MARKER}", target="qwen/issue-1")
    [release] = place.hub.releases(place.name)
    assert (changed.id, release.body, release.target) == (made.id, f"More news.\n{MARKER}", "qwen/issue-1")
    assert draft(place, tag="v1.2").id != made.id
    with pytest.raises(BrokenWorld, match="cannot compare"):
        place.github.fetch_compared_commits("v1.1", "main")


def test_published_release_is_left_alone(place: Place) -> None:
    """What is published under the tag is returned as it is; what people drafted is neither adopted nor changed."""
    theirs = place.hub.create_release(place.name, "alice", "v1.1", body=f"Mine. {MARKER}", draft=True)
    ours = draft(place)
    assert ours.id != theirs.id
    assert theirs.body == f"Mine. {MARKER}"
    published = place.hub.create_release(place.name, "alice", "v1.1", name="One", body="Out.")
    found = draft(place, body="Other words.")
    assert (found.id, found.draft, found.name, published.body) == (published.id, False, "One", "Out.")


def test_long_release_is_cut(place: Place) -> None:
    """A text longer than GitHub takes is cut, and the draft is found again."""
    made = draft(place, body="x" * 130_000)
    assert draft(place, body="x" * 130_000) == made
    assert len(place.hub.releases(place.name)[0].body) == 125_000


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_unclear_draft_is_made_once(place: Place, fault: str, happened: bool) -> None:
    """Whether the write happened or not when it failed, there is one draft in the end."""
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="/releases$", after_write=happened))
    made = draft(place)
    assert rule.struck == 1
    assert [each.id for each in place.hub.releases(place.name)] == [made.id]


def test_no_right_to_release(place: Place) -> None:
    """A token that may not write contents says what to grant."""
    wanted = {"tag": "v9", "target": "main", "name": "v9", "body": MARKER, "marker": MARKER}
    with pytest.raises(BrokenWorld, match="permission"):
        place.client({"contents": "read"}).find_or_create_release(**wanted)
