"""The model's question to the people: one a session's part, and only when it says what hangs on the answer."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.agent import notices
from workflows.agent.calls.toolcalls import MalformedCall, Schema, parse_call
from workflows.agent.tools import not_run
from workflows.types import ToolCall, ToolResult

LONGEST_QUESTION = 4_000


def answer_question(
    calls: Sequence[ToolCall], results: Sequence[ToolResult], *, schemas: Sequence[Schema], refused: str = ""
) -> tuple[str, list[ToolResult]]:
    """The question, or "" when it cannot be put, and one result a call: the first is ``ask``, the rest is not run.

    ``results`` are those of the same reply, before it; ``refused`` says why no question can be put.
    """
    parsed = parse_call(calls[0], schemas)
    question = ""
    if isinstance(parsed, MalformedCall):
        first = not_run(calls[0], parsed.message)
    elif refused:
        first = not_run(calls[0], refused)
    elif not str(parsed.arguments["question"]).strip():
        first = not_run(calls[0], "The question is empty: say what you need to know, and what you would do otherwise.")
    else:
        question = str(parsed.arguments["question"]).strip()[:LONGEST_QUESTION]
        first = ToolResult(call_id=calls[0].id, name="ask", content=notices.ASKED)
    return question, [first, *(not_run(call, notices.AFTER_QUESTION) for call in calls[1:])]
