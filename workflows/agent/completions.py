"""What a chat completion says: the reply, taken whole, and what it cost, estimated where the provider is silent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.types import Reply, ToolCall, Usage

CHARACTERS_A_TOKEN = 4


class NotACompletion(Exception):
    """The answer is JSON but no completion; the message says what is wrong with it."""


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


def parse_completion(answer: Any, payload: Mapping[str, Any], *, prices: Prices) -> Reply:
    """The first choice of a chat completion. Raises NotACompletion; ``payload`` is the request, for estimates."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        if isinstance(content, list):  # some gateways answer in parts
            content = "".join(str(part.get("text", "")) for part in content)
        calls = tuple(_parse_call(call, index) for index, call in enumerate(message.get("tool_calls") or []))
        reason = choice.get("finish_reason") or ("tool_calls" if calls else "stop")
        refusal = message.get("refusal") or ""
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotACompletion(f"the answer is not a chat completion ({type(error).__name__}: {error})") from None
    if reason == "error":
        raise NotACompletion("the provider broke off while it answered")
    content = _encodable(str(content) or str(refusal))
    said = content + "".join(call.name + call.arguments for call in calls)
    usage = _parse_usage(answer.get("usage"), payload, said, prices=prices)
    return Reply(content=content, tool_calls=calls, finish_reason=str(reason), usage=usage)


def estimate_usage(payload: Mapping[str, Any], said: str, *, prices: Prices) -> Usage:
    """What a call cost by about four characters a token, marked as an estimate."""
    return _parse_usage(None, payload, said, prices=prices)


def _parse_call(call: Any, index: int) -> ToolCall:
    function = call["function"]
    arguments = function.get("arguments")
    if not isinstance(arguments, str):  # Ollama's own form is an object
        arguments = "" if arguments is None else json.dumps(arguments)
    name, call_id = str(function.get("name") or ""), str(call.get("id") or f"call_{index}")
    return ToolCall(id=_encodable(call_id), name=_encodable(name), arguments=_encodable(arguments))


def _parse_usage(usage: Any, payload: Mapping[str, Any], said: str, *, prices: Prices) -> Usage:
    figures = usage if isinstance(usage, dict) else {}
    details = figures.get("prompt_tokens_details")
    input_tokens, output_tokens = _count(figures.get("prompt_tokens")), _count(figures.get("completion_tokens"))
    cached_tokens = min(input_tokens, _count(details.get("cached_tokens")) if isinstance(details, dict) else 0)
    estimated = input_tokens == 0 or (output_tokens == 0 and bool(said))
    if input_tokens == 0:
        sent = {name: payload[name] for name in ("messages", "tools") if name in payload}
        input_tokens = max(1, len(json.dumps(sent, ensure_ascii=False)) // CHARACTERS_A_TOKEN)
    if output_tokens == 0 and said:
        output_tokens = max(1, len(said) // CHARACTERS_A_TOKEN)
    usd = prices.usd(input_tokens=input_tokens, cached_tokens=cached_tokens, output_tokens=output_tokens)
    cost = figures.get("cost")  # OpenRouter says what it charged
    if isinstance(cost, int | float) and cost > 0:
        usd = float(cost)
    return Usage(
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        usd=usd,
        estimated=estimated,
    )


def _count(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0


def _encodable(text: str) -> str:
    """Lone surrogates become question marks: nothing later could write them as UTF-8."""
    return text.encode("utf-8", "replace").decode()
