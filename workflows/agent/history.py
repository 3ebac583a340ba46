"""A session so far, built up turn by turn: the conversation, the spending and the last stored change."""

from __future__ import annotations

import json
from typing import Any

from workflows.agent.budget import Spent
from workflows.agent.messages import AgentTask, open_messages, render_turn
from workflows.types import Patch, PlanItem, Turn

SEEING = frozenset({"read_file", "edit", "write_file"})


class History:
    """The finished turns and what follows from them alone, so that a replay builds the same; each turn costs the same.

    ``spent_before`` is the spending without the last turn. ``patch`` is None when nothing is changed (any more).
    """

    def __init__(self, task: AgentTask) -> None:
        self.turns: list[Turn] = []
        self.messages: list[dict[str, Any]] = open_messages(task)
        self.spent = Spent()
        self.spent_before = Spent()
        self.patch: Patch | None = None
        self.plan: tuple[PlanItem, ...] = ()
        self._seen: dict[str, None] = {}

    @property
    def seen_files(self) -> tuple[str, ...]:
        """The paths that the model has read or written, in the order of its first look at each."""
        return tuple(self._seen)

    def add(self, turn: Turn) -> None:
        """Append a finished turn."""
        # A change stands in memory once, however many turns it took.
        self.turns.append(turn.model_copy(update={"patch": None}))
        self.messages += render_turn(turn)
        self.spent_before, self.spent = self.spent, self.spent.plus(turn)
        if turn.patch is not None:
            self.patch = None if turn.patch.empty else turn.patch
        if turn.plan is not None:
            self.plan = turn.plan
        failed = {result.call_id for result in turn.results if result.failed}
        for call in turn.reply.tool_calls:
            if call.name in SEEING and call.id not in failed and (path := _path_of(call.arguments)):
                self._seen.setdefault(path)


def _path_of(arguments: str) -> str | None:
    try:
        path = json.loads(arguments).get("path")
    except (ValueError, AttributeError, RecursionError):
        return None  # such a call was answered and not run
    return path if isinstance(path, str) else None
