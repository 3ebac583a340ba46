"""The client on reviews, their comments and threads, against the local GitHub's REST and GraphQL."""

from __future__ import annotations

import json

import pytest

from app.github_reviews import COMMENTS, RESOLVE, THREADS
from app.localhub.edge import Exchange
from app.localhub.reviews import Wanted
from app.localhub.server import Fault
from tests.app.conftest import FAULTS, MARKER, Place
from tests.app.rude_server import answer, rude_server
from workflows.services import BrokenWorld, ReviewEvent
from workflows.types import DraftComment


@pytest.fixture
def number(place: Place) -> int:
    """A pull request of ours that changes line 1 of calc.py."""
    return place.pull().number


def test_reviews(place: Place, number: int) -> None:
    """Every review with author, state, words and commit; a pending one of somebody else is not seen."""
    hub, sha = place.hub, place.hub.branches(place.name)["qwen/issue-1"]
    asked = hub.submit_review(place.name, number, "alice", event="REQUEST_CHANGES", body="Please").id
    hub.submit_review(place.name, number, "bob", event="APPROVE")
    hub.dismiss_review(place.name, number, asked, "bob")
    found = place.github.fetch_reviews(number)
    assert [(each.author.login, each.state, each.body) for each in found] == [
        ("alice", "dismissed", "Please"),
        ("bob", "approved", ""),
    ]
    assert {each.commit_id for each in found} == {sha}
    assert all(each.submitted_at for each in found)


def test_review_comments(place: Place, number: int) -> None:
    """Comments with place, hunk, review and what they answer; over more than a page, oldest first."""
    top = place.comment(number, "why 0?")
    for n in range(1, 102):
        place.hub.reply_to_comment(place.name, top, "bob", f"why {n}?")
    found = place.github.fetch_review_comments(number)
    assert [each.body for each in found] == [f"why {n}?" for n in range(102)]
    first, second = found[:2]
    assert (first.id, first.path, first.line, first.side, first.in_reply_to) == (top, "calc.py", 1, "RIGHT", None)
    assert first.diff_hunk == "@@ -1 +1 @@\n-x = 1\n+x = 2"
    assert (second.in_reply_to, second.author.login) == (top, "bob")
    assert first.review_id != second.review_id


def test_moved_and_outdated_comments(place: Place, number: int) -> None:
    """A comment moves with its line and loses its place when the line changes; its thread is outdated then."""
    top = place.comment(number, "why?")
    place.hub.commit(place.name, {"calc.py": "# first\n\nx = 2\n"}, branch="qwen/issue-1")
    assert place.github.fetch_review_comments(number)[0].line == 3
    assert place.github.fetch_review_threads(number)[0].outdated is False
    place.hub.commit(place.name, {"calc.py": "# first\n\nx = 3\n"}, branch="qwen/issue-1")
    assert place.github.fetch_review_comments(number)[0].line is None
    [thread] = place.github.fetch_review_threads(number)
    assert (thread.outdated, thread.comments) == (True, (top,))


def test_threads_over_pages(place: Place, number: int) -> None:
    """More than a page of threads, and of comments in one of them, is read whole and in order."""
    tops = [place.comment(number, f"t{n}") for n in range(101)]
    answers = [place.hub.reply_to_comment(place.name, tops[0], "bob", f"a{n}").id for n in range(205)]
    threads = place.github.fetch_review_threads(number)
    assert [each.comments[0] for each in threads] == tops
    assert threads[0].comments == (tops[0], *answers)
    assert {each.resolved for each in threads} == {False}


def test_threads_of_nothing(place: Place, number: int) -> None:
    """A pull request without comments has no threads, and neither has one that is gone."""
    assert place.github.fetch_review_threads(number) == []
    assert place.github.fetch_review_threads(999) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_thread_is_resolved_once(place: Place, number: int, fault: str) -> None:
    """A thread is resolved, whatever the answer was and though it was already; only that one."""
    tops = [place.comment(number, "one"), place.comment(number, "two")]
    threads = place.github.fetch_review_threads(number)
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="graphql$", after_write=True))
    place.github.resolve_thread(threads[1].id)
    place.github.resolve_thread(threads[1].id)
    assert rule.struck == 1
    assert place.hub.resolved_threads(place.name, number) == {tops[1]: "forgehand[bot]"}
    assert [each.resolved for each in place.github.fetch_review_threads(number)] == [False, True]
    place.hub.resolve_thread(place.name, tops[0], "bob")
    assert [each.resolved_by for each in place.github.fetch_review_threads(number)] == ["bob", ""]


def test_thread_that_cannot_be_resolved(place: Place, number: int) -> None:
    """A token that may not resolve says what to grant; a thread that is gone is fine; nothing is repeated."""
    top = place.comment(number, "one")
    [thread] = place.github.fetch_review_threads(number)
    with pytest.raises(BrokenWorld, match="permission"):
        place.client({"pull_requests": "write"}).resolve_thread(thread.id)
    place.hub.delete_review_comment(place.name, top, "alice")
    place.github.resolve_thread(thread.id)
    assert place.hub.resolved_threads(place.name, number) == {}
    assert place.time.sleeps == []


def test_graphql_that_fails_and_limits(place: Place, number: int) -> None:
    """GraphQL's own time-out and rate limit, which come with status 200, are waited out; a bad query is refused."""
    place.comment(number, "one")
    limited = {"data": None, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
    broken = {"data": None, "errors": [{"message": "Something went wrong while executing your query."}]}
    refused = {"errors": [{"message": "Field 'x' doesn't exist", "extensions": {"code": "undefinedField"}}]}
    good = {"data": {"resolveReviewThread": {"thread": {"id": "T", "isResolved": True}}}}
    told = [answer(200, {"id": 5, "slug": "forgehand"}), answer(201, TOKEN)]
    with rude_server(*told, *(answer(200, each) for each in (limited, broken, good, refused))) as server:
        github = place.on(server.url + "/api/v3")
        github.resolve_thread("T")
        assert place.time.sleeps[0] == 60.0
        with pytest.raises(BrokenWorld, match="Field 'x'"):
            github.resolve_thread("T")
        assert [each.split(b" ")[1] for each in server.requests[2:]] == [b"/api/graphql"] * 4


TOKEN = {"token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z"}


def test_queries_are_githubs(place: Place, number: int) -> None:
    """The schema that the queries are held against is GitHub's: a query for what it lacks is refused, ours are not."""
    seen: list[Exchange] = []
    place.hub.observe(seen.append)
    place.comment(number, "one")
    [thread] = place.github.fetch_review_threads(number)
    place.github.resolve_thread(thread.id)
    asked = [json.loads(each.request_body) for each in seen if each.path.endswith("/graphql")]
    assert [each["query"] for each in asked] == [THREADS, RESOLVE]
    for query in (COMMENTS.replace("fullDatabaseId", "fullDatabaseID"), RESOLVE.replace("threadId", "thread")):
        with pytest.raises(BrokenWorld, match="GitHub answered 200"):
            place.github._session.query("asking", query, {"thread": thread.id})


def test_answer_is_made_once_in_its_thread(place: Place, number: int) -> None:
    """The same marker gives the same answer in a thread, for any comment of it, and another one in another thread."""
    one, two = place.comment(number, "one"), place.comment(number, "two")
    below = place.hub.reply_to_comment(place.name, one, "bob", "indeed").id
    made = place.github.find_or_create_reply(number, below, MARKER, "done")
    assert place.client().find_or_create_reply(number, one, MARKER, "again") == made
    assert place.github.find_or_create_reply(number, two, MARKER, "too") != made
    said = {each.id: each for each in place.github.fetch_review_comments(number)}
    assert (said[made].in_reply_to, said[made].body) == (one, f"done\n{MARKER}")
    assert len(said) == 5


def test_forged_answer_is_not_adopted(place: Place, number: int) -> None:
    """An answer with our marker by a person is not ours."""
    top = place.comment(number, "one")
    forged = place.hub.reply_to_comment(place.name, top, "alice", f"ha {MARKER}").id
    assert place.github.find_or_create_reply(number, top, MARKER, "mine") != forged


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_unclear_answer_is_made_once(place: Place, number: int, fault: str, happened: bool) -> None:
    """Whether the write happened or not when it failed, the thread has one answer of ours in the end."""
    top = place.comment(number, "one")
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="/replies$", after_write=happened))
    made = place.github.find_or_create_reply(number, top, MARKER, "done")
    assert rule.struck == 1
    assert [each.id for each in place.github.fetch_review_comments(number)] == [top, made]


def test_thread_that_is_gone_takes_no_answer(place: Place, number: int) -> None:
    """An answer to a comment that was deleted says so."""
    with pytest.raises(BrokenWorld, match="deleted"):
        place.github.find_or_create_reply(number, 999_999, MARKER, "done")


def test_comment_on_several_lines(place: Place) -> None:
    """A range has its first line too, which moves with it."""
    place.hub.commit(place.name, {"long.txt": "a\nb\nc\nd\n"}, branch="qwen/issue-1")
    number = place.pull().number
    wanted = Wanted("long.txt", "these", line=3, start_line=2, start_side="RIGHT")
    place.hub.comment_on_line(place.name, number, "alice", wanted)
    place.hub.commit(place.name, {"long.txt": "0\na\nb\nc\nd\n"}, branch="qwen/issue-1")
    [found] = place.github.fetch_review_comments(number)
    assert (found.start_line, found.line) == (3, 4)


GOOD = DraftComment(path="calc.py", body="Why 2?", line=1)
OUTSIDE = DraftComment(path="calc.py", body="Why?", line=40)


def review(place: Place, number: int, *comments: DraftComment) -> int | None:
    sha = place.hub.branches(place.name)["qwen/issue-1"]
    return place.github.find_or_create_review(
        number, commit=sha, marker=MARKER, body=f"Read.\n\n{MARKER}", comments=comments
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_review_is_made_once(place: Place, number: int, fault: str) -> None:
    """One review that only comments, with all its comments, whatever the answer was and however often it is asked."""
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="/reviews$", after_write=True))
    made = review(place, number, GOOD)
    assert made is not None
    assert review(place, number, GOOD) == made
    assert rule.struck == 1
    [found] = place.github.fetch_reviews(number)
    assert (found.id, found.state, MARKER in found.body) == (made, "commented", True)
    assert [(one.path, one.line, one.body) for one in place.github.fetch_review_comments(number)] == [
        ("calc.py", 1, "Why 2?")
    ]


def test_a_comment_outside_of_the_diff_is_found(place: Place, number: int) -> None:
    """GitHub refuses the whole review, which makes nothing; each comment is tried unseen, and none of that stays."""
    sha = place.hub.branches(place.name)["qwen/issue-1"]
    assert review(place, number, GOOD, OUTSIDE) is None
    assert place.github.fetch_reviews(number) == []
    assert place.github.find_refused(number, commit=sha, comments=[GOOD, OUTSIDE, GOOD]) == (1,)
    assert place.github.fetch_review_comments(number) == []
    assert place.github.fetch_reviews(number) == []
    assert review(place, number, GOOD) is not None


@pytest.mark.parametrize(("fault", "happened"), [*((fault, True) for fault in FAULTS), ("502", False)])
def test_a_try_with_an_unclear_answer(place: Place, number: int, fault: str, happened: bool) -> None:
    """It is made again once what it left is deleted, so that no comment is refused for that; nothing stays."""
    sha = place.hub.branches(place.name)["qwen/issue-1"]
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path="/reviews$", after_write=happened))
    assert place.github.find_refused(number, commit=sha, comments=[GOOD, OUTSIDE]) == (1,)
    assert (rule.struck, rule.seen) == (1, 3)
    assert place.github.fetch_reviews(number) == []
    assert review(place, number, GOOD) is not None


def test_tries_that_stay_unclear(place: Place, number: int) -> None:
    """When GitHub never says what became of a try it ends, after eight, in a message that says what was tried."""
    sha = place.hub.branches(place.name)["qwen/issue-1"]
    rule = place.hub.faults.add(Fault("status", method="POST", path="/reviews$", after_write=True, times=99))
    with pytest.raises(BrokenWorld, match=rf"trying a comment on #{number}.*githubstatus"):
        place.github.find_refused(number, commit=sha, comments=[GOOD])
    assert rule.struck == 8


def test_what_a_try_left_does_not_stand_in_the_way(place: Place, number: int) -> None:
    """A process that died while it tried left a pending review, of which there can be one: it is deleted first."""
    left = [Wanted("calc.py", "?", line=1)]
    place.hub.submit_review(place.name, number, place.hub.bot_login, event=None, comments=left)
    made = review(place, number, GOOD)
    assert [one.id for one in place.github.fetch_reviews(number)] == [made]


@pytest.fixture
def theirs(place: Place) -> int:
    """Alice's pull request with the same change: GitHub lets nobody judge their own."""
    place.hub.commit(place.name, {}, branch="theirs", start="qwen/issue-1")
    return place.hub.open_pull_request(place.name, "alice", head="theirs", title="Theirs").number


def verdict(place: Place, number: int, event: ReviewEvent, mark: str = MARKER) -> int | None:
    sha = place.hub.branches(place.name)["theirs"]
    return place.github.find_or_create_review(
        number, commit=sha, marker=mark, body=f"Read.\n\n{mark}", comments=[], event=event
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_verdict_is_given_and_taken_back_once(place: Place, theirs: int, fault: str) -> None:
    """Requested changes are one review, found again by its mark; they are dismissed once, whatever the answer was."""
    made = verdict(place, theirs, "REQUEST_CHANGES")
    assert made is not None
    assert verdict(place, theirs, "REQUEST_CHANGES") == made
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="PUT", path="/dismissals$", after_write=True))
    assert place.github.dismiss_review(theirs, made, "It is fixed.")
    assert rule.struck == 1
    assert place.github.dismiss_review(theirs, made, "It is fixed.")
    assert [one.state for one in place.github.fetch_reviews(theirs)] == ["dismissed"]


def test_a_verdict_that_github_refuses(place: Place, theirs: int, number: int) -> None:
    """Nobody approves their own pull request, and a protected branch says who may dismiss: neither is raised."""
    sha = place.hub.branches(place.name)["qwen/issue-1"]
    own = place.github.find_or_create_review(
        number, commit=sha, marker=MARKER, body=MARKER, comments=[], event="APPROVE"
    )
    assert own is None
    made = verdict(place, theirs, "APPROVE")
    assert made is not None
    place.hub.faults.add(Fault("status", method="PUT", path="/dismissals$", status=403))
    assert not place.github.dismiss_review(theirs, made, "No.")
    assert [one.state for one in place.github.fetch_reviews(theirs)] == ["approved"]


def test_a_commit_that_was_pushed_away_takes_no_review(place: Place, number: int) -> None:
    """After a force-push GitHub refuses the old commit, with comments and without: nothing is made."""
    old = place.hub.branches(place.name)["qwen/issue-1"]
    place.hub.commit(place.name, {"calc.py": "another\n"}, branch="qwen/issue-1", start="main", force=True)
    for comments in ([], [GOOD]):
        made = place.github.find_or_create_review(number, commit=old, marker=MARKER, body=MARKER, comments=comments)
        assert made is None
    assert place.github.fetch_reviews(number) == []
