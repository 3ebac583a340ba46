"""Training lines hold what was sent, in the protocol's form and in the model's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.trajectory.recorded import TOOLS, Recording, compacted_session, head, plain_session, turns
from workflows.trajectory.chat_jsonl import Form, as_qwen_xml, chat_lines, render_call


def lines_of(recording: Recording, form: Form = "openai") -> list[dict[str, Any]]:
    return chat_lines(head(), recording.events, form=form, version="1.2.3")


def test_a_session_is_one_line() -> None:
    """Without a compaction a session is one line: all its messages as they were sent, tools, and outcome."""
    recording = plain_session()
    (line,) = lines_of(recording)
    assert set(line) == {"messages", "tools", "metadata", "reward"}
    assert line["messages"] == recording.messages
    assert (line["tools"], line["reward"]) == (TOOLS, 1.0)
    assert line["metadata"] == {
        "repository": "octo/calc",
        "issue": 7,
        "base_sha": "a" * 40,
        "job": "job-1",
        "session": "agent",
        "attempt": 1,
        "model": "qwen3-coder",
        "turns": 5,
        "stop": "finished",
        "label": "scored",
        "infrastructure": False,
        "verdict": "verified",
        "fail_to_pass": ["test_total::last"],
        "pass_to_pass": 12,
        "calls_from": {"native": 3, "content": 1},
        "forgehand": "1.2.3",
        "form": "openai",
        "segment": 1,
        "segments": 1,
        "new_from": 0,
    }


@pytest.mark.parametrize("form", ["openai", "qwen-xml"])
def test_each_line_holds_what_was_seen(form: Form) -> None:
    """After a compaction a new line begins with what was left; what is new in it is told by an index, and all new
    parts together are every reply of the session once.
    """
    lines = lines_of(compacted_session(), form)
    places = [(line["metadata"]["segment"], line["metadata"]["segments"]) for line in lines]
    assert places == [(1, 4), (2, 4), (3, 4), (4, 4)]
    new = [message for line in lines for message in line["messages"][line["metadata"]["new_from"] :]]
    assert len([message for message in new if message["role"] == "assistant"]) == 5
    assert {line["reward"] for line in lines} == {1.0}


def test_calls_and_results_as_the_template_writes_them() -> None:
    """In Qwen's form calls are text after the words, and the results of a turn are one user message."""
    (line,) = lines_of(plain_session(), "qwen-xml")
    assert {tuple(message) for message in line["messages"]} == {("role", "content")}
    assert {message["role"] for message in line["messages"]} == {"system", "user", "assistant"}
    assert line["messages"][2]["content"] == (
        "I look.\n\n"
        "<tool_call>\n<function=read_file>\n<parameter=path>\ntotal.py\n</parameter>\n"
        "<parameter=limit>\n40\n</parameter>\n</function>\n</tool_call>\n"
        "<tool_call>\n<function=bash>\n<parameter=command>\nls\ncat <<'E'\n</x>\nE\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    assert line["messages"][3]["content"] == (
        "<tool_response>\n1\tlines[:-1]\n</tool_response>\n<tool_response>\ntotal.py\n\n</tool_response>"
    )
    assert line["messages"][4]["content"].startswith("<tool_call>\n<function=edit>\n")
    assert line["metadata"]["form"] == "qwen-xml"


def test_values_that_are_no_strings_are_json() -> None:
    """Numbers, truth values and structures stand in a call as JSON; a string stands there as it is."""
    text = render_call("x", {"a": True, "c": [1, "é"], "d": 1.5, "e": "true"})
    assert text.count("\ntrue\n") == 2
    assert '\n[1, "é"]\n' in text


def test_plain_messages_are_left_alone() -> None:
    """Messages without calls are the same in both forms."""
    plain = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]
    assert as_qwen_xml(plain) == plain


def test_an_unfinished_turn_leaves_no_orphan() -> None:
    """A turn that was cut off inside its calls is in no line: a call without its result would be refused."""
    recording = Recording()
    recording.turn(turns()[1])
    recording.ask(2)
    recording.add("llm_response", 2, turns()[0].reply)
    (line,) = lines_of(recording)
    assert [message["role"] for message in line["messages"]] == ["system", "user", "assistant", "tool"]
    assert (line["metadata"]["label"], line["reward"]) == ("unfinished", None)


def test_lines_are_plain_json() -> None:
    """A line survives being written and read."""
    for form in ("openai", "qwen-xml"):
        for line in lines_of(compacted_session(), form):  # type: ignore[arg-type]
            assert json.loads(json.dumps(line)) == line
