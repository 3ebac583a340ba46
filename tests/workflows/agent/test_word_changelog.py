"""A model's reply read as a changelog entry, or as its reason against one."""

from __future__ import annotations

import pytest

from workflows.agent.describe import LONGEST_LINE
from workflows.agent.word_changelog import parse_worded_entry


@pytest.mark.parametrize(
    ("reply", "category", "text"),
    [
        ('{"needed": true, "category": "fixed", "text": "It\\n adds."}', "Fixed", "It adds."),
        ('Sure:\n```json\n{"category": "Nonsense", "text": "It adds."}\n```', "Changed", "It adds."),
        ('{"needed": "yes", "text": "It adds.", "reason": "seen"}', "Changed", "It adds."),
    ],
)
def test_an_entry(reply: str, category: str, text: str) -> None:
    """One line, and a category of Keep a Changelog."""
    found = parse_worded_entry(reply)
    assert found is not None
    assert found.entry is not None
    assert (found.entry.category, found.entry.text) == (category, text)


def test_none_is_needed() -> None:
    """The reason is what is left, even when words for an entry stand beside it."""
    found = parse_worded_entry('{"needed": false, "reason": "Only tests.", "text": "A test."}')
    assert found is not None
    assert (found.entry, found.reason) == (None, "Only tests.")


@pytest.mark.parametrize("reply", ["", "No.", '{"needed": false}', '{"needed": true, "text": " "}', '{"text": 3}'])
def test_nothing_to_use(reply: str) -> None:
    """Neither words nor a reason: it is asked for again."""
    assert parse_worded_entry(reply) is None


def test_a_long_one_is_cut() -> None:
    """An entry is one line of bounded length, cut between words."""
    found = parse_worded_entry('{"text": "%s"}' % ("word " * 200))
    assert found is not None
    assert found.entry is not None
    assert len(found.entry.text) <= LONGEST_LINE
    assert found.entry.text.endswith("word…")
