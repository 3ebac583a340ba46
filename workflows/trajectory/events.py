"""The events of a trajectory: what each one holds, and the chain of digests that shows a gap or a change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from workflows.types import Noun

EventKind = Literal[
    "session",
    "resumed",
    "compaction",
    "intervention",
    "llm_request",
    "llm_response",
    "tool_intent",
    "tool_result",
    "snapshot",
    "turn",
    "verdict",
    "end",
    "answer",
    "repair",
    "continue",
]
"""In the order in which they are met.

``session``      system, prompt (the opening messages), tools (their schemas), model, base (commit), attempt (number)
``resumed``      nothing: another process goes on; what the turn held before it counts only if it was answered by then
``compaction``   a Compaction                    ``intervention``  an Intervention
``llm_request``  count (messages sent), sha256 (of their JSON), notices (the harness's words before this reply)
``llm_response`` a Reply                         ``tool_intent``   a ToolCall
``tool_result``  a ToolResult                    ``snapshot``      a PatchDelta: the change after a mutating call
``turn``         number, stage, seconds, plan, stop, finish, question: the end of a turn
``verdict``      status, reasons, fail_to_pass, pass_to_pass, broken, weakened
``end``          stop, detail, infrastructure (whether the world broke, so that the session may not be scored)
``answer``       text: the people's words on a question, job (that goes on); the session goes on after its end
``repair``       text: the harness's verdict on a change that makes things worse; the session goes on after its end
``continue``     text: what the actor says, perhaps nothing, job (that goes on), stop (how it had ended, "" when it
                 broke off), turns (before it); the session goes on with a fresh budget
"""

GENESIS = "0" * 64


class Entry(Noun):
    """An event before it is stored. ``payload`` is plain JSON."""

    kind: EventKind
    turn: int
    payload: dict[str, Any]


class Event(Noun):
    """A stored event. ``chain`` is the SHA-256 over the chain before it and its own kind, turn and payload."""

    seq: int
    at: datetime
    kind: EventKind
    turn: int
    payload: dict[str, Any]
    chain: str


class BrokenChain(Exception):
    """A trajectory has a gap or was changed; the message says where."""


def link(before: str, entry: Entry) -> str:
    """The digest of an entry that follows the event with the digest ``before``."""
    text = json.dumps([before, entry.kind, entry.turn, entry.payload], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_chain(events: Sequence[Event]) -> None:
    """Raise BrokenChain unless the events follow one another from the first, none missing and none changed."""
    before = GENESIS
    for number, event in enumerate(events, start=1):
        entry = Entry(kind=event.kind, turn=event.turn, payload=event.payload)
        if event.seq != number or event.chain != link(before, entry):
            raise BrokenChain(f"Event {number} of the trajectory does not follow the one before it: it was changed.")
        before = event.chain


def of_kind(events: Iterable[Event], kind: EventKind) -> list[Event]:
    """The events of one kind, in order."""
    return [event for event in events if event.kind == kind]
