"""A session so far, built up turn by turn: the conversation, the spending and the last stored change."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workflows.agent.briefing import render_nearer_guidance
from workflows.agent.budget import Spent
from workflows.agent.calls.toolcalls import Schema
from workflows.agent.context.compaction import apply_compaction
from workflows.agent.context.tokens import Gauge, estimate_tokens
from workflows.agent.messages import AgentTask, open_messages, render_notices, render_turn
from workflows.agent.stuck.checkpoints import Checkpoints
from workflows.agent.stuck.patterns import STEP_WINDOW
from workflows.agent.stuck.steps import Step, read_step
from workflows.types import Patch, PlanItem, Turn

SEEING = frozenset({"read_file", "edit", "write_file"})
CHANGING = frozenset({"edit", "write_file"})


class History:
    """The finished turns and what follows from them alone, so that a replay builds the same; each turn costs the same.

    ``spent_now`` is the spending that counts for the budget, which began anew after the turns ``renewed``, and
    ``spent_before`` the same without the last turn. ``patch`` is None when nothing is changed (any more).
    ``known_failing`` are tests that failed before any change. ``untold_guidance`` are notices on directories that the
    last turn touched for the first time. ``steps`` are what the last turns show to who looks for a stuck agent.
    """

    def __init__(
        self,
        task: AgentTask,
        *,
        schemas: Sequence[Schema] = (),
        guidance: Callable[[str], tuple[str, str] | None] = lambda path: None,
        known_failing: frozenset[str] = frozenset(),
        renewed: frozenset[int] = frozenset(),
    ) -> None:
        self.turns: list[Turn] = []
        self.steps: deque[Step] = deque(maxlen=STEP_WINDOW)
        self.messages: list[dict[str, Any]] = open_messages(task)
        self._estimate = estimate_tokens(self.messages, schemas)
        self._schemas = schemas
        self.spent = Spent()
        self.spent_now = Spent()
        self.spent_before = Spent()
        self._renewed = renewed
        self.patch: Patch | None = None
        self.plan: tuple[PlanItem, ...] = ()
        self.checkpoints = Checkpoints(known_failing)
        self.known_failing = known_failing
        self.gauge = Gauge()
        self.failed_calls: set[str] = set()
        self.untold_guidance: tuple[str, ...] = ()
        self._guidance = guidance
        self._told_guidance: set[str] = set()
        self._seen: dict[str, None] = {}
        self._changed: dict[str, None] = {}

    @property
    def seen_files(self) -> tuple[str, ...]:
        """The paths that the model has read or written, in the order of its first look at each."""
        return tuple(self._seen)

    @property
    def changed_files(self) -> tuple[str, ...]:
        """The paths that the model has written, the last one last."""
        return tuple(self._changed)

    def tokens(self, ahead: Sequence[Mapping[str, Any]] = ()) -> int:
        """What the next request will probably count, with ``ahead`` at its end."""
        return self.gauge.scale(self._estimate + estimate_tokens(ahead))

    def add(self, turn: Turn) -> None:
        """Append a finished turn."""
        # A change stands in memory once, however many turns it took.
        self.turns.append(turn.model_copy(update={"patch": None}))
        self.steps.append(read_step(self.turns[-1]))
        for compaction in turn.compactions:
            self.messages = apply_compaction(self.messages, compaction)
        if turn.compactions:
            self._estimate = estimate_tokens(self.messages, self._schemas)
        asked = self._estimate + estimate_tokens(render_notices(turn.notices))
        self.gauge = self.gauge.learn(asked, turn.reply.usage)
        added = render_turn(turn)
        self._estimate += estimate_tokens(added)
        self.messages += added
        self.spent = self.spent.plus(turn)
        self.spent_before, self.spent_now = self.spent_now, self.spent_now.plus(turn)
        if turn.number in self._renewed:
            self.spent_before = self.spent_now = Spent()
        if turn.patch is not None:
            self.patch = None if turn.patch.empty else turn.patch
        if turn.plan is not None:
            self.plan = turn.plan
        self.checkpoints.add(turn)
        self._note_paths(turn)

    def _note_paths(self, turn: Turn) -> None:
        failed = {result.call_id for result in turn.results if result.failed}
        self.failed_calls |= failed
        told = []
        for call in turn.reply.tool_calls:
            path = _path_of(call.arguments) if call.name in SEEING and call.id not in failed else None
            if path is None:
                continue
            self._seen.setdefault(path)
            if call.name in CHANGING:
                self._changed.pop(path, None)
                self._changed[path] = None
            found = self._guidance(path)
            if found is not None and found[0] not in self._told_guidance:
                self._told_guidance.add(found[0])
                told.append(render_nearer_guidance(*found))
        self.untold_guidance = tuple(told)


def _path_of(arguments: str) -> str | None:
    try:
        path = json.loads(arguments).get("path")
    except (ValueError, AttributeError, RecursionError):
        return None  # such a call was answered and not run
    return path if isinstance(path, str) else None
