"""How a call's arguments are read."""

from __future__ import annotations

import json
import time

import pytest

from workflows.agent.calls.toolcalls import ALIASES, MalformedCall, ParsedCall, in_own_words, is_json_object, parse_call
from workflows.agent.tools import TOOLS
from workflows.types import ToolCall


def parse(name: str, arguments: object) -> ParsedCall | MalformedCall:
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return parse_call(in_own_words(ToolCall(id="1", name=name, arguments=raw), TOOLS), TOOLS)


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
        ("grep", {"pattern": 404}, {"pattern": "404"}),
        ("bash", json.dumps(json.dumps({"command": "ls"})), {"command": "ls"}),
        ("bash", '{"command": "a\\ud800"}', {"command": "a?"}),
        ("bash", '{"cmd": "é\\ud800"}', {"command": "é?"}),
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
        ("bash", '{"command": "ls', ["not a JSON object", "cut off"]),
        ("read_file", '{"path": "a"} extra', ["not one JSON object", "after its end"]),
        ("read_file", '{"path": "a"}{"path": "b"}', ["not one JSON object", "after its end"]),
        ("read_file", '{"path": "a"}\n```', ["not one JSON object", "after its end"]),
        ("read_file", '{"path": "a",} {"path": "b"', ["not one JSON object", "after its end"]),
        ("write_file", '{"path": "a", "content": }', ["not a JSON object", "no value"]),
        ("read_file", {"paht": "a.py"}, ["`path` is missing (got `paht`)"]),
        ("read_file", {"file_path": "a.py", "filename": "b.py"}, ["`path` is missing (got `file_path`, `filename`)"]),
        ("read_file", {"path": "a", "limit": "ten"}, ["`limit` must be a whole number, not a string"]),
        ("read_file", {"path": "a", "limit": True}, ["`limit` must be a whole number, not true or false"]),
        ("read_file", {"path": "a", "limit": 1.5}, ["`limit` must be a whole number"]),
        ("read_file", '{"path": "a", "limit": 1e999}', ["`limit` must be a whole number"]),
        (
            "write_file",
            {"path": "a", "content": {"b": 1}},
            ["`content` must be a string, not an object", "with a command"],
        ),
        ("grep", {"pattern": True}, ["`pattern` must be a string, not true or false"]),
        ("grep", {"pattern": 1.5}, ["`pattern` must be a string, not a number"]),
        ("edit", {"path": "a", "old_string": "x", "new_string": "y", "replace_all": "maybe"}, ["true or false"]),
        ("str_replace", {}, ["`edit` takes", "`path` is missing"]),
        ("str_replace", '{"path": "a', ["`edit` takes", "cut off"]),
        ("undo", {}, ["no tool `undo`", "read_file, grep, glob, edit"]),
        ("str_replace_editor", {"command": "undo_edit", "path": "a"}, ["no tool `str_replace_editor`"]),
        ("", {}, ["no tool ``"]),
        ("", "A block of yours looked like a call.", ["A block of yours looked like a call."]),
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


@pytest.mark.parametrize(
    ("name", "raw", "ours", "typed"),
    [
        ("execute_bash", {"command": "ls"}, "bash", {"command": "ls"}),
        ("Bash", {"cmd": "ls"}, "bash", {"command": "ls"}),
        ("run_shell_command", {"command": "ls", "directory": "a"}, "bash", {"command": "ls", "directory": "a"}),
        ("functions.bash", {"command": "ls"}, "bash", {"command": "ls"}),
        ("functions.run_shell_command", {"command": "ls"}, "bash", {"command": "ls"}),
        ("list_directory", {"path": "/a b", "ignore": ["*.log"]}, "bash", {"command": "ls -Ap -- '/a b'"}),
        ("list_directory", {}, "bash", {"command": "ls -Ap -- ."}),
        ("LS", {"command": "ls -l"}, "bash", {"command": "ls -l"}),
        ("read_file", {"file_path": "a", "limit": 2}, "read_file", {"path": "a", "limit": 2}),
        (
            "str_replace",
            {"path": "a", "old_str": "x", "new_str": ""},
            "edit",
            {"path": "a", "old_string": "x", "new_string": ""},
        ),
        (
            "str_replace_editor",
            {"command": "create", "path": "a", "file_text": "x"},
            "write_file",
            {"path": "a", "content": "x"},
        ),
    ],
)
def test_another_agents_names_are_put_into_ours(name: str, raw: object, ours: str, typed: dict[str, object]) -> None:
    """A habit of training costs no turn: the call is kept, and so remembered, as it should have been written."""
    call = in_own_words(ToolCall(id="1", name=name, arguments=json.dumps(raw)), TOOLS)
    assert (call.name, json.loads(call.arguments)) == (ours, typed)
    assert isinstance(parse_call(call, TOOLS), ParsedCall)


@pytest.mark.parametrize("arguments", ['{"command": "ls"}', '{ "command":"ls" }', '{"command": "cut', "[1]", ""])
def test_a_call_in_our_words_stays_as_it_was_written(arguments: str) -> None:
    """To the letter, broken ones too: the provider's cache holds it so."""
    call = ToolCall(id="1", name="bash", arguments=arguments)
    assert in_own_words(call, TOOLS) is call


def test_a_name_that_is_offered_is_never_an_alias() -> None:
    """When a tool of that name exists it is the one that is meant, and so is a field."""
    own = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
    tool = {"type": "function", "function": {"name": "execute_bash", "parameters": own}}
    tools = [*TOOLS, tool]
    call = parse_call(in_own_words(ToolCall(id="1", name="execute_bash", arguments='{"file_path": "x"}'), tools), tools)
    assert isinstance(call, ParsedCall)
    assert (call.name, call.arguments, call.note) == ("execute_bash", {"file_path": "x"}, "")


def test_every_alias_means_a_tool_that_there_is() -> None:
    """An alias of a tool that was renamed would silently stop working."""
    assert set(ALIASES.values()) <= {tool["function"]["name"] for tool in TOOLS}


def test_a_comma_too_many_is_forgiven() -> None:
    """It changes nothing about what was asked; everything else that is broken is sent back."""
    call = parse("bash", '{"command": "echo {a,}",}')
    assert isinstance(call, ParsedCall)
    assert call.arguments == {"command": "echo {a,}"}


def test_huge_arguments_are_read_in_linear_time() -> None:
    """A megabyte is read at once; ten are refused."""
    started = time.thread_time()
    assert isinstance(parse("write_file", {"path": "a", "content": "x" * 1_000_000}), ParsedCall)
    assert isinstance(parse("write_file", {"path": "a", "content": "x" * 10_000_000}), MalformedCall)
    assert time.thread_time() - started < 5.0


def test_only_objects_may_stand_in_the_history() -> None:
    """Chat templates parse past arguments again."""
    assert is_json_object('{"a": 1}')
    assert not any(is_json_object(text) for text in ("", "[]", '{"a": ', '"{}"', '{"a": "\n"}', "[" * 100_000))
