"""The GitHub client against the local GitHub: each method, and each way in which GitHub fails in the middle of it."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import github_conversation
from app.github import GitHubApp
from app.github_calls import SETTLE_PAUSES
from app.github_retry import RetryRules
from app.localhub.edge import Exchange
from app.localhub.server import Fault
from tests.app.conftest import FAULTS, MARKER, WORKING, Place, make_app
from tests.app.rude_server import RESET, answer, rude_server
from workflows.durable.run import JobPostponed
from workflows.services import BrokenWorld, GitHub
from workflows.types import RepositoryRef

# --- the App --------------------------------------------------------------------------------------------------------


def test_client_is_what_the_workflows_ask_for(place: Place) -> None:
    """The client satisfies the protocol that the workflows are written against."""
    github: GitHub = place.github
    assert github.git_token()


def test_app_knows_itself(place: Place) -> None:
    """The App learns its slug with its first look, finds its installation, and says that all is well."""
    app = GitHubApp(place.hub.app_id, place.hub.private_key_pem, api_url=place.hub.api_url)
    assert app.known_slug is None
    ok, detail = app.check()
    assert ok, detail
    assert app.identity().slug == app.known_slug == "forgehand"
    assert app.installation_for("octo/nowhere") is None
    app.close()
    assert f"forgehand (id {place.hub.app_id})" in detail


def test_check_says_what_is_wrong(place: Place) -> None:
    """A GitHub that is down, limits us or refuses our key is told apart, at once and without waiting."""
    place.hurry()
    cases = [
        (Fault("status", path="/app$", status=502), "502"),
        (Fault("secondary_limit", path="/app$"), "rate limit"),
        (Fault("timeout", path="/app$", seconds=2), "Timeout"),
        (Fault("status", path="/app$", status=401), "private key"),
    ]
    for fault, words in cases:
        place.hub.faults.add(fault)
        ok, detail = place.app.check()
        assert (ok, words in detail) == (False, True), detail
        place.hub.faults.clear()
    assert place.time.sleeps == []


def test_foreign_key_is_refused_clearly(place: Place) -> None:
    """With a key that is not the App's (revoked, or another App's) the message says what to check, at once."""
    other = place.hub.create_app(f"other-{place.ref.id}")
    app = make_app(place.hub, place.time, pem=other.private_key)
    with pytest.raises(BrokenWorld, match="private key") as broken:
        app.for_repository(place.ref, WORKING)
    assert broken.value.kind == "github"
    assert place.time.sleeps == []


def test_token_holds_what_was_asked(place: Place) -> None:
    """A token is asked for one repository and exactly the given permissions, once for many requests."""
    github = place.client({"issues": "read"})
    github.fetch_issue(place.issue)
    github.fetch_comments(place.issue)
    minted = [
        e for e in place.hub.journal if e.path.endswith("/access_tokens") and place.ref.id in e.body["repository_ids"]
    ]
    assert [entry.body for entry in minted] == [{"repository_ids": [place.ref.id], "permissions": {"issues": "read"}}]


def test_missing_permission_is_named(place: Place) -> None:
    """A write that the token may not do ends in a message that says what to grant; nothing is repeated."""
    with pytest.raises(BrokenWorld, match="permission"):
        place.client({"issues": "read"}).react(place.issue, "eyes")
    with pytest.raises(BrokenWorld, match="secrets: write"):
        place.client({"secrets": "write"}).fetch_repository()
    assert place.time.sleeps == []


def test_token_that_expires_in_the_middle(place: Place) -> None:
    """When GitHub no longer takes the token, one new one is minted and the request, a write too, is done once."""
    place.github.fetch_issue(place.issue)
    mints = len([e for e in place.hub.journal if e.path.endswith("/access_tokens")])
    place.hub.expire_tokens()
    place.github.find_or_create_comment(place.issue, MARKER, "hello")
    assert len([e for e in place.hub.journal if e.path.endswith("/access_tokens")]) == mints + 1
    assert len(place.hub.comments(place.name, place.issue)) == 1


def test_token_that_is_never_taken(place: Place) -> None:
    """When a new token is refused as well, it ends: no loop of minting."""
    place.hub.faults.add(Fault("status", path=f"/repos/{place.name}/issues", status=401, times=99))
    with pytest.raises(BrokenWorld, match="still installed"):
        place.github.fetch_issue(place.issue)
    assert place.hub.faults._rules[0].struck == 2


def test_deliveries(place: Place) -> None:
    """The log of webhook deliveries is read over its pages, newest first, and a delivery can be had again."""
    place.hub.set_webhook("http://127.0.0.1:9/nobody", "s")
    for _ in range(3):
        place.hub.ping()
    place.hub.wait_for_deliveries()
    place.hub.set_webhook(None)
    long_ago = datetime.now(UTC) - timedelta(days=1)
    found = place.app.recent_deliveries(long_ago)
    assert [each.event for each in found[:3]] == ["ping"] * 3
    assert [each.id for each in found] == sorted((each.id for each in found), reverse=True)
    assert place.app.recent_deliveries(datetime.now(UTC) + timedelta(hours=1)) == []
    place.app.redeliver(found[0].id)
    place.hub.wait_for_deliveries()
    newest = place.app.recent_deliveries(long_ago)[0]
    assert (newest.guid, newest.redelivery) == (found[0].guid, True)


# --- reading --------------------------------------------------------------------------------------------------------


def test_repository(place: Place) -> None:
    """The repository, with an address for git that carries no credentials."""
    found = place.github.fetch_repository()
    assert (found.ref, found.default_branch, found.private) == (place.ref, "main", True)
    assert "@" not in found.clone_url


def test_renamed_repository_is_followed_by_id(place: Place) -> None:
    """A rename before or in the middle of a job changes nothing, though the old name only redirects."""
    place.github.fetch_issue(place.issue)
    new = place.name + "-renamed"
    place.hub.rename_repository(place.name, new.split("/")[1])
    assert place.github.find_or_create_comment(place.issue, MARKER, "hello") > 0
    assert place.client().fetch_repository().ref.full_name == new
    assert len(place.hub.comments(new, place.issue)) == 1


def test_squatter_of_the_old_name_is_not_believed(place: Place) -> None:
    """A new, public repository under the old name is not ours: neither its policy nor its issues are read."""
    new = place.name + "-renamed"
    place.hub.rename_repository(place.name, new.split("/")[1])
    place.hub.create_repository(place.name, files={"calc.py": "squatted"}, private=False)
    assert place.github.fetch_file("calc.py", "main") == b"x = 1\n"
    assert place.github.fetch_repository().ref.full_name == new


def test_repository_taken_away(place: Place) -> None:
    """A repository that was deleted in the middle ends in a clear message, with an old token and with a new one."""
    place.github.fetch_repository()
    with place.hub.store.lock:
        del place.hub.store.repositories[place.ref.id]
    with pytest.raises(BrokenWorld, match="Add it to the App's repositories"):
        place.github.fetch_repository()
    with pytest.raises(BrokenWorld, match="accept the change"):
        make_app(place.hub, place.time).for_repository(place.ref, WORKING).fetch_repository()


def test_issue(place: Place) -> None:
    """An issue with author and labels."""
    issue = place.github.fetch_issue(place.issue)
    assert issue is not None
    assert (issue.title, issue.body, issue.author.login) == ("add is wrong", "1 + 1 gives 3", "alice")
    assert (issue.labels, issue.state, issue.is_pull_request) == (("bug",), "open", False)


def test_pull_request_is_an_issue_too(place: Place) -> None:
    """A pull request's number gives its issue side."""
    issue = place.github.fetch_issue(place.pull().number)
    assert issue is not None
    assert issue.is_pull_request


def test_issue_that_lags_behind_its_event(place: Place) -> None:
    """A 404 right after the event is asked again a few times before the issue counts as gone."""
    place.hub.faults.add(Fault("status", path=f"/issues/{place.issue}$", status=404))
    assert place.github.fetch_issue(place.issue) is not None
    assert place.time.sleeps == [SETTLE_PAUSES[0]]
    place.hub.delete_issue(place.name, place.issue)
    assert place.github.fetch_issue(place.issue) is None
    assert place.time.sleeps == [SETTLE_PAUSES[0], *SETTLE_PAUSES]


def test_all_comments_over_pages(place: Place) -> None:
    """More than a page of comments is read whole, in order, once each."""
    for number in range(205):
        place.hub.add_comment(place.name, place.issue, "alice", f"comment {number}")
    seen: list[Exchange] = []
    place.hub.observe(seen.append)
    assert [comment.body for comment in place.github.fetch_comments(place.issue)] == [
        f"comment {n}" for n in range(205)
    ]
    assert len([each for each in seen if each.path == f"/repos/{place.name}/issues/{place.issue}/comments"]) == 3
    assert place.github.find_or_create_comment(place.issue, MARKER, "hello") > 0
    assert place.github.find_or_create_comment(place.issue, MARKER, "hello") > 0
    assert len(place.writes("POST", f"/issues/{place.issue}/comments")) == 1


def test_threads_do_not_mix_up_answers(place: Place) -> None:
    """Threads that share one client each get the answer to their own question."""
    numbers = [place.issue, *(place.hub.create_issue(place.name, "alice", f"more {n}").number for n in range(3))]
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(10):
            issue = place.github.fetch_issue(number)
            if issue is None or issue.number != number:
                wrong.append((number, issue))

    threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("role", ["read", "triage", "write", "maintain", "admin"])
def test_permission(place: Place, role: Any) -> None:
    """Each role is told apart, maintain and triage too."""
    place.hub.set_permission(place.name, "alice", role)
    assert place.github.fetch_permission("alice") == role


def test_permission_of_a_stranger(place: Place) -> None:
    """Whoever GitHub does not know here has none, bots and people who do not exist included."""
    place.hub.create_user("eve")
    assert {place.github.fetch_permission(login) for login in ("eve", "no-such-person", "forgehand[bot]")} == {"none"}


def test_permission_fails_closed(place: Place) -> None:
    """A failure other than 404 is never taken for an answer."""
    place.hub.faults.add(Fault("status", path="/permission$", status=403))
    with pytest.raises(BrokenWorld):
        place.github.fetch_permission("alice")
    place.hub.faults.add(Fault("status", path="/permission$", status=502, times=99))
    with pytest.raises(BrokenWorld, match="githubstatus"):
        place.github.fetch_permission("alice")


def test_files_and_folders(place: Place) -> None:
    """Bytes and names at a ref; what is not there, or is something else, is None or empty."""
    github = place.github
    assert github.fetch_file("calc.py", "main") == b"x = 1\n"
    assert github.fetch_file("calc.py", "qwen/issue-1") == b"x = 2\n"
    assert github.fetch_file("docs/a b.md", "main") == "ä".encode()
    assert [github.fetch_file(path, "main") for path in ("nowhere.py", "docs", "calc.py/x")] == [None] * 3
    assert github.fetch_file("calc.py", "no-such-branch") is None
    assert github.fetch_folder("docs", "main") == ["a b.md", "b.md"]
    assert github.fetch_folder("", "main") == ["calc.py", "docs"]
    assert [github.fetch_folder(path, "main") for path in ("nowhere", "calc.py")] == [[], []]


def test_empty_repository(place: Place) -> None:
    """A repository without a commit has no files and no folders, and is otherwise in order."""
    name = f"{place.name}-empty"
    repo = place.hub.create_repository(name)
    ref = RepositoryRef(installation_id=place.ref.installation_id, id=repo.id, full_name=name)
    github = place.app.for_repository(ref, WORKING)
    assert github.fetch_repository().ref == ref
    assert github.fetch_file(".github/qwen.yml", "main") is None
    assert github.fetch_folder("", "main") == []


def test_large_empty_and_binary_files(place: Place) -> None:
    """An empty file is empty bytes; one above 1 MB is an error, never a missing one."""
    raw = bytes(range(256)) * 4096
    place.hub.commit(place.name, {"empty": b"", "bytes": raw, "big": raw + b"x"})
    assert place.github.fetch_file("empty", "main") == b""
    assert place.github.fetch_file("bytes", "main") == raw
    with pytest.raises(BrokenWorld, match="1 MB"):
        place.github.fetch_file("big", "main")


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
    return subprocess.run(command, input=stdin, text=True, capture_output=True, check=True).stdout.strip()


def test_links_and_submodules(place: Place) -> None:
    """A submodule, or a link that leads out of the repository, is no file."""
    path = place.hub.repository(place.name).path
    target = git(path, "hash-object", "-w", "--stdin", stdin="../../etc/passwd")
    tip = place.hub.branches(place.name)["main"]
    tree = git(path, "mktree", "--missing", stdin=f"120000 blob {target}\tlink\n160000 commit {tip}\tsub\n")
    commit = git(path, "commit-tree", tree, "-m", "links")
    git(path, "update-ref", "refs/heads/links", commit)
    assert place.github.fetch_file("link", "links") is None
    assert place.github.fetch_file("sub", "links") is None
    assert place.github.fetch_folder("sub", "links") == []
    assert place.github.fetch_folder("", "links") == ["link", "sub"]


@pytest.mark.parametrize("fault", FAULTS)
def test_reads_are_repeated(place: Place, fault: str) -> None:
    """A read that fails twice is repeated and succeeds."""
    if fault == "timeout":
        place.hurry()
    place.github.fetch_repository()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="GET", path=f"/issues/{place.issue}$", times=2))
    assert place.github.fetch_issue(place.issue) is not None
    assert rule.struck == 2
    assert len(place.time.sleeps) >= 2


def test_github_that_stays_down(place: Place) -> None:
    """After eight failures a read ends in a message that names GitHub's status page."""
    fault = place.hub.faults.add(Fault("status", path=f"/issues/{place.issue}$", times=999))
    with pytest.raises(BrokenWorld, match=r"502.*githubstatus"):
        place.github.fetch_issue(place.issue)
    assert fault.struck == 8


# --- writing --------------------------------------------------------------------------------------------------------


def test_comment_is_made_once_and_edited_in_place(place: Place) -> None:
    """The same marker gives the same comment, whoever asks; its text changes in place."""
    first = place.github.find_or_create_comment(place.issue, MARKER, f"one\n{MARKER}")
    assert place.client().find_or_create_comment(place.issue, MARKER, "two") == first
    place.github.update_comment(first, f"three\n{MARKER}")
    assert place.github.find_or_create_comment(place.issue, MARKER, "four") == first
    [comment] = place.github.fetch_comments(place.issue)
    assert (comment.body, comment.author.login, comment.author.type) == (f"three\n{MARKER}", "forgehand[bot]", "Bot")
    assert place.github.find_or_create_comment(place.issue, "<!-- other -->", "five") != first


def test_comment_is_edited_if_it_still_says_so(place: Place) -> None:
    """The text counts that it has when it is edited; a comment that is gone is left."""
    made = place.github.find_or_create_comment(place.issue, MARKER, f"one\n{MARKER}")
    for body, seen in (("two", "one"), ("three", "one")):
        place.github.update_comment_if(made, body, holds=lambda text, seen=seen: text.startswith(seen))
    assert place.hub.comments(place.name, place.issue)[0].body == "two"
    place.github.update_comment_if(999_999_999, "x", holds=lambda text: True)


def test_what_is_written_while_a_comment_is_looked_at_stays(place: Place) -> None:
    """An edit that comes between the look and ours waits, and has the last word."""
    made = place.github.find_or_create_comment(place.issue, MARKER, f"one\n{MARKER}")
    other = threading.Thread(target=place.github.update_comment, args=(made, "the last word"))

    def between(exchange: Exchange) -> None:
        if exchange.method == "GET" and exchange.path.endswith(f"/comments/{made}"):
            other.start()
            other.join(0.5)  # it would be over by then

    place.hub.observe(between)
    place.github.update_comment_if(made, "two", holds=lambda text: text.startswith("one"))
    other.join(30)
    assert place.hub.comments(place.name, place.issue)[0].body == "the last word"


def test_an_edit_that_waits_for_github_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who edits meanwhile, and is held back, has the last word; nobody waits for it."""
    monkeypatch.setattr(github_conversation, "EDIT_SECONDS", 0.1)
    made = place.github.find_or_create_comment(place.issue, MARKER, f"one\n{MARKER}")
    begun, go = threading.Event(), threading.Event()

    def hold(exchange: Exchange) -> None:
        if exchange.method == "PATCH" and exchange.path.endswith(f"/comments/{made}"):
            begun.set()
            go.wait(30)

    place.hub.observe(hold)
    other = threading.Thread(target=place.github.update_comment, args=(made, "the last word"))
    other.start()
    assert begun.wait(30)
    place.github.update_comment_if(made, "two", holds=lambda text: True)
    assert not go.is_set()
    go.set()
    other.join(30)
    assert place.hub.comments(place.name, place.issue)[0].body == "the last word"


def test_forged_marker_is_not_adopted(place: Place) -> None:
    """A comment with our marker by a person or by another App is not ours: we make our own."""
    forged = place.hub.add_comment(place.name, place.issue, "alice", f"ha {MARKER}").id
    place.hub.create_app(f"evil-{place.ref.id}")
    other = place.hub.add_comment(place.name, place.issue, f"evil-{place.ref.id}[bot]", f"ha {MARKER}").id
    made = place.github.find_or_create_comment(place.issue, MARKER, "mine")
    assert made not in {forged, other}
    assert place.github.find_or_create_comment(place.issue, MARKER, "mine") == made


def test_long_comment_is_cut(place: Place) -> None:
    """A comment that is longer than GitHub takes is cut, accepted, and found again."""
    made = place.github.find_or_create_comment(place.issue, MARKER, "👋" * 70_000 + MARKER)
    [comment] = place.hub.comments(place.name, place.issue)
    assert (len(comment.body), MARKER in comment.body, "Cut here" in comment.body) == (65_536, True, True)
    assert place.github.find_or_create_comment(place.issue, MARKER, "x") == made
    place.github.update_comment(made, "y" * 70_000)


def test_deleted_comment_cannot_be_edited(place: Place) -> None:
    """Editing a comment that somebody deleted says so."""
    with pytest.raises(BrokenWorld, match="deleted"):
        place.github.update_comment(999_999_999, "x")


def test_label_acts(place: Place) -> None:
    """Every label that was put on or taken off, in its order and with its actor, over as many pages as there are."""
    for _ in range(60):
        place.hub.add_label(place.name, place.issue, "Ask me", "alice")
        place.hub.remove_label(place.name, place.issue, "Ask me", "alice")
    place.github.add_label(place.issue, "ours", color="ededed", description="")
    acts = place.github.fetch_label_acts(place.issue)
    assert [(act.label, act.on) for act in acts[-3:]] == [("Ask me", True), ("Ask me", False), ("ours", True)]
    assert (acts[-2].actor.login, acts[-2].actor.type) == ("alice", "User")
    assert acts[-1].actor.type == "Bot"
    assert sum(act.label == "Ask me" for act in acts) == 120


def test_reactions_and_labels_twice(place: Place) -> None:
    """Reacting and taking a label off a second time change nothing."""
    for _ in range(2):
        place.github.react(place.issue, "eyes")
        place.github.remove_label(place.issue, "bug")
    place.github.remove_label(place.issue, "no/such label?")
    issue = place.hub.issue(place.name, place.issue)
    assert [reaction.content for reaction in issue.reactions] == ["eyes"]
    assert issue.labels == []


def test_pull_request_is_made_once_and_kept_up_to_date(place: Place) -> None:
    """The same branch gives the same draft; another title or body changes it; the same ones send nothing."""
    made = place.pull()
    assert (made.draft, made.head, made.base, made.state) == (True, "qwen/issue-1", "main", "open")
    assert made.head_sha == place.hub.branches(place.name)["qwen/issue-1"]
    assert place.pull() == made.model_copy(update={"mergeable": None})  # a list does not say
    assert place.writes("PATCH", f"/pulls/{made.number}") == []
    changed = place.pull(title="Fix it well", body="New words.")
    assert (changed.number, changed.title, changed.body) == (made.number, "Fix it well", "New words.")
    assert len(place.writes("POST", "/pulls")) == 1


def test_closed_pull_request_stays_closed(place: Place) -> None:
    """A pull request that the maintainers closed is found and left alone: no second one, no edits."""
    made = place.pull()
    place.hub.close_issue(place.name, made.number, "alice")
    again = place.pull(title="Please!")
    assert (again.number, again.state, again.title) == (made.number, "closed", "Fix it")
    assert len(place.writes("POST", "/pulls")) == 1


def test_foreign_pull_request_is_not_adopted(place: Place) -> None:
    """A pull request from our branch by somebody else is neither edited nor taken for ours."""
    foreign = place.hub.open_pull_request(place.name, "alice", head="qwen/issue-1", title="mine").number
    with pytest.raises(BrokenWorld, match=rf"#{foreign} .*somebody else's \(alice\)"):
        place.pull()
    assert place.hub.issue(place.name, foreign).title == "mine"


def test_nothing_to_merge(place: Place) -> None:
    """A branch without a commit of its own is said to be that."""
    path = place.hub.repository(place.name).path
    git(path, "update-ref", "refs/heads/behind", place.hub.branches(place.name)["main"])
    with pytest.raises(BrokenWorld, match="nothing to merge"):
        place.pull(head="behind")
    with pytest.raises(BrokenWorld, match="base invalid"):
        place.pull(base="gone")
    with pytest.raises(BrokenWorld, match="head invalid"):
        place.pull(head="never-pushed")
    assert place.time.sleeps == []


def test_check_run_is_made_once_and_completed(place: Place) -> None:
    """The same external id on the same commit is the same run, first in progress, then concluded."""
    made = place.check()
    [run] = place.hub.check_runs(place.name)
    assert (run.id, run.status, run.conclusion, run.external_id) == (made, "in_progress", None, "job-1")
    assert place.check("success", title="Done") == made
    assert (run.status, run.conclusion, run.title) == ("completed", "success", "Done")
    assert place.check("success", title="Done") == made
    assert len(place.writes("PATCH", f"/check-runs/{made}")) == 1
    assert place.check(external_id="job-2") != made


MAKERS: dict[str, tuple[str, Callable[[Place], Any], Callable[[Place], int]]] = {
    "comment": (
        r"/comments$",
        lambda place: place.github.find_or_create_comment(place.issue, MARKER, "hello"),
        lambda place: len(place.writes("POST", f"/issues/{place.issue}/comments")),
    ),
    "pull request": (r"/pulls$", lambda place: place.pull().number, lambda place: len(place.writes("POST", "/pulls"))),
    "check run": (r"/check-runs$", lambda place: place.check(), lambda place: len(place.writes("POST", "/check-runs"))),
}


@pytest.mark.parametrize(
    ("fault", "happened"), [*((fault, True) for fault in FAULTS), ("502", False), ("reset", False)]
)
@pytest.mark.parametrize("maker", MAKERS)
def test_unclear_write_makes_one_object(place: Place, maker: str, fault: str, happened: bool) -> None:
    """Whatever the answer to a write was, and whether it happened or not, there is one object in the end."""
    path, make, made = MAKERS[maker]
    if fault == "timeout":
        place.hurry()
    rule = place.hub.faults.add(Fault(**FAULTS[fault], method="POST", path=path, after_write=happened))
    first = make(place)
    assert (rule.struck, made(place)) == (1, 1)
    assert make(place) == first
    assert made(place) == 1


@pytest.mark.parametrize("maker", MAKERS)
def test_writes_that_stay_unclear(place: Place, maker: str) -> None:
    """When GitHub answers every write with an error but did the first one, there is one object and no error."""
    path, make, made = MAKERS[maker]
    place.hub.faults.add(Fault("status", method="POST", path=path, after_write=True, times=99))
    make(place)
    assert made(place) == 1


def test_writes_that_never_happen(place: Place) -> None:
    """When a write never happens it ends in a message that says what was tried."""
    place.hub.faults.add(Fault("status", method="POST", path="/pulls$", times=99))
    with pytest.raises(BrokenWorld, match=r"opening the pull request from qwen/issue-1"):
        place.pull()
    assert place.hub.pull_requests(place.name) == []


@pytest.mark.parametrize("maker", MAKERS)
def test_two_threads_make_one_object(place: Place, maker: str) -> None:
    """Two threads that ask for the same object at once get the same one."""
    _, make, made = MAKERS[maker]
    start = threading.Barrier(3)
    got: list[Any] = []

    def run() -> None:
        start.wait(10)
        got.append(make(place))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait(10)
    for thread in threads:
        thread.join(60)
    assert (len(got), len(set(got)), made(place)) == (2, 1, 1)


# --- limits ---------------------------------------------------------------------------------------------------------


def test_secondary_limit_is_waited_out(place: Place) -> None:
    """Retry-After 60: exactly 60 seconds without any request, then the write, once."""
    place.github.fetch_repository()
    rule = place.hub.faults.add(Fault("secondary_limit", method="POST", path="/comments$", retry_after=60))
    place.github.find_or_create_comment(place.issue, MARKER, "hello")
    assert place.time.sleeps == [60.0]
    assert (rule.struck, len(place.hub.comments(place.name, place.issue))) == (1, 1)


def test_limit_holds_back_the_whole_installation(place: Place) -> None:
    """What one client learned holds for another one on the same installation, which then asks nothing at all."""
    place.app = make_app(place.hub, place.time, patience=10)
    one, two = place.client(), place.client({"issues": "write"})
    one.fetch_repository()
    two.fetch_repository()
    rule = place.hub.faults.add(Fault("secondary_limit", path=f"/issues/{place.issue}$", retry_after=60))
    for github in (one, two):
        with pytest.raises(BrokenWorld, match="rate limit"):
            github.fetch_issue(place.issue)
    assert rule.seen == 1
    place.time.advance(61)
    assert two.fetch_issue(place.issue) is not None


def test_primary_limit_is_waited_out(place: Place) -> None:
    """An exhausted hour is waited out until GitHub's reset and a second more."""
    place.github.fetch_repository()
    place.hub.faults.add(Fault("primary_limit", path=f"/issues/{place.issue}$", retry_after=3000))
    assert place.github.fetch_issue(place.issue) is not None
    # The server's Date, which the wait is counted from, is some seconds old on a machine that is very busy.
    assert [2999 <= sleep <= 3015 for sleep in place.time.sleeps] == [True]


def test_primary_limit_beyond_patience(place: Place) -> None:
    """With less patience it ends at once, and says until when the limit holds."""
    github = make_app(place.hub, place.time, patience=600).for_repository(place.ref, WORKING)
    github.fetch_repository()
    place.hub.faults.add(Fault("primary_limit", path=f"/issues/{place.issue}$", retry_after=3000))
    with pytest.raises(BrokenWorld, match=r"rate limit until .* UTC"):
        github.fetch_issue(place.issue)
    assert place.time.sleeps == []


def test_a_job_that_begins_while_its_installation_is_held_back_is_put_off(place: Place) -> None:
    """Nothing is asked for that: the limit is known. Others, and everybody once it is over, may begin."""
    app = make_app(place.hub, place.time, patience=600)
    github = app.for_repository(place.ref, WORKING)
    limit = place.hub.faults.add(Fault("secondary_limit", path=f"/issues/{place.issue}$", retry_after=3000))
    app.leave_while_held(place.ref.installation_id, patience=5.0)
    with pytest.raises(BrokenWorld):
        github.fetch_issue(place.issue)
    with pytest.raises(JobPostponed) as postponed:
        app.leave_while_held(place.ref.installation_id, patience=5.0)
    assert 2990 <= postponed.value.seconds <= 3000
    assert limit.seen == 1
    app.leave_while_held(place.ref.installation_id + 1, patience=5.0)
    place.time.advance(2997)
    app.leave_while_held(place.ref.installation_id, patience=5.0)


def test_who_is_in_a_hurry_does_not_wait_to_learn_who_we_are(place: Place) -> None:
    """The App is limited as it starts: a job that may be put off is, also while another waits with more patience."""
    waits, go = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waits.set()
        assert go.wait(30)
        place.time.sleep(seconds)

    rules = RetryRules(between_writes=0.0, clock=replace(place.time.clock, sleep=sleep))
    app = GitHubApp(place.hub.app_id, place.hub.private_key_pem, api_url=place.hub.api_url, rules=rules)
    rule = place.hub.faults.add(Fault("secondary_limit", path="/app$", retry_after=3000))
    with pytest.raises(JobPostponed) as postponed:
        app.identity(patience=5.0)
    assert 2990 <= postponed.value.seconds <= 3000
    patient = threading.Thread(target=app.identity)
    patient.start()
    assert waits.wait(10)
    for ask in (lambda: app.identity(patience=0.01), lambda: app.for_repository(place.ref, WORKING, patience=0.01)):
        with pytest.raises(JobPostponed):
            ask()
    go.set()
    patient.join(30)
    assert app.identity(patience=0.01).slug == "forgehand"
    assert (rule.seen, rule.struck) == (2, 1)


# --- secrets --------------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_told(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Through every kind of failure, with all logging on, neither key nor token shows in a log or an exception."""
    caplog.set_level(logging.DEBUG)
    seen: list[Exchange] = []
    place.hub.observe(seen.append)
    told: list[str] = []
    faults = [Fault("status", status=status, times=99) for status in (400, 401, 403, 404, 409, 422, 500, 502)]
    faults += [Fault("reset", times=99), Fault("primary_limit", times=99, retry_after=99_999)]
    for fault in faults:
        place.hub.faults.add(fault)
        fault.path = "/repos/"
        for act in (
            lambda: place.client({"issues": "write"}).react(place.issue, "eyes"),
            lambda: place.client().find_or_create_comment(place.issue, MARKER, "x"),
        ):
            with pytest.raises(BrokenWorld) as broken:
                act()
            told.append(f"{broken.value!r} {broken.value.__cause__!r} {broken.value.__context__!r}")
        place.hub.faults.clear()
        place.app = make_app(place.hub, place.time)
    token = place.github.git_token()
    told += [caplog.text, *capfd.readouterr(), repr(place.app), repr(place.github), repr(vars(place.app))]
    urls = "".join(each.path + each.query for each in seen)
    tokens = [value for value in place.hub.store.tokens if value.startswith("ghs_")]
    assert token in tokens
    for secret in [*tokens, place.hub.private_key_pem.splitlines()[1], "eyJ"]:
        assert secret not in "".join(told)
        assert secret not in urls


def test_close_revokes(place: Place) -> None:
    """Closing revokes the tokens in use, and does not mind when that fails."""
    told = (
        answer(200, {"id": 5, "slug": "forgehand"}),
        answer(201, {"token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z"}),
    )
    for last in (answer(204, text=""), RESET):
        with rude_server(*told, last) as server:
            app = GitHubApp(5, place.hub.private_key_pem, api_url=server.url, rules=RetryRules(between_writes=0.0))
            assert app.for_repository(place.ref, WORKING).git_token() == "ghs_x"
            app.close()
        assert server.requests[2].startswith(b"DELETE /installation/token HTTP/1.1")
        assert b"Authorization: token ghs_x" in server.requests[2]
