"""How tool calls are read out of a model's text."""

from __future__ import annotations

import gc
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.vectors.toolcalls import parse
from workflows.agent.calls.dialects import TextCalls, read_calls
from workflows.agent.calls.toolcalls import ParsedCall, parse_call
from workflows.agent.tools import TOOLS

VECTORS = json.loads((Path(__file__).parent.parent / "cases" / "toolcalls.json").read_text("utf-8"))
LIMITED = settings(max_examples=100, derandomize=True, deadline=None)

ATOMS = (
    "<tool_call>", "</tool_call>", "<function=", "<function=bash>", "<function=zz>", "</function>", "<parameter=",
    "<parameter=command>", "<parameter=timeout>", "<parameter=zz>", "<parameter=a=b</parameter>", "</parameter>",
    "</parameter1>", "</parameter", ">", "\n", " ", "text", "{", "}", '"', "\\", "[", ",", '{"name": "bash", ', "12",
    '"arguments": {"command": "ls"}}', "```", "`", "<think>", "</think>", "<reasoning>", "\ud800", "\x00", "é",
    "<tool_response>", "<|im_end|>",
)  # fmt: skip
HOSTILE = (
    *ATOMS,
    "<tool_call>\n<function=bash>\n<parameter=command>",
    "<tool_call><function=bash><parameter=command>x</parameter>",
    "</parameter>\n<parameter=zz>",
    "</parameter>\n</function> t ",
    '<tool_call>{"name": "',
    "<tool_call>[",
    '<tool_call>{"a":',
    '<tool_call>{\\"',
    "```a\n",
    "<function=bash>{",
    "<tool_call><function=bash>{",
    '<function=bash>{"a":1}x',
    "x<think>y</think>\n",
    "<|im_start|>assistant\n",
)
HERMES = '<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>'


def xml(name: str, arguments: Mapping[str, str]) -> str:
    fields = "".join(f"<parameter={field}>\n{value}\n</parameter>\n" for field, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{fields}</function>\n</tool_call>"


def read(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, json.loads(call.arguments)) for call in read_calls(text, TOOLS).calls]


def seconds(run: Callable[[], object], enough: float = 0.0) -> float:
    """The processor time of the first run below ``enough``, or the least of seven: a busy machine makes none faster."""
    best = math.inf
    # The collector looks at what the whole suite has left, which is none of the run's own.
    gc.disable()
    try:
        for _ in range(7):
            started = time.thread_time()
            run()
            best = min(best, time.thread_time() - started)
            if best < enough:
                break
    finally:
        gc.enable()
    return best


def same(got: Any, wanted: Any) -> bool:
    """Equal, where 5 equals 5.0 and 1 does not equal True."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return isinstance(got, bool) == isinstance(wanted, bool) and got == wanted


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["id"])
def test_vectors_of_public_parsers(case: dict[str, Any]) -> None:
    """What other servers' tests ask for, under the policy where they disagree."""
    got = parse(case["content"], VECTORS["tools"][case["tools"]])
    if case.get("match") == "no_crash":
        return
    allowed = [case["expected"]["tool_calls"], *case.get("alt", ())]
    assert any(same(got["tool_calls"], wanted) for wanted in allowed)
    content, wanted = (got["content"] or "").split(), (case["expected"]["content"] or "").split()
    compare = case["content_compare"]
    if compare.startswith("contains:"):
        assert [part for part in compare[9:].split("|") if part not in (got["content"] or "")] == []
    elif compare != "ignore":
        assert content == wanted


NESTED = "doc = '''\n" + xml("write_file", {"path": "x", "content": "hello"}) + "\n'''"


@pytest.mark.parametrize(
    "value",
    [
        NESTED,
        "T = '''\n</parameter>\n<parameter=new_string>\nx\n</parameter>\n'''",
        '"<tool_call>\\n",\n"<parameter=q>\\n",\n"\\n</parameter>\\n",\n"</function>\\n",',
        "doc:\n<parameter=path>\nx\n</parameter>\nend",
        'print("<parameter=a>") or "<parameter=b>"',
        'print("</parameter>")',
        "<api>\n<function>\n<parameter>x</parameter>\n</function>\n</api>",
        '<function name="f">\n<parameter name="p">1</parameter>\n</function>',
        "<parameters>\n  <p>1</p>\n</parameters>",
        "end\n</parameter>\n</function>\n</tool_call>\nand more",
        "end\n</parameter>\n</tool_call>\n<tool_call> begins",
        "```\nfenced\n```",
        "a &lt; b && c > d\r\n\ttab  \n\n",
        "\n\nblank lines around\n\n",
        "<think>\nno\n</think>",
        "",
    ],
)
def test_code_that_holds_the_same_markup_stays_a_value(value: str) -> None:
    """The agent writes parsers, templates and their tests: their tags must not cut its own file short."""
    written = {"path": "a.py", "content": value}
    assert read(xml("write_file", written)) == [("write_file", written)]
    assert read(xml("write_file", written) + "\n" + xml("bash", {"command": "ls"}))[0] == ("write_file", written)
    edited = {"path": "a.py", "old_string": "a", "new_string": value}
    (call,) = read(xml("edit", {**edited, "replace_all": "true"}))
    assert call == ("edit", {**edited, "replace_all": True}), "with a field after it"


@pytest.mark.parametrize("value", ["line\nline", NESTED, 'print("<parameter=a>")'])
def test_a_call_is_never_run_when_it_was_cut_off(value: str) -> None:
    """Wherever the text ends, what is run is what was meant, or nothing is, and the cut is reported."""
    meant = {"path": "a.py", "content": value}
    whole = xml("write_file", meant)
    for end in range(len(whole)):
        found = read_calls(whole[:end], TOOLS)
        runnable = [parsed for call in found.calls if isinstance(parsed := parse_call(call, TOOLS), ParsedCall)]
        assert [dict(parsed.arguments) for parsed in runnable] in ([], [meant]), whole[:end]
        begun = whole[:end].count("<function=write_file>\n")
        assert not begun or found.calls or found.incomplete == ("write_file",), whole[:end]


def test_a_call_without_its_first_value_or_with_half_a_field_is_not_run() -> None:
    """A tool that needs no value would do something else without it: run all tests instead of one."""
    whole = xml("run_tests", {"targets": "a.py"})
    assert all(read(whole[:end]) in ([], [("run_tests", {"targets": "a.py"})]) for end in range(len(whole)))
    for half in ("<", "<par", "<parameter=pa", "<parameter=path>"):
        text = xml("grep", {"pattern": "x"}).partition("</function>")[0] + half
        assert read_calls(text, TOOLS).incomplete == ("grep",)


def test_a_cut_hermes_call_is_reported_with_its_name() -> None:
    """The calls before it stand; markup in its half string is no call."""
    whole = json.dumps({"name": "write_file", "arguments": {"path": "a", "content": xml("bash", {"command": "rm"})}})
    before = '<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>\n<tool_call>\n'
    for end in range(len(whole)):
        found = read_calls(before + whole[:end], TOOLS)
        assert [call.name for call in found.calls] == ["bash"]
        assert found.incomplete in ((), ("",), ("write_file",)), whole[:end]
    assert read_calls(before + whole[:-1], TOOLS).incomplete == ("write_file",)
    assert len(read_calls(before + whole, TOOLS).calls) == 2


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Like this:\n```xml\n{call}\n```\nDone.", 0),
        ("Like this:\n```xml\n{call}\n```\nNow:\n{call}", 1),
        ("Like this:\n~~~\n{call}\n", 0),
        ("```xml\n{call}\n```", 1),
        ("```xml\n{call}\n", 1),
        ("```xml\n{call}\nThat was one.", 0),
        ("```\n{call}\n```\n{call}\n", 1),
        ("```\n{call}\n```\nThat was one.\n```\nx\n```", 0),
        ("Write `{call}` to call it.", 0),
        ("It says ``` here.\n{call}", 1),
        ("<think>I could {call}</think>No.", 0),
        ("I could call <tool_call> first\n</think>\n{call}", 1),
        ("<think>Let me act\n{call}", 1),
        ("<think>Let me act\n{call}\n</think>\n", 1),
        ("Let me act\n{call}\n</think>\n", 1),
        ("I could call\n{call}\n</think>\nNo.", 0),
        ("I could call\n{call}\n</think>\nSo:\n{call}", 1),
        ("I could call {call} or not.</think>\n\nSo:\n{call}", 1),
        ("I could call {call} or not.</think>{call}", 1),
        ("So.\n<think>I could {call}</think>\n{call}", 1),
        ("So.\n<think>I could {call}</think>\nNo.", 0),
        ("So.\n<think>Let me act\n{call}", 1),
        ("<thinking>I could {call}</thinking>\n{call}", 1),
        ("The tag <function=bash> runs a command, and <tool_call> wraps it.", 0),
    ],
)
def test_a_call_that_is_only_shown_is_not_run(text: str, calls: int) -> None:
    """Fences and backticks show; thinking is not said, unless the model forgot to end it before it acted."""
    for call in (xml("bash", {"command": "ls"}), HERMES):
        assert read(text.replace("{call}", call)) == [("bash", {"command": "ls"})] * calls


def test_the_end_of_thinking_in_a_value_is_part_of_it() -> None:
    """A line of the file that is written ends no thinking; a call that was only thought is told as such."""
    written = {"path": "a", "content": "x\n</think>\ny"}
    assert read(xml("write_file", written) + "\nDone.") == [("write_file", written)]
    thought = read_calls(f"<think>So:\n{HERMES}\n</think>\n", TOOLS)
    assert (len(thought.calls), thought.content, thought.thought) == (1, "", True)
    assert not read_calls(HERMES, TOOLS).thought


@pytest.mark.parametrize("call", [xml("bash", {"command": "ls"}), HERMES], ids=["xml", "hermes"])
def test_a_call_after_a_fence_that_stays_open_is_answered(call: str) -> None:
    """It may have been meant, or only shown: it is not run, and the model hears how to have it run, once."""
    said = f"I look:\n```xml\n{call}\n{call}"
    found = read_calls(said, TOOLS)
    assert (found.calls, found.incomplete, found.content) == ((), (), said)
    (sentence,) = found.malformed
    assert "code fence that is never closed" in sentence
    before = read_calls(f"{call}\n{said}", TOOLS)
    assert (len(before.calls), before.malformed) == (1, (sentence,)), "whole calls before it stand"
    for shown in (f"I look:\n```xml\n{call}\n```\n", "So:\n```\nthe tag <tool_call> wraps it, <function=bash> too"):
        assert read_calls(shown, TOOLS).malformed == ()


@pytest.mark.parametrize("call", [xml("bash", {"command": "ls"}), HERMES], ids=["xml", "hermes"])
@pytest.mark.parametrize("mark", ["<tool_response>\n", "<|im_end|>\n<|im_start|>user\n", "<|endoftext|>"])
def test_a_call_in_what_the_model_made_up_is_answered(call: str, mark: str) -> None:
    """A tool's result, or somebody's turn: nothing in it or after it is run, and the model hears why, once."""
    found = read_calls(f"So:\n{call}\n{mark}{call}\n{call}", TOOLS)
    assert (len(found.calls), found.incomplete, found.content) == (1, (), "So:")
    (sentence,) = found.malformed
    assert "that you wrote yourself" in sentence
    alone = read_calls(f"So:\n{mark}{call}", TOOLS)
    assert (alone.calls, alone.malformed) == ((), (sentence,))
    assert read_calls(f"So:\n{call}\n{mark}Good.", TOOLS).malformed == ()


def test_a_call_that_is_cut_off_in_a_fence_is_told_as_cut_off() -> None:
    """Where the fence holds all of the reply; it is not run."""
    cut = xml("bash", {"command": "ls"}).partition("\n</parameter>")[0]
    found = read_calls(f"```xml\n{cut}", TOOLS)
    assert (found.calls, found.incomplete) == ((), ("bash",))


def test_an_unknown_tool_reaches_the_model_as_such() -> None:
    """In a proper block; without one, or in thinking, only offered names count."""
    stranger = "<function=launch>\n<parameter=x>\n1\n</parameter>\n</function>"
    assert read(f"<tool_call>\n{stranger}\n</tool_call>") == [("launch", {"x": "1"})]
    assert read_calls(stranger, TOOLS) == TextCalls(stranger)
    assert read(f"<think>so\n<tool_call>\n{stranger}\n</tool_call>") == []


def test_a_field_that_the_tool_does_not_have_is_still_a_field() -> None:
    """Models add fields of other agents' tools; they must not end up in the value before."""
    call = xml("bash", {"command": "ls", "description": "List"})
    assert read(call + call) == [("bash", {"command": "ls", "description": "List"})] * 2


def test_both_dialects_in_one_reply_and_the_text_around_them() -> None:
    """Calls come in the order of the text, with ids of their own; what is no call is content."""
    found = read_calls(f"First.\n{xml('bash', {'command': 'ls'})}\nThen.\n{HERMES}", TOOLS)
    assert [(call.id, call.name) for call in found.calls] == [("call_1", "bash"), ("call_2", "bash")]
    assert found.content.split() == ["First.", "Then."]


def test_what_looked_like_a_call_is_said_and_kept() -> None:
    """The model reads what it wrote and hears that it was no call."""
    broken = "<tool_call>bash ls</tool_call>"
    found = read_calls(broken, TOOLS)
    assert (found.content, found.calls, len(found.malformed)) == (broken, (), 1)
    assert len(read_calls(broken * 50, TOOLS).malformed) == 10
    headless = '{"name": "bash", "arguments": {"command": "ls"}}</tool_call>'
    found = read_calls(headless, TOOLS)
    assert (found.content, found.calls, len(found.malformed)) == (headless, (), 1)


@LIMITED
@given(st.lists(st.sampled_from(ATOMS), max_size=60).map("".join))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Whatever the model writes, there is a TextCalls, and it can be stored and sent."""
    found = read_calls(text, TOOLS)
    assert all(isinstance(call.model_dump_json(), str) for call in found.calls)
    assert all(name.encode() is not None for name in found.incomplete)


WORDS = st.text(st.sampled_from("ab {}[]\"'\\/&;:.,\n\té<>=-#"), max_size=60)
SNIPPETS = st.sampled_from(
    ["<parameter=zz>", "<function=f>", "<tool_call>", "</tool_call>", "</function>", "</p>", "</param", "null", "```\n"]
)
VALUES = st.lists(st.one_of(WORDS, SNIPPETS), max_size=6).map("".join)


@LIMITED
@given(path=VALUES, content=VALUES)
@example(path="\n", content="\n\n")
@example(path="", content="</tool_call><tool_call><parameter=zz>")
@example(path="", content="</function><function=f>:<parameter=zz>")
def test_a_rendered_call_is_read_back(path: str, content: str) -> None:
    """Every character of a value survives: brackets, newlines and other tags than the closing one."""
    meant = {"path": path, "content": content}
    # Half a call that does not end is refused (see below), and one that has no field may well be the next call.
    doubtful = re.compile(r"<function=f>\s*(?:<parameter=zz>|</(?:function|tool_call)>)")
    if not doubtful.search(path) and not doubtful.search(content):
        assert read(xml("write_file", meant)) == [("write_file", meant)]
    hermes = json.dumps({"name": "write_file", "arguments": meant})
    assert read(f"<tool_call>\n{hermes}\n</tool_call>") == [("write_file", meant)]


@pytest.mark.parametrize("wrap", ["{}", "<tool_call>\n{}\n</tool_call>"])
@pytest.mark.parametrize("body", ['{"command": "ls"}', '\n{"command": "ls",}\n'])
def test_arguments_may_be_json_in_the_functions_tag(wrap: str, body: str) -> None:
    """A model that mixes the dialects says what it means all the same: an object where the parameters would be."""
    assert read(wrap.replace("{}", f"<function=bash>{body}</function>")) == [("bash", {"command": "ls"})]


def test_json_in_the_functions_tag_that_is_not_whole() -> None:
    """Cut off it is not run; broken it is answered; only mentioned it stays text."""
    cut = read_calls('<tool_call>\n<function=bash>{"command": "rm -rf /tmp/a', TOOLS)
    assert (cut.calls, cut.incomplete) == ((), ("bash",))
    broken = read_calls("<tool_call>\n<function=bash>{command: ls}</function>\n</tool_call>", TOOLS)
    assert broken.calls == ()
    assert "The arguments of `bash` are not a JSON object" in broken.malformed[0]
    said = 'Write <function=bash>{"command": "ls"} and then close it.'
    assert read_calls(said, TOOLS) == TextCalls(said)
    nested = "<function=bash>{" * 2_000 + "}" * 2_000
    assert seconds(lambda: read_calls(nested * 10, TOOLS)) < 1.0


def test_a_call_whose_words_are_no_arguments_is_answered() -> None:
    """Without them it would be another call: all tests instead of one."""
    for block in ("<function=run_tests>\na.py\n</function>", '{"name": "run_tests", "targets": "a.py"}'):
        found = read_calls(f"<tool_call>\n{block}\n</tool_call>", TOOLS)
        assert (found.calls, len(found.malformed)) == ((), 1)
        assert block in found.content
    said = "Run <function=run_tests> and then </function> it."
    assert read_calls(said, TOOLS) == TextCalls(said)
    for block in ("<function=run_tests>\n\n</function>", '{"name": "run_tests", "type": "function"}'):
        assert read(f"<tool_call>\n{block}\n</tool_call>") == [("run_tests", {})]


def test_a_call_in_the_protocols_own_form_is_read() -> None:
    """`{"type": "function", "function": {…}}`, and a comma too many, which changes nothing."""
    wrapped = '{"type": "function", "function": {"name": "bash", "arguments": {"command": "ls",}}}'
    assert read(f"<tool_call>\n{wrapped}\n</tool_call>") == [("bash", {"command": "ls"})]


@pytest.mark.parametrize(
    "command",
    [
        "grep '<parameter=timeout>' a\ngrep '</tool_call>' b",
        "cat <<E\n<parameter=timeout>\n</tool_call>\nE",
        "echo <parameter=timeout>soon",
    ],
)
def test_a_numbers_tag_before_words_is_only_mentioned(command: str) -> None:
    """What cannot be a field's value is none: the command that speaks of the field stays whole."""
    assert read(xml("bash", {"command": command})) == [("bash", {"command": command})]
    assert read(xml("bash", {"command": command, "timeout": "3"})) == [("bash", {"command": command, "timeout": 3})]


def test_a_field_that_begins_twice_was_mentioned_once() -> None:
    """The second time it follows a closing tag: so the first was part of the value, `</tool_call>` and all."""
    content = "To call:\n<parameter=path>\nx\n</tool_call>\ndone"
    assert read(xml("write_file", {"content": content, "path": "a.md"})) == [
        ("write_file", {"content": content, "path": "a.md"})
    ]
    open_one = xml("write_file", {"content": "body", "path": "a"}).replace("\n</parameter>", "", 1)
    whole = xml("write_file", {"content": "body", "path": "b"})
    assert read(f"{open_one}\n{whole}") == [
        ("write_file", {"content": "body", "path": "a"}),
        ("write_file", {"content": "body", "path": "b"}),
    ], "in the next call it begins anew"


@pytest.mark.parametrize(
    "pattern",
    [
        "<parameter=path>",
        "x<parameter=path>",
        "<parameter=path>.*</tool_call>",
        "<parameter=path>(.*?)</parameter>",
        r"</parameter>\s*<parameter=path>",
        "x</parameter></function>",
        "x</parameter></function></tool_call>",
        "</tool_call><tool_call>",
    ],
)
def test_a_pattern_that_looks_for_markup(pattern: str) -> None:
    """Where the real closing tag stands on a line of its own, one that is run in with other text is none."""
    assert read(xml("grep", {"pattern": pattern})) == [("grep", {"pattern": pattern})]
    assert read(xml("grep", {"pattern": pattern, "limit": "3"})) == [("grep", {"pattern": pattern, "limit": 3})]


@pytest.mark.parametrize(
    "lines",
    [
        "<parameter=command>\nls\n</function>\n</tool_call>'''",
        "ls\n</function>\n</tool_call>'''",
        "<parameter=content>\nls\n</tool_call>'''",
        "ls\n</parameter>\n</function>\n</tool_call>'''",
    ],
)
def test_the_end_of_a_call_that_a_closing_tag_follows_is_none(lines: str) -> None:
    """A file that shows half a call stays whole: what would be left of the real call after it is no text."""
    written = {"path": "t.py", "content": f"T = '''{lines}\nprint(T)"}
    assert read(xml("write_file", written)) == [("write_file", written)]
    command = {"command": f"cat > t.py <<'E'\nT = '''{lines}\nE\npython t.py"}
    assert read(xml("bash", command) + "\n" + xml("bash", {"command": "ls"})) == [
        ("bash", command),
        ("bash", {"command": "ls"}),
    ]


def test_a_closing_tag_that_is_run_in_closes_where_no_other_does() -> None:
    """A model that writes all of it on one line, or the end alone, is understood as before."""
    compact = "<tool_call><function=bash><parameter=command>\nls</parameter></function></tool_call>"
    then = xml("bash", {"command": "pwd"})
    assert read(f"{compact}\n{then}") == [("bash", {"command": "ls"}), ("bash", {"command": "pwd"})]
    assert read(f"{compact} Then:\n{then}") == [("bash", {"command": "ls"}), ("bash", {"command": "pwd"})]
    half = "<function=bash>\n<parameter=command>\nls</parameter><parameter=timeout>\n3\n</parameter>\n</function>"
    assert read(half) == [("bash", {"command": "ls", "timeout": 3})]


OPENING = "<tool_call>\n<function=write_file>\n<parameter=path>\na.py\n</parameter>\n<parameter=content>\n"


@pytest.mark.parametrize(
    "cut",
    [
        "x = '</parameter>",
        "<parameter=content>\nx\n</parameter>",
        "<parameter=content>\nx\n</parameter></tool_call>",
        "<parameter=content>\nx\n</parameter>\n<tool_call>",
        "x = '</function>",
        "x = '</tool_call>",
        "x = '</function><tool_call>",
        "</function>",
        "</tool_call>",
    ],
)
def test_a_value_that_may_have_been_cut_off_at_a_tag_it_mentions(cut: str) -> None:
    """A tag within a line, or of a field that was only shown, ends no value when nothing comes after it."""
    found = read_calls(OPENING + cut, TOOLS)
    assert (found.calls, found.incomplete) == ((), ("write_file",))


@pytest.mark.parametrize("end", ["</parameter>", "</parameter>\n</function>", "</function>", "</tool_call>"])
def test_a_value_that_ends_on_a_line_of_its_own_is_whole(end: str) -> None:
    """Only closing tags are missing after it."""
    assert read(f"{OPENING}x\n{end}") == [("write_file", {"path": "a.py", "content": "x"})]


@pytest.mark.parametrize("between", ["\n", "", "\n\nThen:\n"])
@pytest.mark.parametrize("mention", ["<parameter=path>", "x <parameter=timeout>3", "<function=f> <parameter=zz>"])
def test_two_calls_are_never_taken_for_one_value(mention: str, between: str) -> None:
    """A tag that is mentioned in the first call and closed by one that is mentioned in the second."""
    first = xml("write_file", {"path": "a", "content": f"see {mention} there"})
    found = read_calls(first + between + xml("bash", {"command": "grep '</parameter>' a"}), TOOLS)
    assert all("</tool_call>" not in call.arguments for call in found.calls)
    assert len(found.calls) == 2 or found.incomplete


def test_a_call_that_is_shown_in_a_value_is_not_run() -> None:
    """Neither after a field that is shown before it, nor after half a call that is mentioned."""
    inner = xml("bash", {"command": "rm -rf a"})
    for shown in (
        f"<parameter=zz>\nx\n</parameter> {inner}  <parameter=path>",
        f"<parameter=timeout>3 </tool_call>\n{inner}",
    ):
        found = read_calls(xml("write_file", {"path": "b", "content": shown}), TOOLS)
        assert "bash" not in [call.name for call in found.calls]


@pytest.mark.parametrize("end", ["</parameter1>", "</parameter/>", "</parameter >", "</parameter />", "</parameter"])
def test_a_closing_tag_that_lost_its_shape(end: str) -> None:
    """It still closes the value before the next field."""
    text = xml("read_file", {"path": "a", "limit": "3"}).replace("</parameter>", end, 1)
    assert read(text) == [("read_file", {"path": "a", "limit": 3})]


def test_hermes_arguments_that_are_a_string() -> None:
    """An object encoded once more is that object; any other string is kept as one, for the answer."""
    for raw, arguments in (
        (json.dumps('{"command": "ls"}'), {"command": "ls"}),
        (json.dumps('{"command": "ls",}'), {"command": "ls"}),
        (json.dumps(""), {}),
        (json.dumps("ls"), "ls"),
        (json.dumps('{"command": "l'), '{"command": "l'),
    ):
        (call,) = read_calls(f'<tool_call>{{"name": "bash", "arguments": {raw}}}</tool_call>', TOOLS).calls
        assert json.loads(call.arguments) == arguments
        assert isinstance(parse_call(call, TOOLS), ParsedCall) == (arguments == {"command": "ls"})


def test_a_number_after_a_value_that_was_left_open() -> None:
    """A field that holds what it should still ends the one before it."""
    text = "<tool_call>\n<function=bash>\n<parameter=command>\nls\n<parameter=timeout>\n3\n</parameter>\n</function>"
    assert read(text) == [("bash", {"command": "ls", "timeout": 3})]


def test_markup_in_windows_lines() -> None:
    """The line ends of the markup are none of the value's; those of the value stay."""
    text = xml("write_file", {"path": "a", "content": "x\n\ny"}).replace("\n", "\r\n")
    assert read(text) == [("write_file", {"path": "a", "content": "x\r\n\r\ny"})]
    assert read(xml("write_file", {"path": "a", "content": "x\r\n"})) == [
        ("write_file", {"path": "a", "content": "x\r\n"})
    ]


def test_the_models_end_of_text_is_no_text() -> None:
    """Some servers let the token through; a call that it ends is as whole as one that the text ends."""
    whole = xml("bash", {"command": "ls"})
    for text in (whole, whole.removesuffix("\n</function>\n</tool_call>")):
        assert read_calls(text + "<|im_end|>\n", TOOLS).calls == read_calls(whole, TOOLS).calls
    assert read_calls("Done.<|im_end|>", TOOLS).content == "Done."


@pytest.mark.parametrize("junk", [",", "\nso", " </parameter> x"])
def test_text_after_a_value_is_not_made_part_of_it(junk: str) -> None:
    """Between a closing tag and the next field nothing may stand: it could be either's."""
    text = xml("read_file", {"path": "a", "limit": "3"}).replace("</parameter>", "</parameter>" + junk, 1)
    found = read_calls(text, TOOLS)
    assert (found.calls, found.incomplete) == ((), ("read_file",))


@pytest.mark.parametrize(
    "value",
    [
        "<function=f><parameter=zz>",
        "<tool_call>\n<function=f>\n<parameter=zz>\nx",
        "x\n</parameter>\n</function>",
        "x\n</parameter>\n</function>\n</tool_call>",
    ],
)
def test_a_value_whose_end_cannot_be_told_is_refused(value: str) -> None:
    """Half a call inside a value, never closed, looks like one that was cut off, and the end of a call right before the
    end of its own like a slip of the model's: nothing is run.
    """
    found = read_calls(xml("write_file", {"path": "a", "content": value}), TOOLS)
    assert (found.calls, found.incomplete) == ((), ("write_file",))


@LIMITED
@given(before=st.text(st.sampled_from("ab .\n<>/=")), after=st.text(st.sampled_from("ab .\n<>/=")))
def test_text_outside_calls_is_content(before: str, after: str) -> None:
    """Nothing outside the tags is lost, and nothing is added."""
    assert read_calls(before, TOOLS) == TextCalls(before.strip())
    found = read_calls(before + xml("bash", {"command": "ls"}) + after, TOOLS)
    assert found.content == (before + after).strip()
    assert len(found.calls) == 1


@pytest.mark.parametrize("piece", ["x", "x\n", "{", "\\", '"', "\n", "a < b > c ", "</p>", "é`", "```\n"])
def test_a_megabyte_is_read_at_once(piece: str) -> None:
    """A long file in one value costs under 0.2 s, in both dialects."""
    value = piece * (1_000_000 // len(piece))
    assert read(xml("write_file", {"path": "a", "content": value}))[0][1]["content"] == value
    assert seconds(lambda: read_calls(xml("write_file", {"path": "a", "content": value}), TOOLS), 0.2) < 0.2
    hermes = (
        '<tool_call>{"name": "write_file", "arguments": {"content": '
        + json.dumps(value, ensure_ascii=False)
        + "}}</tool_call>"
    )
    assert seconds(lambda: read_calls(f"<tool_call>{hermes}</tool_call>", TOOLS), 0.2) < 0.2


@pytest.mark.parametrize("atom", HOSTILE, ids=repr)
@pytest.mark.parametrize("start", ["", "<tool_call>\n<function=write_file>\n<parameter=content>"], ids=["", "open"])
def test_hostile_tags_cost_linear_time(atom: str, start: str) -> None:
    """Twenty thousand of any tag in under a second."""
    text = start + atom * (20_000 // max(1, atom.count("<")))
    assert seconds(lambda: read_calls(text, TOOLS), 1.0) < 1.0


@pytest.mark.parametrize("seed", range(4))
def test_hostile_mixtures_cost_linear_time(seed: int) -> None:
    """Four times the tags cost about four times as much; sixteen times would be the square."""
    mixed = [HOSTILE[(number * number * (seed + 3) + number * 7) % len(HOSTILE)] for number in range(20_000)]
    few, many = "".join(mixed[:5_000]), "".join(mixed)
    assert seconds(lambda: read_calls(many, TOOLS)) < 8 * seconds(lambda: read_calls(few, TOOLS)) + 0.1


@pytest.mark.parametrize("piece", ["{", "[", '{"a":', "\\", '"', '[{"a":'])
def test_deep_nesting_costs_linear_time(piece: str) -> None:
    """A megabyte of brackets is neither an error nor a wait."""
    deep = '<tool_call>{"name": "bash", "arguments": ' + piece * (1_000_000 // len(piece))
    for text in (deep, deep + "</tool_call>", piece * (1_000_000 // len(piece))):
        assert read_calls(text, TOOLS).calls == ()
        assert seconds(lambda text=text: read_calls(text, TOOLS), 1.0) < 1.0
