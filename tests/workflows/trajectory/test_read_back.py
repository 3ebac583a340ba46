"""What is exported as text is read back as the call that it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.trajectory.recorded import TOOLS, compacted_session, head, schema
from workflows.agent.calls.dialects import read_calls
from workflows.trajectory.chat_jsonl import chat_lines, render_call

TYPES = {"string": "text", "integer": "whole", "number": "real", "boolean": "flag", "array": "items", "object": "thing"}
ANY = schema("any", **{name: {"type": kind} for kind, name in TYPES.items()})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\nlines at both ends\n\n",
        "  spaces  ",
        "\ttab\r\ncrlf\r\n",
        "null",
        "true",
        "123",
        '{"a": 1}',
        "a < b && c > d &lt; e",
        "<parameter>x</parameter>",
        "def f():\n    return '</parameter>'\n",
        "print('<function=bash>')\n<tool_call>\n",
        "</function>\n</tool_call>",
        "```python\nx = 1\n```",
        "\\n is no newline; \u202e é 😀 \x1b[0m",
    ],
)
def test_a_string_stays_the_string_it_was(text: str) -> None:
    """Newlines, markup of the format itself, and what looks like another type survive as a string."""
    found = read_calls(render_call("any", {"text": text, "whole": 7}), [ANY])
    assert [(call.name, json.loads(call.arguments)) for call in found.calls] == [("any", {"text": text, "whole": 7})]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"whole": -3, "real": 1.5, "flag": False},
        {"flag": True, "items": [1, "two", None, ["\n"]], "thing": {"a": {"b": ["é"]}}},
    ],
)
def test_other_values_keep_their_types(arguments: dict[str, Any]) -> None:
    """Numbers, truth values and structures come back as they were."""
    found = read_calls(render_call("any", arguments), [ANY])
    assert [json.loads(call.arguments) for call in found.calls] == [arguments]


def test_null_is_not_given() -> None:
    """A field that was null is left out, as it was when the call ran: as text it would come back as a word."""
    found = read_calls(render_call("any", {"whole": None, "text": "x"}), [ANY])
    assert [json.loads(call.arguments) for call in found.calls] == [{"text": "x"}]


def test_every_call_of_a_session_is_read_back() -> None:
    """The replies of an exported session read back to the calls of its native form, words and order included."""
    events = compacted_session().events
    native = chat_lines(head(), events, form="openai", version="1")
    text = chat_lines(head(), events, form="qwen-xml", version="1")
    compared = 0
    for one, other in zip(native, text, strict=True):
        replies = [message for message in one["messages"] if message["role"] == "assistant"]
        texts = [message for message in other["messages"] if message["role"] == "assistant"]
        for reply, rendered in zip(replies, texts, strict=True):
            found = read_calls(rendered["content"], TOOLS)
            wanted = [call["function"] for call in reply.get("tool_calls", ())]
            assert [call.name for call in found.calls] == [call["name"] for call in wanted]
            assert [json.loads(call.arguments) for call in found.calls] == [json.loads(c["arguments"]) for c in wanted]
            assert found.content == (reply["content"] or "").strip()
            compared += len(wanted)
    assert compared >= 5
