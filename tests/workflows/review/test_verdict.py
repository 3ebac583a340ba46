"""A review comments, requests changes or approves by policy alone, and what it said holds as long as it is true."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.review.test_render import finding
from workflows.repository.policy import ReviewPolicy
from workflows.review.approvals import MOVED, overtaken, stands_approved
from workflows.review.diff import Diff, FileDiff, parse_diff
from workflows.review.ledger import Entry, Ledger, note_unread
from workflows.review.verdict import LIFTED, OVERTAKEN, blocks, decide_event, is_guarded, outdated
from workflows.types import Actor, Ends, PullRequest, Review, TestRun

US = "forgehand[bot]"
PULL = PullRequest(
    number=7,
    title="t",
    body="",
    head="b",
    base="main",
    head_sha="a" * 40,
    draft=False,
    state="open",
    html_url="",
    author=Actor(id=2, login="alice"),
    head_repository="acme/app",
)
CALM = Ledger()


def run(exit_code: int | None) -> TestRun:
    return TestRun(command="pytest", exit_code=exit_code, seconds=1.0, timed_out=exit_code is None)


def ledger(severity: Any, state: Any = "open") -> Ledger:
    entry = Entry(id="0" * 12, severity=severity, category="bug", title="t", path="p", state=state, comment=1)
    return Ledger(entries=(entry,))


def decide(policy: dict[str, Any], *, pull: PullRequest = PULL, **changes: Any) -> str:
    told: dict[str, Any] = {"ours": False, "inline": [], "ledger": CALM, "approvable": True, "guarded": False}
    return decide_event(ReviewPolicy(**policy), pull, repository="Acme/App", **{**told, "tests": run(0), **changes})


def test_without_a_policy_it_comments() -> None:
    """Whatever was found, and if nothing was."""
    assert decide({}) == "COMMENT"
    assert decide({}, inline=[finding(severity="critical")]) == "COMMENT"


@pytest.mark.parametrize(
    ("threshold", "severity", "event"),
    [
        ("critical", "critical", "REQUEST_CHANGES"),
        ("critical", "important", "COMMENT"),
        ("important", "critical", "REQUEST_CHANGES"),
        ("important", "important", "REQUEST_CHANGES"),
        ("important", "minor", "COMMENT"),
        ("never", "critical", "COMMENT"),
    ],
)
def test_changes_are_requested_from_a_severity_on(threshold: str, severity: str, event: str) -> None:
    """What is said anew on lines decides: people who dismissed an earlier request are not overruled by it."""
    policy = {"request_changes_on": threshold, "approve": False}
    assert decide(policy, inline=[finding(severity=severity)]) == event
    assert decide(policy, ledger=ledger(severity)) == "COMMENT"
    assert decide(policy, inline=[finding(severity=severity)], ours=True) == "COMMENT"


@pytest.mark.parametrize(
    "changes",
    [
        {"ours": True},
        {"approvable": False},
        {"tests": None},
        {"tests": run(1)},
        {"tests": run(None)},
        {"guarded": True},
        {"ledger": ledger("important")},
        {"pull": PULL.model_copy(update={"head_repository": "mallory/app"})},
        {"pull": PULL.model_copy(update={"head_repository": None})},
        {"pull": PULL.model_copy(update={"author": Actor(id=3, login="renovate[bot]", type="Bot")})},
    ],
    ids=str,
)
def test_what_is_never_approved(changes: dict[str, Any]) -> None:
    """Ours, what was not read whole, or no test passes, what is protected or has an open point, forks and bots."""
    assert decide({"approve": True}) == "APPROVE"
    assert decide({"approve": True}, ledger=ledger("minor")) == "APPROVE"
    assert decide({"approve": True}, ledger=ledger("critical", "fixed")) == "APPROVE"
    assert decide({"approve": True}, **changes) == "COMMENT"


def review(number: int, state: Any, login: str = US, commit: str = "c") -> Review:
    return Review(id=number, author=Actor(id=1, login=login), state=state, body="", commit_id=commit, submitted_at=None)


def test_verdicts_are_taken_back_when_they_hold_no_longer() -> None:
    """Requested changes when nothing of the kind is open, approvals when something that matters is; nobody else's."""
    said = [review(1, "changes_requested"), review(2, "approved"), review(3, "commented"), review(4, "dismissed")]
    said += [review(5, "changes_requested", "alice"), review(6, "approved", "alice")]
    policy = ReviewPolicy(request_changes_on="critical")
    assert outdated(said, US, policy, CALM, now=Ends(head="c")) == [(1, LIFTED)]
    assert outdated(said, US, policy, ledger("important"), now=Ends(head="c")) == [(1, LIFTED), (2, OVERTAKEN)]
    assert outdated(said, US, policy, ledger("critical"), now=Ends(head="c")) == [(2, OVERTAKEN)]
    assert outdated(said, US, policy, ledger("critical", "rebutted"), now=Ends(head="c")) == [(1, LIFTED)]
    assert outdated(said, US, policy, CALM, now=Ends(head="d")) == [(1, LIFTED), (2, MOVED)]
    assert outdated(said, US, policy, ledger("important"), now=Ends(head="d")) == [(1, LIFTED), (2, OVERTAKEN)]
    assert outdated(said, "", policy, CALM, now=Ends(head="d")) == []


@pytest.mark.parametrize(
    ("policy", "severity", "held"),
    [
        ({}, "critical", False),
        ({"request_changes_on": "important"}, "important", True),
        ({"fail_on": "critical"}, "critical", True),
        ({"fail_on": "critical"}, "important", False),
        ({"approve": True}, "important", True),
        ({"approve": True}, "minor", False),
    ],
)
def test_what_blocks_is_what_a_verdict_counts(policy: dict[str, Any], severity: Any, held: bool) -> None:
    """Requested changes, a check that fails, or an approval that is not given."""
    assert blocks(ReviewPolicy(**policy), severity) is held


def test_what_is_gone_from_what_nobody_read_still_counts() -> None:
    """A line that was changed a little takes no verdict back: a review that reads it does."""
    policy, said = ReviewPolicy(request_changes_on="critical"), [review(1, "changes_requested")]
    gone = note_unread(ledger("critical", "fixed"), ["0" * 12])
    assert outdated(said, US, policy, gone, now=Ends(head="c")) == []
    assert decide({"approve": True}, ledger=gone) == "COMMENT"
    assert outdated(said, US, policy, note_unread(gone, ()), now=Ends(head="c")) == []
    read = note_unread(gone, (), is_read=lambda one: True)
    assert outdated(said, US, policy, read, now=Ends(head="c")) == [(1, LIFTED)]
    assert not any(one.unread for one in note_unread(ledger("critical"), ["0" * 12]).entries)


def test_what_nobody_can_answer_holds_up_no_merge() -> None:
    """A point that is open without a thread requests no changes for good; one whose comment is new does."""
    policy, said = ReviewPolicy(request_changes_on="critical"), [review(1, "changes_requested")]
    [entry] = ledger("critical").entries
    folded = Ledger(entries=(entry.model_copy(update={"comment": None}),))
    assert outdated(said, US, policy, folded, now=Ends(head="c")) == [(1, LIFTED)]
    assert outdated(said, US, policy, folded, now=Ends(head="c"), inline=[entry.id]) == []


def test_an_approval_is_of_one_head() -> None:
    """The same head is not approved twice, another one is approved anew."""
    assert stands_approved([review(1, "approved", commit="c")], US, "c")
    assert not stands_approved([review(1, "approved", commit="c")], US, "d")
    assert not stands_approved([review(1, "approved", "alice", "c"), review(2, "dismissed", commit="c")], US, "c")
    said = [
        review(1, "approved"),
        review(2, "approved", commit="d"),
        review(3, "dismissed"),
        review(4, "approved", "a"),
    ]
    assert overtaken(said, US, Ends(head="d")) == [1]


def test_what_an_event_says_takes_back_what_was_approved_before_it() -> None:
    """GitHub still reads as it was: what was left is approved no more. Told late, what was approved since stands."""
    said = [review(1, "approved", commit="c"), review(2, "approved", "alice", "c")]
    before = Ends(head="c", base="below")
    assert overtaken(said, US, before, approved=before, left=Ends(head="c")) == [1]
    assert overtaken(said, US, before, approved=before, left=Ends(head="a")) == []
    assert overtaken(said, US, before, approved=before, left=Ends(base="below")) == [1]
    assert overtaken(said, US, before, approved=before, left=Ends(base="main")) == []
    assert overtaken(said, US, Ends(head="c", base="main"), approved=before) == [1]


def test_an_approval_of_which_nothing_is_known_is_of_no_other_base() -> None:
    """The ledger is gone: a push is held against the head, and whoever retargets takes every approval back."""
    said, now = [review(1, "approved", commit="c")], Ends(head="c", base="main")
    assert overtaken(said, US, now) == []
    assert overtaken(said, US, now, left=Ends(head="a")) == []
    assert overtaken(said, US, now, left=Ends(base="below")) == [1]


def test_a_change_of_what_is_protected_is_for_people() -> None:
    """Under its name now or before, by default or by policy; and a diff of which the end is missing."""
    moved = FileDiff(path="old.yml", old_path=".github/workflows/ci.yml", status="renamed")
    assert is_guarded(Diff(files=(moved,)), ())
    assert is_guarded(Diff(cut=True), ())
    plain = Diff(
        files=(FileDiff(path="src/a.py", old_path="src/a.py", status="modified", raw=b"@@ -1 +1 @@\n-a\n+b\n"),)
    )
    assert not is_guarded(plain, ())
    assert is_guarded(plain, ("src/**",))


def test_what_a_diff_does_not_show_is_for_people(tmp_path: Path) -> None:
    """A rename or a mode alone, and another repository's commit, as git tells of them; an empty file is no matter."""

    def git(*words: str) -> bytes:
        settings = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", *settings, *words], cwd=tmp_path, check=True, capture_output=True).stdout

    def change(*words: str) -> Diff:
        git("reset", "-q", "--hard", "start")
        git(*words)
        git("commit", "-qm", "change")
        return parse_diff(git("diff", "-M", "--full-index", "start", "HEAD"))

    git("init", "-q")
    (tmp_path / "deploy.off").write_text("rm -rf /\n")
    (tmp_path / "empty").touch()
    git("add", "deploy.off")
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib")
    git("commit", "-qm", "start")
    git("tag", "start")
    assert is_guarded(change("mv", "deploy.off", "deploy.sh"), ())
    assert is_guarded(change("update-index", "--chmod=+x", "deploy.off"), ())
    assert is_guarded(change("update-index", "--cacheinfo", f"160000,{'2' * 40},lib"), ())
    assert not is_guarded(change("add", "empty"), ())
