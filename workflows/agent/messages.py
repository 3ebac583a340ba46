"""The conversation as it is sent: what each turn adds to it; nothing in it is ever changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from workflows.agent import notices
from workflows.agent.calls.toolcalls import is_json_object
from workflows.agent.client.encoding import Unchanging
from workflows.types import Noun, Reply, ToolCall, Turn

UNNAMED = "unreadable_call"
# https://platform.openai.com/docs/api-reference/chat/create: letters, digits, underscores and dashes, at most 64
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class AgentTask(Noun):
    """The two messages that open a session; they stay as they are to its end."""

    system: str
    prompt: str


def open_messages(task: AgentTask) -> list[dict[str, Any]]:
    """The beginning of every request of a session."""
    return [Unchanging(role="system", content=task.system), Unchanging(role="user", content=task.prompt)]


def render_turn(turn: Turn) -> list[dict[str, Any]]:
    """What a finished turn adds to the conversation: notices, the reply, the results."""
    results = [Unchanging(role="tool", tool_call_id=r.call_id, content=r.content) for r in turn.results]
    return [*render_notices(turn.notices), _render_reply(turn.reply), *results]


def render_notices(notices: Sequence[str]) -> list[dict[str, Any]]:
    """The harness's words as user messages."""
    return [Unchanging(role="user", content=notice) for notice in notices]


def with_own_ids(reply: Reply, turn: int) -> Reply:
    """The reply with ids that are unique over the session, as servers repeat theirs: nine letters and digits each,
    which is the form that the strictest of them (Mistral's) asks for.
    """
    calls = [call.model_copy(update={"id": f"t{turn:04d}c{index:03d}"}) for index, call in enumerate(reply.tool_calls)]
    return reply.model_copy(update={"tool_calls": tuple(calls)})


def _render_reply(reply: Reply) -> Unchanging:
    if reply.tool_calls:
        calls = [_render_call(call) for call in reply.tool_calls]
        return Unchanging(role="assistant", content=reply.content or None, tool_calls=calls)
    # Strict servers refuse an assistant message without content.
    return Unchanging(role="assistant", content=reply.content if reply.content.strip() else "(empty reply)")


def _render_call(call: ToolCall) -> dict[str, Any]:
    # Chat templates parse the arguments of past calls again, and the whole request fails when one of them is broken.
    arguments = call.arguments if is_json_object(call.arguments) else notices.UNREADABLE_ARGUMENTS
    # Strict servers refuse a whole request for a past call without a name, or with one that no tool could have.
    name = call.name if _NAME.fullmatch(call.name) else UNNAMED
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}
