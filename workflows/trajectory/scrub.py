"""Events before they leave the house: secrets taken out of every text, and texts made fit for any reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from workflows.trajectory.events import Event

Redact = Callable[[str], str]

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def scrub_events(events: Sequence[Event], redact: Redact) -> list[Event]:
    """The events with ``redact`` applied to every text in them; their chain of digests holds no longer."""
    return [event.model_copy(update={"payload": scrub(event.payload, redact)}) for event in events]


def scrub(value: Any, redact: Redact) -> Any:
    """Plain JSON with every text in it redacted, names of fields too, and lone surrogates as U+FFFD."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", redact(value))
    if isinstance(value, list):
        return [scrub(item, redact) for item in value]
    if not isinstance(value, dict):
        return value
    return {scrub(key, redact): _scrub_field(key, item, redact) for key, item in value.items()}


def _scrub_field(key: str, value: Any, redact: Redact) -> Any:
    if key != "arguments" or not isinstance(value, str):
        return scrub(value, redact)
    # A blot over JSON text may swallow a quote, and the call would be broken in every export.
    try:
        parsed = json.loads(value)
        cleaned = scrub(parsed, redact)
    except (ValueError, RecursionError):
        return scrub(value, redact)
    return value if cleaned == parsed else json.dumps(cleaned, ensure_ascii=False)
