"""What a model's judgement of people's answers does."""

from __future__ import annotations

import json

import pytest

from workflows.review.finding_threads import ThreadReply
from workflows.review.ledger import Entry, Rebuttal, State
from workflows.review.rebutting import parse_judgements


@pytest.mark.parametrize(
    ("verdict", "later", "counts", "closed", "say"),
    [
        ({"accepted": True, "say": "Right."}, False, True, "withdrawn", "Right."),
        ({"accepted": True, "say": "Right."}, False, False, None, "Right."),
        ({"accepted": True, "say": "Right."}, True, True, "rebutted", ""),
        ({"accepted": True}, True, True, "rebutted", ""),
        ({"accepted": False, "say": "No."}, True, True, None, ""),
    ],
)
def test_a_first_answer_withdraws_and_a_last_word_closes(
    verdict: dict[str, object], later: bool, counts: bool, closed: State | None, say: str
) -> None:
    """Both only when the model accepts them; to the last word nothing is said."""
    entry = Entry(id="ab" * 6, severity="important", category="bug", title="It breaks", path="a.py")
    replies = (ThreadReply(id=90, author="ann", text="No."),)
    rebuttal = Rebuttal(entry=entry, replies=replies, counts=counts, later=later)
    [judged] = parse_judgements(json.dumps({entry.id: verdict}), [rebuttal]).judged
    assert (judged.closed, judged.say, judged.reply) == (closed, say, 90)
    assert not parse_judgements(json.dumps({entry.id: {"say": "Right."}}), [rebuttal]).judged
