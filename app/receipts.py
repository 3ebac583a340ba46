"""Deliveries that arrive while others are being committed share the next commit, so that many cost one disk flush."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from workflows.durable.queue import QueueUnavailable, Receipt, Submission

BATCH = 256


class Receipts:
    """The one way from the event loop into the database: ``submit_all`` runs in a thread, once at a time."""

    def __init__(self, submit_all: Callable[[Sequence[Submission]], list[Receipt]]) -> None:
        self._submit_all = submit_all
        self._waiting: list[tuple[Submission, asyncio.Future[Receipt]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def store(self, submission: Submission) -> Receipt:
        """The receipt, after the commit. Raises QueueUnavailable when nothing was stored."""
        stored: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, stored))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            failure = QueueUnavailable("The delivery could not be stored: see the log.")
            receipts: list[Receipt] = []
            try:
                receipts = await asyncio.to_thread(self._submit_all, [submission for submission, _ in batch])
            except QueueUnavailable as error:
                failure = error
            finally:
                # Also after a bug: nobody may wait for an answer that does not come.
                _settle([stored for _, stored in batch], receipts, failure)


def _settle(waiting: Sequence[asyncio.Future[Receipt]], receipts: Sequence[Receipt], failure: QueueUnavailable) -> None:
    for index, stored in enumerate(waiting):
        if stored.done():  # its connection is gone
            continue
        if receipts:
            stored.set_result(receipts[index])
        else:
            stored.set_exception(failure)
