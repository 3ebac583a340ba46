"""A Unix socket on the host that the toolbox of one container comes to, once: quicker than the engine's stream."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path

_OLD_SECONDS = 3600.0


class ToolSocket:
    """Listens at ``path``, in a folder of its own below ``parent``, until :meth:`accept` or :meth:`close`.

    It is the folder that a container mounts: some engines cannot mount a socket. Raises OSError: some file systems
    take no sockets.
    """

    def __init__(self, parent: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path = parent / secrets.token_hex(8) / "toolbox.sock"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.parent.mkdir()
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


def remove_dead_sockets(parent: Path) -> None:
    """Remove what killed processes left: no container takes so long to come."""
    for folder in parent.glob("*/"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _OLD_SECONDS:
                _remove(folder)


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
