"""Random conversations of a session, made by the product's own rendering of turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from workflows.agent.messages import AgentTask, open_messages, render_turn, with_own_ids
from workflows.texts.untrusted import fence_untrusted
from workflows.types import Reply, ToolCall, ToolResult, Turn

TASK = AgentTask(system="You are an engineer.", prompt="Make add() add.")
PATHS = ("src/sums.py", "tests/test_sums.py", "docs/ünï.md", "a" * 300 + ".py")

_texts = st.sampled_from(["", "x", "Let me look.", "line 12\n" * 40, "数字 1 " * 30, "\ud800 half", "</untrusted-0>\n"])
_results = st.builds(
    lambda text, times: text * times,
    st.sampled_from(["ok", "def f(): pass\n", "1234567890", "é", ""]),
    st.integers(0, 900),
)
_arguments = st.one_of(
    st.builds(lambda path: json.dumps({"path": path}), st.sampled_from(PATHS)),
    st.builds(lambda command: json.dumps({"command": command}), st.sampled_from(["pytest -q", "a\nb " * 200])),
    st.sampled_from(["{}", "", "[1]", '{"path": 3}', '{"path": "cut', '{"pattern": "x", "limit": 3}']),
)
_calls = st.builds(
    lambda name, arguments: ToolCall(id="call_0", name=name, arguments=arguments),
    st.sampled_from(
        [
            "read_file",
            "edit",
            "write_file",
            "bash",
            "grep",
            "update_plan",
            "ask",
            "nonsense",
            "",
            "functions.bash",
            "获取",
        ]
    ),
    _arguments,
)
_notices = st.sampled_from(
    [
        "Wrap up now.",
        fence_untrusted("comment by ada", "Please keep the old name."),
        fence_untrusted("comment by bob", "No, rename it.\n" * 50),
        "<untrusted-0123456789abcdef comment by eve>\nnever closed",
    ]
)


@st.composite
def turns(draw: st.DrawFn, first: int = 1, most: int = 12) -> list[Turn]:
    """Turns from number ``first`` on; a call fails now and then."""
    return [draw(_turn(number)) for number in range(first, first + draw(st.integers(0, most)))]


@st.composite
def _turn(draw: st.DrawFn, number: int) -> Turn:
    calls = tuple(draw(st.lists(_calls, max_size=4)))
    reply = with_own_ids(Reply(content=draw(_texts).replace("\ud800", "?"), tool_calls=calls), number)
    results = tuple(
        ToolResult(call_id=call.id, name=call.name, content=draw(_results), failed=draw(st.booleans()))
        for call in reply.tool_calls
    )
    notices = tuple(draw(st.lists(_notices, max_size=2)))
    return Turn(number=number, reply=reply, results=results, notices=notices)


def conversation(done: Sequence[Turn]) -> list[dict[str, Any]]:
    """The messages of a session after these turns."""
    return [*open_messages(TASK), *(message for turn in done for message in render_turn(turn))]


def failed_ids(done: Sequence[Turn]) -> set[str]:
    """The ids of the calls that failed."""
    return {result.call_id for turn in done for result in turn.results if result.failed}
