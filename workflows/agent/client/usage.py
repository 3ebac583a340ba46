"""What a model call cost: the provider's figures in every form they come in, or an estimate that is marked as one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.types import Usage

CHARACTERS_A_TOKEN = 4

# Where the tokens read from a prompt cache are told. OpenAI's own place is used by OpenRouter, Model Studio, vLLM
# (--enable-prompt-tokens-details) and SGLang (--enable-cache-report); `input_tokens_details` is the Responses API's;
# DeepSeek's: https://api-docs.deepseek.com/guides/kv_cache/; `cache_read_input_tokens` comes from Anthropic's gateways;
# `timings.cache_n` is llama.cpp's: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
CACHED_AT = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),
    ("cached_tokens",),
    ("cache_read_input_tokens",),
    ("timings", "cache_n"),
)
REASONING_AT = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),
)


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens. ``cached_input`` None: cached tokens cost what others cost."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None

    def usd(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """The price of one call in US dollars."""
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = max(0, input_tokens - cached_tokens)
        return (fresh * self.input + cached_tokens * cached + output_tokens * self.output) / 1_000_000


def parse_usage(figures: Any, payload: Mapping[str, Any], said: str, *, prices: Prices) -> Usage:
    """The usage object of an answer (or anything else: then an estimate).

    ``payload`` is the request and ``said`` all that the model wrote, for what the provider left out.
    """
    given = figures if isinstance(figures, dict) else {}
    input_tokens = _first(given, (("prompt_tokens",), ("input_tokens",)))
    output_tokens = _output_tokens(given, input_tokens)
    estimated = input_tokens == 0 or (output_tokens == 0 and bool(said))
    if input_tokens == 0:
        sent = {name: payload[name] for name in ("messages", "tools") if name in payload}
        input_tokens = max(1, len(json.dumps(sent, ensure_ascii=False)) // CHARACTERS_A_TOKEN)
    if output_tokens == 0 and said:
        output_tokens = max(1, len(said) // CHARACTERS_A_TOKEN)
    cached_tokens = min(input_tokens, _first(given, CACHED_AT))
    charged = _charged(given)
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        usd=charged or prices.usd(input_tokens=input_tokens, cached_tokens=cached_tokens, output_tokens=output_tokens),
        estimated=estimated,
    )


def estimate_usage(payload: Mapping[str, Any], said: str, *, prices: Prices) -> Usage:
    """What a call cost by about four characters a token, marked as an estimate."""
    return parse_usage(None, payload, said, prices=prices)


def _output_tokens(given: Mapping[str, Any], input_tokens: int) -> int:
    """Completion tokens, reasoning included: most count it in, and those that do not betray it by their total."""
    output = _first(given, (("completion_tokens",), ("output_tokens",)))
    reasoning = _first(given, REASONING_AT)
    if reasoning and _count(given.get("total_tokens")) == input_tokens + output + reasoning:
        return output + reasoning
    return output


def _charged(given: Mapping[str, Any]) -> float:
    """What OpenRouter says it charged, and the upstream's bill where the key there is the operator's own.

    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    upstream = _at(given, ("cost_details", "upstream_inference_cost")) if given.get("is_byok") is True else None
    costs: tuple[Any, ...] = (given.get("cost"), upstream)
    return sum((float(cost) for cost in costs if _is_number(cost) and cost > 0), start=0.0)


def _first(given: Mapping[str, Any], places: tuple[tuple[str, ...], ...]) -> int:
    return next((count for count in (_count(_at(given, place)) for place in places) if count), 0)


def _at(given: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = given
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _count(value: Any) -> int:
    return max(0, int(value)) if _is_number(value) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
