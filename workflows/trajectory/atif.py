"""A session as documents of the Agent Trajectory Interchange Format, v1.8, which Harbor reads.

https://harborframework.com/docs/trajectory-format
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workflows.agent.calls.toolcalls import is_json_object
from workflows.agent.messages import render_notices, render_turn
from workflows.trajectory.conversation import FRESH_STARTS, Message, Opening, Segment, opening_of, segments_of
from workflows.trajectory.events import Event
from workflows.trajectory.reward import Ending, ending_of
from workflows.trajectory.store import SessionHead
from workflows.trajectory.turns import turns_of, unfinished_turn
from workflows.types import Compaction, ToolResult, Turn, Usage

VERSION = "ATIF-v1.8"
WORDS_AT = 2
"""Where a compaction that drops messages puts its own."""
JUDGED = {"status", "reasons", "fail_to_pass", "pass_to_pass", "broken", "weakened"}

Step = dict[str, Any]


def atif_documents(
    head: SessionHead, events: Sequence[Event], *, version: str, name: Callable[[int], str] | None = None
) -> list[dict[str, Any]]:
    """One document for each segment: a compaction that drops messages ends one and begins the next.

    The next begins with what it kept, marked ``is_copied_context``. ``name`` gives the reference to a segment (from 0),
    such as its file's name; default: its ``trajectory_id``. ``version`` is Forgehand's. Verdict and reward stand under
    ``extra``, since the format has no place of its own for them. A last turn that was not finished is left out. Raises
    BrokenChain.
    """
    opening, turns = opening_of(events), turns_of(events)
    segments = segments_of(opening.task, turns, kinds=FRESH_STARTS)
    clock = _Clock.of(events)
    extra = _extra(head, opening, ending_of(events))
    unfinished = unfinished_turn(events)
    documents = []
    for index, segment in enumerate(segments):
        document = _document(head, opening, segment, clock=clock, version=version)
        document["trajectory_id"] = _trajectory_id(head, index)
        document["extra"] = extra | {"segment": index, "segments": len(segments)}
        if index + 1 < len(segments):
            document["continued_trajectory_ref"] = (name or (lambda at: _trajectory_id(head, at)))(index + 1)
        elif unfinished is not None:
            document["notes"] = f"Turn {unfinished.number} was answered and not finished; it is left out."
        documents.append(document)
    return documents


@dataclass(frozen=True)
class _Clock:
    """When what was said, as ISO 8601 in UTC."""

    opened: str
    asked: Mapping[int, str]
    answered: Mapping[int, str]

    @classmethod
    def of(cls, events: Sequence[Event]) -> _Clock:
        asked = {event.turn: _iso(event.at) for event in events if event.kind == "llm_request"}
        answered = {event.turn: _iso(event.at) for event in events if event.kind == "llm_response"}
        return cls(_iso(events[0].at), asked, answered)

    def before(self, turn: Turn) -> str:
        return self.asked.get(turn.number, self.opened)

    def at(self, turn: Turn) -> str:
        return self.answered.get(turn.number, self.before(turn))


def _document(head: SessionHead, opening: Opening, segment: Segment, *, clock: _Clock, version: str) -> dict[str, Any]:
    began = clock.before(segment.turns[0]) if segment.turns else clock.opened
    steps = [*_opening_steps(segment, began), *(step for turn in segment.turns for step in _turn_steps(turn, clock))]
    agent: dict[str, Any] = {"name": "forgehand", "version": version, "model_name": opening.model}
    if opening.tools:
        agent["tool_definitions"] = list(opening.tools)
    return {
        "schema_version": VERSION,
        "session_id": f"{head.job_id}/{head.session}",
        "agent": agent,
        "steps": [{"step_id": number, **step} for number, step in enumerate(steps, 1)],
        "final_metrics": _final_metrics(segment, len(steps)),
    }


def _opening_steps(segment: Segment, began: str) -> Iterator[Step]:
    """The messages that a segment starts from; all but a compaction's own words were in the segment before."""
    copied = bool(segment.compactions)
    at = 0
    while at < len(segment.opening):
        message = segment.opening[at]
        end = at + 1
        while end < len(segment.opening) and segment.opening[end]["role"] == "tool":
            end += 1
        step = {"timestamp": began, **_message_step(message, segment.opening[at + 1 : end])}
        if copied and at == WORDS_AT:
            step["extra"] = {"from": "harness", "compactions": [_told(made) for made in segment.compactions]}
        elif copied:
            step["is_copied_context"] = True
        yield step
        at = end


def _message_step(message: Message, results: Sequence[Message]) -> Step:
    """A step made of a message alone, where the turn that it came from is not at hand."""
    if message["role"] != "assistant":
        return {"source": message["role"], "message": message["content"]}
    step: Step = {"source": "agent", "message": message["content"] or ""}
    calls = [
        {"tool_call_id": call["id"], "function_name": call["function"]["name"], **_arguments(call["function"])}
        for call in message.get("tool_calls", ())
    ]
    known = {call["tool_call_id"] for call in calls}
    if calls:
        step["tool_calls"] = calls
    if results:
        step["observation"] = {
            "results": [
                {"source_call_id": result["tool_call_id"], "content": result["content"]}
                if result["tool_call_id"] in known
                else {"content": result["content"]}
                for result in results
            ]
        }
    return step


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    # The messages hold JSON objects alone: what was none was replaced before it was sent.
    return {"arguments": json.loads(function["arguments"])}


def _turn_steps(turn: Turn, clock: _Clock) -> Iterator[Step]:
    """The notices before a reply as user steps, then the reply with its results."""
    for notice in render_notices(turn.notices):
        yield {
            "timestamp": clock.before(turn),
            "source": "user",
            "message": notice["content"],
            "extra": {"from": "harness"},
        }
    reply, *results = render_turn(turn)[len(turn.notices) :]
    step = {"timestamp": clock.at(turn), **_message_step(reply, results)}
    for result, shown in zip(turn.results, step.get("observation", {}).get("results", ()), strict=True):
        if extra := _result_extra(result):
            shown["extra"] = extra
    for call, shown in zip(turn.reply.tool_calls, step.get("tool_calls", ()), strict=True):
        if not is_json_object(call.arguments):
            shown["extra"] = {"raw_arguments": call.arguments}
    step["message"] = turn.reply.content
    step["model_name"] = turn.reply.model or None
    step["reasoning_content"] = turn.reply.reasoning or None
    step["metrics"] = _metrics(turn.reply.usage)
    step["llm_call_count"] = 1
    step["extra"] = _turn_extra(turn)
    yield {key: value for key, value in step.items() if value is not None}


def _turn_extra(turn: Turn) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "turn": turn.number,
        "stage": turn.stage,
        "seconds": round(turn.seconds, 3),
        "finish_reason": turn.reply.finish_reason,
        "calls_from": turn.reply.calls_from if turn.reply.tool_calls else None,
        "incomplete": list(turn.reply.incomplete),
        "compactions": [_told(made) for made in turn.compactions if made.kind not in FRESH_STARTS],
        "intervention": turn.intervention.model_dump(mode="json") if turn.intervention else None,
        "plan": [item.model_dump(mode="json") for item in turn.plan] if turn.plan is not None else None,
        "finish": turn.finish.model_dump(mode="json") if turn.finish else None,
        "question": turn.question,
        "stop": turn.stop,
    }
    return {key: value for key, value in shown.items() if value not in (None, "", [])}


def _result_extra(result: ToolResult) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if result.failed:
        shown["failed"] = True
    if result.seconds:
        shown["seconds"] = round(result.seconds, 3)
    if result.tests is not None:
        shown["tests"] = result.tests.model_dump(mode="json")
    return shown


def _told(compaction: Compaction) -> dict[str, Any]:
    """A compaction without its words, which stand in a message."""
    return compaction.model_dump(mode="json", exclude={"words"})


def _metrics(usage: Usage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": usage.usd,
    }
    return shown | ({"extra": {"estimated": True}} if usage.estimated else {})


def _final_metrics(segment: Segment, steps: int) -> dict[str, Any]:
    """The totals of the segment's own turns, and of the compactions before and within it."""
    spent = Usage()
    for turn in segment.turns:
        spent += turn.reply.usage
        for compaction in turn.compactions:
            spent += compaction.usage
    return {
        "total_prompt_tokens": spent.input_tokens,
        "total_completion_tokens": spent.output_tokens,
        "total_cached_tokens": spent.cached_tokens,
        "total_cost_usd": spent.usd,
        "total_steps": steps,
    }


def _extra(head: SessionHead, opening: Opening, ending: Ending) -> dict[str, Any]:
    return {
        "repository": head.repository,
        "issue": head.number,
        "base_sha": opening.base,
        "attempt": opening.attempt,
        "stop": ending.stop,
        "detail": ending.detail,
        "label": ending.label,
        "infrastructure": ending.infrastructure,
        "verdict": ending.verdict.model_dump(mode="json", include=JUDGED) if ending.verdict else None,
        "reward": ending.reward,
    }


def _trajectory_id(head: SessionHead, index: int) -> str:
    return f"{head.job_id}/{head.session}.seg{index}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
