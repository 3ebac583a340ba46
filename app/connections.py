"""What one connection may cost: how long it may take to send a request's head, and how many there may be."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SPARE_CONNECTIONS = 100
"""So many above uvicorn's ``limit_concurrency`` are still answered 503; more are closed without a word."""


class HeadDeadlineProtocol(H11Protocol):
    """uvicorn's protocol, which gives up on a connection without a complete head in ``timeout_keep_alive`` seconds.

    They count from the connection or from the previous response. uvicorn's own timer ends at the first byte.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start to wait for the first head."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency + SPARE_CONNECTIONS:
            transport.abort()
        else:
            self._expect_head()

    def handle_events(self) -> None:
        """Stop waiting once a request is under way: from there on the application has its own deadline."""
        super().handle_events()
        # Not h11's state: after an early response it still reads the body, which may never end.
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next head; it may already be here."""
        self._expect_head()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._stop_waiting()
        # Abort and not close: close would wait for a peer that does not read the last response.
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
