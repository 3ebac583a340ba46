"""Whether a review only comments, requests changes or approves, and which earlier verdicts of ours still hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from workflows.git.protected import protecting_pattern
from workflows.repository.policy import ReviewPolicy
from workflows.requests.thread_work import Thread
from workflows.review.approvals import MOVED, overtaken
from workflows.review.diff import Diff, FileDiff
from workflows.review.findings import SEVERITIES, Finding, Severity, Threshold
from workflows.review.ledger import Ledger
from workflows.services import ReviewEvent
from workflows.types import Ends, PullRequest, Review, TestRun

SUBMODULE = "160000"
LIFTED = "Nothing for which changes were requested is open any more: it was fixed, answered or withdrawn."
OVERTAKEN = "Something that matters was found since."


def decide_event(
    policy: ReviewPolicy,
    pull: PullRequest,
    *,
    repository: str,
    ours: bool,
    inline: Sequence[Finding],
    ledger: Ledger,
    approvable: bool,
    tests: TestRun | None,
    guarded: bool,
) -> ReviewEvent:
    """What the policy makes of a review. ``ledger`` is what is open after it, ``inline`` what it says on lines.

    Only what has a thread can be answered, so nothing else requests changes. ``ours``: we opened the pull request, and
    GitHub lets nobody judge their own. ``approvable``: everything was read. ``tests`` are the head's as they are, None
    where none could be run: what nothing tried is not approved. ``guarded``: it touches what no change of ours may
    touch, and so what people must look at. A fork's change was written where we know nobody's permission, so it is
    never approved.
    """
    if ours:
        return "COMMENT"
    if any(reaches(policy.request_changes_on, one.severity) for one in inline):
        return "REQUEST_CHANGES"
    trusted = pull.comes_from(repository) and pull.author.type == "User"
    calm = not any(one.severity != "minor" for one in ledger.entries if one.stands)
    passed = tests is not None and tests.exit_code == 0
    return "APPROVE" if policy.approve and approvable and passed and trusted and calm and not guarded else "COMMENT"


def is_guarded(diff: Diff, extra: Sequence[str]) -> bool:
    """Whether a change touches a protected path, by any name that a file of it has or had; ``extra`` is the policy's.

    Of a diff that was cut nobody knows what it touches. A rename or a mode without lines, and another repository's
    commit, tell a reviewer nothing of what they bring, so they are for people as well.
    """
    names = {name for file in diff.files for name in (file.path, file.old_path) if name is not None}
    return diff.cut or any(map(_is_unseen, diff.files)) or any(protecting_pattern(name, extra) for name in names)


def _is_unseen(file: FileDiff) -> bool:
    # An added or deleted file without lines is an empty one.
    moved = not file.raw and file.status not in ("added", "deleted")
    return moved or SUBMODULE in (file.old_mode, file.new_mode)


def reaches(threshold: Threshold, severity: Severity) -> bool:
    """Whether a severity is as bad as the threshold, or worse; nothing reaches ``never``."""
    return threshold != "never" and SEVERITIES.index(severity) <= SEVERITIES.index(threshold)


def blocks(policy: ReviewPolicy, severity: Severity) -> bool:
    """Whether an open finding of this severity holds a change up: a review, the check, or an approval counts it."""
    held = reaches(policy.request_changes_on, severity) or reaches(policy.fail_on, severity)
    return held or (policy.approve and severity != "minor")


def outdated(
    reviews: Sequence[Review],
    login: str,
    policy: ReviewPolicy,
    ledger: Ledger,
    *,
    now: Ends,
    inline: Collection[str] = (),
) -> list[tuple[int, str]]:
    """Those of our verdicts that hold no longer, each with the reason that people are told.

    ``now`` are the pull request's ends. ``inline`` are the findings whose comments were made just now, and of which the
    ledger does not know that yet.
    """
    standing = [one for one in ledger.entries if one.stands]
    threads = [one for one in standing if one.comment is not None or one.id in inline]
    blocked = any(reaches(policy.request_changes_on, one.severity) for one in threads)
    matters = any(one.severity != "minor" for one in standing)
    moved = overtaken(reviews, login, now, approved=ledger.approved)
    found = []
    for one in _ours(reviews, login):
        if one.state == "changes_requested" and not blocked:
            found.append((one.id, LIFTED))
        if one.state == "approved" and (matters or one.id in moved):
            found.append((one.id, OVERTAKEN if matters else MOVED))
    return found


def settle_verdicts(thread: Thread, number: int, ledger: Ledger, *, inline: Collection[str] = ()) -> int:
    """Take back what holds no longer; how many that were. What the branch's protection forbids is logged."""
    github, login, policy = thread.github, thread.services.spoken.login, thread.asked.policy.review
    now = github.fetch_pull_request(number)
    if now is None:
        return 0
    ends = Ends(head=now.head_sha, base=now.base)
    gone = outdated(github.fetch_reviews(number), login, policy, ledger, now=ends, inline=inline)
    return sum(github.dismiss_review(number, review, message) for review, message in gone)


def _ours(reviews: Sequence[Review], login: str) -> list[Review]:
    return [one for one in reviews if login and one.author.login == login]
