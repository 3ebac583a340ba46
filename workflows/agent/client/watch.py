"""A deadline on a connection that somebody else is reading: when it passes, the connection is cut under the reader."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

import httpx2

LOOK_SECONDS = 0.25


class Watch:
    """Calls ``cut`` once, from a thread of its own, when ``until`` on ``clock`` has passed; ``expect`` moves it.

    It does so, too, soon after ``cancelled`` was set.

    The package's own time-out is one for all reads, and here the first wait is longer than the later ones.
    """

    def __init__(
        self,
        cut: Callable[[], None],
        *,
        clock: Callable[[], float],
        until: float,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._cut = cut
        self._clock = clock
        self._until = until
        self._cancelled = cancelled
        self._over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model-watch", daemon=True)
        self.fired = False

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        # One that has not fired by now never will, and need not be waited for; the connection may serve again.
        if self.fired:
            self._thread.join()

    def expect(self, until: float) -> None:
        """Something must have come by ``until``."""
        with self._changed:
            if until < self._until:
                self._changed.notify()  # else the thread finds out when the earlier time has come
            self._until = until

    def expect_end(self, until: float) -> None:
        """The answer is whole, wanted or not; what is left must have come by ``until``.

        From here on the connection may serve somebody else at any moment.
        """
        with self._changed:
            self._cancelled = None
        self.expect(until)

    def _run(self) -> None:
        # The cut is made under the lock: whoever reads an answer to its end takes that first.
        with self._changed:
            while not self._over and (left := self._until - self._clock()) > 0:
                if self._cancelled is None:
                    self._changed.wait(left)
                elif self._cancelled.is_set():
                    break
                else:
                    self._changed.wait(min(left, LOOK_SECONDS))
            self.fired = not self._over
            if self.fired:
                self._cut()


def cut_connection(response: httpx2.Response) -> None:
    """End the connection of a response that is being read: its reader meets the end of the stream."""
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            # Not the TLS socket's own method: that one takes the session away under the reader.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
