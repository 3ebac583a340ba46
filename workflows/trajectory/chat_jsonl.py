"""A session as training data: OpenAI's ``messages`` and ``tools``, one JSON line for what was sent in one piece."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from workflows.trajectory.conversation import Message, Opening, Segment, opening_of, segments_of
from workflows.trajectory.events import Event
from workflows.trajectory.reward import Ending, ending_of
from workflows.trajectory.store import SessionHead
from workflows.trajectory.turns import turns_of
from workflows.types import Turn

Form = Literal["openai", "qwen-xml"]


def chat_lines(head: SessionHead, events: Sequence[Event], *, form: Form, version: str) -> list[dict[str, Any]]:
    """``{"messages", "tools", "metadata", "reward"}`` of a session; ``version`` is Forgehand's.

    A session that was never compacted is one line. Each compaction begins another, so that every line holds what the
    model saw when it answered: ``metadata.new_from`` is the index of the first message that is no repetition of the
    line before, ``metadata.segment`` counts from 1. ``reward`` is the whole session's, in each line. A last turn that
    was not finished is left out. Raises BrokenChain.
    """
    opening, turns, ending = opening_of(events), turns_of(events), ending_of(events)
    segments = segments_of(opening.task, turns)
    shared = _metadata(head, opening, turns, ending) | {"forgehand": version, "form": form}
    return [
        {
            "messages": segment.messages if form == "openai" else as_qwen_xml(segment.messages),
            "tools": list(opening.tools),
            "metadata": shared | _place(segment, number, len(segments), form),
            "reward": ending.reward,
        }
        for number, segment in enumerate(segments, 1)
    ]


def as_qwen_xml(messages: Sequence[Message]) -> list[Message]:
    """The messages with tool calls and results as text, the way Qwen3-Coder's chat template writes them.

    https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct/blob/main/chat_template.jinja
    """
    rendered: list[Message] = []
    for role, group in groupby(messages, key=lambda message: message["role"]):
        if role == "tool":
            results = (f"<tool_response>\n{message['content']}\n</tool_response>" for message in group)
            rendered.append({"role": "user", "content": "\n".join(results)})
        else:
            rendered += [_with_calls_as_text(message) for message in group]
    return rendered


def render_call(name: str, arguments: Mapping[str, Any]) -> str:
    """One call in Qwen3-Coder's XML; strings stand there as they are, everything else as JSON.

    A null is left out: our tools take it as not given, and as text it would be read as the word.
    """
    given = {key: value for key, value in arguments.items() if value is not None}
    fields = "".join(f"<parameter={key}>\n{_text_of(value)}\n</parameter>\n" for key, value in given.items())
    return f"<tool_call>\n<function={name}>\n{fields}</function>\n</tool_call>"


def _with_calls_as_text(message: Message) -> Message:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    if not calls:
        return message
    said = (message["content"] or "").strip()
    text = "\n".join(render_call(call["name"], json.loads(call["arguments"])) for call in calls)
    return {"role": message["role"], "content": f"{said}\n\n{text}" if said else text}


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _metadata(head: SessionHead, opening: Opening, turns: Sequence[Turn], ending: Ending) -> dict[str, Any]:
    calls_from = Counter(turn.reply.calls_from for turn in turns if turn.reply.tool_calls)
    verdict = ending.verdict
    return {
        "repository": head.repository,
        "issue": head.number,
        "base_sha": opening.base,
        "job": head.job_id,
        "session": head.session,
        "attempt": opening.attempt,
        "model": opening.model,
        "turns": len(turns),
        "stop": ending.stop,
        "label": ending.label,
        "infrastructure": ending.infrastructure,
        "verdict": verdict.status if verdict else None,
        "fail_to_pass": list(verdict.fail_to_pass) if verdict else [],
        "pass_to_pass": verdict.pass_to_pass if verdict else 0,
        "calls_from": dict(calls_from),
    }


def _place(segment: Segment, number: int, count: int, form: Form) -> dict[str, Any]:
    repeated = segment.opening if form == "openai" else as_qwen_xml(segment.opening)
    return {"segment": number, "segments": count, "new_from": len(repeated) if number > 1 else 0}
