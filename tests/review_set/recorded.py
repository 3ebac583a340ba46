"""Replies that stand in for a model on the seeded-bug set, read from ``recorded.json``.

Nobody's model said them: they were written for the set, with the slips that models make (lines miscounted, points said
twice, praise, suspicions on clean code), so that what is measured is what the scaffolding makes of a reviewer's reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from tests.review_set.cases import Case
from workflows.types import Reply, ToolCall

RECORDED = Path(__file__).with_name("recorded.json")


def load_replies() -> dict[str, dict[str, Any]]:
    """By case: ``findings`` as a reviewer hands them over, and ``falls``, the titles that a second reader disproves."""
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())["replies"]
    return found


class RecordedModel:
    """The model of a run without one: it knows a case by its title and by the lines that are new in it."""

    name = "replies written for the set"
    context_window = 200_000

    def __init__(self, cases: Sequence[Case]) -> None:
        self._replies = load_replies()
        self._cases = cases
        self._falls = {title for told in self._replies.values() for title in told["falls"]}

    def check(self) -> tuple[bool, str]:
        """Always there."""
        return True, "recorded"

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: Event | None = None,
    ) -> Reply:
        """What the reviewer of this case says, or what the second reader thinks of it."""
        text = "\n".join(str(message["content"]) for message in messages)
        if "You are the second reader of a code review" in text:
            said = re.findall(r"(?m)^## ([0-9a-f]{12})\n[^\n:]+: ([^\n]+)$", text)
            verdicts = {name: {"stands": title not in self._falls, "why": "recorded"} for name, title in said}
            return Reply(content=json.dumps(verdicts))
        [case] = [one for one in self._cases if one.title in text and all(line in text for line in _new_lines(one))]
        findings = self._replies.get(case.id, {}).get("findings", [])
        handed = json.dumps({"summary": json.dumps({"findings": findings})})
        return Reply(tool_calls=(ToolCall(id="recorded", name="finish", arguments=handed),))


def _new_lines(case: Case) -> list[str]:
    """The lines of a change as the reviewer is shown them; a defect and its clean twin have the same title."""
    found = []
    for path, text in case.changed.items():
        before = case.base.get(path, "").split("\n")
        found += [line for line in text.split("\n") if line not in before]
    return found
