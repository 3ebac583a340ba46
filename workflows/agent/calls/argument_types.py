"""Typing an argument that was written as plain text, by the JSON schema of its field."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from workflows.agent.calls.loose_json import parse_strictly

_NAMES = {
    "string": "str text varchar char enum",
    "integer": "int int8 int16 int32 int64 uint uint8 uint16 uint32 uint64 long short unsigned bigint",
    "number": "float float32 float64 double decimal",
    "boolean": "bool",
    "object": "dict map mapping",
    "array": "list arr sequence tuple set",
    "null": "none nil",
}
_TYPES = {alias: name for name, aliases in _NAMES.items() for alias in (name, *aliases.split())}
_OF_VALUE = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DEEPEST = 8
_LONGEST_PYTHON = 20_000  # characters: Python's own parser is not made for hostile text


def accepted_types(schema: Any, depth: int = 0) -> frozenset[str]:
    """The JSON types that a field's schema accepts, unions included; a type of another language by its JSON name.

    Empty: the schema says nothing. A name that nobody knows is passed on as it is.
    """
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return frozenset()
    found: set[str] = set()
    named = schema.get("type")
    for name in [named] if isinstance(named, str) else named if isinstance(named, list) else []:
        key = str(name).strip().lower()
        found.add(_TYPES.get(key, key))
    for union in ("anyOf", "oneOf", "allOf"):
        for choice in schema[union] if isinstance(schema.get(union), list) else []:
            found |= accepted_types(choice, depth + 1)
    if not found:
        found |= _implied_types(schema)
    if found and schema.get("nullable") is True:
        found.add("null")
    return frozenset(found)


def type_argument(text: str, schema: Any) -> Any:
    """The value that ``text`` stands for in a field with this schema, or ``text`` itself.

    A field that takes only strings, or says nothing, keeps the text as it is. A value that does not fit stays text too,
    so that checking it against the schema finds it. ``None`` (Python's) is null where null is accepted.
    """
    types = accepted_types(schema)
    if not types or types == {"string"}:
        return text
    word = text.strip()
    if "null" in types and (word.lower() == "null" or word == "None"):
        return None
    if "integer" in types and _WHOLE.fullmatch(word):
        return _whole(word, text)
    if "number" in types and _NUMBER.fullmatch(word):
        return _number(word, text)
    if "boolean" in types and word.lower() in ("true", "false", "1", "0"):
        return word.lower() in ("true", "1")
    if types <= {"string", "integer", "number", "boolean", "null"}:
        return text
    return _structure(word, text, types)


def _implied_types(schema: Mapping[str, Any]) -> set[str]:
    values = schema["enum"] if isinstance(schema.get("enum"), list) else [schema["const"]] if "const" in schema else []
    implied = {_OF_VALUE.get(type(value), "null") for value in values}
    if "properties" in schema or "additionalProperties" in schema:
        implied.add("object")
    if "items" in schema or "prefixItems" in schema:
        implied.add("array")
    if "$ref" in schema:
        implied.add("$ref")
    return implied


def _whole(word: str, text: str) -> int | str:
    try:
        return int(word)
    except ValueError:  # more digits than Python reads
        return text


def _number(word: str, text: str) -> int | float | str:
    if _WHOLE.fullmatch(word):
        return _whole(word, text)
    value = float(word)
    if not math.isfinite(value):
        return text
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _structure(word: str, text: str, types: frozenset[str]) -> Any:
    """An object or array in JSON, in Python's notation, or in either of them encoded once more as a JSON string."""
    unknown = not types <= set(_NAMES)
    value = _decode(word)
    if isinstance(value, str) and not unknown:
        value = _decode(value.strip())
    fits = ("object" in types and isinstance(value, dict)) or ("array" in types and isinstance(value, list))
    return value if fits or (unknown and value is not None) else text


def _decode(word: str) -> Any:
    try:
        return parse_strictly(word)
    except ValueError:
        pass
    if word[:1] not in ("{", "[", "(") or len(word) > _LONGEST_PYTHON:
        return None
    try:
        value = ast.literal_eval(word)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
