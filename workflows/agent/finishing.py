"""The model's word that it is done: doubts are said once, then its word is taken, and the harness verifies."""

from __future__ import annotations

from collections.abc import Sequence

from workflows.agent import notices
from workflows.agent.toolcalls import MalformedCall, Schema, parse_call
from workflows.types import Finish, Reply, ToolCall, ToolResult, Turn


def split_at_finish(reply: Reply) -> tuple[Sequence[ToolCall], Sequence[ToolCall]]:
    """The calls before the first ``finish``, and the rest; a truncated reply has nothing to close with."""
    calls = reply.tool_calls
    if reply.finish_reason == "length":
        return calls, ()
    at = next((index for index, call in enumerate(calls) if call.name == "finish"), len(calls))
    return calls[:at], calls[at:]


def answer_finish(
    calls: Sequence[ToolCall],
    turns: Sequence[Turn],
    results: Sequence[ToolResult],
    *,
    schemas: Sequence[Schema],
    changed: bool,
) -> tuple[Finish | None, list[ToolResult]]:
    """The closing words, if they are accepted, and one result a call: the first is ``finish``, the rest is not run.

    ``results`` are those of the same reply, before it; ``changed`` says whether the workspace differs from its base.
    """
    parsed = parse_call(calls[0], schemas)
    finish = None
    if isinstance(parsed, MalformedCall):
        objection: str | None = parsed.message
    else:
        finish = Finish.model_validate(parsed.arguments)
        with_tests = any(schema["function"]["name"] == "run_tests" for schema in schemas)
        objection = _objection(finish, turns, results, changed=changed, with_tests=with_tests)
    answers = [(calls[0], objection or notices.FINISHED, objection is not None)]
    answers += [(call, notices.AFTER_FINISH, True) for call in calls[1:]]
    return None if objection else finish, [
        ToolResult(call_id=call.id, name=call.name, content=text, failed=failed) for call, text, failed in answers
    ]


def _objection(
    finish: Finish, turns: Sequence[Turn], results: Sequence[ToolResult], *, changed: bool, with_tests: bool
) -> str | None:
    earlier = [result for turn in turns for result in turn.results]
    if any(result.name == "finish" and result.content.startswith(notices.NOT_FINISHED) for result in earlier):
        return None
    doubts = _doubts(finish, [*earlier, *results], changed=changed, with_tests=with_tests)
    if any(result.failed for result in results):
        doubts.insert(0, "a call before `finish` in the same reply failed: look at its result.")
    if not doubts:
        return None
    closing = "Put it right. If it is as it should be, call `finish` again and say why in `verification`."
    return "\n".join([notices.NOT_FINISHED, *(f"- {doubt}" for doubt in doubts), closing])


def _doubts(finish: Finish, results: Sequence[ToolResult], *, changed: bool, with_tests: bool) -> list[str]:
    if finish.no_change_needed:
        return ["you say that no change is needed, but files were changed: take the changes back."] if changed else []
    doubts = []
    if not changed:
        doubts.append("no file was changed. If none needs to be, set `no_change_needed` and say why.")
    runs = [result for result in results if result.name == "run_tests"]
    if with_tests and not runs:
        doubts.append("the tests were never run with `run_tests`.")
    elif runs and runs[-1].failed:
        doubts.append("the last `run_tests` did not pass.")
    return doubts
