"""How a call's arguments are read."""

from __future__ import annotations

import json
import time

import pytest

from workflows.agent.toolcalls import MalformedCall, ParsedCall, is_json_object, parse_call
from workflows.agent.tools import TOOLS
from workflows.types import ToolCall


def parse(name: str, arguments: object) -> ParsedCall | MalformedCall:
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return parse_call(ToolCall(id="1", name=name, arguments=raw), TOOLS)


@pytest.mark.parametrize(
    ("name", "raw", "typed"),
    [
        ("read_file", {"path": "a.py", "limit": 10}, {"path": "a.py", "limit": 10}),
        ("read_file", {"path": "a.py", "limit": "10", "offset": 3.0}, {"path": "a.py", "limit": 10, "offset": 3}),
        ("read_file", {"path": "a.py", "limit": None}, {"path": "a.py"}),
        ("finish", {"summary": "s", "no_change_needed": "True"}, {"summary": "s", "no_change_needed": True}),
        ("run_tests", "", {}),
        ("run_tests", "{}", {}),
        ("write_file", '{"path": "a", "content": "line\nline"}', {"path": "a", "content": "line\nline"}),
        ("write_file", {"path": "a", "content": "null"}, {"path": "a", "content": "null"}),
        ("write_file", {"path": "a", "content": " 1\n"}, {"path": "a", "content": " 1\n"}),
        ("bash", json.dumps(json.dumps({"command": "ls"})), {"command": "ls"}),
        ("bash", '{"command": "a\\ud800"}', {"command": "a?"}),
    ],
)
def test_arguments_are_typed_by_the_schema(name: str, raw: object, typed: dict[str, object]) -> None:
    """Numbers and booleans may come as words; a string stays the string it was."""
    call = parse(name, raw)
    assert isinstance(call, ParsedCall), call
    assert call.arguments == typed
    assert call.note == ""


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("bash", '{"command": "ls"', ["not a JSON object", "`command` (string)"]),
        ("bash", "[]", ["not a JSON object"]),
        ("bash", "[" * 100_000, ["not a JSON object"]),
        ("bash", {}, ["`command` is missing", "`timeout` (integer, optional)"]),
        ("read_file", {"file_path": "a.py"}, ["`path` is missing (got `file_path`)"]),
        ("read_file", {"path": "a", "limit": "ten"}, ["`limit` must be a whole number, not a string"]),
        ("read_file", {"path": "a", "limit": True}, ["`limit` must be a whole number, not true or false"]),
        ("read_file", {"path": "a", "limit": 1.5}, ["`limit` must be a whole number"]),
        ("read_file", '{"path": "a", "limit": 1e999}', ["`limit` must be a whole number"]),
        ("write_file", {"path": "a", "content": {"b": 1}}, ["`content` must be a string, not an object"]),
        ("edit", {"path": "a", "old_string": "x", "new_string": "y", "replace_all": "maybe"}, ["true or false"]),
        ("str_replace", {}, ["no tool `str_replace`", "read_file, grep, glob, edit"]),
        ("", {}, ["no tool ``"]),
    ],
)
def test_a_malformed_call_is_answered_with_what_is_wrong(name: str, raw: object, words: list[str]) -> None:
    """The answer names the field, what it should be, and the tool's fields or the known tools."""
    call = parse(name, raw)
    assert isinstance(call, MalformedCall)
    assert [word for word in words if word not in call.message] == []


def test_an_unknown_field_is_passed_over_and_said() -> None:
    """A habit from another agent costs no turn, and the model learns that it did nothing."""
    call = parse("bash", {"command": "ls", "description": "List files"})
    assert isinstance(call, ParsedCall)
    assert call.arguments == {"command": "ls"}
    assert "`description`" in call.note


def test_huge_arguments_are_read_in_linear_time() -> None:
    """A megabyte is read at once; ten are refused."""
    started = time.monotonic()
    assert isinstance(parse("write_file", {"path": "a", "content": "x" * 1_000_000}), ParsedCall)
    assert isinstance(parse("write_file", {"path": "a", "content": "x" * 10_000_000}), MalformedCall)
    assert time.monotonic() - started < 5.0


def test_only_objects_may_stand_in_the_history() -> None:
    """Chat templates parse past arguments again."""
    assert is_json_object('{"a": 1}')
    assert not any(is_json_object(text) for text in ("", "[]", '{"a": ', '"{}"', '{"a": "\n"}', "[" * 100_000))
