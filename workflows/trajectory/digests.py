"""The digest of a conversation that grows: only what is new since the last one is read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def digest_of_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """The SHA-256, in hexadecimal, that an ``llm_request`` event holds of the messages that were sent."""
    return GrowingDigest().of(messages)


class GrowingDigest:
    """Digests of one conversation after another, each of which mostly begins with the one before."""

    def __init__(self) -> None:
        self._messages: list[Mapping[str, Any]] = []
        self._state = hashlib.sha256(b"[")

    def of(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The SHA-256 of the messages' JSON, keys sorted."""
        if self._messages != list(messages[: len(self._messages)]):
            self._messages, self._state = [], hashlib.sha256(b"[")
        for message in messages[len(self._messages) :]:
            text = json.dumps(message, ensure_ascii=False, sort_keys=True)
            between = b", " if self._messages else b""
            self._state.update(between + text.encode("utf-8", "surrogatepass"))
            self._messages.append(message)
        whole = self._state.copy()
        whole.update(b"]")
        return whole.hexdigest()
