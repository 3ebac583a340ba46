"""The reader of tool calls in text, in the shape that the vectors' checker asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workflows.agent.calls.dialects import read_calls


def parse(text: str, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``content`` (None when empty) and ``tool_calls``, each with its ``name`` and its ``arguments`` decoded."""
    found = read_calls(text, tools)
    calls = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in found.calls]
    return {"content": found.content or None, "tool_calls": calls}
