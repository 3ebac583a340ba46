"""A recorded session played again: the model's replies from the record, the tools run anew, the changes compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workflows.agent import notices
from workflows.agent.equipment import Equipment
from workflows.agent.loop import run_agent
from workflows.agent.messages import AgentTask
from workflows.agent.recorder import AFRESH, REOPENING, GoingOn
from workflows.services import BrokenWorld, Run
from workflows.trajectory.events import Event, of_kind
from workflows.trajectory.log import MemoryLog
from workflows.trajectory.turns import turns_of
from workflows.types import Budget, Noun, Patch, Reply, Turn

SKIPPED = frozenset({notices.INTERRUPTED, notices.AFTER_INTERRUPTED})
ENDLESS = 1 << 40


class Difference(Noun):
    """A turn after which the change is another than in the record, and the paths that differ."""

    turn: int
    paths: tuple[str, ...]


class Replayed(Noun):
    """What came of a replay. ``patch`` is the change at its end."""

    turns: int
    recorded_turns: int
    differences: tuple[Difference, ...]
    patch: Patch | None

    @property
    def identical(self) -> bool:
        """Whether every turn was played and each left the recorded change."""
        return self.turns == self.recorded_turns and not self.differences


class RecordedModel:
    """A model that gives the recorded replies again, in their order, whatever it is told."""

    context_window = ENDLESS

    def __init__(self, turns: Sequence[Turn], *, name: str) -> None:
        self._replies = [_as_run(turn) for turn in turns]
        self._name = name

    @property
    def name(self) -> str:
        """The recorded model's name."""
        return self._name

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> Reply:
        """The next recorded reply. Raises BrokenWorld("model", …) when there is none left."""
        if not self._replies:
            raise BrokenWorld("model", "The record has no more replies: the session was played differently before.")
        return self._replies.pop(0)


def replay(
    run: Run, events: Sequence[Event], *, equipment: Equipment, on_turn: Callable[[Turn], None] = lambda turn: None
) -> Replayed:
    """Play a session's events on ``equipment``, whose tree must be at the recorded base. Raises BrokenWorld.

    Turns, tokens, time and money are not limited. Calls that a dying process left open in the record are left out.
    """
    opening = of_kind(events, "session")
    recorded = turns_of(events)
    if not opening or not recorded:
        raise BrokenWorld("replay", "The record holds no finished turn: there is nothing to play.")
    played: list[Turn] = []

    def note(turn: Turn) -> None:
        if turn.number > len(played):  # those before a session went on are told again
            played.append(turn)
            on_turn(turn)

    payload = opening[0].payload
    model, log, patch = RecordedModel(recorded, name=str(payload["model"])), MemoryLog(), None
    for going_on in _openings(events):
        patch = run_agent(
            run,
            model,
            log=log,
            equipment=equipment,
            task=AgentTask(system=payload["system"], prompt=payload["prompt"]),
            budget=Budget(turns=len(recorded), tokens=ENDLESS, seconds=float(ENDLESS), usd=float(ENDLESS)),
            on_turn=note,
            going_on=going_on,
        ).patch
    return Replayed(
        turns=len(played),
        recorded_turns=len(recorded),
        differences=tuple(_differences(recorded, played)),
        patch=patch,
    )


def _openings(events: Sequence[Event]) -> list[GoingOn]:
    """What the session began with, nothing, and what it went on with after each of its ends."""
    openings, by = [AFRESH], ""
    for event in events:
        if event.kind not in REOPENING:
            continue
        text, by = str(event.payload["text"]), str(event.payload.get("job", by))
        named = {"answer": "answer", "continue": "words", "repair": "repair"}[event.kind]
        openings.append(GoingOn(by=by, **{named: text}))
    return openings


def _as_run(turn: Turn) -> Reply:
    """The reply with the calls alone that were run when it was recorded."""
    skipped = {result.call_id for result in turn.results if result.content in SKIPPED}
    calls = tuple(call for call in turn.reply.tool_calls if call.id not in skipped)
    return turn.reply.model_copy(update={"tool_calls": calls})


def _differences(recorded: Sequence[Turn], played: Sequence[Turn]) -> list[Difference]:
    found = []
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    for one, other in zip(recorded, played, strict=False):
        before = _files(one.patch) if one.patch is not None else before
        after = _files(other.patch) if other.patch is not None else after
        paths = tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))
        if paths:
            found.append(Difference(turn=one.number, paths=paths))
    return found


def _files(patch: Patch) -> dict[str, object]:
    return {file.path: file for file in patch.files}
