"""The plan as a checklist."""

from __future__ import annotations

import pytest

from workflows.agent.plans import MOST_ITEMS, answer_plan, parse_plan, stated_plan
from workflows.agent.tools import TOOLS
from workflows.types import PlanItem, ToolCall


@pytest.mark.parametrize(
    ("line", "item"),
    [
        ("- [ ] read the code", PlanItem(text="read the code")),
        ("- [x] read the code", PlanItem(text="read the code", state="completed")),
        ("* [X] a", PlanItem(text="a", state="completed")),
        ("  - [~] a [b]", PlanItem(text="a [b]", state="in_progress")),
        ("1. [>] a", PlanItem(text="a", state="in_progress")),
        ("- [] a", PlanItem(text="a")),
    ],
)
def test_checklist_lines_are_items(line: str, item: PlanItem) -> None:
    """The bullets and boxes that models write."""
    assert parse_plan(f"# Plan\n\n{line}\nand prose") == (item,)


def test_a_plan_is_bounded() -> None:
    """A plan without end does not fill the tracking comment, and prose is no plan."""
    assert len(parse_plan("- [ ] a\n" * 1000)) == MOST_ITEMS
    assert len(parse_plan("- [ ] " + "a" * 5000)[0].text) == 200
    assert parse_plan("First I read.\n- then I write") == ()


def test_the_model_hears_what_was_understood() -> None:
    """Counts, or how a checklist looks."""
    assert answer_plan({"plan": "- [x] a\n- [ ] b"}).text == "Plan noted: 1 of 2 done."
    assert not answer_plan({"plan": "prose"}).ok


def test_the_last_readable_plan_of_a_reply_counts() -> None:
    """Malformed and truncated ones do not."""
    calls = tuple(
        ToolCall(id=str(n), name="update_plan", arguments=raw)
        for n, raw in enumerate(['{"plan": "- [ ] a"}', '{"plan": "- [x] a"}', '{"plan": 3}', '{"plan": "prose"}'])
    )
    assert stated_plan(calls, TOOLS) == (PlanItem(text="a", state="completed"),)
    assert stated_plan(calls[2:], TOOLS) is None
