"""Issues, labels, comments and reactions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import requests
from github import Github, GithubException

from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Rest, person

ISSUES = f"/repos/{REPO}/issues"


def test_the_whole_conversation(hub: LocalHub, github: Github) -> None:
    """PyGithub reads an issue, reacts, comments, edits, labels and closes; the App writes as its bot."""
    number = hub.create_issue(REPO, "alice", "add is wrong", "1 + 1 gives 0", labels=["qwen"]).number
    issue = github.get_repo(REPO).get_issue(number)
    assert (issue.user.login, [label.name for label in issue.labels]) == ("alice", ["qwen"])
    issue.create_reaction("eyes")
    comment = issue.create_comment("Working on it.")
    comment.edit("Done.")
    comment.create_reaction("rocket")
    issue.add_to_labels("bug", "new label")
    issue.remove_from_labels("qwen")
    issue.edit(title="add subtracts", state="closed", state_reason="completed")
    again = github.get_repo(REPO).get_issue(number)
    assert (again.title, again.state, sorted(x.name for x in again.labels)) == (
        "add subtracts",
        "closed",
        ["bug", "new label"],
    )
    shown = next(iter(again.get_comments()))
    assert (shown.body, shown.user.login, shown.user.type) == ("Done.", "forgehand[bot]", "Bot")
    assert shown.performed_via_github_app.slug == "forgehand"
    assert [r.content for r in shown.get_reactions()] == ["rocket"]


def test_comment_pages(hub: LocalHub, github: Github, rest: Rest) -> None:
    """A list comes in pages with a Link header, which PyGithub follows to the end."""
    number = hub.create_issue(REPO, "alice", "talk").number
    for count in range(65):
        hub.add_comment(REPO, number, "alice", f"comment {count}")
    first = rest("GET", f"{ISSUES}/{number}/comments")
    assert (len(first.json()), set(first.links)) == (30, {"next", "last"})
    last = rest("GET", f"{ISSUES}/{number}/comments?per_page=20&page=4")
    assert (len(last.json()), set(last.links)) == (5, {"prev", "first"})
    assert [c.body for c in github.get_repo(REPO).get_issue(number).get_comments()] == [
        f"comment {n}" for n in range(65)
    ]


def test_comments_since(hub: LocalHub, github: Github) -> None:
    """``since`` goes by the last update, so an edited old comment comes back."""
    number = hub.create_issue(REPO, "alice", "talk").number
    old = hub.add_comment(REPO, number, "alice", "old")
    edited = hub.add_comment(REPO, number, "alice", "to be edited")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    old.updated_at = edited.updated_at = long_ago
    hub.edit_comment(REPO, edited.id, "alice", "edited")
    found = github.get_repo(REPO).get_issue(number).get_comments(since=datetime(2026, 1, 2, tzinfo=UTC))
    assert [comment.body for comment in found] == ["edited"]


def test_reactions_are_once_a_user(hub: LocalHub, rest: Rest) -> None:
    """The same reaction again is 200 and changes nothing; another user's is another one; nonsense is 422."""
    number = hub.create_issue(REPO, "alice", "talk").number
    path = f"{ISSUES}/{number}/reactions"
    codes = [rest("POST", path, {"content": "eyes"}).status_code for _ in range(2)]
    codes.append(person(hub, "alice")("POST", path, {"content": "eyes"}).status_code)
    assert codes == [201, 200, 201]
    assert rest("GET", f"{ISSUES}/{number}").json()["reactions"]["eyes"] == 2
    assert rest("POST", path, {"content": "banana"}).status_code == 422


def test_labels(hub: LocalHub, rest: Rest) -> None:
    """Labels are added by object or by bare list; one that is not on the issue is 404 ``Label does not exist``."""
    number = hub.create_issue(REPO, "alice", "talk").number
    path = f"{ISSUES}/{number}/labels"
    assert [x["name"] for x in rest("POST", path, {"labels": ["bug"]}).json()] == ["bug"]
    assert [x["name"] for x in rest("POST", path, ["a/b", "bug"]).json()] == ["bug", "a/b"]
    assert [x["name"] for x in rest("DELETE", f"{path}/a%2Fb").json()] == ["bug"]
    answer = rest("DELETE", f"{path}/a%2Fb")
    assert (answer.status_code, answer.json()["message"]) == (404, "Label does not exist")
    assert rest("POST", f"/repos/{REPO}/labels", {"name": "Qwen", "color": "ff0000"}).status_code == 201
    assert rest("POST", f"/repos/{REPO}/labels", {"name": "qwen"}).json()["errors"][0]["code"] == "already_exists"
    assert rest("GET", f"/repos/{REPO}/labels/qwen").json()["name"] == "Qwen"


def test_listing(hub: LocalHub, github: Github) -> None:
    """Issues are listed newest first and filtered by state and labels."""
    repo = github.get_repo(REPO)
    for title in ("one", "two", "three"):
        hub.create_issue(REPO, "alice", title, labels=["qwen"] if title == "two" else [])
    hub.close_issue(REPO, 3, "alice")
    assert [issue.title for issue in repo.get_issues()] == ["two", "one"]
    assert [issue.title for issue in repo.get_issues(state="all", direction="asc")] == ["one", "two", "three"]
    assert [issue.title for issue in repo.get_issues(labels=["qwen"])] == ["two"]


def test_limits_of_texts(hub: LocalHub, rest: Rest) -> None:
    """Over-long and missing texts are refused with GitHub's validation error."""
    number = hub.create_issue(REPO, "alice", "talk").number
    too_long = rest("POST", f"{ISSUES}/{number}/comments", {"body": "x" * 65537})
    assert too_long.status_code == 422
    assert too_long.json()["errors"][0]["message"] == "body is too long (maximum is 65536 characters)"
    assert rest("POST", f"{ISSUES}/{number}/comments", {"body": "x" * 65536}).status_code == 201
    assert rest("POST", f"{ISSUES}/{number}/comments", {"body": " "}).status_code == 422
    assert rest("POST", ISSUES, {"body": "no title"}).json()["message"].startswith("Invalid request.")
    assert rest("POST", ISSUES, {"title": "x" * 257}).status_code == 422
    assert rest("GET", f"{ISSUES}/4711").status_code == 404


def test_bad_json(hub: LocalHub, rest: Rest) -> None:
    """Broken, deep and wrongly shaped bodies are 400, never a crash."""
    headers = {"Authorization": f"Bearer {rest.token}"}
    for body, words in (
        (b"{", "Problems parsing JSON"),
        (b"[" * 100_000, "Problems parsing JSON"),
        (b"7", "Body should be"),
    ):
        answer = requests.post(hub.api_url + ISSUES, data=body, headers=headers, timeout=30)
        assert answer.status_code == 400
        assert answer.json()["message"].startswith(words)


def test_lone_surrogates(hub: LocalHub, rest: Rest) -> None:
    """A title with half a character survives REST, the webhook and the page."""
    number = hub.create_issue(REPO, "alice", "half \ud83d a face").number
    assert rest("GET", f"{ISSUES}/{number}").json()["title"] == "half \ud83d a face"
    assert requests.get(f"{hub.html_url}/{REPO}/issues/{number}", timeout=30).status_code == 200


def test_people_act_by_rest(hub: LocalHub) -> None:
    """A person opens, labels, comments and edits the own comment; a reader edits nobody else's."""
    alice = person(hub, "alice")
    number = alice("POST", ISSUES, {"title": "by hand", "labels": ["qwen"]}).json()["number"]
    comment = alice("POST", f"{ISSUES}/{number}/comments", {"body": "first"}).json()
    assert comment["performed_via_github_app"] is None
    path = f"{ISSUES}/comments/{comment['id']}"
    assert alice("PATCH", path, {"body": "second"}).json()["body"] == "second"
    hub.set_permission(REPO, "mallory", "read")
    assert person(hub, "mallory")("PATCH", path, {"body": "mine"}).status_code == 403
    assert alice("DELETE", path).status_code == 204
    assert alice("GET", path).status_code == 404


def test_gone_issue(hub: LocalHub, github: Github) -> None:
    """A deleted issue is 404."""
    number = hub.create_issue(REPO, "alice", "soon gone").number
    hub.delete_issue(REPO, number)
    with pytest.raises(GithubException) as caught:
        github.get_repo(REPO).get_issue(number)
    assert caught.value.status == 404


def test_same_answer_is_304(hub: LocalHub, rest: Rest) -> None:
    """An unchanged answer is 304 for its ETag, and a changed one is whole."""
    number = hub.create_issue(REPO, "alice", "talk").number
    tag = rest("GET", f"{ISSUES}/{number}").headers["ETag"]
    assert rest("GET", f"{ISSUES}/{number}", If_None_Match=tag).status_code == 304
    hub.add_comment(REPO, number, "alice", "news")
    assert rest("GET", f"{ISSUES}/{number}", If_None_Match=tag).status_code == 200


def test_archived_is_read_only(hub: LocalHub, rest: Rest) -> None:
    """Writes to an archived repository are 403; reads go on."""
    hub.archive_repository(REPO)
    assert rest("POST", ISSUES, {"title": "x"}).status_code == 403
    assert rest("GET", f"/repos/{REPO}").json()["archived"] is True


def test_many_at_once(hub: LocalHub, rest: Rest) -> None:
    """Concurrent writers lose nothing and share no number."""
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: rest("POST", ISSUES, {"title": f"n{n}"}).json()["number"], range(24)))
    assert sorted(numbers) == list(range(1, 25)), time.monotonic() - begun
