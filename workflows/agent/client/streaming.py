"""A chat completion that comes as server-sent events: put together event by event, and whole or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workflows.agent.calls.deltas import Assembly
from workflows.agent.client.completions import NotACompletion, Said, text_of, usage_of
from workflows.agent.client.usage import CHARACTERS_A_TOKEN
from workflows.agent.stuck.chanting import is_chanting

CHANT_EVERY = 4_000
CHANT_WITHIN = 20_000
KEPT_OF_A_CHANT = 4_000
DONE = "[DONE]"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ErrorInStream(Exception):
    """The endpoint said an error in the middle of a stream; ``answer`` is the event's JSON."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__("the endpoint broke off with an error")
        self.answer = answer


class EventSplitter:
    """Bytes in, the data of whole events out, however the bytes are cut; comments are passed over.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The events that ``chunk`` completes. Raises NotACompletion for bytes that are not UTF-8."""
        if not chunk:
            return
        # A CR at the very end may be half of a CRLF: its line is over, and an LF that follows belongs to it.
        whole = chunk.removeprefix(b"\n") if self._after_cr else chunk
        self._after_cr = chunk.endswith(b"\r")
        for line in self._lines(whole):
            if line:
                self._take(line)
            elif self._data:
                data, self._data = b"\n".join(self._data), []
                yield _decoded(data)

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        *whole, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            yield bytes(self._rest) + line
            self._rest.clear()
        self._rest += rest

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name.removeprefix(BYTE_ORDER_MARK) == b"data":
            self._data.append(value.removeprefix(b" "))


@dataclass
class _Text:
    """A text that grows by pieces, looked at for chants now and then."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    looked_at: int = 0

    def add(self, piece: str) -> bool:
        """Whether the text has become a chant by this piece."""
        if piece:
            self.pieces.append(piece)
            self.length += len(piece)
        if self.length - self.looked_at < CHANT_EVERY:
            return False
        self.looked_at = self.length
        return is_chanting(self._tail())

    def _tail(self) -> str:
        taken, length = [], 0
        for piece in reversed(self.pieces):
            taken.append(piece)
            length += len(piece)
            if length >= CHANT_WITHIN:
                break
        return "".join(reversed(taken))[-CHANT_WITHIN:]

    def __str__(self) -> str:
        return "".join(self.pieces)


class StreamedCompletion:
    """One streamed completion. ``feed`` it bytes until ``over``; ``said`` is all of it, or raises NotACompletion.

    ``whole`` is set with the finish reason, for without one nobody can tell an end from a cut: not even ``[DONE]``
    can, which gateways write after an upstream that broke. ``begun`` is set with the first event.
    """

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._content, self._reasoning, self._refusal = _Text(), _Text(), _Text()
        self._calls = Assembly()
        self._finish_reason = ""
        self._usage: Any = None
        self.begun = False
        self.over = False

    @property
    def whole(self) -> bool:
        """Whether the model has said that it is done."""
        return bool(self._finish_reason)

    @property
    def cut_short(self) -> bool:
        """Whether it is over for us while the endpoint goes on."""
        return self._finish_reason == "chanting"

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes; whether an event was in them.

        Raises ErrorInStream, and NotACompletion for what is no stream of completion chunks.
        """
        came = False
        for data in self._events.feed(chunk):
            came = self.begun = True
            if not self.over:
                self._take(data)
        return came

    def said(self) -> Said:
        """What was said. Raises NotACompletion when the end is missing."""
        if not self.whole:
            raise NotACompletion("the stream broke off before its end")
        content = str(self._content) or str(self._refusal)
        reasoning = str(self._reasoning)
        if self.cut_short:
            figures = {"completion_tokens": self.length // CHARACTERS_A_TOKEN}
            kept = (content[:KEPT_OF_A_CHANT], reasoning[:KEPT_OF_A_CHANT])
            return Said(*kept, finish_reason="chanting", usage=figures)
        calls = tuple(
            call if call.id else call.model_copy(update={"id": f"call_{index}"})
            for index, call in enumerate(self._calls.calls())
        )
        return Said(content, reasoning, calls, self._finish_reason, self._usage)

    @property
    def length(self) -> int:
        """The characters said so far, without the calls."""
        return self._content.length + self._reasoning.length

    def _take(self, data: str) -> None:
        if data.strip() == DONE:
            self.over = True
            return
        if not data.strip():
            return
        try:
            chunk = json.loads(data)
            if chunk.get("error") or chunk.get("object") == "error":
                raise ErrorInStream(chunk)
            self._usage = usage_of(chunk) or self._usage
            for choice in chunk.get("choices") or ():
                if not choice.get("index"):
                    self._take_choice(choice)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise NotACompletion(f"the stream holds what is no completion chunk ({type(error).__name__})") from None

    def _take_choice(self, choice: Mapping[str, Any]) -> None:
        # A gateway or two repeats the whole message in the last chunk: it counts only when nothing came before.
        delta = choice.get("delta") or ({} if self.length else choice.get("message")) or {}
        self._refusal.add(text_of(delta.get("refusal")))
        chants = self._reasoning.add(text_of(delta.get("reasoning_content")) or text_of(delta.get("reasoning")))
        chants = self._content.add(text_of(delta.get("content"))) or chants
        for item in delta.get("tool_calls") or ():
            self._calls.add(item)
        reason = choice.get("finish_reason")
        if reason == "error":
            raise NotACompletion("the provider broke off while it answered")
        if reason:
            self._finish_reason = str(reason)
        elif chants:
            self._finish_reason, self.over = "chanting", True


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotACompletion("the stream is not UTF-8") from None
