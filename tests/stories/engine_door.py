"""A door before the Docker engine: open, it passes everything through; shut, nothing answers behind it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path


class EngineDoor:
    """A Unix socket at ``path`` that leads to the real engine's; ``address`` is what DOCKER_HOST is set to.

    What the engine says within ``gathers`` seconds comes in one piece, as it does where the caller is slow.
    """

    def __init__(self, path: Path, *, gathers: float = 0.0) -> None:
        self._path = path
        self._gathers = gathers
        self._engine = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"
        self._listener: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"unix://{self._path}"

    def open(self) -> None:
        """Let everyone through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut every connection and take no new one, as an engine that is stopped does."""
        if self._listener is None:
            return
        self._path.unlink()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        with self._lock:
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                outer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(outer,), daemon=True).start()

    def _carry(self, outer: socket.socket) -> None:
        with outer, socket.socket(socket.AF_UNIX) as inner:
            inner.connect(self._engine)
            with self._lock:
                self._lines |= {outer, inner}
            back = threading.Thread(target=_pass, args=(inner, outer, self._gathers), daemon=True)
            back.start()
            _pass(outer, inner)
            back.join()
            with self._lock:
                self._lines -= {outer, inner}


def _pass(source: socket.socket, target: socket.socket, gathers: float = 0.0) -> None:
    """Everything until the end; the other direction goes on: the end of an input is not the end of its output."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65_536):
            time.sleep(gathers)
            with contextlib.suppress(BlockingIOError):
                chunk += source.recv(65_536, socket.MSG_DONTWAIT) if gathers else b""
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
