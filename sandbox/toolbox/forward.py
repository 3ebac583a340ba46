"""The way out of the set-up phase: TCP on loopback, carried to the proxy's Unix socket on the host and nowhere else."""

from __future__ import annotations

import contextlib
import socket
import threading

_CHUNK = 1 << 16


def start_forwarding(port: int, target: str) -> None:
    """Listen on 127.0.0.1:``port`` and join every connection to the Unix socket ``target``. Raises OSError."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    threading.Thread(target=_accept, args=(listener, target), daemon=True).start()


def _accept(listener: socket.socket, target: str) -> None:
    while True:
        inside, _ = listener.accept()
        outside = socket.socket(socket.AF_UNIX)
        try:
            outside.connect(target)
        except OSError:
            # The proxy has gone: the client sees a closed connection, like from a proxy that refuses.
            inside.close()
            outside.close()
            continue
        for source, sink in ((inside, outside), (outside, inside)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """One direction until its end; the half-close is passed on, and the last of the two closes both."""
    try:
        for chunk in iter(lambda: source.recv(_CHUNK), b""):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
