"""A Unix socket on the host that the toolbox of one container comes to, once: quicker than the engine's stream."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from sandbox.file_lock import try_lock


class ToolSocket:
    """Listens at ``path``, in a folder of its own below ``parent``, until :meth:`accept` or :meth:`close`.

    It is the folder that a container mounts: some engines cannot mount a socket. It is locked for as long, so that what
    a killed process left is known. Raises OSError: some file systems take no sockets.
    """

    def __init__(self, parent: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._held: int | None = None
        self._closing = Lock()
        self.path = parent / secrets.token_hex(8) / "toolbox.sock"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone_in(parent):
                self.path.parent.mkdir()
                self._held = _open_folder(self.path.parent)
                try_lock(self._held)
            _bind(self._listener, self.path)
            # The container's user is nobody here; the parent keeps everyone else away.
            self.path.parent.chmod(0o755)
            self.path.chmod(0o666)
            self._listener.listen(1)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor that is readable when somebody has come."""
        return self._listener.fileno()

    def accept(self) -> socket.socket:
        """The connection of whoever came first; nobody can come after. Raises OSError."""
        connection, _ = self._listener.accept()
        self.close()
        return connection

    def close(self) -> None:
        """Listen no more; may be called twice."""
        self._listener.close()
        _remove(self.path.parent)
        with self._closing:
            if self._held is not None:
                os.close(self._held)
                self._held = None


def remove_dead_sockets(parent: Path) -> None:
    """Remove what killed processes left, whose locks ended with them."""
    with suppress(OSError), _alone_in(parent):
        for folder in parent.iterdir():
            with suppress(OSError):  # its owner is just removing it
                held = _open_folder(folder)
                if try_lock(held):
                    _remove(folder)
                os.close(held)


@contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """Nobody else makes a folder here meanwhile: between its making and its lock it would look dead."""
    descriptor = _open_folder(parent)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        (folder / "toolbox.sock").unlink(missing_ok=True)
        folder.rmdir()


def _bind(listener: socket.socket, path: Path) -> None:
    """Bind by way of the folder's descriptor: an address has 107 bytes at most, which a data folder's may exceed."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
