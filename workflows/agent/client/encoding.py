"""A request's bytes. A conversation is sent again with each turn, so each of its messages is written out once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class Message(dict[str, Any]):
    """A message of a conversation, never changed after it is made, with its bytes once they were asked for."""

    __slots__ = ("_encoded",)

    _encoded: bytes

    @property
    def encoded(self) -> bytes:
        """The message as JSON."""
        try:
            return self._encoded
        except AttributeError:
            self._encoded = _encode(self)
            return self._encoded


def encode_request(payload: Mapping[str, Any]) -> bytes:
    """The JSON of a request, its fields in their order."""
    fields = (
        _encode(name) + b":" + (_encode_all(value) if name == "messages" else _encode(value))
        for name, value in payload.items()
    )
    return b"{" + b",".join(fields) + b"}"


def _encode_all(messages: Sequence[Mapping[str, Any]]) -> bytes:
    texts = (message.encoded if isinstance(message, Message) else _encode(message) for message in messages)
    return b"[" + b",".join(texts) + b"]"


def _encode(value: object) -> bytes:
    # Lone surrogates cannot be sent as UTF-8, and an issue's title may hold one: they become question marks.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
