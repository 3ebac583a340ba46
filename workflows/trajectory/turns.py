"""A session's turns, read back from its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from workflows.trajectory.events import BrokenChain, Event
from workflows.trajectory.patch_delta import PatchDelta, apply_delta
from workflows.types import Compaction, Intervention, Noun, Patch, Reply, ToolCall, ToolResult, Turn

FROM_TURN_EVENT = ("number", "stage", "seconds", "plan", "stop", "finish", "question")


class Unfinished(Noun):
    """A last turn that was answered and not ended: its process died somewhere in its tool calls.

    ``results`` came back before that; the state of ``interrupted`` calls, begun and without a result, is unknown.
    ``patch`` is the whole change after the last call of this turn that changed something; None when none did.
    """

    number: int
    reply: Reply
    results: tuple[ToolResult, ...] = ()
    interrupted: tuple[ToolCall, ...] = ()
    notices: tuple[str, ...] = ()
    compactions: tuple[Compaction, ...] = ()
    intervention: Intervention | None = None
    patch: Patch | None = None

    @property
    def interrupted_call(self) -> ToolCall | None:
        """The first call that was begun and has no result."""
        return self.interrupted[0] if self.interrupted else None


def turns_of(events: Sequence[Event]) -> list[Turn]:
    """The finished turns, in order. Raises BrokenChain for a turn that ends without a reply."""
    return _read(events)[0]


def unfinished_turn(events: Sequence[Event]) -> Unfinished | None:
    """The last turn, when it was answered and not ended. None otherwise: an unanswered one begins again."""
    return _read(events)[1]


@dataclass
class _Draft:
    """A turn whose end was not met yet."""

    reply: Reply | None = None
    notices: tuple[str, ...] = ()
    compactions: list[Compaction] = field(default_factory=list)
    intervention: Intervention | None = None
    intents: dict[str, ToolCall] = field(default_factory=dict)
    results: list[ToolResult] = field(default_factory=list)
    patch: Patch | None = None
    number: int = 0

    def take(self, event: Event, patch: Patch | None) -> None:
        """Add what one event says; ``patch`` is the change before it."""
        payload = event.payload
        self.number = event.turn
        match event.kind:
            case "compaction":
                self.compactions.append(Compaction.model_validate(payload))
            case "intervention":
                self.intervention = Intervention.model_validate(payload)
            case "llm_request":
                self.notices = tuple(payload["notices"])
                # Asked again within the turn: the reply before was not taken.
                self.reply, self.intents, self.results = None, {}, []
            case "llm_response":
                self.reply = Reply.model_validate(payload)
            case "tool_intent":
                call = ToolCall.model_validate(payload)
                self.intents[call.id] = call
            case "tool_result":
                self.results.append(ToolResult.model_validate(payload))
            case "snapshot":
                self.patch = apply_delta(patch, PatchDelta.model_validate(payload))

    def in_order(self) -> tuple[ToolResult, ...]:
        """The results as they are sent: in the order of their calls, not in that of their coming back."""
        calls = self.reply.tool_calls if self.reply else ()
        place = {call.id: index for index, call in enumerate(calls)}
        return tuple(sorted(self.results, key=lambda result: place.get(result.call_id, len(place))))

    def turn(self, event: Event) -> Turn:
        """The turn that ``event`` ends."""
        if self.reply is None:
            raise BrokenChain(f"Turn {event.turn} of the trajectory ends without a reply: its record is not whole.")
        ending = Turn.model_validate(
            {key: event.payload[key] for key in FROM_TURN_EVENT if key in event.payload}
            | {"reply": self.reply, "number": event.turn}
        )
        return ending.model_copy(
            update={
                "notices": self.notices,
                "compactions": tuple(self.compactions),
                "intervention": self.intervention,
                "results": self.in_order(),
                "patch": self.patch,
                "changed": self.patch is not None,
            }
        )

    def unfinished(self) -> Unfinished | None:
        """What is left of a turn that did not end."""
        if self.reply is None:
            return None
        done = {result.call_id for result in self.results}
        return Unfinished(
            number=self.number,
            reply=self.reply,
            results=self.in_order(),
            interrupted=tuple(call for call in self.intents.values() if call.id not in done),
            notices=self.notices,
            compactions=tuple(self.compactions),
            intervention=self.intervention,
            patch=self.patch,
        )


def _read(events: Sequence[Event]) -> tuple[list[Turn], Unfinished | None]:
    turns: list[Turn] = []
    draft = _Draft()
    patch: Patch | None = None
    for event in events:
        if event.kind == "turn":
            turns.append(draft.turn(event))
            draft = _Draft()
        elif event.kind == "resumed":
            draft = draft if draft.reply is not None else _Draft()
        else:
            _take(draft, event, patch)
            patch = draft.patch or patch
    return turns, draft.unfinished()


def _take(draft: _Draft, event: Event, patch: Patch | None) -> None:
    try:
        draft.take(event, patch)
    except (ValidationError, KeyError) as error:
        raise BrokenChain(
            f"Event {event.seq} ({event.kind}) of the trajectory cannot be read: it was changed, or another version of "
            "Forgehand wrote it. Read it with that version."
        ) from error
