"""One round of feedback: what there is to address on a pull request now, and whether a round is still to be made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from workflows.durable.job_records import JobRecord
from workflows.feedback.batch import FeedbackItem, Listeners, gather_feedback
from workflows.repository.policy import FeedbackPolicy
from workflows.types import Comment, CommentRef, Job, Noun, Review, ReviewComment, ReviewThread

NAME = "address_feedback"
MOST_REPLIES = 5
"""Answers of ours in one thread; after that it is silent, so that no exchange there goes on for ever."""
MOST_ITEMS = 40
_APPROVAL = """
    all approved awesome cool done excellent fine good great it job lgtm looks love me nice now ok okay perfect ship
    shipit thank thanks that this to very well work works you
"""
_NOTHING_ASKED = frozenset(_APPROVAL.split())


@dataclass(frozen=True)
class Said:
    """All that was said on a pull request, as GitHub has it now."""

    reviews: Sequence[Review]
    comments: Sequence[ReviewComment]
    threads: Sequence[ReviewThread]
    conversation: Sequence[Comment] = ()


class Round(Noun):
    """The points of this round. ``heard`` names what they came from, as :func:`name_of` does.

    ``left`` counts the points that are left for the next one; ``quiet`` are first comments of threads in which we have
    answered as often as we will. ``critical``: requested changes alone were looked for. ``hand_over`` says why no round
    is made of it.
    """

    items: tuple[FeedbackItem, ...] = ()
    left: int = 0
    quiet: tuple[int, ...] = ()
    critical: bool = False
    hand_over: str = ""

    @property
    def heard(self) -> tuple[str, ...]:
        """What is not to be heard again; a thread speaks for itself: our answer is the last in it."""
        return tuple(name_of(item.comment) for item in self.items if item.kind != "thread")


@dataclass(frozen=True)
class Spent:
    """What earlier rounds on the pull request took."""

    rounds: int = 0
    growth: int = 0


def name_of(comment: CommentRef) -> str:
    """The name under which a round remembers what it heard."""
    return f"{comment.kind}:{comment.id}"


def spent_by(records: Sequence[JobRecord]) -> Spent:
    """What the rounds of these jobs took together: those that pushed something."""
    pushed = [one.outcome for one in records if one.job.workflow == NAME and one.outcome is not None]
    pushed = [outcome for outcome in pushed if outcome.status == "pushed"]
    return Spent(rounds=len(pushed), growth=sum(outcome.growth for outcome in pushed))


def heard_by(records: Sequence[JobRecord]) -> frozenset[str]:
    """What the rounds of these jobs heard."""
    return frozenset(name for one in records if one.outcome is not None for name in one.outcome.heard)


def decide_hand_over(policy: FeedbackPolicy, spent: Spent) -> str:
    """Why no further round is made without a command, in a sentence for people; empty when one is."""
    if spent.rounds >= policy.rounds:
        made = f"{spent.rounds} round{'' if spent.rounds == 1 else 's'} of feedback"
        return f"This pull request had {made}; `feedback.rounds` allows no more."
    if spent.growth >= policy.growth:
        return (
            f"The rounds of feedback made this change {spent.growth} lines longer; `feedback.growth` allows "
            f"{policy.growth}."
        )
    return ""


def asks_nothing(text: str) -> bool:
    """Whether these are plain words of approval or thanks, and no more."""
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.casefold()[:200])
    if len(text) > 100 or "?" in text:
        return False
    return all(word in _NOTHING_ASKED for word in words)


def gather_round(
    said: Said, *, listeners: Listeners, heard: Collection[str], job: Job, critical: bool = False
) -> Round:
    """The points of a round: what people with write access said and nobody dealt with yet.

    ``critical``: only what stands in reviews that request changes. Of a command on a line, its thread is a point.
    """
    ours = Counter(_root(one) for one in said.comments if listeners.is_us(one.author))
    quiet = tuple(sorted(root for root, count in ours.items() if count >= MOST_REPLIES))
    reviews = [one for one in said.reviews if f"review:{one.id}" not in heard]
    if critical:
        reviews = [one for one in reviews if one.state == "changes_requested"]
    demanded = {one.id for one in said.reviews if one.state == "changes_requested"}
    items = gather_feedback(
        [one for one in reviews if not asks_nothing(listeners.words(one.body))],
        [
            one
            for one in said.comments
            if listeners.is_us(one.author)
            or not (asks_nothing(listeners.words(one.body)) or (critical and one.review_id not in demanded))
        ],
        said.threads,
        conversation=[
            one
            for one in said.conversation
            if not critical and f"issue:{one.id}" not in heard and not asks_nothing(listeners.words(one.body))
        ],
        listeners=listeners,
    )
    loud = [item for item in items if not (item.kind == "thread" and item.comment.id in quiet)]
    points = _with_command(loud, said, job, listeners)
    kept = [point.model_copy(update={"id": f"F{number}"}) for number, point in enumerate(points[:MOST_ITEMS], 1)]
    return Round(items=tuple(kept), left=max(0, len(points) - MOST_ITEMS), quiet=quiet, critical=critical)


def _with_command(items: list[FeedbackItem], said: Said, job: Job, listeners: Listeners) -> list[FeedbackItem]:
    """The points, with what a command on a line asks for there, first."""
    if job.command is None or job.comment is None or job.comment.kind != "review_comment":
        return items
    comment = next((one for one in said.comments if one.id == job.comment.id), None)
    if comment is None:
        return items
    words = job.command.text.strip() or {"test": "Write tests for this."}.get(job.command.word, "Fix this.")
    root = _root(comment)
    first = next((one for one in said.comments if one.id == root), comment)
    thread = next((one for one in said.threads if root in one.comments), None)
    same = next((item for item in items if item.kind == "thread" and item.comment.id == root), None)
    # Of a finding of ours what it says, with its evidence, is what is to be fixed.
    before = f"you: {first.body.strip()}" if first.id != comment.id and listeners.is_us(first.author) else ""
    before = same.text if same else before
    point = FeedbackItem(
        id="",
        kind="thread",
        author=job.actor.login,
        text=f"{before}\n\n{job.actor.login}: {words}" if before else words,
        comment=CommentRef(kind="review_comment", id=root),
        path=first.path,
        line=first.line,
        hunk=first.diff_hunk,
        thread=thread.id if thread else "",
        outdated=thread.outdated if thread else False,
    )
    return [point, *(item for item in items if item is not same)]


def _root(comment: ReviewComment) -> int:
    return comment.in_reply_to or comment.id
