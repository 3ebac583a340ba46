"""Reading a tool call: its arguments as the schema types them, or a sentence that teaches the model what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.calls.aliases import ALIASES, as_command, rename_fields, resolve_tool
from workflows.agent.calls.loose_json import LooseObject, parse_loosely
from workflows.types import ToolCall

__all__ = ["ALIASES", "MalformedCall", "ParsedCall", "Schema", "Value", "in_own_words", "is_json_object", "parse_call"]

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
    """Check one call against the offered tools (OpenAI's ``{"type": "function", "function": {…}}`` form).

    Names of other agents are none here: see in_own_words. Arguments that were cut off, or lack a value, are never run.
    """
    offered = {schema["function"]["name"]: schema["function"]["parameters"] for schema in schemas}
    read, name = _read(call.arguments), call.name
    if not name and call.arguments and not is_json_object(call.arguments):
        # What looked like a call in the text and could not be read: the reader's own sentence says why.
        return MalformedCall(call, call.arguments)
    if name not in offered:
        return MalformedCall(call, f"There is no tool `{name[:80]}`. The tools are: {', '.join(offered)}.")
    properties: dict[str, Any] = offered[name]["properties"]
    required: list[str] = offered[name]["required"]
    if read.fault not in ("", "comma"):
        return MalformedCall(call, _teach(name, properties, required, _FAULTS[read.fault]))
    arguments: dict[str, Value] = {}
    for field, value in read.value.items():
        if field in properties and value is not None:
            typed = _typed(value, properties[field]["type"])
            if typed is None:
                fault = f"`{field}` must be {_ARTICLE[properties[field]['type']]}, not {_kind(value)}"
                if isinstance(value, (dict, list)):
                    fault += " (if it was text, the endpoint read it as JSON: write such text with a command)"
                return MalformedCall(call, _teach(name, properties, required, fault))
            arguments[field] = typed
    missing = [field for field in required if field not in arguments]
    if missing:
        got = f" (got {', '.join(f'`{field[:40]}`' for field in read.value)})" if read.value else ""
        fault = f"`{missing[0]}` is missing{got}"
        return MalformedCall(call, _teach(name, properties, required, fault))
    unknown = next((field for field in read.value if field not in properties), None)
    note = f"(`{name}` has no field `{unknown[:40]}`: it was passed over.)" if unknown is not None else ""
    return ParsedCall(call, arguments, note)


def in_own_words(call: ToolCall, schemas: Sequence[Schema]) -> ToolCall:
    """The call under the names that the offered tool and its fields have; the same one where it uses them, or is none.

    What looks at past calls knows our names alone, and in the history the model sees how it should have called. A name
    or field that the tool has always means itself (aliases.py).
    """
    offered = {schema["function"]["name"]: schema["function"]["parameters"]["properties"] for schema in schemas}
    read = _read(call.arguments)
    name = resolve_tool(call.name, read.value, offered)
    if name is None:
        return call
    if read.fault not in ("", "comma"):
        return call if name == call.name else call.model_copy(update={"name": name})
    value = read.value if name == call.name else as_command(call.name, read.value)
    arguments, renamed = rename_fields(value, offered[name])
    if name == call.name and not renamed:
        return call
    if name != call.name and "command" not in offered[name]:
        arguments.pop("command", None)  # it chose among the tools of the three in one
    written = json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace").decode()
    return call.model_copy(update={"name": name, "arguments": written})


def is_json_object(text: str) -> bool:
    """Whether raw arguments may stand in the history as they are: some servers parse them again and fail on others.

    llama.cpp, the strictest known, answers 500 to every request that has a number beyond a double's range, NaN, or half
    a surrogate pair in them.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_within_range, parse_int=_within_range)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _within_range(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(number)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _read(text: str) -> LooseObject:
    return parse_loosely(text) if len(text) <= LONGEST_ARGUMENTS else LooseObject({}, "not_json")


def _typed(value: Any, kind: str) -> Value | None:
    """The value in the schema's type, with the harmless conversions alone: a string stays the string it was."""
    if kind == "string":
        # Some endpoints read text as JSON; of all that comes of it a whole number alone is still the text it was.
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return text.encode("utf-8", "replace").decode() if isinstance(text, str) else None
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


_FAULTS = {
    "missing_value": "the arguments are not a JSON object: a field has no value",
    "trailing": "the arguments are not one JSON object: something stands after its end",
    "unclosed": "the arguments are not a JSON object: they end before it is closed, so they may have been cut off",
    "not_an_object": "the arguments are not a JSON object",
    "not_json": "the arguments are not a JSON object",
}
_ARTICLE = {"string": "a string", "integer": "a whole number", "boolean": "true or false"}
