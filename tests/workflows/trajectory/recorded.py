"""Recorded sessions, made by hand: the builders that tests of the reading side share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workflows.agent.context.compaction import apply_compaction
from workflows.agent.messages import AgentTask, open_messages, render_notices, render_turn
from workflows.trajectory.digests import digest_of_messages
from workflows.trajectory.events import Entry, Event, EventKind
from workflows.trajectory.log import MemoryLog, SessionLog
from workflows.trajectory.patch_delta import delta_between
from workflows.trajectory.store import SessionHead
from workflows.types import (
    Compaction,
    Finish,
    Intervention,
    Noun,
    Patch,
    PatchFile,
    PlanItem,
    Reply,
    TestTally,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)

TASK = AgentTask(system="You mend repositories.", prompt="Issue 7: total() ignores the last line.")
BASE = "a" * 40
STRING, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def schema(name: str, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)[:1]}
    return {"type": "function", "function": {"name": name, "description": f"The {name}.", "parameters": parameters}}


TOOLS = [
    schema("read_file", path=STRING, offset=INTEGER, limit=INTEGER),
    schema("edit", path=STRING, old_string=STRING, new_string=STRING, replace_all=BOOLEAN),
    schema("bash", command=STRING, timeout=INTEGER),
    schema("finish", summary=STRING, verification=STRING),
]


def call(turn: int, index: int, name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id=f"t{turn:04d}c{index:03d}", name=name, arguments=json.dumps(arguments))


def result(of: ToolCall, content: str, **more: Any) -> ToolResult:
    return ToolResult(call_id=of.id, name=of.name, content=content, **more)


def usage(tokens: int) -> Usage:
    return Usage(input_tokens=tokens, cached_tokens=tokens // 2, output_tokens=10, usd=0.001)


def patch(content: bytes, path: str = "total.py") -> Patch:
    import base64

    return Patch(base=BASE, files=(PatchFile(path=path, mode="100644", content=base64.b64encode(content)),))


class Recording:
    """Writes a session the way the loop does: in its order, with digests of what it would have sent."""

    def __init__(self, log: SessionLog | None = None, **facts: Any) -> None:
        self.log = log or MemoryLog()
        self.messages = open_messages(TASK)
        self.patch: Patch | None = None
        opening = {"system": TASK.system, "prompt": TASK.prompt, "tools": TOOLS, "model": "qwen3-coder", "base": BASE}
        self.add("session", 0, opening | {"attempt": 1} | facts)

    @property
    def events(self) -> list[Event]:
        return self.log.events()

    def add(self, kind: EventKind, turn: int, payload: dict[str, Any] | Noun) -> None:
        plain = payload.model_dump(mode="json") if isinstance(payload, Noun) else payload
        self.log.append([Entry(kind=kind, turn=turn, payload=plain)])

    def ask(self, number: int, *, notices: Sequence[str] = (), compactions: Sequence[Compaction] = ()) -> None:
        for compaction in compactions:
            self.add("compaction", number, compaction)
            self.messages = apply_compaction(self.messages, compaction)
        sent = self.messages + render_notices(notices)
        request = {"count": len(sent), "sha256": digest_of_messages(sent), "notices": list(notices)}
        self.add("llm_request", number, request)

    def turn(self, turn: Turn, *, out_of_order: bool = False) -> None:
        """All events of one finished turn."""
        if turn.intervention is not None:
            self.add("intervention", turn.number, turn.intervention)
        self.ask(turn.number, notices=turn.notices, compactions=turn.compactions)
        self.add("llm_response", turn.number, turn.reply)
        for wanted in turn.reply.tool_calls:
            self.add("tool_intent", turn.number, wanted)
        for came in reversed(turn.results) if out_of_order else turn.results:
            self.add("tool_result", turn.number, came)
        if turn.patch is not None:
            self.add("snapshot", turn.number, delta_between(self.patch, turn.patch))
            self.patch = turn.patch
        kept = {"number", "stage", "seconds", "plan", "stop", "finish", "question"}
        self.add("turn", turn.number, turn.model_dump(mode="json", include=kept))
        self.messages = self.messages + render_turn(turn)

    def end(self, stop: str = "finished", *, infrastructure: bool = False, **verdict: Any) -> None:
        if verdict:
            self.add("verdict", 0, {"reasons": [], "broken": [], "weakened": [], **verdict})
        self.add("end", 0, {"stop": stop, "detail": "", "infrastructure": infrastructure})


def turns() -> list[Turn]:
    """Five turns with everything in them but a compaction: parallel calls, a failure, an empty reply, a finish."""
    look = [call(1, 0, "read_file", path="total.py", limit=40), call(1, 1, "bash", command="ls\ncat <<'E'\n</x>\nE")]
    edit = call(2, 0, "edit", path="total.py", old_string="lines[:-1]", new_string="lines", replace_all=False)
    broken = ToolCall(id="t0003c000", name="bash", arguments='{"command": "py')
    close = call(5, 0, "finish", summary="The last line counts now.")
    return [
        Turn(
            number=1,
            reply=Reply(content="I look.", tool_calls=tuple(look), usage=usage(100), reasoning="Where is it?"),
            results=(result(look[0], "1\tlines[:-1]", seconds=0.01), result(look[1], "total.py\n")),
            seconds=2.5,
            plan=(PlanItem(text="find it", state="in_progress"),),
        ),
        Turn(
            number=2,
            reply=Reply(tool_calls=(edit,), calls_from="content", usage=usage(200), finish_reason="tool_calls"),
            results=(result(edit, "edited"),),
            patch=patch(b"lines\n"),
            stage="implement",
        ),
        Turn(
            number=3,
            reply=Reply(content="Now the tests.", tool_calls=(broken,), usage=usage(300), incomplete=("t0003c000",)),
            results=(result(broken, "The call was cut off.", failed=True),),
            notices=("Look before you rely on them.",),
            stage="verify",
        ),
        Turn(
            number=4,
            reply=Reply(usage=usage(400), model="qwen3-max"),
            notices=("Try another way.",),
            intervention=Intervention(kind="nudge", pattern="repeat", words="Try another way."),
            stage="iterate",
        ),
        Turn(
            number=5,
            reply=Reply(content="Done.", tool_calls=(close,), usage=usage(500)),
            results=(result(close, "The session is finished.", tests=TestTally(exit_code=0, passed=3)),),
            finish=Finish(summary="The last line counts now."),
            stop="finished",
            stage="complete",
        ),
    ]


def plain_session() -> Recording:
    """A verified session without a compaction."""
    recording = Recording()
    for turn in turns():
        recording.turn(turn)
    recording.end(status="verified", fail_to_pass=["test_total::last"], pass_to_pass=12)
    return recording


def compacted_session() -> Recording:
    """Five turns: a mask before the third, a snapshot and a trim before the fourth, a fresh start before the fifth."""
    recording = Recording()
    session = turns()
    mask = Compaction(kind="mask", masked=(3, 4))
    # 0-1 opening, 2-4 turn one, 5-6 turn two, 7-9 turn three: the snapshot keeps turn three.
    snapshot = Compaction(kind="snapshot", kept_from=7, words="State so far: edited.", usage=usage(50))
    trim = Compaction(kind="trim", kept_from=3, words="The turns before were left out.")
    fresh = Compaction(kind="fresh", kept_from=8, words="Begin again from the last good change.")
    before: list[tuple[Compaction, ...]] = [(), (), (mask,), (snapshot, trim), (fresh,)]
    for turn, compactions in zip(session, before, strict=True):
        recording.turn(turn.model_copy(update={"compactions": compactions}))
    recording.end(status="verified", fail_to_pass=["test_total::last"], pass_to_pass=12)
    return recording


def head(**more: Any) -> SessionHead:
    facts: dict[str, Any] = {"job_id": "job-1", "repository": "octo/calc", "number": 7, "turns": 5, "stop": "finished"}
    return SessionHead(**(facts | {"started": datetime(2026, 11, 23, 12, 0, tzinfo=UTC)} | more))
