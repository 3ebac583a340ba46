"""How an argument written as text gets its type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.agent.calls.argument_types import accepted_types, type_argument


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        (None, set()),
        ({}, set()),
        ("string", set()),
        ({"type": "INT64"}, {"integer"}),
        ({"type": ["str", None, "null"]}, {"string", "null"}),
        (
            {"anyOf": [{"type": "integer"}, {"oneOf": [{"type": "list"}, {"type": "null"}]}]},
            {"integer", "array", "null"},
        ),
        ({"type": "integer", "nullable": True}, {"integer", "null"}),
        ({"enum": ["a", 1]}, {"string", "integer"}),
        ({"properties": {}}, {"object"}),
        ({"items": {}}, {"array"}),
        ({"type": "uuid"}, {"uuid"}),
    ],
)
def test_types_of_a_schema(schema: Any, types: set[str]) -> None:
    """Unions of every form, names of other languages, and what a schema implies without a type."""
    assert accepted_types(schema) == types


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("null", {"type": "string"}, "null"),
        ("42", {"type": "string"}, "42"),
        ("42", {}, "42"),
        ("42", {"type": ["string", "integer"]}, 42),
        ("None", {"type": ["integer", "null"]}, None),
        ("none", {"type": ["integer", "null"]}, "none"),
        ("5.0", {"type": "integer"}, "5.0"),
        ("5.0", {"type": "number"}, 5),
        ("1e999", {"type": "number"}, "1e999"),
        ("9" * 5000, {"type": "integer"}, "9" * 5000),
        ("TRUE", {"type": "boolean"}, True),
        ("1", {"type": "boolean"}, True),
        ("yes", {"type": "boolean"}, "yes"),
        ("{'a': [1, None, True]}", {"type": "object"}, {"a": [1, None, True]}),
        ("\"{'a': 1}\"", {"type": "object"}, {"a": 1}),
        ("[1, NaN]", {"type": "array"}, "[1, NaN]"),
        ("[1]", {"type": "object"}, "[1]"),
        ("{1, 2}", {"type": "object"}, "{1, 2}"),
        ("[" * 100_000, {"type": "array"}, "[" * 100_000),
        ("{'a': " * 3_000, {"type": "object"}, "{'a': " * 3_000),
        ('{"a": 1}', {"$ref": "#/$defs/x"}, {"a": 1}),
    ],
)
def test_a_value_is_typed_or_stays_the_text_it_was(text: str, schema: Any, value: Any) -> None:
    """What does not fit is left as it is, so that checking it against the schema finds it."""
    got = type_argument(text, schema)
    assert (got, type(got)) == (value, type(value))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.text(), schema=st.sampled_from([None, {}, {"type": "string"}, {"enum": ["a"]}]))
def test_a_string_stays_the_string_it_was(text: str, schema: Any) -> None:
    """Nothing is trimmed, unescaped or guessed."""
    assert type_argument(text, schema) == text


@settings(max_examples=100, derandomize=True, deadline=None)
@given(text=st.text(st.sampled_from("{}[]()'\",:0129.eE+-nulNoetrTfasd \\\n")))
def test_any_text_gets_a_value(text: str) -> None:
    """Hostile values are values too."""
    for kind in ("integer", "number", "boolean", "null", "array", "object", "unheard_of"):
        type_argument(text, {"type": kind})
