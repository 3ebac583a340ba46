"""The request for one reply: the conversation made to fit first, and again when the endpoint says it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import structlog

from sandbox.container import SandboxUnavailable
from workflows.agent.calls.toolcalls import Schema
from workflows.agent.context.compaction import apply_compaction
from workflows.agent.context.shrink import compact, working_cap
from workflows.agent.context.tokens import estimate_tokens
from workflows.agent.equipment import Equipment
from workflows.agent.history import History
from workflows.agent.messages import render_notices
from workflows.agent.recorder import Recorder
from workflows.beside import begin_beside
from workflows.services import ContextTooLong, Model
from workflows.types import Compaction, Reply

log = structlog.get_logger()

CALL_SECONDS = 600.0
MOST_ATTACHED = 5
LARGEST_ATTACHED = 20_000
FORCED = 2
"""A refusal for length forces a compaction; a second one the hard trim; a third ends the session."""


@dataclass(frozen=True)
class Request:
    """One turn's request, and what it needs to shrink the conversation."""

    model: Model
    equipment: Equipment
    history: History
    recorder: Recorder
    schemas: Sequence[Schema]

    def send(
        self, turn: int, notices: Sequence[str], compactions: Sequence[Compaction], *, left: float
    ) -> tuple[tuple[Compaction, ...], Reply]:
        """The reply, and every compaction before it: those given, those at the cap, those that a refusal forced.

        Raises BrokenWorld("model", …), ContextTooLong when nothing more can be left out.
        """
        deadline = min(CALL_SECONDS, left)
        done: list[Compaction] = []
        messages = self.history.messages
        for compaction in compactions:
            messages = self._applied(turn, messages, compaction, done)
        cap = working_cap(self.model.context_window, self.equipment.cap)
        ahead = render_notices(notices)
        if not compactions and self.history.tokens(ahead) >= cap:
            messages = self._shrunk(turn, messages, done, cap=cap, deadline=deadline, force=0)
        for force in range(1, FORCED + 1):
            try:
                return tuple(done), self._asked(turn, [*messages, *ahead], notices, deadline)
            except ContextTooLong:
                shrunk = self._shrunk(turn, messages, done, cap=cap, deadline=deadline, force=force)
                if shrunk is messages:
                    raise
                messages = shrunk
        return tuple(done), self._asked(turn, [*messages, *ahead], notices, deadline)

    def _asked(self, turn: int, messages: Sequence[dict[str, Any]], notices: Sequence[str], deadline: float) -> Reply:
        """The reply. The request is stored while it is on its way; unless it was, nothing that comes is looked at."""
        self.recorder.store_reply()
        unwanted = Event()
        reply = begin_beside(
            lambda: self.model.complete(messages, tools=self.schemas, deadline=deadline, cancelled=unwanted),
            name="model-request",
        )
        try:
            self.recorder.ask(turn, messages, notices)
            return reply.result()
        finally:
            unwanted.set()

    def _shrunk(
        self,
        turn: int,
        messages: list[dict[str, Any]],
        done: list[Compaction],
        *,
        cap: int,
        deadline: float,
        force: int,
    ) -> list[dict[str, Any]]:
        self.recorder.flush()  # asking the model for a snapshot takes its time
        found = compact(
            self.model,
            messages,
            tools=self.schemas,
            cap=cap,
            tokens=self.history.gauge.scale(estimate_tokens(messages, self.schemas)),
            failed_ids=self.history.failed_calls,
            attached=self._attached(),
            plan=self.history.plan,
            deadline=deadline,
            force=force,
        )
        for compaction in found:
            messages = self._applied(turn, messages, compaction, done)
        return messages

    def _applied(
        self, turn: int, messages: list[dict[str, Any]], compaction: Compaction, done: list[Compaction]
    ) -> list[dict[str, Any]]:
        self.recorder.compacted(turn, compaction)
        done.append(compaction)
        return apply_compaction(messages, compaction)

    def _attached(self) -> list[tuple[str, str]]:
        """The files that were written last, as they are now."""
        found = []
        try:
            for path in reversed(self.history.changed_files[-MOST_ATTACHED:]):
                content = self.equipment.workspace.sandbox().read_bytes(path, limit=LARGEST_ATTACHED)
                if content is not None:
                    found.append((path, content.decode("utf-8", "replace")))
        except SandboxUnavailable as error:
            log.warning("no files attached to the compaction", reason=str(error))
        return found
