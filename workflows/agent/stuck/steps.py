"""A turn in the few facts that tell whether a session goes round in circles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workflows.agent.commands import classify_command, is_read_only
from workflows.types import ToolCall, ToolResult, Turn

READING = frozenset({"read_file", "grep", "glob", "repo_map"})
WRITING = frozenset({"edit", "write_file"})
# How far a plan has come says nothing of whether the calls beside it are the same again.
NOTES = frozenset({"update_plan"})
LONGEST_SORTED = 20_000
_TIMES = re.compile(
    r"\b\d+(?:\.\d+)? ?(?:ms|s|secs?|seconds?|m|min|minutes?)\b|\b\d\d?:\d\d(?::\d\d(?:\.\d+)?)?\b|0x[0-9a-f]+"
)
_NO_OUTPUT = re.compile(r"(?:exit code -?\d+|timed out[^\n]*)\s*")


@dataclass(frozen=True)
class Step:
    """What one turn did. Steps are compared with each other, so equal ones did the same.

    ``calls`` names what was asked for, () for a message without a call; ``results`` what came back, () while it is
    awaited. ``errors`` are (tool, text) of the calls that failed, ``failed`` says that all did; ``reads``: nothing but
    reading was asked for; ``changed``: the tree is another one now, None when that is not known.
    """

    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    errors: frozenset[tuple[str, str]] = frozenset()
    failed: bool = False
    reads: bool = False
    changed: bool | None = None
    compactions: int = 0

    @property
    def pair(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What was asked for and what came back."""
        return self.calls, self.results


def read_step(turn: Turn) -> Step:
    """The facts of a finished turn. Where the patch was taken out of it, a change made by a command is not seen."""
    results = {result.call_id: result for result in turn.results}
    calls = turn.reply.tool_calls
    telling = [call for call in calls if call.name not in NOTES] or list(calls)
    answered = [(call, results[call.id]) for call in telling if call.id in results]
    return Step(
        calls=tuple(f"{call.name} {_canonical(call.arguments)}" for call in telling),
        results=tuple(_comparable(call, result) for call, result in answered),
        errors=frozenset(_errors(answered)),
        failed=bool(answered) and all(result.failed for _, result in answered),
        reads=all(_reads(call) for call in telling),
        changed=changed_tree(turn),
        compactions=sum(compaction.kind != "fresh" for compaction in turn.compactions),
    )


def changed_tree(turn: Turn) -> bool:
    """Whether a turn changed the workspace: its patch says so, or a file tool that wrote."""
    return turn.changed or any(result.name in WRITING and not result.failed for result in turn.results)


def string_argument(call: ToolCall, name: str) -> str:
    """One argument of a call as text; empty when it is missing, no text, or cannot be read."""
    value = read_arguments(call).get(name)
    return value if isinstance(value, str) else ""


def read_arguments(call: ToolCall) -> Mapping[str, object]:
    """A call's arguments; empty when they are no JSON object."""
    try:
        arguments = json.loads(call.arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _canonical(arguments: str) -> str:
    if len(arguments) > LONGEST_SORTED:
        return arguments
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments.strip()


def _comparable(call: ToolCall, result: ToolResult) -> str:
    timed = call.name == "run_tests" or (
        call.name == "bash" and classify_command(string_argument(call, "command")) == "test"
    )
    return _TIMES.sub("*", result.content) if timed else result.content


def _reads(call: ToolCall) -> bool:
    return call.name in READING or (call.name == "bash" and is_read_only(string_argument(call, "command")))


def _errors(answered: Iterable[tuple[ToolCall, ToolResult]]) -> Iterable[tuple[str, str]]:
    for call, result in answered:
        # A command that fails without a word, such as a search without a match, is no error that could be the same.
        if result.failed and not _NO_OUTPUT.fullmatch(result.content):
            yield call.name, _comparable(call, result)
