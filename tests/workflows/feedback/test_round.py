"""What is in a round of feedback, and whether one is made at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.feedback.test_batch import ANN, BOB, EVE, US, at, line, listeners, review, said, thread
from workflows.durable.job_records import JobRecord
from workflows.feedback.round import (
    MOST_ITEMS,
    MOST_REPLIES,
    NAME,
    Round,
    Said,
    Spent,
    asks_nothing,
    decide_hand_over,
    gather_round,
    heard_by,
    spent_by,
)
from workflows.outcome import Outcome
from workflows.repository.policy import FeedbackPolicy
from workflows.types import Actor, Command, CommentRef, Job, RepositoryRef


def job(**more: Any) -> Job:
    return Job(
        id="j",
        workflow=NAME,
        repository=RepositoryRef(id=1, full_name="octo/project", installation_id=1),
        number=1,
        actor=Actor(id=1, login="ann"),
        trigger="",
        delivery_id="d",
        created_at=at(10),
        on_pull_request=True,
        **more,
    )


def ended(status: Any, *, workflow: str = NAME, **more: Any) -> JobRecord:
    outcome = Outcome(status=status, reason="", **more)
    done = job().model_copy(update={"workflow": workflow})
    return JobRecord(job=done, state="ended", outcome=outcome, queued_at=at(1), changed_at=at(2))


def gather(said_: Said, *, job_: Job | None = None, heard: frozenset[str] = frozenset(), **more: Any) -> Round:
    return gather_round(said_, listeners=listeners(), heard=heard, job=job_ or job(), **more)


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("", True),
        ("LGTM", True),
        ("Looks good to me, thanks!", True),
        ("👍", True),
        ("+1", True),
        ("Ship it :rocket:", False),
        ("Looks good, but rename x.", False),
        ("Nice. Why not use a set?", False),
        ("ok?", False),
        ("Works for me if you fix the typo", False),
    ],
)
def test_words_that_ask_for_nothing(text: str, nothing: bool) -> None:
    """Plain approval and thanks ask for nothing; any other word, and any question, may."""
    assert asks_nothing(text) == nothing


def test_what_was_heard_is_not_heard_again() -> None:
    """A review's words and a comment of the conversation are of one round alone; its threads speak for themselves."""
    first = Said([review(1, 2, "One.")], [line(11, 2, "Two.")], [thread(11)], [said(5, 3, "Three.")])
    found = gather(first)
    assert [item.text for item in found.items] == ["One.", "Two.", "Three."]
    assert found.heard == ("review:1", "issue:5")
    again = Said(
        [review(1, 2, "One."), review(2, 6, "Four.")],
        [line(11, 2, "Two."), line(12, 4, "Done.", author=US, to=11)],
        [thread(11, 12)],
        [said(5, 3, "Three.")],
    )
    assert [item.text for item in gather(again, heard=frozenset(found.heard)).items] == ["Four."]


def test_only_requested_changes_count_late() -> None:
    """When rounds add up, only what stands in reviews that request changes is a point, with the talk before it."""
    found = gather(
        Said(
            [review(1, 2, "A nit."), review(2, 3, "A bug.", state="changes_requested", author=BOB)],
            [line(11, 2, "Nit.", of=1), line(12, 3, "Bug.", of=2), line(13, 4, "Also a nit.", of=1, to=12)],
            [thread(11), thread(12, 13)],
            [said(5, 4, "By the way.")],
        ),
        critical=True,
    )
    assert [item.text for item in found.items] == ["A bug.", "Bug."]
    assert found.critical


def test_no_thread_goes_on_for_ever() -> None:
    """A thread in which we answered five times gets no further round; one with four answers does."""

    def talk(replies: int) -> Said:
        comments = [line(11, 0, "Change it.")]
        for number in range(replies):
            comments += [line(20 + number, number, "Done.", author=US, to=11), line(40 + number, number, "No!", to=11)]
        return Said([], sorted(comments, key=lambda one: (one.created_at, one.id)), [thread(11)])

    assert len(gather(talk(MOST_REPLIES - 1)).items) == 1
    found = gather(talk(MOST_REPLIES))
    assert (found.items, found.quiet) == ((), (11,))


def test_a_command_on_a_line_is_a_point() -> None:
    """What a command asks for on a line comes first, with the lines; and with what was said in its thread."""
    fix = job(command=Command(word="fix", text="rename it", line=1), comment=CommentRef(kind="review_comment", id=12))
    talk = Said(
        [], [line(11, 1, "What is x?", author=BOB), line(12, 2, "/qwen fix rename it", to=11)], [thread(11, 12)]
    )
    [point] = gather(talk, job_=fix).items
    assert (point.id, point.kind, point.comment.id, point.thread, point.line) == ("F1", "thread", 11, "T11", 3)
    assert point.text == "What is x?\n\nann: rename it"

    alone = job(command=Command(word="test", text="", line=1), comment=CommentRef(kind="review_comment", id=11))
    [point] = gather(Said([], [line(11, 1, "/qwen test")], [thread(11)]), job_=alone).items
    assert point.text == "Write tests for this."


def test_strangers_are_no_part_of_a_round() -> None:
    """Neither the review of somebody without write access nor what he says in a thread is a point."""
    talk = Said([review(1, 1, "Drop it.", author=EVE)], [line(11, 1, "Drop it.", author=EVE)], [thread(11)])
    assert gather(talk).items == ()


def test_a_round_has_an_end() -> None:
    """More points than one session can take are left for the next round, and counted."""
    comments = [line(100 + number, 1, f"Point {number}.", author=ANN) for number in range(MOST_ITEMS + 2)]
    found = gather(Said([], comments, []))
    assert (len(found.items), found.left, found.items[-1].id) == (MOST_ITEMS, 2, f"F{MOST_ITEMS}")


def test_what_rounds_took() -> None:
    """Rounds that pushed count, with the lines that they added; other work on the pull request does not."""
    records = [
        ended("pushed", growth=30, heard=("review:1",)),
        ended("pushed", growth=-10),
        ended("no_change", heard=("review:2",)),
        ended("failed"),
        ended("pushed", workflow="update_branch", growth=500),
    ]
    assert spent_by(records) == Spent(rounds=2, growth=20)
    assert heard_by(records) == {"review:1", "review:2"}


@pytest.mark.parametrize(
    ("spent", "says"),
    [
        (Spent(rounds=9, growth=799), ""),
        (Spent(rounds=10), "This pull request had 10 rounds of feedback;"),
        (Spent(rounds=1, growth=800), "made this change 800 lines longer"),
    ],
)
def test_when_it_is_handed_over(spent: Spent, says: str) -> None:
    """At the policy's rounds or lines, and not one before, with the key to change."""
    told = decide_hand_over(FeedbackPolicy(), spent)
    assert told.startswith(says) if not says else says in told
    assert bool(told) == bool(says)
