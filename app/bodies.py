"""How a request's body comes in: within its own limit, and within what all bodies may hold together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from app.webhook import MAX_BODY_BYTES, Refused

SMALL_BODY_BYTES = 64 * 1024
"""A body up to this size always has room: nearly every delivery is one."""
BUDGET_BYTES = 64 * 1024 * 1024


class BodyBudget:
    """The bytes that bodies above ``SMALL_BODY_BYTES`` may hold at one time; ``free`` are left.

    For one event loop; not for threads.
    """

    def __init__(self, limit: int = BUDGET_BYTES) -> None:
        self.free = limit

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        """One body's share, which is given back at the end of the block: drop the body before."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self.free += share.held

    def take(self, size: int) -> bool:
        """Whether ``size`` bytes were free and are now taken."""
        if size > self.free:
            return False
        self.free -= size
        return True


class BodyShare:
    """What one body holds of a budget; ``held`` is in bytes."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0

    def grow(self, size: int) -> bool:
        """Whether the body, now of ``size`` bytes, has room."""
        if size <= SMALL_BODY_BYTES:
            return True
        if not self._budget.take(size - self.held):
            return False
        self.held = size
        return True


async def read_body(request: Request, share: BodyShare) -> bytes | Refused:
    """The whole body; Refused with 413 above GitHub's cap, with 503 when other bodies hold the room for it.

    What was announced too large is refused before a byte is read. Raises ``ClientDisconnect`` when the peer leaves.
    """
    too_large = Refused(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        return too_large
    body = bytearray()
    # Counted as they come: an announcement costs its sender nothing, and would keep the room from others.
    async for chunk in request.stream():
        if len(body) + len(chunk) > MAX_BODY_BYTES:
            return too_large
        if not share.grow(len(body) + len(chunk)):
            return Refused(503, "Too many large bodies are being received: redeliver it later.")
        body += chunk
    return bytes(body)
