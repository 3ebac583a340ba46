"""Tool calls that stand in a model's text, in every dialect of Qwen's servers, told from text that only shows them.

Nothing that was cut off, and nothing that is documentation, becomes a call.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from workflows.agent.calls.dialect_hermes import Body, is_hermes, json_text, read_block, read_body
from workflows.agent.calls.dialect_xml import XmlReading, unquoted
from workflows.agent.calls.fences import CodeSpans, Fences, only_fence
from workflows.agent.calls.tags import Tag, TagList
from workflows.agent.calls.thinking import Stretch, find_thinking, find_turns_end, split_thinking, stretch_around
from workflows.agent.calls.toolcalls import Schema
from workflows.types import ToolCall

MOST_SENTENCES = 10

# The model's own beginning and end of text, which some servers let through.
_BEGINNING = re.compile(r"\s*<\|im_start\|>assistant[ \t]*\n")
_ENDING = re.compile(r"(?:<\|(?:im_end|endoftext)\|>\s*)+\Z")
_ENDING_ROOM = 64  # characters
_NO_NAME = re.compile(r"[{}()\[\]$%\\|;]|\A\W*\Z")
_OPEN_FENCE = (
    "A call stands in a code fence that is never closed. What is fenced is only shown, so it was not run. If you meant "
    "it, send it again outside of any fence."
)
_MADE_UP = (
    "A call stands after a tool result, or a turn, that you wrote yourself, so it was not run. End your reply after "
    "your calls: their results follow."
)
_UNREADABLE = "A <tool_call> block holds neither a <function=NAME> nor a JSON object, so it was left as text."


@dataclass(frozen=True)
class TextCalls:
    """What a reply's text says. ``content``: the text outside calls, white space at its ends removed.

    ``calls`` have the ids call_1, call_2 … and arguments as JSON text, typed by the schema. ``incomplete`` names the
    calls that the text was cut off in ("" when even the name was): not to be run. ``malformed`` has a sentence for each
    block that looked like a call and could not be read (ten at most); such a block stays in ``content``. ``thought``:
    the calls stood in the thinking.
    """

    content: str
    calls: tuple[ToolCall, ...] = ()
    incomplete: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()
    thought: bool = False


def read_calls(text: str, tools: Sequence[Schema]) -> TextCalls:
    """The tool calls in ``text``, for the offered ``tools`` (OpenAI's form). Pure, linear in the text; never raises.

    A name that is not offered still makes a call when it stands in a proper ``<tool_call>``, so that the model hears
    that there is no such tool; without the wrapper only offered names count. Calls in a Markdown fence, or in a line
    after a backtick that is not closed, are documentation, unless one fence holds the whole reply and nothing but
    calls; those after one that is never closed may have been meant: ``malformed`` says so. A leading
    ``<think>…</think>`` is no content, nor read for calls unless nothing follows it. Thinking that is never closed is
    read too, since the model may forget to close it before it acts. In thinking offered tools alone count. Closed
    thinking in the midst of the text stays in ``content``, and no call is taken from it. Nor is one after a
    ``<tool_response>`` or a token that ends a turn: there the model makes up what others say; beside calls it is no
    content either.
    """
    offered = _offered(tools)
    text = text[:-_ENDING_ROOM] + _ENDING.sub("", text[-_ENDING_ROOM:])
    beginning = _BEGINNING.match(text)
    text = text[beginning.end() :] if beginning else text
    thinking, said = split_thinking(text, lambda: _spans(text, offered))
    if thinking and not said.strip():
        found = _read(thinking, offered, strangers=False)
        closed = len(thinking) < len(text)
        if found.calls or (found.incomplete and not closed):
            return TextCalls("", found.calls, () if closed else found.incomplete, thought=True)
        return TextCalls("" if closed else text.strip())
    inner = only_fence(said)
    if inner is not None:
        found = _read(inner, offered)
        if (found.calls or found.incomplete) and not found.content and not found.malformed:
            return found
    return _read(said, offered)


def _read(text: str, offered: Mapping[str, Mapping[str, Any]], *, strangers: bool = True) -> TextCalls:
    spans = cache(lambda: _spans(text, offered))
    thinking = find_thinking(text, spans)
    return _Pass(text, offered, strangers, thinking, find_turns_end(text, thinking, spans)).read()


def _spans(text: str, offered: Mapping[str, Mapping[str, Any]]) -> list[Stretch]:
    """Where calls stand in the text, were none of it thinking or made up."""
    reading = _Pass(text, offered)
    reading.read()
    return reading.spans


@dataclass
class _Pass:
    """One pass over a text, from left to right. Without ``strangers`` only offered names count anywhere.

    From the character ``end`` on the text is made up, in ``thinking`` it is only thought.
    """

    text: str
    offered: Mapping[str, Mapping[str, Any]]
    strangers: bool = True
    thinking: Sequence[Stretch] = ()
    end: int = sys.maxsize
    at: int = 0
    looked: int = 0
    content: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    spans: list[Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fences, self.code = Fences(self.text), CodeSpans(self.text)

    def read(self) -> TextCalls:
        """All of it."""
        tags = TagList(self.text)
        reading = XmlReading(tags)
        passed, wrapped = 0, False
        for index, tag in enumerate(tags.tags):
            if tag.kind not in ("call", "function") or tag.start < max(self.at, passed):
                continue
            hidden = self._hidden(tags, index)
            if hidden is not None:
                passed = hidden
            elif tag.kind == "call" and is_hermes(self.text, tag.end):
                self._take_hermes(tag)
            elif tag.kind == "call":
                follower = tags.after(index)
                wrapped = follower is not None and follower.kind == "function" and bool(follower.name)
                if not wrapped:
                    self._note_unreadable(tags, index)
            else:
                before = tags.before(index)
                inner = wrapped and before is not None and before.kind in ("call", "function_end")
                self._take_xml(reading, tags, index, wrapped=inner)
        acted = self.calls or self.incomplete or self.malformed
        self.content.append(self.text[self.at : max(self.at, self.end) if acted else len(self.text)])
        if not acted and self.text.rstrip().endswith("</tool_call>"):
            self._note("A </tool_call> has no readable <tool_call> before it, so the text was left as it is.")
        calls = tuple(
            ToolCall(id=f"call_{number}", name=name, arguments=arguments)
            for number, (name, arguments) in enumerate(self.calls, start=1)
        )
        return TextCalls("".join(self.content).strip(), calls, tuple(self.incomplete), tuple(self.malformed))

    def _hidden(self, tags: TagList, index: int) -> int | None:
        """The end of what shows the tag, or thinks it or makes it up, without a call being meant; None: one may be."""
        tag = tags.tags[index]
        if tag.start >= self.end:
            if not self._calls(tags, index):
                return tag.end
            self._note(_MADE_UP)
            return len(self.text)
        thought = stretch_around(self.thinking, tag.start)
        if thought is not None:
            return thought[1]
        fence = self.fences.hiding(self.at, tag.start)
        if fence is not None:
            if self.fences.left_open and self._calls(tags, index):
                self._note(_OPEN_FENCE)
            return fence
        if self.code.holds(self.at, tag.start):
            follower = tags.after(index)
            return follower.end if follower and follower.kind == "function" else tag.end
        return None

    def _take_hermes(self, tag: Tag) -> None:
        block = read_block(self.text, tag.end)
        for call in block.calls:
            self._add(call.name, call.arguments)
        if block.cut is not None:
            self.incomplete.append(_storable(block.cut))
        if block.fault:
            self._note(block.fault)
        # A block that could not be read is shown again, all of it: half of it would say something else.
        self._consume(tag.start, block.end, keep=bool(block.fault) and not block.calls)

    def _take_xml(self, reading: XmlReading, tags: TagList, index: int, *, wrapped: bool) -> None:
        tag = tags.tags[index]
        name = unquoted(tag.name or "", self.offered)
        if name not in self.offered and (not wrapped or not self.strangers or _NO_NAME.search(name)):
            if wrapped:
                self._note(f"`{_storable(name)[:40]}` is not the name of a tool, so the block was left as text.")
            return
        opening = tags.before(index)
        start = opening.start if wrapped and opening and opening.kind == "call" else tag.start
        body = self._read_body(tag.end)
        if body is not None and self._take_body(name, body, start, wrapped=wrapped):
            return
        follower = tags.after(index)
        if not wrapped and (follower is None or follower.kind not in ("parameter", "inline", "function_end")):
            return  # the tag is only mentioned
        call = reading.read_call(index, self.offered.get(name, {}))
        if call.stray:
            self._note(
                f"The text in <function={_storable(name)[:40]}> stands in no <parameter=NAME>, so it was left there."
            )
        elif call.complete:
            self._add(name, json_text(call.arguments))
        else:
            self.incomplete.append(_storable(name))
        self._consume(start, call.end, keep=call.stray)

    def _read_body(self, at: int) -> Body | None:
        """The JSON object in the place of parameters; text is not looked at for one again and again."""
        body = read_body(self.text, at) if self.looked <= 4 * len(self.text) else None
        self.looked += body.end - at if body is not None else 0
        return body

    def _take_body(self, name: str, body: Body, start: int, *, wrapped: bool) -> bool:
        """Whether the object was a call's, or what was left of one; without a wrapper only a whole one is."""
        if body.value is not None:
            self._add(name, json_text(body.value))
        elif wrapped and body.cut:
            self.incomplete.append(_storable(name))
        elif wrapped:
            self._note(
                f"The arguments of `{_storable(name)[:40]}` are not a JSON object, so the block was left as text."
            )
        else:
            return False
        self._consume(start, body.end, keep=body.value is None and not body.cut)
        return True

    def _calls(self, tags: TagList, index: int) -> bool:
        """Whether a call would begin with this tag, if it were not only shown."""
        tag = tags.tags[index]
        if tag.kind == "call" and is_hermes(self.text, tag.end):
            return True
        follower = tags.after(index)
        if tag.kind == "call":
            return follower is not None and follower.kind == "function" and bool(follower.name)
        return unquoted(tag.name or "", self.offered) in self.offered and follower is not None

    def _note_unreadable(self, tags: TagList, index: int) -> None:
        tag = tags.tags[index]
        nearest = tags.tags[index + 1] if index + 1 < len(tags) else None
        if (nearest and nearest.kind == "call_end") or self.text[tag.end : tag.end + 40].lstrip()[:9] == "<function":
            self._note(_UNREADABLE)

    def _add(self, name: str, arguments: str) -> None:
        if self.strangers or name in self.offered:
            self.calls.append((_storable(name), _storable(arguments)))

    def _note(self, sentence: str) -> None:
        if len(self.malformed) < MOST_SENTENCES:
            self.malformed.append(sentence)

    def _consume(self, start: int, end: int, *, keep: bool = False) -> None:
        self.content.append(self.text[self.at : end if keep else max(start, self.at)])
        self.spans.append((start, end))
        self.at = end


def _offered(tools: Sequence[Schema]) -> dict[str, Mapping[str, Any]]:
    """The fields of each tool by its name; what is no schema is passed over."""
    fields: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool.get("function", tool)
        parameters = function.get("parameters") or {}
        properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
        if isinstance(function.get("name"), str):
            fields[function["name"]] = properties if isinstance(properties, Mapping) else {}
    return fields


def _storable(text: str) -> str:
    """The text without half surrogates, which no JSON and no database takes."""
    return text.encode("utf-8", "replace").decode()
