"""What of a reply's text does nothing: thinking, and turns that the model made up after its own."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from workflows.agent.calls.fences import CodeSpans, Fences

Stretch = tuple[int, int]
"""From a character to the one before another."""

_TAG = re.compile(r"<(?P<end>/?)(?P<name>think|thinking|reasoning)>")
_TURN = re.compile(r"<(?:tool_response>|(?P<token>\|(?:im_start|im_end|endoftext)\|>))")
_THINK, _THOUGHT = "<think>", re.compile(r"(?<!`)</think>")
_APART = re.compile(r"[ \t]*(?:$|<)", re.MULTILINE)


def split_thinking(text: str, spans: Callable[[], Sequence[Stretch]]) -> tuple[str, str]:
    """The thinking that the text begins with, and what was said after it: nothing when the thinking is never closed.

    ``spans`` tells, in order, where calls stand in the text: a tag inside of one is part of a value.
    """
    if text.lstrip().startswith(_THINK):
        end = _THOUGHT.search(text)
        return (text[: end.start()], text[end.end() :]) if end else (text, "")
    # The opening tag is often part of the prompt; then the text begins in the middle of the thinking. In the middle of
    # a line of words its closing tag would only be mentioned.
    made_up = next((turn.start() for turn in _outside(text, _TURN, spans) if turn["token"]), len(text))
    for tag in _outside(text, _TAG, spans):
        if not tag["end"] or tag.start() > made_up:
            break
        if tag["name"] == "think" and _APART.match(text, tag.end()):
            return text[: tag.start()], text[tag.end() :]
    return "", text


def find_thinking(text: str, spans: Callable[[], Sequence[Stretch]]) -> list[Stretch]:
    """The stretches of closed thinking in the midst of a text, in order; ``spans`` as above.

    Thinking that is never closed is none: the model may forget to close it before it acts.
    """
    found: list[Stretch] = []
    opened: re.Match[str] | None = None
    for tag in _outside(text, _TAG, spans):
        if not tag["end"]:
            opened = opened or tag
        elif opened is not None and opened["name"] == tag["name"]:
            found.append((opened.start(), tag.end()))
            opened = None
    return found


def find_turns_end(text: str, thinking: Sequence[Stretch], spans: Callable[[], Sequence[Stretch]]) -> int:
    """Where a tool result, or a turn, begins that the model made up; the text's length without one.

    What stands in ``thinking`` is none of these; ``spans`` as above.
    """
    turns = (turn.start() for turn in _outside(text, _TURN, spans))
    return next((place for place in turns if stretch_around(thinking, place) is None), len(text))


def stretch_around(stretches: Sequence[Stretch], place: int) -> Stretch | None:
    """The one of ordered stretches that holds ``place``, or None."""
    index = _last_before(stretches, place)
    return stretches[index] if index >= 0 and place < stretches[index][1] else None


def _outside(text: str, tag: re.Pattern[str], spans: Callable[[], Sequence[Stretch]]) -> Iterator[re.Match[str]]:
    """The tags that stand neither in a call nor in code that is shown."""
    if tag.search(text) is None:
        return
    calls, fences, code = spans(), Fences(text), CodeSpans(text)
    for found in tag.finditer(text):
        index = _last_before(calls, found.start())
        since = calls[index][1] if index >= 0 else 0
        shown = since > found.start() or fences.hiding(since, found.start()) is not None
        if not shown and not code.holds(since, found.start()):
            yield found


def _last_before(stretches: Sequence[Stretch], place: int) -> int:
    return bisect_right(stretches, (place, math.inf)) - 1
