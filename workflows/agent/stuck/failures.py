"""What a session tried and did not get to work, in a few lines, gathered from its turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workflows.agent.stuck.patterns import MESSAGES
from workflows.agent.stuck.steps import string_argument
from workflows.types import ToolCall, ToolResult, Turn

TURN_WINDOW = 60
MOST_ATTEMPTS = 12
MOST_TESTS = 5
LONGEST = 180


def list_failures(turns: Sequence[Turn], *, known_failing: frozenset[str] = frozenset()) -> list[str]:
    """One line for each call that failed in the last 60 turns, the latest twelve, then the tests that fail still.

    A call that failed often is one line with its count, and so are replies without a call, from the third on.
    ``known_failing`` tests failed before any change and are left out. The lines quote commands, errors and names of
    tests: they are material of others.
    """
    window = turns[-TURN_WINDOW:]
    told: dict[str, tuple[str, int]] = {}
    for call, result in _failed_calls(window):
        what = _name_call(call)
        _, times = told.pop(what, ("", 0))
        told[what] = (_say_why(result), times + 1)
    lines = [f"{what}: {why}{f' ({times} times)' if times > 1 else ''}" for what, (why, times) in told.items()][
        -MOST_ATTEMPTS:
    ]
    silent = sum(not turn.reply.tool_calls for turn in window)
    said = [f"a reply without a whole tool call: nothing happened ({silent} times)"] if silent >= MESSAGES else []
    return [*said, *lines, *_failing_tests(window, known_failing)]


def _failed_calls(turns: Iterable[Turn]) -> Iterator[tuple[ToolCall, ToolResult]]:
    for turn in turns:
        calls = {call.id: call for call in turn.reply.tool_calls}
        for result in turn.results:
            if result.failed and result.tests is None and result.call_id in calls:
                yield calls[result.call_id], result


def _name_call(call: ToolCall) -> str:
    if call.name == "bash":
        return _line(f"$ {string_argument(call, 'command')}")
    told = string_argument(call, "path") or string_argument(call, "pattern") or string_argument(call, "targets")
    if call.name == "edit" and (old := string_argument(call, "old_string")):
        told += f" at {_line(old)[:60]!r}"
    return _line(f"{call.name} {told}".strip())


def _say_why(result: ToolResult) -> str:
    lines = [line.strip() for line in result.content.splitlines() if line.strip()]
    if not lines:
        return "failed"
    # How a command ended stands in its first line; why, mostly in its last.
    shown = [lines[0], lines[-1]] if result.name == "bash" and len(lines) > 1 else lines[:1]
    return _line(" … ".join(shown))


def _failing_tests(turns: Sequence[Turn], known_failing: frozenset[str]) -> list[str]:
    runs = [result.tests for turn in turns for result in turn.results if result.tests is not None]
    if not runs or runs[-1].exit_code == 0:
        return []
    failing = [name for name in runs[-1].failing if name not in known_failing]
    if not failing:
        return [] if runs[-1].counted and runs[-1].failing else ["the tests: the last run did not pass"]
    more = [f"and {len(failing) - MOST_TESTS} more tests"] if len(failing) > MOST_TESTS else []
    return [*(f"the test {_line(name)}: still fails" for name in failing[:MOST_TESTS]), *more]


def _line(text: str) -> str:
    line = " ".join(text[: 4 * LONGEST].split())
    return line[:LONGEST] + ("…" if len(line) > LONGEST else "")
