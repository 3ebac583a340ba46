"""Qwen3-Coder's own dialect: ``<function=NAME>`` with one ``<parameter=NAME>`` a value, the value as plain text.

Where a value ends is a judgement, since code may hold the same markup; what cannot be judged is never run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workflows.agent.calls.argument_types import accepted_types, type_argument
from workflows.agent.calls.tags import Tag, TagList

_INDENT = 16  # characters
_LONGEST_LINE = 4_000
_LONGEST_WORD = 200
_WORDS = frozenset({"integer", "number", "boolean", "null"})


@dataclass(frozen=True)
class XmlCall:
    """A call that ends before the character ``end``. Not ``complete``: the text was cut off inside of it.

    ``stray``: it holds text, and no parameter.
    """

    arguments: Mapping[str, Any]
    end: int
    complete: bool
    stray: bool = False


@dataclass(frozen=True)
class _Stop:
    """Where a value stops: at the tag ``index``, which closes it or (``opens``) starts what comes next."""

    index: int
    opens: bool = False


@dataclass
class _Inside:
    """What was opened inside a value and not closed yet; a parameter is True when markup stood right before it."""

    parameters: list[bool] = field(default_factory=list)
    functions: int = 0
    calls: int = 0
    closed: bool = False
    """Whether a closing tag of a parameter was met: then the value was hardly left open."""
    doubtful: bool = False
    """Whether the next field followed such a tag, with text between: it cannot be told whose text that is."""
    ended: bool = False
    """Whether a call's end was met that nothing in the value had opened, and no beginning of a call since."""
    whole: bool = False
    """Whether all closing tags of a call were met, in their order, while no call was open."""
    another: bool = False
    """Whether a call began after that: then it cannot be told whether it is the next one, or part of the value."""


class XmlReading:
    """One pass over the tags of a text. ``spare`` bounds how often tags are looked at again: the pass stays linear."""

    def __init__(self, tags: TagList) -> None:
        self._list = tags
        self._tags = tags.tags
        self._spare = 16 * len(tags) + 100_000

    def read_call(self, index: int, properties: Mapping[str, Any]) -> XmlCall:
        """The call that the tag at ``index`` (a ``function``) opens; ``properties`` are its tool's fields by name."""
        values: dict[str, str] = {}
        at, joined = index + 1, self._list.touches(index)
        while at < len(self._tags):
            tag = self._tags[at]
            if tag.kind == "parameter" and tag.name:
                name = unquoted(tag.name, properties)
                stop = self._find_stop(at, properties, {*values, name}) if name not in values else None
                if stop is None or self._is_doubtful(at, stop):
                    return XmlCall({}, len(self._list.text), complete=False)
                values[name] = _trimmed(self._list.text[tag.end : self._tags[stop.index].start])
                at, joined = (stop.index, True) if stop.opens else (stop.index + 1, self._list.touches(stop.index))
            elif tag.kind == "inline" and tag.name:
                values[unquoted(tag.name, properties)] = tag.value
                at, joined = at + 1, self._list.touches(at)
            elif tag.kind in ("function_end", "call_end"):
                closing = self._list.after(at) if tag.kind == "function_end" else None
                end = closing.end if closing and closing.kind == "call_end" else tag.end
                return XmlCall(_typed(values, properties), end, complete=True, stray=not values and not joined)
            elif joined and tag.kind not in ("call", "function"):
                at, joined = at + 1, self._list.touches(at)  # a closing tag too many
            else:
                return XmlCall(_typed(values, properties), self._tags[at - 1].end, complete=joined and bool(values))
        complete = bool(values) and self._list.ends_text(len(self._tags) - 1)
        return XmlCall(_typed(values, properties), len(self._list.text), complete=complete)

    def _find_stop(self, opening: int, properties: Mapping[str, Any], seen: set[str]) -> _Stop | None:
        """Where the value of the parameter at ``opening`` stops; None: it was cut off, or cannot be told.

        First choice is the closing tag that balances what was opened inside the value and has call structure after it;
        one that stands apart before one that is run in with other text, where the value began on a line of its own.
        A value without one was left open: it ends at the first thing that can only belong to the call itself, unless a
        closing tag comes after that end, for then it was none.
        """
        inside = _Inside()
        second: _Stop | None = None
        block = self._list.text.startswith(("\n", "\r\n"), self._tags[opening].end)
        for index in range(opening + 1, len(self._tags)):
            self._spare -= 1
            if self._spare < 0:
                return None
            tag = self._tags[index]
            own = not inside.parameters or (second is not None and second.opens and inside.ended)
            apart = tag.kind == "parameter_end" and own and (not block or self._stands_apart(index))
            if apart and self._closes(index, properties, seen):
                last = self._last_close(index, properties, seen)
                return _Stop(last) if last is not None and not inside.another else None
            if second is None and not inside.doubtful:
                second = self._second_choice(opening, index, inside, properties, seen)
            elif second is not None and second.opens and not inside.calls and not inside.functions:
                second = self._after_mention(second, index)
            begins = self._begins_call(index)
            inside.another = inside.another or (begins and inside.whole)
            inside.whole = inside.whole or self._ends_whole(index, inside)
            _balance(inside, tag, marked=self._is_marked(index), begins=begins)
        return second

    def _is_doubtful(self, opening: int, stop: _Stop) -> bool:
        """Whether a value may have been cut off where it seems to stop.

        One that was left open holds something. One that began on a line of its own does not stop within a line, where
        nothing comes after it that would tell whether that was the end.
        """
        start, tag = self._tags[opening].end, self._tags[stop.index]
        if stop.opens and not self._list.text[start : tag.start].strip():
            return True
        last = len(self._tags) - 1 - (self._tags[-1].kind == "call" and self._list.ends_text(len(self._tags) - 1))
        if stop.index < last or not self._list.text.startswith(("\n", "\r\n"), start):
            return False
        return bool(self._list.text[max(start, tag.start - _INDENT) : tag.start].rpartition("\n")[2].strip())

    def _second_choice(
        self, opening: int, index: int, inside: _Inside, properties: Mapping[str, Any], seen: set[str]
    ) -> _Stop | None:
        tag = self._tags[index]
        match tag.kind:
            case "parameter" | "inline":
                alone = not inside.parameters and not inside.functions
                own = alone and self._is_next(tag, properties, seen) and self._begins_line(opening, index)
                own = own and self._fits(index, properties)
                inside.doubtful = own and inside.closed
                return _Stop(index, opens=True) if own and not inside.closed else None
            case "function_end":
                alone = not inside.closed and not inside.functions and not inside.parameters
                return _Stop(index, opens=True) if alone and self._ends_call(index) else None
            case "call_end":
                alone = not inside.closed and not inside.calls and not inside.parameters
                return _Stop(index, opens=True) if alone and self._ends_block(index) else None
            case "drifted":
                return _Stop(index) if not inside.parameters and self._closes(index, properties, seen) else None
            case "parameter_end" if not inside.parameters:  # run in with text, or before a field that nobody knows
                follower = self._list.after(index)
                unknown = follower and follower.kind in ("parameter", "inline") and follower.name
                return _Stop(index) if unknown or self._closes(index, properties, seen) else None
            case "parameter_end" if not any(inside.parameters):  # those may have been mentioned, and not opened
                follower = self._list.after(index)
                ends = follower is not None and follower.kind in ("function_end", "parameter", "inline")
                return (
                    _Stop(index) if ends and self._closes(index, properties, seen) and self._ends_soon(index) else None
                )
        return None

    def _after_mention(self, second: _Stop, index: int) -> _Stop:
        """The same, or the closing tag before a field that ``second`` had taken for begun: that one was mentioned."""
        taken, tag = self._tags[second.index], self._tags[index]
        again = taken.kind == tag.kind == "parameter" and taken.name == tag.name
        previous = self._list.before(index)
        return _Stop(index - 1) if again and previous and previous.kind == "parameter_end" else second

    def _closes(self, index: int, properties: Mapping[str, Any], seen: set[str]) -> bool:
        """Whether call structure follows a closing tag: the call's end, its next field, or the end of the text."""
        follower = self._list.after(index)
        if follower is None:
            return self._list.ends_text(index)
        if follower.kind in ("parameter", "inline"):
            return self._is_next(follower, properties, seen)
        return follower.kind in ("function_end", "call_end") or self._begins_call(index + 1)

    def _is_next(self, tag: Tag, properties: Mapping[str, Any], seen: set[str]) -> bool:
        if not tag.name:
            return False
        name = unquoted(tag.name, properties)
        return name not in seen and (not properties or name in properties)

    def _fits(self, index: int, properties: Mapping[str, Any]) -> bool:
        """Whether what follows the tag can be its value: a number's tag before other words is only mentioned."""
        tag = self._tags[index]
        schema = properties.get(unquoted(tag.name or "", properties))
        types = accepted_types(schema)
        if not types or not types <= _WORDS:
            return True
        end = self._tags[index + 1].start if index + 1 < len(self._tags) else len(self._list.text)
        text = tag.value if tag.kind == "inline" else self._list.text[tag.end : min(end, tag.end + _LONGEST_WORD)]
        return not isinstance(type_argument(text, schema), str)

    def _begins_line(self, opening: int, index: int) -> bool:
        """Whether a field begins on a line of its own, or on the very line of the tag whose value was left open.

        Two values that both hold nothing, at the end of a call, are none: the second tag is the first one's value.
        """
        start, tag = self._tags[opening].end, self._tags[index]
        follower = self._list.after(index) if self._list.after(opening) is tag else None
        if follower and follower.kind == "parameter_end" and self._ends_soon(index + 1):
            return False
        line = self._list.text[max(start, tag.start - _INDENT) : tag.start].rpartition("\n")
        if line[1] and not line[2].strip():
            return True
        return "\n" not in self._list.text[start : min(tag.start, start + _LONGEST_LINE)]

    def _stands_apart(self, index: int) -> bool:
        """Whether a closing tag ends its line, or ends the call with nothing but another call after it."""
        end = self._tags[index].end
        return self._list.text[end : end + _INDENT].lstrip(" \t\r").startswith("\n") or self._ends_soon(index)

    def _is_marked(self, index: int) -> bool:
        previous = self._list.before(index)
        return previous is not None and previous.kind in ("function", "parameter_end", "inline")

    def _ends_whole(self, index: int, inside: _Inside) -> bool:
        """Whether a call ends with this tag and the two after it, if a field that is open was only mentioned."""
        if self._tags[index].kind != "parameter_end" or not inside.parameters:
            return False
        end = self._list.after(index)
        last = self._list.after(index + 1) if end and end.kind == "function_end" else None
        return last is not None and last.kind == "call_end" and not inside.calls

    def _ends_call(self, index: int) -> bool:
        """Whether a ``</function>`` has the end of its block, another call or the end of the text after it."""
        follower = self._list.after(index)
        if follower is None:
            return self._list.ends_text(index)
        return follower.kind == "call_end" or self._begins_call(index + 1)

    def _ends_block(self, index: int) -> bool:
        follower = self._list.after(index)
        return self._list.ends_text(index) if follower is None else self._begins_call(index + 1, wrapped=True)

    def _begins_call(self, index: int, *, wrapped: bool = False) -> bool:
        """Whether a call begins with this tag: a ``<tool_call>`` without one behind it is only mentioned."""
        tag = self._tags[index]
        follower = self._list.after(index)
        if tag.kind == "function" and tag.name and not wrapped:
            return follower is not None and follower.kind in ("parameter", "inline", "function_end", "call_end")
        if tag.kind != "call":
            return False
        if follower is None:
            json = self._list.text[tag.end : tag.end + _INDENT].lstrip().startswith(("{", "["))
            return json or self._list.ends_text(index)
        return follower.kind == "function" and bool(follower.name)

    def _ends_soon(self, index: int) -> bool:
        """Whether the call, ended after this closing tag, would be the last thing in the text or be followed by one."""
        follower = self._list.after(index)
        if follower is None or follower.kind in ("parameter", "inline") or self._begins_call(index + 1, wrapped=True):
            return True
        if follower.kind == "function_end":
            last = self._list.after(index + 1)
            return self._ends_block(index + 2) if last and last.kind == "call_end" else self._ends_call(index + 1)
        return self._ends_block(index + 1)

    def _last_close(self, index: int, properties: Mapping[str, Any], seen: set[str]) -> int | None:
        """``index``, or a later close of the same value: text with closing tags that nothing opened belongs to it.

        None: the closing tags of a call stand there twice, so that the first ones are the value's, or too many.
        """
        found, joined, twice = index, True, False
        for later in range(index + 1, len(self._tags)):
            self._spare -= 1
            tag = self._tags[later]
            if self._spare < 0 or tag.kind in ("parameter", "inline") or self._begins_call(later):
                break
            joined = joined and self._list.touches(later - 1)
            follower = self._list.after(later)
            if tag.kind != "parameter_end" or follower is None:
                continue
            more = follower.kind in ("parameter", "inline") and self._is_next(follower, properties, seen)
            ends = follower.kind == "function_end"
            if more or (ends and not joined):
                found, twice = later, False
            elif ends:
                twice = True
        return None if twice else found


def unquoted(name: str, known: Mapping[str, Any]) -> str:
    """The name without the quotes that a model put around it, when only then it is known."""
    bare = name.strip("\"'` ")
    return bare if name not in known and bare in known else name


def _balance(inside: _Inside, tag: Tag, *, marked: bool, begins: bool) -> None:
    inside.closed = inside.closed or tag.kind == "parameter_end"
    if tag.kind in ("function_end", "call_end"):
        inside.ended = inside.ended or not (inside.functions if tag.kind == "function_end" else inside.calls)
    elif begins:
        inside.ended = False
    match tag.kind:
        case "parameter":
            inside.parameters.append(marked)
        case "parameter_end" if inside.parameters:
            inside.parameters.pop()
        case "function":
            inside.functions += 1
        case "function_end" if inside.functions:
            inside.functions -= 1
        case "call":
            inside.calls += 1
        case "call_end" if inside.calls:
            inside.calls -= 1


def _trimmed(value: str) -> str:
    """One newline less at either end: the dialect puts the value on lines of its own."""
    if value.startswith("\r\n"):  # all of the markup has such lines, so that the last one is none of the value's either
        return value.removeprefix("\r\n").removesuffix("\r\n")
    return value.removeprefix("\n").removesuffix("\n")


def _typed(values: Mapping[str, str], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: type_argument(value, properties.get(name)) for name, value in values.items()}
