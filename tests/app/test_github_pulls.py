"""The client on pull requests, labels and comments' reactions, against the local GitHub."""

from __future__ import annotations

from typing import Any

import pytest

from app.github_calls import SETTLE_PAUSES
from app.github_json import parse_pull_request
from app.localhub.server import Fault
from tests.app.conftest import FAULTS, Place
from workflows.services import BrokenWorld
from workflows.types import CommentRef

COLOR = {"color": "5319e7", "description": "An agent is at work"}


def test_pull_request_as_it_is(place: Place) -> None:
    """A pull request has author, branches, commits, labels, asked reviewers, and whether it can be merged."""
    number = place.pull().number
    place.hub.add_label(place.name, number, "bug", "alice")
    place.hub.set_permission(place.name, "bob", "write")
    place.hub.request_review(place.name, number, "alice", "bob")
    found = place.github.fetch_pull_request(number)
    assert found is not None
    branches = place.hub.branches(place.name)
    assert (found.head_sha, found.base_sha) == (branches["qwen/issue-1"], branches["main"])
    assert (found.author.login, found.head_repository, found.labels) == ("forgehand[bot]", place.name, ("bug",))
    assert (found.requested_reviewers, found.merged, found.mergeable) == (("bob",), False, True)


def test_conflict_and_merge_are_seen(place: Place) -> None:
    """A conflict with the base makes it unmergeable by git's own judgement; after the merge it is merged and closed."""
    number = place.pull(draft=False).number
    tip = place.hub.commit(place.name, {"calc.py": "x = 3\n"})
    pull = place.github.fetch_pull_request(number)
    assert pull is not None
    assert (pull.mergeable, place.hub.branches(place.name)["main"]) == (False, tip)
    place.hub.commit(place.name, {"calc.py": "x = 1\n"})
    place.hub.merge_pull_request(place.name, number, "alice")
    pull = place.github.fetch_pull_request(number)
    assert pull is not None
    assert (pull.merged, pull.state, pull.mergeable) == (True, "closed", None)


def test_no_pull_request(place: Place) -> None:
    """An issue's number and an unknown one are no pull request; a 404 right after the event is asked again first."""
    assert place.github.fetch_pull_request(place.issue) is None
    assert place.time.sleeps == list(SETTLE_PAUSES)
    assert place.github.fetch_pull_request(999) is None
    number = place.pull().number
    place.hub.faults.add(Fault("status", path=f"/pulls/{number}$", status=404))
    assert place.github.fetch_pull_request(number) is not None
    place.hub.faults.add(Fault("status", path=f"/pulls/{number}$", status=403))
    with pytest.raises(BrokenWorld, match="permission"):
        place.github.fetch_pull_request(number)


def test_fork_that_was_deleted(place: Place) -> None:
    """The head of a deleted fork has no repository."""
    number = place.pull().number
    for pull in place.github._pages("/pulls"):
        assert parse_pull_request({**pull, "head": {**pull["head"], "repo": None}}).head_repository is None
        assert parse_pull_request(pull).number == number


def test_pull_requests_of_a_branch(place: Place) -> None:
    """All from one branch are found, whoever opened them and in whatever state, newest first; no others."""
    theirs = place.hub.open_pull_request(place.name, "alice", head="qwen/issue-1", title="mine").number
    place.hub.close_issue(place.name, theirs, "alice")
    ours = place.pull().number
    place.hub.commit(place.name, {"b": "c"}, branch="other")
    place.hub.open_pull_request(place.name, "alice", head="other", title="other")
    found = place.github.fetch_pull_requests(head="qwen/issue-1")
    assert [(pull.number, pull.state) for pull in found] == [(ours, "open"), (theirs, "closed")]
    assert place.github.fetch_pull_requests(head="nowhere") == []


def test_texts_are_changed_one_by_one(place: Place) -> None:
    """Only what is given changes; nothing given sends nothing; too long a text is cut."""
    number = place.pull().number
    place.github.update_pull_request(number, body="New words.")
    place.github.update_pull_request(number)
    issue = place.hub.issue(place.name, number)
    assert (issue.title, issue.body) == ("Fix it", "New words.")
    place.github.update_pull_request(number, title="t" * 300, body="b" * 70_000)
    assert (len(issue.title), len(issue.body or "")) == (255, 65_536)
    assert len(place.writes("PATCH", f"/pulls/{number}")) == 2
    with pytest.raises(BrokenWorld, match="deleted"):
        place.github.update_pull_request(999, title="x")


def test_review_is_requested_once(place: Place) -> None:
    """A collaborator is asked, a second time changes nothing; the author, strangers and unknown people are not."""
    place.hub.set_permission(place.name, "bob", "write")
    number = place.hub.open_pull_request(place.name, "alice", head="qwen/issue-1", title="mine").number
    place.hub.create_user("eve")
    for login in ("bob", "bob", "alice", "eve", "no-such-person", "forgehand[bot]"):
        place.github.request_review(number, login)
    pull = place.hub.issue(place.name, number).pull
    assert pull is not None
    assert [user.login for user in pull.requested_reviewers] == ["bob"]


@pytest.mark.parametrize("fault", FAULTS)
def test_label_is_made_with_its_looks(place: Place, fault: str) -> None:
    """A label that the repository lacks is made with colour and description, once, whatever the answer to it was."""
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path=f"/{place.name}/labels$", after_write=True))
    for _ in range(2):
        place.github.add_label(place.issue, "qwen:working", **COLOR)
    label = place.hub.repository(place.name).labels["qwen:working"]
    assert (rule.struck, label.color, label.description) == (1, "5319e7", "An agent is at work")
    assert [each.name for each in place.hub.issue(place.name, place.issue).labels] == ["bug", "qwen:working"]
    assert len(place.writes("POST", "/labels")) == 1


def test_known_label_keeps_its_looks(place: Place) -> None:
    """A label that exists is used as it is, with odd characters in its name too."""
    place.hub.store.add_label(place.hub.repository(place.name), "a/b ?", "ffffff")
    place.github.add_label(place.issue, "A/B ?", **COLOR)
    assert place.hub.repository(place.name).labels["a/b ?"].color == "ffffff"
    assert place.writes("POST", "/labels") == []
    with pytest.raises(BrokenWorld, match="permission"):
        place.client({"issues": "read"}).add_label(place.issue, "new", **COLOR)


def test_comments_take_reactions(place: Place) -> None:
    """Comments of the conversation and of the diff are reacted to once; reviews and deleted comments take none."""
    number = place.pull().number
    said = place.hub.add_comment(place.name, place.issue, "alice", "/qwen plan").id
    on_line = place.comment(number, "why?")
    for ref in (CommentRef(kind="issue", id=said), CommentRef(kind="review_comment", id=on_line)) * 2:
        place.github.react_to_comment(ref, number, "eyes")
    place.github.react_to_comment(CommentRef(kind="review", id=1), number, "eyes")
    place.github.react_to_comment(CommentRef(kind="issue", id=999_999), number, "eyes")
    given: list[Any] = [
        place.hub.reactions(place.name, place.issue, said),
        place.hub.reactions(place.name, number, on_line),
    ]
    assert [[(each.user.login, each.content) for each in one] for one in given] == [[("forgehand[bot]", "eyes")]] * 2
    with pytest.raises(BrokenWorld, match="permission"):
        place.client({"metadata": "read"}).react_to_comment(CommentRef(kind="issue", id=said), place.issue, "eyes")
