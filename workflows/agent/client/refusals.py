"""What it means that a model endpoint gave no reply: try again, or stop and say what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from workflows.services import BrokenWorld
from workflows.types import Usage

TRANSIENT_STATUSES = frozenset({408, 409, 425, 429})
CONTEXT_WORDS = (
    "context_length",
    "context length",
    "context window",
    "context size",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "range of input length",
    "exceed_context_size",  # llama.cpp
    "context the overflows",  # LM Studio, word for word
    "max_new_tokens` must be <=",  # text-generation-inference and Together
    "tokens) exceeds the maximum allowed length",  # SGLang
    "reduce the length of the messages",  # Cerebras: https://github.com/cline/cline/issues/5140
    "input tokens exceed the configured limit",  # OpenAI
)
# Model Studio says Arrearage with a 400: https://github.com/tencentmusic/supersonic/issues/1572
MONEY_CODES = ("insufficient_quota", "insufficient_balance", "arrearage")
MONEY_WORDS = (*MONEY_CODES, "spend_limit", "spend limit", "billing")
UNAVAILABLE_STATUSES = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 410})
GONE_WORDS = ("model_not_found", "model not found", "not a valid model", "model does not exist", "decommissioned")
QUOTED = 300


class ModelUnavailable(BrokenWorld):
    """This endpoint cannot serve the model now, whatever is asked; another may. ``usage``: what the attempts cost."""

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__("model", message)
        self.usage = usage or Usage()


@dataclass(frozen=True)
class Refusal:
    """A refused request: ``message`` says what to do; ``retry_after`` is in seconds, or None.

    ``too_long``: the conversation is. ``unavailable``: the key, the money, the address or the model is what is wrong,
    not the request. ``said`` is the endpoint's own text, in lower case.
    """

    message: str
    transient: bool = False
    retry_after: float | None = None
    too_long: bool = False
    unavailable: bool = False
    status: int = 0
    said: str = ""


class Refused(Exception):
    """The endpoint refused the request, in its own words."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Transient(Exception):
    """This attempt failed and the next one may not; ``retry_after`` in seconds.

    ``billed``: the endpoint probably worked for it. ``broken_stream``: a stream began and did not come to its end.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, billed: bool = False, broken_stream: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.billed = billed
        self.broken_stream = broken_stream


def parse_refusal(status: int, body: str, headers: Mapping[str, str], *, model: str) -> Refusal:
    """Judge an HTTP answer that is not a completion. ``body`` is quoted in the message, at most 300 characters."""
    said = _quote(body)
    low = body.lower()
    money = {400: MONEY_CODES, 403: MONEY_WORDS, 429: MONEY_WORDS}.get(status, ())
    if status == 402 or any(word in low for word in money):
        message = f"The account at the model endpoint is out of credit ({status}). Top it up, then try again."
        return Refusal(message, unavailable=True, status=status, said=low)
    # A 413 may be a proxy's, which counts bytes: https://github.com/QwenLM/qwen-code/issues/10380. Of an overflow while
    # it answers llama.cpp says 500: https://github.com/ggml-org/llama.cpp/issues/19774
    if status == 413 or (status in {400, 422, 500} and any(word in low for word in CONTEXT_WORDS)):
        limit = " or a proxy's limit for requests" if status == 413 else ""
        message = (
            f"The conversation no longer fits the context of the model {model}{limit} ({status}). "
            "Take a model with a larger context, or split the issue into smaller ones."
        )
        return Refusal(message, too_long=True, status=status, said=low)
    if status in TRANSIENT_STATUSES or status >= 500:
        after = parse_retry_after(headers)
        return Refusal(f"HTTP {status}{said}", transient=True, retry_after=after, status=status, said=low)
    advice = _ADVICE.get(status, _ADVICE[400]).format(status=status, model=model)
    gone = status in UNAVAILABLE_STATUSES or (status == 400 and any(word in low for word in GONE_WORDS))
    message = f"{advice} It said{said}" if said else advice
    return Refusal(message, unavailable=gone, status=status, said=low)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``Retry-After`` (RFC 9110 10.2.3: seconds or a date), or None."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def parse_error_inside(answer: Mapping[str, Any], *, model: str) -> Refusal | None:
    """The refusal that some gateways wrap in a 200, ``{"error": {"code": 429, "message": …}}``, or None.

    vLLM's older form is ``{"object": "error", "code": 400, "message": …}``.
    """
    error = answer if answer.get("object") == "error" else answer.get("error")
    if not error:
        return None
    body = json.dumps(answer)
    code = error.get("code") if isinstance(error, dict) else None
    if re.fullmatch(r"[45]\d\d", str(code)):
        status = int(str(code))
    else:
        status = 400 if any(word in body.lower() for word in (*CONTEXT_WORDS, *MONEY_CODES)) else 502
    return parse_refusal(status, body, {}, model=model)


_ADVICE = {
    301: "The model endpoint redirects ({status}). Set OPENAI_BASE_URL to the final address.",
    400: "The model endpoint refused the request ({status}). Check that FORGEHAND_MODEL ({model}) can call tools "
    "and that the sampling settings are known to it.",
    401: "The model endpoint refused the API key (401). Set OPENAI_API_KEY to a valid key and restart.",
    403: "The model endpoint does not let this API key use the model {model} (403). Ask the provider for access, or "
    "change FORGEHAND_MODEL.",
    404: "The model endpoint knows neither this address nor the model {model} (404). Check OPENAI_BASE_URL (it usually "
    "ends in /v1) and FORGEHAND_MODEL.",
}
_ADVICE |= dict.fromkeys((302, 303, 307, 308), _ADVICE[301])


def _quote(body: str) -> str:
    text = body
    try:
        answer = json.loads(body)
        error = answer.get("error", answer)
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, RecursionError):
        if "<html" in body.lower() or "<!doctype" in body.lower():
            text = "a web page"
    text = " ".join(text.split())[:QUOTED]
    return f": {text}" if text else ""
