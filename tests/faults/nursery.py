"""Forgehand processes that start at once: forked from a process that has imported everything, and then `forgehand …`.

Importing takes most of a start's time, and the tests start Forgehand again after every kill.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class Child:
    """A forked Forgehand. ``returncode`` is not known, only whether we killed it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended_from_here = False
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """None while it lives; then -SIGKILL when it was ended from here, and 0 when it ended by itself."""
        if self.returncode is None and select.select([self._descriptor], [], [], 0)[0]:
            self.returncode = -signal.SIGKILL if self._ended_from_here else 0
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        """Until it is gone. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.poll() or 0

    def kill(self) -> None:
        """kill -9; no harm when it is gone."""
        self._ended_from_here = True
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM: an orderly end."""
        self._ended_from_here = True
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal; none to a process that is gone."""
        if self.returncode is None:
            try:
                signal.pidfd_send_signal(self._descriptor, number)
            except ProcessLookupError:
                return


class Nursery:
    """The process that forks. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, command: str, environment: Mapping[str, str], log: Path) -> Child:
        """`forgehand COMMAND` in a process of its own."""
        order = {"command": command, "environment": dict(environment), "log": str(log)}
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        with self._lock:
            try:
                self._parent.stdin.write(json.dumps(order).encode() + b"\n")
                self._parent.stdin.flush()
                return Child(int(self._parent.stdout.readline()))
            except (BrokenPipeError, ValueError):
                raise AssertionError(f"The nursery ended with {self._parent.wait(5)}: who did that?") from None

    def stop(self) -> None:
        """End the forking process; its children stay."""
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait()


def main() -> None:
    """Read orders, one JSON object a line; answer each with the process id of a new Forgehand."""
    import app.cli
    import app.fix
    import app.serve  # noqa: F401 - so that no child has to

    # Nobody waits for the children, so the kernel may bury them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        os.write(1, b"%d\n" % child)


def _become(order: Mapping[str, Any]) -> None:
    import app.cli

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Nobody is left over when the tests are ended by force: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = ["forgehand", order["command"]]
    code = 1
    try:
        app.cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
