"""Where the file tools find their files: on this machine, which is the container the toolbox runs in."""

from __future__ import annotations

import os
import stat


class NotRegular(OSError):
    """What is there is not a regular file."""


class TooBig(OSError):
    """The file is larger than the caller can take."""


class LocalStore:
    """The files of this machine, by resolved path. Every method raises OSError."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return os.path.isdir(path)

    def read(self, path: str, limit: int) -> bytes:
        """A regular file's bytes. Raises NotRegular, and TooBig above ``limit`` bytes, before anything is read."""
        with open(path, "rb", opener=_open_regular) as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise TooBig(0, "too large", path)
            content = file.read(limit + 1)
        if len(content) > limit:
            raise TooBig(0, "too large", path)
        return content

    def write(self, path: str, content: bytes) -> bool:
        """Write beside the file, then rename over it, with the mode it had; parents are made. Whether it is new.

        On OSError the file is as it was.
        """
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            mode, new = stat.S_IMODE(os.stat(path).st_mode), False
        except FileNotFoundError:
            mode, new = 0o644, True
        temporary = os.path.join(os.path.dirname(path), ".forgehand-" + os.urandom(8).hex())
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        return new


def _open_regular(path: str, flags: int) -> int:
    """Open without waiting for the other end of a FIFO. Raises NotRegular for anything but a file."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(0, "not a regular file", path)
    return descriptor
