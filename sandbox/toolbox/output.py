"""What is kept of a command's output: its head and its tail in memory, more of it in a file, the news of it live."""

from __future__ import annotations

import contextlib
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CONTINUATION = bytes(range(0x80, 0xC0))
_FILE_BYTES = 8 * 1024 * 1024
_FILES = 10
_LIVE_SECONDS = 0.05
_LIVE_BYTES = 64 * 1024


class HeadAndTail:
    """A sink for bytes that keeps the first and the last ``limit`` / 2 characters (UTF-8, errors replaced).

    ``file``: takes the whole output as soon as some of it will be left out.
    """

    def __init__(self, limit: int, file: OutputFile | None = None) -> None:
        self._limit = max(limit, 2)
        # A character has at most four bytes; while nothing is left out, head + tail is the whole output.
        self._room = 4 * self._limit
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = False
        self._characters = 0
        self._file = file

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._characters += len(chunk.translate(None, _CONTINUATION))
        if len(self._head) < self._room:
            free = self._room - len(self._head)
            self._head += chunk[:free]
            chunk = chunk[free:]
        if not chunk:
            return
        if self._file is not None:
            if not self._file.path:
                self._file.start(self._head + self._tail)
            self._file.add(chunk)
        self._tail += chunk
        if len(self._tail) > 2 * self._room:
            del self._tail[: -self._room]
            self._lost = True

    def render(self) -> tuple[str, bool]:
        """The kept text, with one plain line for what was left out, and whether anything was."""
        if not self._lost:
            text = (self._head + self._tail).decode("utf-8", "replace")
            if len(text) <= self._limit:
                if self._file is not None:
                    self._file.discard()
                return text, False
            head, tail, total = text, text, len(text)
        else:
            head, tail = self._head.decode("utf-8", "replace"), self._tail.decode("utf-8", "replace")
            total = self._characters
        half = self._limit // 2
        kept_head, kept_tail = head[:half], tail[half - self._limit :]
        left_out = total - len(kept_head) - len(kept_tail)
        where = "" if self._file is None else self._file.finish(self._head, self._tail)
        return f"{kept_head}\n[... {left_out} characters left out{where} ...]\n{kept_tail}", True


class OutputFile:
    """The file that holds a long output: the first megabytes and the end. ``path`` is empty while there is none.

    A full disk is no reason for a command to fail: then there is no file.
    """

    def __init__(self, files: OutputFiles) -> None:
        self._files = files
        self._descriptor = -1
        self._size = 0
        self._skipped = 0
        self.path = ""

    def start(self, content: bytes | bytearray) -> None:
        """Make the file with what came so far."""
        self.path = self._files.next_path()
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o644)
        self.add(content)

    def add(self, chunk: bytes | bytearray) -> None:
        """Write the next bytes, up to the size of a file."""
        if self._size >= _FILE_BYTES:
            self._skipped += len(chunk)
            return
        self._write(chunk)

    def finish(self, head: bytes | bytearray, tail: bytes | bytearray) -> str:
        """Close the file; words for the reader that say where it is, empty when there is none."""
        if not self.path:
            self.start(head)
            self.add(tail)
        what = "the whole output is in"
        if self._skipped > 0:
            # The tail in memory holds the last bytes; what the file has of them already is not written twice.
            end = tail[-self._skipped :]
            note = f"\n[... {self._skipped - len(end)} bytes left out ...]\n".encode("ascii")
            self._write(note if self._skipped > len(end) else b"")
            self._write(end)
            what = f"the first {_FILE_BYTES // 1_000_000} MB and the end are in"
        if self._descriptor < 0:
            self.discard()
            return ""
        os.close(self._descriptor)
        self._descriptor = -1
        self._files.keep(self.path)
        return f"; {what} {self.path}, use grep or read_file on it"

    def discard(self) -> None:
        """Remove the file: nothing was left out after all, or it could not be written."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self.path:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
        self.path = ""

    def _write(self, chunk: bytes | bytearray) -> None:
        if self._descriptor < 0:
            return
        view = memoryview(chunk)
        self._size += len(view)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            os.close(self._descriptor)
            self._descriptor = -1


class OutputFiles:
    """The files of one container: numbered, and only the last few of them are kept."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._number = 0
        self._kept: list[str] = []

    def next_path(self) -> str:
        """A path nobody has used yet."""
        self._number += 1
        return os.path.join(self._folder, f"command-output-{self._number}.txt")

    def keep(self, path: str) -> None:
        """Note a finished file, and remove the oldest when there are too many."""
        self._kept.append(path)
        while len(self._kept) > _FILES:
            with contextlib.suppress(OSError):
                os.unlink(self._kept.pop(0))


class Live:
    """Passes output on while a command runs, a piece every so often; of a flood, the newest of each piece."""

    def __init__(self, send: Callable[[int, bytes], None]) -> None:
        self._send = send
        self._waiting = bytearray()
        self._dropped = 0
        self._sent = 0.0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes, and send when it is time."""
        self._waiting += chunk
        if len(self._waiting) > _LIVE_BYTES:
            self._dropped += len(self._waiting) - _LIVE_BYTES
            del self._waiting[:-_LIVE_BYTES]
        if self.patience() == 0:
            self.flush()

    def patience(self) -> float | None:
        """Seconds until what waits should be sent; None when nothing does."""
        if not self._waiting:
            return None
        return max(self._sent + _LIVE_SECONDS - time.monotonic(), 0.0)

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            self._send(self._dropped, bytes(self._waiting))
            self._waiting.clear()
            self._dropped = 0
            self._sent = time.monotonic()
