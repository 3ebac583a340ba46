"""The assembly of streamed tool calls, in the shape of the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflows.agent.calls.deltas import Assembly
from workflows.agent.calls.loose_json import parse_loosely
from workflows.types import ToolCall


def assemble(chunks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each call's ``id`` (None: the server gave none), ``name`` and ``arguments``, read as far as they can be read.

    The vectors want to see what arguments say even where they are broken; whether such a call is run is another
    question: see ``faults``.
    """
    return [
        {"id": call.id or None, "name": call.name, "arguments": parse_loosely(call.arguments).value}
        for call in _named(chunks)
    ]


def faults(chunks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with each call's arguments ("": nothing). Only "" and "comma" are run."""
    return [parse_loosely(call.arguments).fault for call in _named(chunks)]


def _named(chunks: Sequence[Mapping[str, Any]]) -> list[ToolCall]:
    assembly = Assembly()
    for chunk in chunks:
        function = {"name": chunk.get("name"), "arguments": chunk.get("arguments")}
        assembly.add({"index": chunk.get("index"), "id": chunk.get("id"), "type": "function", "function": function})
    return [call for call in assembly.calls() if call.name]
