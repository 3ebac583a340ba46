"""A port for a server that starts later, or starts again: nobody else is given it meanwhile."""

from __future__ import annotations

import socket


class ReservedPort:
    """A free port of 127.0.0.1, kept until it is closed: bound, never listened on.

    A server that sets SO_REUSEADDR, as all of ours do, listens on it all the same, as often as it likes
    (https://man7.org/linux/man-pages/man7/socket.7.html); the kernel gives it to nobody who asks for any.
    """

    def __init__(self) -> None:
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number = int(self._holder.getsockname()[1])

    def close(self) -> None:
        """Let others have it."""
        self._holder.close()

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
