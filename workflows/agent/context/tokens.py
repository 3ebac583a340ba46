"""How large a conversation is in tokens: a cheap estimate, and its calibration by what the provider reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from workflows.types import Noun, Usage

# Qwen's tokenizer splits numbers into single digits, so numbered lines cost more than prose. Other ASCII: its splitting
# rule alone gives 3.1 (JSON) to 4.9 (Python) characters a piece, and long words are two pieces. Beyond ASCII: a Chinese
# character (3 bytes) is 0.6 to 1 token, an emoji (4 bytes) 1 to 3.
ASCII_A_TOKEN = 3.6
BYTES_A_TOKEN = 3.0
TOKENS_A_MESSAGE = 4
REMEMBERED = 5
BELIEVABLE = (0.4, 3.0)


def estimate_text(text: str) -> float:
    """Tokens of one text; linear in its length."""
    digits = sum(map(text.count, "0123456789"))
    if text.isascii():
        return digits + (len(text) - digits) / ASCII_A_TOKEN
    ascii_length = len(text.encode("ascii", "ignore"))
    wide = len(text.encode("utf-8", "replace")) - ascii_length
    return digits + (ascii_length - digits) / ASCII_A_TOKEN + wide / BYTES_A_TOKEN


def estimate_message(message: Mapping[str, Any]) -> int:
    """Tokens of one message, its tool calls and its frame in the chat template."""
    total = estimate_text(message.get("content") or "")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        total += TOKENS_A_MESSAGE + estimate_text(function["name"]) + estimate_text(function["arguments"])
    return TOKENS_A_MESSAGE + math.ceil(total)


def estimate_tokens(messages: Iterable[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> int:
    """Tokens of a request: its messages and the schemas of its tools. An estimate; see Gauge."""
    schemas = math.ceil(estimate_text(json.dumps(list(tools), ensure_ascii=False))) if tools else 0
    return schemas + sum(map(estimate_message, messages))


class Gauge(Noun):
    """Corrects estimates by the last five reports: pure, so a replay of the same turns measures the same.

    The median is taken, because the usage of a reply also counts the attempts that were lost before it.
    """

    ratios: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """Reported tokens for one estimated token; 1.0 before the first report."""
        return median(self.ratios) if self.ratios else 1.0

    def learn(self, estimate: int, usage: Usage) -> Gauge:
        """The gauge after a request of ``estimate`` raw tokens.

        A usage that is itself estimated, or beyond belief (below 0.4 or above 3 times the estimate), teaches nothing.
        """
        if usage.estimated or estimate <= 0:
            return self
        ratio = usage.input_tokens / estimate
        low, high = BELIEVABLE
        return Gauge(ratios=(*self.ratios, ratio)[-REMEMBERED:]) if low <= ratio <= high else self

    def scale(self, estimate: int) -> int:
        """What the provider will probably report for a request of ``estimate`` raw tokens."""
        return math.ceil(estimate * self.ratio)
