"""The model's question to the people: one a session's part, perhaps of several points, once it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from workflows.agent import notices
from workflows.agent.calls.toolcalls import MalformedCall, Schema, parse_call
from workflows.agent.tools import not_run
from workflows.types import ToolCall, ToolResult

LONGEST_QUESTION = 4_000


def answer_question(
    calls: Sequence[ToolCall], results: Sequence[ToolResult], *, schemas: Sequence[Schema], refused: str = ""
) -> tuple[str, list[ToolResult]]:
    """The question, or "" when it cannot be put, and one result a call: the first is ``ask``; what is no more of
    them, which make one numbered question, is not run.

    ``results`` are those of the same reply, before it; ``refused`` says why no question can be put.
    """
    asks = list(takewhile(lambda call: call.name == "ask", calls))
    read = [_read_question(call, schemas, refused) for call in asks]
    questions = [found for found in read if isinstance(found, str)]
    put = ToolResult(call_id="", name="ask", content=notices.ASKED)
    answers = [
        put.model_copy(update={"call_id": call.id}) if isinstance(found, str) else found
        for call, found in zip(asks, read, strict=True)
    ]
    question = questions[0] if len(questions) == 1 else "\n".join(_numbered(questions))
    rest = notices.AFTER_QUESTION
    return question[:LONGEST_QUESTION], [*answers, *(not_run(call, rest) for call in calls[len(asks) :])]


def _read_question(call: ToolCall, schemas: Sequence[Schema], refused: str) -> str | ToolResult:
    """What is asked, or the answer to a call that asks nothing."""
    parsed = parse_call(call, schemas)
    if isinstance(parsed, MalformedCall):
        return not_run(call, parsed.message)
    if refused:
        return not_run(call, refused)
    question = str(parsed.arguments["question"]).strip()
    empty = "The question is empty: say what you need to know, and what you would do otherwise."
    return question or not_run(call, empty)


def _numbered(questions: Sequence[str]) -> list[str]:
    """Several questions as one list, each with the lines that belong to it."""
    return [f"{number}. {question}".replace("\n", "\n   ") for number, question in enumerate(questions, 1)]
