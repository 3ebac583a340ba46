"""Pull requests whose files and head follow the real branch, and reviews whose comments lie in the diff."""

from __future__ import annotations

import pytest
from github import Github, GithubException

from app.localhub.reviews import Wanted
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Receiver, Rest, person

PULLS = f"/repos/{REPO}/pulls"
FIXED = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def number(hub: LocalHub) -> int:
    """A pull request by alice that fixes calc.py and changes line 20 of a guide of 40 lines."""
    guide = hub.read_file(REPO, "docs/guide.md")
    assert guide
    changed = guide.replace(b"line 20\n", b"line twenty\n")
    hub.commit(REPO, {"calc.py": FIXED, "docs/guide.md": changed}, branch="fix", author="alice")
    return hub.open_pull_request(REPO, "alice", head="fix", title="Fix add").number


def errors(answer: object) -> str:
    return str(answer.json()["errors"])  # type: ignore[attr-defined]


def test_draft_pull_request(hub: LocalHub, github: Github) -> None:
    """A draft by the App has the branch's real files, patches and commits, and is found by its head."""
    sha = hub.commit(REPO, {"calc.py": FIXED}, branch="qwen/issue-1")
    repo = github.get_repo(REPO)
    pull = repo.create_pull(base="main", head="qwen/issue-1", title="Fix", body="Fixes #1", draft=True)
    assert (pull.user.login, pull.draft, pull.head.sha, pull.mergeable_state) == ("forgehand[bot]", True, sha, "draft")
    assert (pull.changed_files, pull.additions, pull.deletions, pull.commits) == (1, 1, 1, 1)
    assert [f.patch for f in pull.get_files()] == [
        "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b"
    ]
    assert [c.sha for c in pull.get_commits()] == [sha]
    assert [p.number for p in repo.get_pulls(head="octo:qwen/issue-1", state="all")] == [pull.number]
    assert [p.number for p in repo.get_pulls(head="octo:other", state="all")] == []
    assert repo.get_issue(pull.number).pull_request is not None
    assert [i.number for i in repo.get_issues()] == [pull.number]
    pull.edit(title="Fix add", body="better", state="closed")
    assert [p.title for p in repo.get_pulls(state="closed")] == ["Fix add"]


def test_a_pull_request_from_a_fork(hub: LocalHub, rest: Rest) -> None:
    """Its head is in the author's copy and under its number here; a branch of that name here is another's."""
    issue = hub.open_pull_request_from_fork(REPO, "carol", files={"calc.py": FIXED}, title="Fix add")
    shown = rest("GET", f"{PULLS}/{issue.number}").json()
    assert (shown["head"]["repo"]["full_name"], shown["base"]["repo"]["full_name"]) == ("carol/calc", REPO)
    assert shown["changed_files"] == 1
    assert list(hub.branches(REPO)) == ["main"]
    ref = rest("GET", f"/repos/{REPO}/git/ref/pull/{issue.number}/head").json()
    assert ref["object"]["sha"] == shown["head"]["sha"]
    hub.commit(REPO, {"other.txt": "x"}, branch=shown["head"]["ref"])
    assert rest("GET", f"{PULLS}/{issue.number}").json()["head"]["sha"] == shown["head"]["sha"]


def test_refused_pull_requests(hub: LocalHub, rest: Rest, number: int) -> None:
    """A second one for a branch, an unknown head or base, and one without commits are 422 in GitHub's words."""
    again = rest("POST", PULLS, {"title": "x", "head": "fix", "base": "main"})
    assert (again.status_code, again.json()["message"]) == (422, "Validation Failed")
    assert again.json()["errors"][0]["message"] == "A pull request already exists for octo:fix."
    assert "'field': 'head'" in errors(rest("POST", PULLS, {"title": "x", "head": "nowhere", "base": "main"}))
    assert "'field': 'base'" in errors(rest("POST", PULLS, {"title": "x", "head": "fix", "base": "nowhere"}))
    hub.commit(REPO, {"calc.py": FIXED})
    rest("POST", f"/repos/{REPO}/git/refs", {"ref": "refs/heads/same", "sha": hub.branches(REPO)["main"]})
    same = rest("POST", PULLS, {"title": "x", "head": "same", "base": "main"})
    assert same.json()["errors"][0]["message"] == "No commits between main and same"


def test_head_follows_the_branch(hub: LocalHub, rest: Rest, receiver: Receiver, number: int) -> None:
    """A new commit on the branch moves the head and the files, and sends ``synchronize`` with both ids."""
    before = rest("GET", f"{PULLS}/{number}").json()["head"]["sha"]
    after = hub.commit(REPO, {"new.py": "x = 1\n"}, branch="fix")
    assert rest("GET", f"{PULLS}/{number}").json()["head"]["sha"] == after
    assert "new.py" in [f["filename"] for f in rest("GET", f"{PULLS}/{number}/files").json()]
    hub.wait_for_deliveries()
    payload = receiver.payload("pull_request.synchronize")
    assert (payload["before"], payload["after"], payload["pull_request"]["head"]["sha"]) == (before, after, after)


def test_base_moves_on(hub: LocalHub, rest: Rest, number: int) -> None:
    """A commit on the base branch does not enter the diff; a conflict makes the pull request dirty."""
    hub.commit(REPO, {"README.md": "# other\n"})
    assert [f["filename"] for f in rest("GET", f"{PULLS}/{number}/files").json()] == ["calc.py", "docs/guide.md"]
    assert rest("GET", f"{PULLS}/{number}").json()["mergeable_state"] == "clean"
    hub.commit(REPO, {"calc.py": "something else\n"})
    assert rest("GET", f"{PULLS}/{number}").json()["mergeable"] is False
    assert rest("PUT", f"{PULLS}/{number}/merge", {}).status_code == 405


def test_merge(hub: LocalHub, github: Github, receiver: Receiver, number: int) -> None:
    """A merge lands on the base branch, closes the pull request as merged, and says so."""
    pull = github.get_repo(REPO).get_pull(number)
    assert pull.is_merged() is False
    assert pull.merge().merged
    assert hub.read_file(REPO, "calc.py") == FIXED.encode()
    again = github.get_repo(REPO).get_pull(number)
    assert (again.merged, again.state, again.merged_by.login) == (True, "closed", "forgehand[bot]")
    assert [f.filename for f in again.get_files()] == ["calc.py", "docs/guide.md"]
    hub.wait_for_deliveries()
    assert receiver.payload("pull_request.closed")["pull_request"]["merged"] is True


def test_deleted_branch_closes(hub: LocalHub, rest: Rest, number: int) -> None:
    """Deleting the head branch closes the pull request, unmerged, and its diff stays."""
    assert rest("DELETE", f"/repos/{REPO}/git/refs/heads/fix").status_code == 204
    shown = rest("GET", f"{PULLS}/{number}").json()
    assert (shown["state"], shown["merged"], shown["changed_files"]) == ("closed", False, 2)


def test_review_with_line_comments(hub: LocalHub, github: Github, receiver: Receiver, number: int) -> None:
    """Comments on added, removed and context lines are taken, with their hunks, and each is announced."""
    pull = github.get_repo(REPO).get_pull(number)
    comments = [
        {"path": "calc.py", "line": 2, "side": "RIGHT", "body": "added"},
        {"path": "calc.py", "line": 2, "side": "LEFT", "body": "removed"},
        {"path": "docs/guide.md", "line": 23, "side": "RIGHT", "body": "context"},
        {
            "path": "docs/guide.md",
            "start_line": 18,
            "start_side": "RIGHT",
            "line": 20,
            "side": "RIGHT",
            "body": "three",
        },
    ]
    review = pull.create_review(body="Looks good", event="COMMENT", comments=comments)  # type: ignore[arg-type]
    assert (review.state, review.user.login) == ("COMMENTED", "forgehand[bot]")
    made = list(pull.get_review_comments())
    assert [c.body for c in made] == ["added", "removed", "context", "three"]
    assert made[0].diff_hunk == "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b"
    assert (made[1].side, made[1].line, made[3].start_line, made[3].line) == ("LEFT", 2, 18, 20)
    assert [c.body for c in pull.get_single_review_comments(review.id)] == ["added", "removed", "context", "three"]
    hub.wait_for_deliveries()
    assert receiver.events().count("pull_request_review_comment.created") == 4
    assert receiver.payload("pull_request_review.submitted")["review"]["state"] == "commented"


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ({"path": "calc.py", "line": 3}, "line must be part of the diff and Pull request review thread diff hunk"),
        ({"path": "docs/guide.md", "line": 1}, "line must be part of the diff"),
        ({"path": "docs/guide.md", "line": 24}, "line must be part of the diff"),
        ({"path": "nowhere.py", "line": 1}, "Path could not be resolved"),
        ({"path": "docs/guide.md", "start_line": 1, "line": 20}, "start line must be part of the same hunk"),
        ({"path": "docs/guide.md", "start_line": 20, "line": 19}, "start line must precede the end line"),
    ],
)
def test_lines_outside_the_diff(rest: Rest, number: int, comment: dict[str, object], words: str) -> None:
    """One comment outside the diff refuses the whole review, and nothing of it stays."""
    good = {"path": "calc.py", "line": 2, "body": "good"}
    body = {"event": "COMMENT", "body": "x", "comments": [good, {**comment, "body": "bad"}]}
    answer = rest("POST", f"{PULLS}/{number}/reviews", body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Unprocessable Entity")
    assert words in answer.json()["errors"][0]
    assert rest("GET", f"{PULLS}/{number}/comments").json() == []
    assert rest("GET", f"{PULLS}/{number}/reviews").json() == []


def test_single_comment_and_replies(hub: LocalHub, github: Github, rest: Rest, number: int) -> None:
    """A line comment outside a review, its refusal, a reply, and a reply to the reply in the same thread."""
    pull = github.get_repo(REPO).get_pull(number)
    commit = github.get_repo(REPO).get_commit(pull.head.sha)
    comment = pull.create_review_comment("why?", commit, "calc.py", line=2, side="RIGHT")
    reply = pull.create_review_comment_reply(comment.id, "because")
    deeper = rest("POST", f"{PULLS}/{number}/comments/{reply.id}/replies", {"body": "I see"}).json()
    assert (reply.in_reply_to_id, deeper["in_reply_to_id"], deeper["line"]) == (comment.id, comment.id, 2)
    comment.edit("why so?")
    comment.create_reaction("eyes")
    assert pull.get_review_comment(comment.id).body == "why so?"
    bad = rest(
        "POST", f"{PULLS}/{number}/comments", {"body": "x", "commit_id": commit.sha, "path": "calc.py", "line": 99}
    )
    assert [error.get("field") for error in bad.json()["errors"]] == [
        "pull_request_review_thread.line",
        "pull_request_review_thread.diff_hunk",
    ]
    with pytest.raises(GithubException):
        pull.create_review_comment_reply(4711, "nobody")


def test_own_pull_request_is_not_approved(hub: LocalHub, rest: Rest, number: int) -> None:
    """An author comments on the own pull request but neither approves nor rejects it; others do."""
    alice = person(hub, "alice")
    for event in ("APPROVE", "REQUEST_CHANGES"):
        answer = alice("POST", f"{PULLS}/{number}/reviews", {"event": event, "body": "me"})
        assert answer.status_code == 422
    assert rest("POST", f"{PULLS}/{number}/reviews", {"event": "APPROVE"}).json()["state"] == "APPROVED"
    assert rest("POST", f"{PULLS}/{number}/reviews", {"event": "COMMENT"}).status_code == 422


def test_pending_review_is_private(hub: LocalHub, rest: Rest, number: int) -> None:
    """A review without an event waits, seen by its author alone."""
    assert rest("POST", f"{PULLS}/{number}/reviews", {"body": "draft"}).json()["state"] == "PENDING"
    assert len(rest("GET", f"{PULLS}/{number}/reviews").json()) == 1
    assert person(hub, "alice")("GET", f"{PULLS}/{number}/reviews").json() == []


def test_people_review_by_method(hub: LocalHub, receiver: Receiver, number: int) -> None:
    """The Python method reviews as a person, and the event names that person."""
    wanted = Wanted("calc.py", "use sum()", line=2)
    hub.submit_review(REPO, number, "bob", event="REQUEST_CHANGES", body="Please", comments=[wanted])
    hub.wait_for_deliveries()
    payload = receiver.payload("pull_request_review.submitted")
    assert (payload["sender"]["login"], payload["review"]["state"]) == ("bob", "changes_requested")
    assert receiver.payload("pull_request_review_comment.created")["comment"]["line"] == 2


def test_diff_by_media_type(hub: LocalHub, rest: Rest, number: int) -> None:
    """The diff media type gives the unified diff."""
    diff = rest("GET", f"{PULLS}/{number}", Accept="application/vnd.github.diff").text
    assert diff == hub.diff(REPO, number)
    assert "+    return a + b" in diff
