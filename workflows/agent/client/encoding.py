"""A request's bytes. Conversation and tools are sent again with each turn, so each part of them is written out once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

REPEATED = ("messages", "tools")
_ENCODED = attrgetter("encoded")


class Unchanging(dict[str, Any]):
    """A message or a tool's schema, never changed after it is made. ``encoded`` is its JSON."""

    __slots__ = ("encoded",)

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args, **fields)
        self.encoded = _encode(self)


def encode_request(payload: Mapping[str, Any]) -> bytes:
    """The JSON of a request, its fields in their order."""
    fields = (
        _encode(name) + b":" + (_encode_all(value) if name in REPEATED else _encode(value))
        for name, value in payload.items()
    )
    return b"{" + b",".join(fields) + b"}"


def _encode_all(parts: Sequence[Mapping[str, Any]]) -> bytes:
    try:
        # Without a step of Python's own for each message: of these there are a thousand in the end.
        return b"[" + b",".join(map(_ENCODED, parts)) + b"]"
    except AttributeError:
        return b"[" + b",".join([getattr(part, "encoded", None) or _encode(part) for part in parts]) + b"]"


def _encode(value: object) -> bytes:
    # Lone surrogates cannot be sent as UTF-8, and an issue's title may hold one: they become question marks.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
