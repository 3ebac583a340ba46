"""The end of a session that only reads: the text that it hands over, taken unless there is something to object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workflows.agent import notices
from workflows.agent.calls.toolcalls import MalformedCall, Schema, parse_call
from workflows.types import Finish, ToolCall, ToolResult, Turn

MOST_REFUSALS = 2
"""Then the text is taken as it is: whoever asked is to be told what is wrong with it."""


def answer_handover(
    calls: Sequence[ToolCall], turns: Sequence[Turn], *, schemas: Sequence[Schema], objection: Callable[[str], str]
) -> tuple[Finish | None, list[ToolResult]]:
    """The closing words, if they are accepted, and one result a call: the first is ``finish``, the rest is not run."""
    parsed = parse_call(calls[0], schemas)
    finish = None
    if isinstance(parsed, MalformedCall):
        refused = parsed.message
    else:
        said = Finish.model_validate(parsed.arguments)
        wrong = "" if _refusals(turns) >= MOST_REFUSALS else objection(said.summary)
        refused = f"{notices.NOT_FINISHED} {wrong}" if wrong else ""
        finish = None if refused else said
    answers = [(calls[0], refused or notices.FINISHED, bool(refused))]
    answers += [(call, notices.AFTER_FINISH, True) for call in calls[1:]]
    return finish, [
        ToolResult(call_id=call.id, name=call.name, content=text, failed=failed) for call, text, failed in answers
    ]


def _refusals(turns: Sequence[Turn]) -> int:
    results = (result for turn in turns for result in turn.results if result.name == "finish")
    return sum(result.content.startswith(notices.NOT_FINISHED) for result in results)
