"""The agent's plan: a Markdown checklist, read into items and acknowledged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from sandbox.container import ToolAnswer
from workflows.agent.calls.toolcalls import MalformedCall, Schema, Value, parse_call
from workflows.types import PlanItem, ToolCall

MOST_ITEMS = 30
LONGEST_ITEM = 200

_LINE = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s*\[([ xX~>-]?)\]\s*(\S.*)")
_STATES: dict[str, Literal["pending", "in_progress", "completed"]] = {
    "": "pending",
    " ": "pending",
    "x": "completed",
    "~": "in_progress",
    ">": "in_progress",
    "-": "in_progress",
}


def parse_plan(text: str) -> tuple[PlanItem, ...]:
    """The checklist's items, at most 30, each cut at 200 characters; empty when there is no checklist line."""
    found = (_LINE.fullmatch(line.rstrip()) for line in text.splitlines())
    items = [PlanItem(text=m[2][:LONGEST_ITEM], state=_STATES[m[1].lower()]) for m in found if m]
    return tuple(items[:MOST_ITEMS])


def answer_plan(arguments: Mapping[str, Value]) -> ToolAnswer:
    """What the model is told about its ``update_plan``."""
    items = parse_plan(str(arguments["plan"]))
    if not items:
        text = "No checklist was found. Write one item a line: - [ ] to do, - [~] in progress, - [x] done."
        return ToolAnswer(ok=False, text=text)
    done = sum(item.state == "completed" for item in items)
    return ToolAnswer(ok=True, text=f"Plan noted: {done} of {len(items)} done.")


def stated_plan(calls: Sequence[ToolCall], schemas: Sequence[Schema]) -> tuple[PlanItem, ...] | None:
    """The last readable plan of a reply's calls that may be run, or None."""
    parsed = [parse_call(call, schemas) for call in calls if call.name == "update_plan"]
    plans = [parse_plan(str(call.arguments["plan"])) for call in parsed if not isinstance(call, MalformedCall)]
    return next((plan for plan in reversed(plans) if plan), None)
