"""A request's bytes. Conversation and tools are sent again with each turn, so each part of them is written out once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

REPEATED = ("messages", "tools")


class Unchanging(dict[str, Any]):
    """A message or a tool's schema, never changed after it is made, with its bytes once they were asked for."""

    __slots__ = ("_encoded",)

    _encoded: bytes

    @property
    def encoded(self) -> bytes:
        """Its JSON."""
        try:
            return self._encoded
        except AttributeError:
            self._encoded = _encode(self)
            return self._encoded


def encode_request(payload: Mapping[str, Any]) -> bytes:
    """The JSON of a request, its fields in their order."""
    fields = (
        _encode(name) + b":" + (_encode_all(value) if name in REPEATED else _encode(value))
        for name, value in payload.items()
    )
    return b"{" + b",".join(fields) + b"}"


def _encode_all(parts: Sequence[Mapping[str, Any]]) -> bytes:
    texts = [part.encoded if isinstance(part, Unchanging) else _encode(part) for part in parts]
    return b"[" + b",".join(texts) + b"]"


def _encode(value: object) -> bytes:
    # Lone surrogates cannot be sent as UTF-8, and an issue's title may hold one: they become question marks.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
