"""Reading a tool call: its arguments as the schema types them, or a sentence that teaches the model what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.types import ToolCall

LONGEST_ARGUMENTS = 2_000_000

Schema = Mapping[str, Any]
Value = str | int | bool


@dataclass(frozen=True)
class ParsedCall:
    """A call that can be run. ``note`` tells the model what was passed over in its arguments; mostly empty."""

    call: ToolCall
    arguments: Mapping[str, Value]
    note: str = ""

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.call.name


@dataclass(frozen=True)
class MalformedCall:
    """A call that cannot be run; ``message`` is the answer to the model."""

    call: ToolCall
    message: str


def parse_call(call: ToolCall, schemas: Sequence[Schema]) -> ParsedCall | MalformedCall:
    """Check one call against the offered tools (OpenAI's ``{"type": "function", "function": {…}}`` form)."""
    offered = {schema["function"]["name"]: schema["function"]["parameters"] for schema in schemas}
    if call.name not in offered:
        return MalformedCall(call, f"There is no tool `{call.name[:80]}`. The tools are: {', '.join(offered)}.")
    properties: dict[str, Any] = offered[call.name]["properties"]
    required: list[str] = offered[call.name]["required"]
    raw = _parse_object(call.arguments)
    if raw is None:
        return MalformedCall(call, _teach(call.name, properties, required, "the arguments are not a JSON object"))
    arguments: dict[str, Value] = {}
    for field, value in raw.items():
        if field in properties and value is not None:
            typed = _typed(value, properties[field]["type"])
            if typed is None:
                fault = f"`{field}` must be {_ARTICLE[properties[field]['type']]}, not {_kind(value)}"
                return MalformedCall(call, _teach(call.name, properties, required, fault))
            arguments[field] = typed
    missing = [field for field in required if field not in arguments]
    if missing:
        got = f" (got {', '.join(f'`{field[:40]}`' for field in raw)})" if raw else ""
        fault = f"`{missing[0]}` is missing{got}"
        return MalformedCall(call, _teach(call.name, properties, required, fault))
    unknown = [field[:40] for field in raw if field not in properties]
    note = f"(`{call.name}` has no field `{unknown[0]}`: it was passed over.)" if unknown else ""
    return ParsedCall(call, arguments, note)


def is_json_object(text: str) -> bool:
    """Whether raw arguments may stand in the history as they are: some servers parse them again and fail on others."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _parse_object(text: str) -> dict[str, Any] | None:
    if len(text) > LONGEST_ARGUMENTS:
        return None
    try:
        value = json.loads(text or "{}", strict=False)
        if isinstance(value, str):  # encoded twice
            value = json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _typed(value: Any, kind: str) -> Value | None:
    """The value in the schema's type, with the harmless conversions alone: a string stays the string it was."""
    if kind == "string":
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None
    if kind == "boolean":
        words = {"true": True, "false": False}
        return value if isinstance(value, bool) else words.get(str(value).strip().lower())
    if isinstance(value, bool):
        return None
    try:
        whole = int(value)
        return whole if whole == float(value) else None
    except (ValueError, TypeError, OverflowError):
        return None


def _teach(name: str, properties: Mapping[str, Any], required: Sequence[str], fault: str) -> str:
    optional = {field: "" if field in required else ", optional" for field in properties}
    fields = ", ".join(f"`{field}` ({schema['type']}{optional[field]})" for field, schema in properties.items())
    return f"The call was not run: {fault}. `{name}` takes {fields}. Send the corrected call."


def _kind(value: Any) -> str:
    names = {str: "a string", bool: "true or false", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


_ARTICLE = {"string": "a string", "integer": "a whole number", "boolean": "true or false"}
