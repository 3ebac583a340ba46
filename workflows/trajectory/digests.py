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
        known = len(self._messages)
        if any(one is not other and one != other for one, other in zip(self._messages, messages, strict=False)):
            known = len(messages) + 1
        if known > len(messages):
            self._messages, self._state, known = [], hashlib.sha256(b"["), 0
        for message in messages[known:]:
            text = json.dumps(message, ensure_ascii=False, sort_keys=True)
            between = b", " if self._messages else b""
            self._state.update(between + text.encode("utf-8", "surrogatepass"))
            self._messages.append(message)
        whole = self._state.copy()
        whole.update(b"]")
        return whole.hexdigest()
