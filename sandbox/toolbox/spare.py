"""A bash that was started before it is needed and waits for its script: half of a short command is its start."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

# Like `bash -c`: eval gives the same messages and exit codes. A bash before 4.4 knows no -d and reads the file itself.
_WAIT = 'read -ru {go}; mapfile -d "" -u {script} 2>/dev/null || {{ . /dev/fd/{script}; exit; }}; '
_RUN = '[ "$REPLY" ] || exec {state}<&-; exec {go}<&- {script}<&-; SECONDS=0; eval "$MAPFILE"'


class Preparation:
    """The descriptors of a bash to be: its script, its state, and the pipe on which it waits for the word."""

    def __init__(self) -> None:
        self._waits, self._go = os.pipe()
        self._script = os.memfd_create("script", os.MFD_CLOEXEC)
        self.state = os.memfd_create("state", os.MFD_CLOEXEC)

    @property
    def text(self) -> str:
        """What ``bash -c`` is given."""
        return (_WAIT + _RUN).format(go=self._waits, script=self._script, state=self.state)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the bash must inherit."""
        return (self._waits, self._script, self.state)

    def go(self, script: bytes, *, keep_state: bool) -> None:
        """Let the waiting bash run ``script``, which finds the state's descriptor open only when it shall."""
        at = 0
        while at < len(script):
            at += os.pwrite(self._script, script[at:], at)
        with contextlib.suppress(BrokenPipeError):  # it has been killed, and its exit code says so
            os.write(self._go, b"state\n" if keep_state else b"\n")

    def close(self) -> None:
        """Close everything."""
        for descriptor in (self._waits, self._go, self._script, self.state):
            os.close(descriptor)


class Spare:
    """A waiting bash: ``process`` is its process, ``folder`` identifies the folder it was started in."""

    def __init__(self, process: subprocess.Popen[bytes], preparation: Preparation, folder: tuple[int, int]) -> None:
        self.process = process
        self.preparation = preparation
        self.folder = folder


def identify_folder(path: str) -> tuple[int, int]:
    """Which folder a path means at this moment; (0, 0) when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino
