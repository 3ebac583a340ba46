"""The messages of a session as they were sent, rebuilt from its turns and held against the recorded digests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.context.compaction import apply_compaction
from workflows.agent.messages import AgentTask, open_messages, render_notices, render_turn
from workflows.trajectory.digests import GrowingDigest
from workflows.trajectory.events import BrokenChain, Event, of_kind
from workflows.trajectory.turns import turns_of
from workflows.types import Compaction, Turn

ALL_KINDS = frozenset({"mask", "snapshot", "trim", "fresh"})
FRESH_STARTS = frozenset({"snapshot", "trim", "fresh"})
"""The compactions that drop messages; a mask leaves them all in their places."""

Message = dict[str, Any]


@dataclass(frozen=True)
class Opening:
    """What a session began with. ``tools`` are OpenAI's function schemas; ``base`` is a commit."""

    task: AgentTask
    tools: tuple[dict[str, Any], ...]
    model: str
    base: str
    attempt: int


@dataclass(frozen=True)
class Segment:
    """Turns between two compactions. ``opening`` holds the messages as they stood before the first of them.

    ``compactions`` made that opening out of the segment before; there are none for the first segment.
    """

    opening: tuple[Message, ...]
    compactions: tuple[Compaction, ...]
    turns: tuple[Turn, ...]

    @property
    def messages(self) -> list[Message]:
        """The opening and what the turns added to it, nothing masked since."""
        return [*self.opening, *(message for turn in self.turns for message in render_turn(turn))]


def opening_of(events: Sequence[Event]) -> Opening:
    """The session's beginning. Raises BrokenChain when it is missing."""
    sessions = of_kind(events, "session")
    if not sessions:
        raise BrokenChain("The trajectory has no beginning: its first event, the session, is missing.")
    payload = sessions[0].payload
    return Opening(
        task=AgentTask(system=payload["system"], prompt=payload["prompt"]),
        tools=tuple(payload.get("tools", ())),
        model=payload.get("model", ""),
        base=payload.get("base", ""),
        attempt=payload.get("attempt", 1),
    )


def segments_of(task: AgentTask, turns: Sequence[Turn], *, kinds: Collection[str] = ALL_KINDS) -> list[Segment]:
    """The turns, cut before each that a compaction of one of ``kinds`` came before; at least one segment."""
    segments: list[Segment] = []
    messages = open_messages(task)
    opening, made_by, mine = tuple(messages), tuple[Compaction, ...](), list[Turn]()
    for turn in turns:
        messages = _compacted(messages, turn)
        if any(compaction.kind in kinds for compaction in turn.compactions):
            segments.append(Segment(opening, made_by, tuple(mine)))
            opening, made_by, mine = tuple(messages), turn.compactions, []
        messages = messages + render_turn(turn)
        mine.append(turn)
    return [*segments, Segment(opening, made_by, tuple(mine))]


def check_requests(events: Sequence[Event]) -> int:
    """Rebuild the request of every finished turn; how many are what was sent. Raises BrokenChain at the first other."""
    asked = {event.turn: event.payload for event in of_kind(events, "llm_request")}
    messages = open_messages(opening_of(events).task)
    checked = 0
    digest = GrowingDigest()
    for turn in turns_of(events):
        messages = _compacted(messages, turn)
        sent = messages + render_notices(turn.notices)
        request = asked.get(turn.number)
        if request is None or request["count"] != len(sent) or request["sha256"] != digest.of(sent):
            raise BrokenChain(
                f"Turn {turn.number}'s request cannot be rebuilt from the trajectory: another version of Forgehand "
                "wrote it, or it is not whole. What is exported of it is not what the model saw."
            )
        messages = messages + render_turn(turn)
        checked += 1
    return checked


def _compacted(messages: list[Message], turn: Turn) -> list[Message]:
    try:
        for compaction in turn.compactions:
            messages = apply_compaction(messages, compaction)
    except (ValueError, IndexError) as error:
        raise BrokenChain(f"Turn {turn.number}'s compaction does not fit what was said before: {error}") from error
    return messages
