"""The session's own hand in its trajectory: what is about to be done is stored before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workflows.agent import notices
from workflows.agent.messages import AgentTask
from workflows.trajectory.conversation import digest_of_messages
from workflows.trajectory.events import Entry, Event, EventKind, of_kind
from workflows.trajectory.log import SessionLog
from workflows.trajectory.patch_delta import PatchDelta, apply_delta, delta_between
from workflows.trajectory.turns import Unfinished, turns_of, unfinished_turn
from workflows.types import Compaction, Intervention, Noun, Patch, Reply, StopReason, ToolCall, ToolResult, Turn

REOPENING: dict[EventKind, Callable[[str], str]] = {"answer": notices.answered, "repair": notices.repair}
"""The events after which a session goes on that had ended, and how the model is told of each."""


class Recorder:
    """Writes one session's events; entries wait until :meth:`flush`, or until the next act that needs them stored.

    Reading is for the beginning alone: what an earlier process left. ``turns`` are its finished ones, ``end`` is how it
    ended, if it did. ``answer`` are the people's words on the question that the session had ended with, ``repair`` the
    verdict on its change; without that, what came after one is not read, so that a replay meets the same session.
    ``words`` is what the model is told before a session goes on, by its last turn before that.
    """

    def __init__(self, log: SessionLog, *, answer: str = "", repair: str = "") -> None:
        self._log = log
        events = log.events() if repair else _before_repair(log.events())
        self._waiting: list[Entry] = []
        self.resumed = bool(events)
        self.turns: list[Turn] = turns_of(events)
        self._unfinished: Unfinished | None = unfinished_turn(events)
        self._session = next((event.payload for event in of_kind(events, "session")), None)
        self.end: dict[str, Any] | None = None
        for event in events:
            if event.kind in ("end", *REOPENING):
                self.end = event.payload if event.kind == "end" else None
        if answer and self.end is not None and self.end["stop"] == "asked":
            self._add("answer", len(self.turns), {"text": answer})
            self.end = None
        if repair and self.end is not None and not of_kind(events, "repair"):
            self._add("repair", len(self.turns), {"text": repair})
            self.end = None
        opened = [(one.kind, one.turn, one.payload) for one in events if one.kind in REOPENING]
        opened += [(one.kind, one.turn, one.payload) for one in self._waiting]
        self.words = {turn: REOPENING[kind](payload["text"]) for kind, turn, payload in opened}
        self.repairing = any(kind == "repair" for kind, _, _ in opened)
        self._patch: Patch | None = None
        for event in of_kind(events, "snapshot"):
            self._patch = apply_delta(self._patch, PatchDelta.model_validate(event.payload))

    def begun(self, turn: int) -> Unfinished | None:
        """What an earlier process did of this turn, when it had the reply and not the end."""
        return self._unfinished if self._unfinished is not None and self._unfinished.number == turn else None

    def open(
        self, task: AgentTask, *, schemas: Sequence[Mapping[str, Any]], model: str, facts: Mapping[str, Any]
    ) -> AgentTask:
        """Begin the session, or go on with it: the task as it was opened, which an upgrade may not reword."""
        if self._session is not None:
            if self.end is None:
                self._add("resumed", len(self.turns) + 1, {})
            return AgentTask(system=self._session["system"], prompt=self._session["prompt"])
        opening = {"system": task.system, "prompt": task.prompt, "tools": list(schemas), "model": model, **facts}
        self._add("session", 0, opening)
        return task

    def ask(self, turn: int, messages: Sequence[Mapping[str, Any]], notices: Sequence[str]) -> None:
        """A request is about to be sent; stored before this returns."""
        digest = digest_of_messages(messages)
        self._add("llm_request", turn, {"count": len(messages), "sha256": digest, "notices": list(notices)})
        self.flush()

    def compacted(self, turn: int, compaction: Compaction) -> None:
        """The conversation was shrunk."""
        self._note("compaction", turn, compaction)

    def intervened(self, turn: int, intervention: Intervention) -> None:
        """The harness stepped in."""
        self._note("intervention", turn, intervention)

    def answered(self, turn: int, reply: Reply) -> None:
        """The reply came, whole."""
        self._note("llm_response", turn, reply)

    def intend(self, turn: int, calls: Sequence[ToolCall]) -> None:
        """These calls are about to be run; stored before this returns."""
        for call in calls:
            self._note("tool_intent", turn, call)
        self.flush()

    def done(self, turn: int, results: Sequence[ToolResult], patch: Patch | None) -> None:
        """These came back, and this is the change after them where it is another than before."""
        for result in results:
            self._note("tool_result", turn, result)
        if patch is not None:
            self.snapshot(turn, patch)

    def snapshot(self, turn: int, patch: Patch) -> None:
        """The files were put into this state by the harness."""
        self._note("snapshot", turn, delta_between(self._patch, patch))
        self._patch = patch

    def end_turn(self, turn: Turn) -> None:
        """The turn is over; stored before this returns."""
        kept = {"number", "stage", "seconds", "plan", "stop", "finish", "question"}
        self._add("turn", turn.number, turn.model_dump(mode="json", include=kept))
        self.flush()

    def end_session(self, turn: int, stop: StopReason, detail: str, *, infrastructure: bool) -> None:
        """The session is over; stored before this returns."""
        self._add("end", turn, {"stop": stop, "detail": detail, "infrastructure": infrastructure})
        self.flush()

    def flush(self) -> None:
        """Store what waits, in one act."""
        self._log.append(self._waiting)
        self._waiting = []

    def _note(self, kind: EventKind, turn: int, noun: Noun) -> None:
        self._add(kind, turn, noun.model_dump(mode="json"))

    def _add(self, kind: EventKind, turn: int, payload: dict[str, Any]) -> None:
        self._waiting.append(Entry(kind=kind, turn=turn, payload=payload))


def _before_repair(events: Sequence[Event]) -> Sequence[Event]:
    at = next((index for index, event in enumerate(events) if event.kind == "repair"), len(events))
    return events[:at]
