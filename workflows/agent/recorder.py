"""The session's own hand in its trajectory: what is about to be done is stored before it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent import notices
from workflows.agent.messages import AgentTask
from workflows.trajectory.digests import GrowingDigest
from workflows.trajectory.events import Entry, Event, EventKind, of_kind
from workflows.trajectory.log import SessionLog
from workflows.trajectory.patch_delta import PatchDelta, apply_delta, delta_between
from workflows.trajectory.turns import Unfinished, turns_of, unfinished_turn
from workflows.types import Compaction, Intervention, Noun, Patch, Reply, StopReason, ToolCall, ToolResult, Turn

REOPENING: dict[EventKind, Callable[[Mapping[str, Any]], str]] = {
    "answer": lambda told: notices.answered(told["text"]),
    "repair": lambda told: notices.repair(told["text"]),
    "continue": lambda told: notices.continued(told["text"], told["stop"]),
}
"""The events after which a session goes on that had ended or broken off, and how the model is told of each."""


@dataclass(frozen=True)
class GoingOn:
    """Why a session goes on that is there already; the job ``by`` has it do so once, however often it is begun.

    ``answer`` are the people's words on the question with which it had ended. ``words``, when they are not None, have
    it go on however it stopped, with a fresh budget. Both are fenced. ``repair`` is the verdict on its change since.
    """

    by: str = ""
    answer: str = ""
    words: str | None = None
    repair: str = ""


AFRESH = GoingOn()
"""Nothing to go on with: the session begins, or goes on where a process died."""


class Recorder:
    """Writes one session's events; entries wait until :meth:`flush`, or until the next act that needs them stored.

    Reading is for the beginning alone: what an earlier process left. ``turns`` are its finished ones, ``end`` is how it
    ended, if it did. Unless ``going_on`` has the ``repair``, what came after one is not read, so that a job that begins
    again meets the same session. ``words`` is what the model is told before a session goes on, by its last turn before
    that; ``renewed`` are the turns after which the budget began anew.
    """

    def __init__(
        self, log: SessionLog, going_on: GoingOn = AFRESH, *, on_turn: Callable[[Turn], None] = lambda turn: None
    ) -> None:
        self._log = log
        self._on_turn = on_turn
        self._untold: list[Turn] = []
        self._digest = GrowingDigest()
        events, mine = _read_part(log.events(), going_on)
        self._waiting: list[Entry] = []
        self.resumed = bool(events)
        self.turns: list[Turn] = turns_of(events)
        self._unfinished: Unfinished | None = unfinished_turn(events)
        self._session = next((event.payload for event in of_kind(events, "session")), None)
        self.end: dict[str, Any] | None = None
        for event in events:
            if event.kind in ("end", *REOPENING):
                self.end = event.payload if event.kind == "end" else None
        self._go_on(going_on, begun=mine is not None, repaired=bool(of_kind(events[mine or 0 :], "repair")))
        opened = [Entry(kind=one.kind, turn=one.turn, payload=one.payload) for one in events if one.kind in REOPENING]
        opened += self._waiting
        self.words = {one.turn: REOPENING[one.kind](one.payload) for one in opened}
        self.renewed = frozenset(one.payload["turns"] for one in opened if one.kind == "continue")
        self.repairing = bool(opened) and opened[-1].kind == "repair"
        self._patch: Patch | None = None
        for event in of_kind(events, "snapshot"):
            self._patch = apply_delta(self._patch, PatchDelta.model_validate(event.payload))

    def _go_on(self, going_on: GoingOn, *, begun: bool, repaired: bool) -> None:
        """Open an ended session again, when this job has not done so yet."""
        stop = "" if self.end is None else str(self.end["stop"])
        # A turn that broke off is brought to its end first, and then the model is told.
        last = len(self.turns) if self._unfinished is None else self._unfinished.number
        if going_on.words is not None and not begun and self._session is not None:
            told = {"text": going_on.words, "job": going_on.by, "stop": stop, "turns": len(self.turns)}
            self._add("continue", last, told)
        elif going_on.answer and not begun and stop == "asked":
            self._add("answer", last, {"text": going_on.answer, "job": going_on.by})
        elif going_on.repair and self.end is not None and not repaired:
            self._add("repair", last, {"text": going_on.repair})
        if self._waiting:
            self.end = None

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

    def store_reply(self) -> None:
        """Store a reply that is not stored yet, because nothing was done for it: a next one must not cost both."""
        if any(entry.kind == "llm_response" for entry in self._waiting):
            self.flush()

    def ask(self, turn: int, messages: Sequence[Mapping[str, Any]], notices: Sequence[str]) -> None:
        """A request is on its way. On return it is stored, with the turn before it, and its reply may be used."""
        sent = {"count": len(messages), "sha256": self._digest.of(messages), "notices": list(notices)}
        self._add("llm_request", turn, sent)
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
        """The turn is over. It is stored with what comes next, the next request or the session's end, and then told."""
        kept = {"number", "stage", "seconds", "plan", "stop", "finish", "question"}
        self._add("turn", turn.number, turn.model_dump(mode="json", include=kept))
        self._untold.append(turn)

    def end_session(self, turn: int, stop: StopReason, detail: str, *, infrastructure: bool) -> None:
        """The session is over; stored before this returns."""
        self._add("end", turn, {"stop": stop, "detail": detail, "infrastructure": infrastructure})
        self.flush()

    def flush(self) -> None:
        """Store what waits, in one act, and tell of the turns that were stored. What cannot be stored waits no more."""
        waiting, self._waiting = self._waiting, []
        untold, self._untold = self._untold, []
        self._log.append(waiting)
        for turn in untold:
            self._on_turn(turn)

    def _note(self, kind: EventKind, turn: int, noun: Noun) -> None:
        self._add(kind, turn, noun.model_dump(mode="json"))

    def _add(self, kind: EventKind, turn: int, payload: dict[str, Any]) -> None:
        self._waiting.append(Entry(kind=kind, turn=turn, payload=payload))


def _read_part(events: Sequence[Event], going_on: GoingOn) -> tuple[Sequence[Event], int | None]:
    """The events that count for this part of the session, and where its job had it go on, if it has done so."""
    opened = [at for at, one in enumerate(events) if one.kind in ("answer", "continue")]
    mine = next((at for at in opened if going_on.by and events[at].payload.get("job") == going_on.by), None)
    fresh = mine is None and (going_on.words is not None or going_on.answer)
    if going_on.repair or fresh:
        return events, mine
    at = next((at for at, one in enumerate(events) if one.kind == "repair" and at >= (mine or 0)), len(events))
    return events[:at], mine
