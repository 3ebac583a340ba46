"""What is kept of a command's output: its head and its tail, in constant memory however much there is."""

from __future__ import annotations

_CONTINUATION = bytes(range(0x80, 0xC0))


class HeadAndTail:
    """A sink for bytes that keeps the first and the last ``limit`` / 2 characters (UTF-8, errors replaced)."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 2)
        # A character has at most four bytes; while nothing is left out, head + tail is the whole output.
        self._room = 4 * self._limit
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = False
        self._characters = 0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._characters += len(chunk.translate(None, _CONTINUATION))
        if len(self._head) < self._room:
            free = self._room - len(self._head)
            self._head += chunk[:free]
            chunk = chunk[free:]
        self._tail += chunk
        if len(self._tail) > 2 * self._room:
            del self._tail[: -self._room]
            self._lost = True

    def render(self) -> tuple[str, bool]:
        """The kept text, with one plain line for what was left out, and whether anything was."""
        if not self._lost:
            text = (self._head + self._tail).decode("utf-8", "replace")
            if len(text) <= self._limit:
                return text, False
            head, tail, total = text, text, len(text)
        else:
            head, tail = self._head.decode("utf-8", "replace"), self._tail.decode("utf-8", "replace")
            total = self._characters
        half = self._limit // 2
        kept_head, kept_tail = head[:half], tail[half - self._limit :]
        left_out = total - len(kept_head) - len(kept_tail)
        return f"{kept_head}\n[... {left_out} characters left out ...]\n{kept_tail}", True
