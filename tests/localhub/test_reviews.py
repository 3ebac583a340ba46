"""Threads, asked reviewers and what becomes of a comment when the code moves; by method, REST and GraphQL."""

from __future__ import annotations

from typing import Any

import pytest

from app.localhub.answers import Refusal
from app.localhub.reviews import Wanted
from app.localhub.server import LocalHub
from tests.localhub.conftest import REPO, Receiver, Rest, mint, person

PULLS = f"/repos/{REPO}/pulls"
FIXED = "def add(a, b):\n    return a + b\n"
THREADS = """query($id: ID!, $first: Int, $last: Int, $after: String) { node(id: $id) { ... on PullRequest {
  reviewThreads(first: $first, last: $last, after: $after) {
    totalCount nodes { id isResolved isOutdated comments(first: 10) { nodes { body } } }
    pageInfo { hasNextPage hasPreviousPage endCursor } } } } }"""
RESOLVE = "mutation($id: ID!) { resolveReviewThread(input: {threadId: $id}) { thread { isResolved } } }"


@pytest.fixture
def number(hub: LocalHub) -> int:
    """A pull request by alice that fixes calc.py."""
    hub.commit(REPO, {"calc.py": FIXED}, branch="fix", author="alice")
    return hub.open_pull_request(REPO, "alice", head="fix", title="Fix add").number


def ask(hub: LocalHub, token: str | None, query: str, **variables: Any) -> Any:
    """The answer of GraphQL, which lies beside REST."""
    rest = Rest(hub.html_url, token)
    return rest("POST", "/api/graphql", {"query": query, "variables": variables})


def pull_id(rest: Rest, number: int) -> str:
    return str(rest("GET", f"{PULLS}/{number}").json()["node_id"])


def test_threads_and_their_state(hub: LocalHub, rest: Rest, receiver: Receiver, number: int) -> None:
    """Threads are asked page by page from either end; resolving one is told to the App with all its comments."""
    tops = [hub.comment_on_line(REPO, number, "bob", Wanted("calc.py", f"t{n}", line=2)).id for n in range(3)]
    hub.reply_to_comment(REPO, tops[1], "alice", "because")
    token, pull = hub.create_token("alice"), pull_id(rest, number)
    first = ask(hub, token, THREADS, id=pull, first=2).json()["data"]["node"]["reviewThreads"]
    assert [[c["body"] for c in t["comments"]["nodes"]] for t in first["nodes"]] == [["t0"], ["t1", "because"]]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (3, True)
    rest_of = ask(hub, token, THREADS, id=pull, first=2, after=first["pageInfo"]["endCursor"]).json()
    assert [t["comments"]["nodes"] for t in rest_of["data"]["node"]["reviewThreads"]["nodes"]] == [[{"body": "t2"}]]
    last = ask(hub, token, THREADS, id=pull, last=1).json()["data"]["node"]["reviewThreads"]
    assert (last["nodes"][0]["isResolved"], last["pageInfo"]["hasPreviousPage"]) == (False, True)
    done = ask(hub, token, RESOLVE, id=first["nodes"][1]["id"]).json()
    assert done == {"data": {"resolveReviewThread": {"thread": {"isResolved": True}}}}
    assert hub.resolved_threads(REPO, number) == {tops[1]: "alice"}
    hub.resolve_thread(REPO, tops[1], "bob", resolved=False)
    hub.resolve_thread(REPO, tops[1], "bob", resolved=False)
    hub.wait_for_deliveries()
    assert [name for name in receiver.events() if "thread" in name] == [
        "pull_request_review_thread.resolved",
        "pull_request_review_thread.unresolved",
    ]
    told = receiver.payload("pull_request_review_thread.resolved")
    assert [each["body"] for each in told["thread"]["comments"]] == ["t1", "because"]
    assert [e.path for e in hub.journal if "graphql" in e.path] == ["/graphql"]


def test_who_may_ask_graphql(hub: LocalHub, rest: Rest, number: int) -> None:
    """Nobody is 401; a stranger sees nothing; an App needs to read pulls, and to write contents too to resolve."""
    hub.comment_on_line(REPO, number, "bob", Wanted("calc.py", "why?", line=2))
    pull = pull_id(rest, number)
    assert ask(hub, None, THREADS, id=pull, first=1).status_code == 401
    assert ask(hub, "ghs_wrong", THREADS, id=pull, first=1).json()["message"] == "Bad credentials"
    stranger = ask(hub, hub.create_token("mallory"), THREADS, id=pull, first=1).json()
    assert (stranger["data"], stranger["errors"][0]["type"]) == ({"node": None}, "NOT_FOUND")
    blind = ask(hub, mint(hub, contents="write"), THREADS, id=pull, first=1).json()
    assert (blind["errors"][0]["type"], blind["errors"][0]["path"]) == ("FORBIDDEN", ["node"])
    reader = mint(hub, pull_requests="write")
    thread = ask(hub, reader, THREADS, id=pull, first=1).json()["data"]["node"]["reviewThreads"]["nodes"][0]["id"]
    assert ask(hub, reader, RESOLVE, id=thread).json()["errors"][0]["type"] == "FORBIDDEN"
    both = mint(hub, pull_requests="write", contents="write")
    assert "errors" not in ask(hub, both, RESOLVE, id=thread).json()
    assert ask(hub, both, RESOLVE, id=pull).json()["errors"][0]["type"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("{ node(id: 7) { id nosuch } }", "invalidQuery"),
        ("{ node(", "invalidQuery"),
        (THREADS, "MISSING_PAGINATION_BOUNDARIES"),
        (THREADS.replace("first: $first", "first: 101").replace("$first: Int, ", ""), "EXCESSIVE_PAGINATION"),
    ],
)
def test_bad_queries(hub: LocalHub, rest: Rest, number: int, query: str, kind: str) -> None:
    """What GitHub's schema does not have, and lists without or beyond bounds, are refused with status 200."""
    answer = ask(hub, hub.create_token("alice"), query, id=pull_id(rest, number))
    [error] = answer.json()["errors"]
    assert (answer.status_code, error.get("type") or error["extensions"]["code"]) == (200, kind)


def test_asked_reviewers(hub: LocalHub, rest: Rest, receiver: Receiver, number: int) -> None:
    """People and, in the page, the App's bot are asked; a review ends the asking; strangers and the author are 422."""
    hub.set_permission(REPO, "bob", "write")
    hub.request_review(REPO, number, "alice", hub.bot_login)
    where = f"{PULLS}/{number}/requested_reviewers"
    assert rest("POST", where, {"reviewers": ["bob"]}).status_code == 201
    assert [u["login"] for u in rest("GET", where).json()["users"]] == ["forgehand[bot]", "bob"]
    for login, words in (("alice", "pull request author"), ("mallory", "not a collaborator"), ("nobody", "Validation")):
        answer = rest("POST", where, {"reviewers": [login]})
        assert (answer.status_code, words in answer.json()["message"]) == (422, True)
    with pytest.raises(Refusal):
        hub.request_review(REPO, number, "bob", "mallory")
    hub.submit_review(REPO, number, hub.bot_login, event="COMMENT", body="Seen.")
    assert rest("DELETE", where, {"reviewers": ["bob"]}).json()["requested_reviewers"] == []
    hub.wait_for_deliveries()
    asked = receiver.payload("pull_request.review_requested")
    assert (asked["requested_reviewer"]["login"], len(asked["pull_request"]["requested_reviewers"])) == ("bob", 2)
    assert receiver.payload("pull_request.review_request_removed")["requested_reviewer"]["login"] == "bob"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("# new\n" + FIXED, 3),
        (FIXED + "# end\n", 2),
        ("def add(a, b):\n    # sum\n    return a + b\n", 3),
        ("def add(a, b):\n    return b + a\n", None),
        ("    return a + b\n", 1),
        (None, None),
    ],
)
def test_comment_follows_its_line(
    hub: LocalHub, rest: Rest, number: int, content: str | None, line: int | None
) -> None:
    """A comment's line moves with what is added above; when the line itself is changed or gone there is none."""
    comment = hub.comment_on_line(REPO, number, "bob", Wanted("calc.py", "why?", line=2)).id
    hub.commit(REPO, {"calc.py": content}, branch="fix")
    shown = rest("GET", f"{PULLS}/comments/{comment}").json()
    assert (shown["line"], shown["original_line"], shown["position"] is None) == (line, 2, line is None)
    thread = ask(hub, hub.create_token("alice"), THREADS, id=pull_id(rest, number), first=1).json()
    assert thread["data"]["node"]["reviewThreads"]["nodes"][0]["isOutdated"] is (line is None)


def test_comments_are_edited_and_deleted(hub: LocalHub, rest: Rest, receiver: Receiver, number: int) -> None:
    """Line comments change and go, a review is dismissed, and each is told."""
    review = hub.submit_review(REPO, number, "bob", event="APPROVE").id
    comment = hub.comment_on_line(REPO, number, "bob", Wanted("calc.py", "why?", line=2)).id
    hub.edit_review_comment(REPO, comment, "bob", "why so?")
    assert rest("DELETE", f"{PULLS}/comments/{comment}").status_code == 204
    assert rest("GET", f"{PULLS}/comments/{comment}").status_code == 404
    gone = person(hub, "alice")("PUT", f"{PULLS}/{number}/reviews/{review}/dismissals", {"message": "stale"})
    assert gone.json()["state"] == "DISMISSED"
    hub.wait_for_deliveries()
    assert receiver.payload("pull_request_review_comment.edited")["changes"] == {"body": {"from": "why?"}}
    assert receiver.payload("pull_request_review_comment.deleted")["comment"]["id"] == comment
    assert receiver.payload("pull_request_review.dismissed")["review"]["state"] == "dismissed"


def test_squash_and_back_to_draft(hub: LocalHub, rest: Rest, receiver: Receiver, number: int) -> None:
    """A squash is one commit by the author and closes as merged; a pull request can be made a draft again."""
    hub.convert_to_draft(REPO, number, "alice")
    hub.mark_ready(REPO, number, "alice")
    done = rest("PUT", f"{PULLS}/{number}/merge", {"merge_method": "squash"}).json()
    commit = rest("GET", f"/repos/{REPO}/commits/{done['sha']}").json()
    assert (commit["commit"]["message"], len(commit["parents"])) == (f"Fix add (#{number})", 1)
    assert rest("GET", f"{PULLS}/{number}").json()["merged"] is True
    assert [each["number"] for each in rest("GET", f"/repos/{REPO}/commits/{done['sha']}/pulls").json()] == [number]
    hub.wait_for_deliveries()
    assert receiver.payload("pull_request.converted_to_draft")["pull_request"]["draft"] is True
    assert receiver.payload("pull_request.closed")["pull_request"]["merged"] is True
