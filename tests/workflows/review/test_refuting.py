"""What a second reader says is read leniently, and what it says nothing of counts as unchallenged."""

from __future__ import annotations

from tests.workflows.review.test_render import finding
from workflows.review.refuting import parse_refutation

FIRST, SECOND = finding(), finding(id="b" * 12)


def test_what_a_reply_says_of_each_finding() -> None:
    """The first object that judges one is taken; an empty one says that all stand, words alone say nothing."""
    said = f'Well.\n```json\n{{"{FIRST.id}": {{"stands": false, "why": "a.py:1 guards it"}}}}\n```'
    assert parse_refutation(said, [FIRST, SECOND]) == {FIRST.id: {"stands": False, "why": "a.py:1 guards it"}}
    assert parse_refutation("{}", [FIRST, SECOND]).keys() == {FIRST.id, SECOND.id}
    assert parse_refutation("They stand.", [FIRST]) == {}
    assert parse_refutation('{"another": {"stands": false}}', [FIRST]) == {}
