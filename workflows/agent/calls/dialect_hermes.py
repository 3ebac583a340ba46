"""The Hermes dialect: ``<tool_call>`` around a JSON object with a ``name`` and ``arguments``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from workflows.agent.calls.loose_json import parse_loosely, parse_strictly

_START = re.compile(r"\s*(?:```\w*\s*)?(?=[{\[])")
_NEXT = re.compile(r"[\s,]*(?=[{\[])")
_END = re.compile(r"[\s}\]]*(?:```\s*)?</tool_call>")
# Brackets come in runs, and a string always matches, to the end of the text if it must: no character is seen twice.
_PIECE = re.compile(r'"(?:[^"\\]|\\.?)*+(?P<closed>"?)|[{\[]+|[}\]]+|</?tool_call>', re.DOTALL)
_BODY = re.compile(r"\s*(?=\{)")
_BODY_END = re.compile(r"\s*(?:</function>\s*(?:</tool_call>)?|</tool_call>|\Z)")
_NO_ARGUMENTS = frozenset({"name", "type", "id", "index"})
_NAME = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]{1,80})"')


@dataclass(frozen=True)
class NamedCall:
    """A call by name. ``arguments`` is JSON text, of an object where the model wrote one."""

    name: str
    arguments: str


@dataclass(frozen=True)
class HermesBlock:
    """What a block held, up to the character ``end``. ``cut``: the name of a call that the text ended in ("" unknown).

    ``fault`` is a sentence about what could not be read; the calls before it stand.
    """

    calls: tuple[NamedCall, ...]
    end: int
    cut: str | None = None
    fault: str = ""


@dataclass(frozen=True)
class Body:
    """What looks like a JSON object in the place of a function's parameters, read up to the character ``end``.

    ``value`` None: it was cut off by the end of the text (``cut``), something else than a closing tag follows, or it is
    no JSON.
    """

    end: int
    value: dict[str, Any] | None = None
    cut: bool = False


def read_body(text: str, start: int) -> Body | None:
    """What stands in ``<function=NAME>{…}</function>`` from ``start`` on, after the opening tag.

    None when no object begins there.
    """
    opening = _BODY.match(text, start)
    if opening is None:
        return None
    end, whole = _find_end(text, opening.end())
    if not whole:
        return Body(end, cut=end == len(text))
    closing = _BODY_END.match(text, end)
    if closing is None:
        return Body(end)
    read = parse_loosely(text[opening.end() : end])
    return Body(closing.end(), read.value if read.fault in ("", "comma") else None)


def is_hermes(text: str, start: int) -> bool:
    """Whether JSON follows a ``<tool_call>`` that ends at ``start``."""
    return _START.match(text, start) is not None


def read_block(text: str, start: int) -> HermesBlock:
    """The calls of the block whose ``<tool_call>`` ends at ``start``; its closing tag may be missing."""
    calls: list[NamedCall] = []
    opening = _START.match(text, start)
    at = start
    while opening is not None:
        begin = opening.end()
        end, whole = _find_end(text, begin)
        if not whole and end == len(text):
            name = _NAME.match(text, begin)
            return HermesBlock(tuple(calls), end, cut=name[1] if name else "")
        found = _calls_of(text[begin:end]) if whole else None
        if found is None:
            closing = _END.match(text, end)
            fault = "A <tool_call> block is not a JSON object with a name and arguments."
            return HermesBlock(tuple(calls), closing.end() if closing else end, fault=fault)
        calls += found
        at = end
        opening = _NEXT.match(text, at)
    closing = _END.match(text, at)
    return HermesBlock(tuple(calls), closing.end() if closing else at)


def json_text(value: Any) -> str:
    """The value as JSON that can be stored: as it is read, half surrogates alone escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() or _is_unicode(text) else json.dumps(value)


def _find_end(text: str, begin: int) -> tuple[int, bool]:
    """Where the JSON value at ``begin`` ends, by its brackets; False: a tag, or the text's end, came before its end."""
    depth = 0
    for piece in _PIECE.finditer(text, begin):
        first = text[piece.start()]
        if first == '"':
            if not piece["closed"]:
                return len(text), False
        elif first == "<":
            return piece.start(), False
        elif first in "{[":
            depth += piece.end() - piece.start()
        elif (depth := depth - (piece.end() - piece.start())) <= 0:
            return piece.end() + depth, True
    return len(text), False


def _calls_of(text: str) -> list[NamedCall] | None:
    try:
        value = parse_strictly(text)
    except ValueError:
        mended = parse_loosely(text)
        if mended.fault != "comma":
            return None
        value = mended.value
    found = [_call_of(item) for item in (value if isinstance(value, list) else [value])]
    return [call for call in found if call] or None


def _call_of(item: Any) -> NamedCall | None:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]  # the protocol's own form of a call
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name.strip():
        return None
    if not {"arguments", "parameters"} & item.keys() and item.keys() - _NO_ARGUMENTS:
        return None  # fields beside the name: without them it would be another call
    arguments = item.get("arguments", item.get("parameters"))
    if isinstance(arguments, str):  # an object encoded once more; anything else is answered as the string it is
        read = parse_loosely(arguments)
        arguments = read.value if read.fault in ("", "comma") else arguments
    return NamedCall(name.strip(), json_text({} if arguments is None else arguments))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
