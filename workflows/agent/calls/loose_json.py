"""Reading the JSON that a model wrote, as arguments or among prose: what it says, and what was wrong with it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import jiter

Fault = Literal["", "comma", "missing_value", "trailing", "unclosed", "not_an_object", "not_json"]
"""In the order of harm: a ``comma`` too many changes nothing; the others mean that the call must not be run."""


@dataclass(frozen=True)
class LooseObject:
    """The object as far as it can be read (for telling the model), and its fault (for deciding whether to run it)."""

    value: dict[str, Any]
    fault: Fault = ""


# A string always matches, to the end of the text if it must, so that no quote is tried twice.
_SLIP = re.compile(r'"(?:[^"\\]|\\.?)*+(?:"|\Z)|:\s*+(?=[,}])|,\s*+(?=[}\]])', re.DOTALL)


def parse_strictly(text: str) -> Any:
    """A JSON value that every JSON reader accepts, raw control characters in strings aside.

    Raises ValueError for anything else: NaN, Infinity, numbers beyond a float, nesting beyond Python's stack.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def parse_loosely(text: str) -> LooseObject:
    """The object in ``text``; empty text is an empty object. Linear in the text's length; never raises.

    An object encoded once more as a JSON string is taken out of it.
    """
    try:
        value = json.loads(text.strip() or "{}", strict=False)
        if isinstance(value, str):
            value = json.loads(value, strict=False)
        return LooseObject(value) if isinstance(value, dict) else LooseObject({}, "not_an_object")
    except (ValueError, RecursionError):
        return _repair(text)


def find_objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that begin at an opening brace of a reply, whatever fences or prose surround them.

    The last one is all between the outermost braces, when it is an object but for a comma too many. A few tries, so
    that hostile text costs little; what is cut off is not found.
    """
    found: list[dict[str, Any]] = []
    first = at = text.find("{")
    for _ in range(20):
        if at < 0:
            break
        try:
            value, end = _LOOSE_DECODER.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    if first >= 0:
        mended = parse_loosely(text[first : text.rfind("}") + 1])
        found += [mended.value] if mended.fault == "comma" else []
    return found


def _repair(text: str) -> LooseObject:
    slips: set[str] = set()

    def mend(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] == '"':
            return found
        slips.add(found[0])
        return ": null" if found[0] == ":" else ""

    mended = _SLIP.sub(mend, text).strip()
    try:
        value, end = _LOOSE_DECODER.raw_decode(mended)
        if isinstance(value, dict) and end < len(mended):
            return LooseObject(value, "trailing")
        if isinstance(value, dict):
            return LooseObject(value, "missing_value" if ":" in slips else "comma")
    except (ValueError, RecursionError):
        pass
    try:
        value = jiter.from_json(text.encode("utf-8", "replace"), partial_mode="trailing-strings")
    except ValueError:
        return LooseObject({}, "not_json")
    return LooseObject(value, "unclosed") if isinstance(value, dict) else LooseObject({}, "not_json")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large")
    return value


_LOOSE_DECODER = json.JSONDecoder(strict=False)
_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)
