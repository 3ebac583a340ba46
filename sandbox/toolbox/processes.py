"""The processes of the container as /proc shows them: which came after a moment, and how they are ended for good."""

from __future__ import annotations

import contextlib
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PATIENCE = 2.0


class KernelCounter:
    """What the kernel counts of this container's cgroup, under a name in one of its files; kept open, for speed."""

    def __init__(self, name: bytes, *files: str) -> None:
        self._name = name
        self._counter = -1
        for file in files:
            path = f"/sys/fs/cgroup/{file}"
            if os.access(path, os.R_OK):
                self._counter = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return

    def read(self) -> int:
        """The count so far; 0 where the kernel does not say."""
        if self._counter < 0:
            return 0
        for line in os.pread(self._counter, 4096, 0).splitlines():
            name, _, value = line.partition(b" ")
            if name == self._name:
                return int(value)
        return 0


def count_oom_kills() -> KernelCounter:
    """How many processes were ended for memory (cgroup v2, or v1)."""
    return KernelCounter(b"oom_kill", "memory.events", "memory/memory.oom_control")


def count_refused_forks() -> KernelCounter:
    """How often no process was made, because there were as many as are allowed (cgroup v2, or v1)."""
    return KernelCounter(b"max", "pids.events", "pids/pids.events")


def tick_now() -> int:
    """This moment, in the clock ticks since boot in which the kernel says when a process started."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def running() -> frozenset[int]:
    """The ids of all processes but PID 1 and this one."""
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit()) - {1, os.getpid()}


def end_processes(since: int, *, before: Iterable[int], keep: Iterable[int]) -> None:
    """Kill what came after tick ``since``, wherever it hid, except ``keep``, ``before``, and what descends from those.

    ``before`` are the processes that were running at that tick: a younger one under the same id is another.

    Stopped before killed, so that nothing multiplies meanwhile; what still does after some seconds (a fork bomb) takes
    every other process of the container with it, in one call of the kernel.
    """
    kept, older = set(keep), set(before)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        victims = _victims(since, kept, older)
        if not victims:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in victims:
                _signal(pid, number)
        time.sleep(0.002)
    _signal(-1, signal.SIGKILL)


def _victims(since: int, keep: set[int], before: set[int]) -> list[int]:
    table: dict[int, tuple[int, int]] = {}
    for pid in running():
        parent, started = _stat(pid)
        if started:
            table[pid] = (parent, started)
    spared = keep | {pid for pid in before if pid in table and table[pid][1] <= since}
    return [pid for pid in table if not _descends(pid, spared, table)]


def _descends(pid: int, keep: set[int], table: dict[int, tuple[int, int]]) -> bool:
    seen: set[int] = set()
    while pid in table and pid not in seen:
        if pid in keep:
            return True
        seen.add(pid)
        pid = table[pid][0]
    return False


def _stat(pid: int) -> tuple[int, int]:
    """Parent and start of a process; (0, 0) when it is gone or already dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return 0, 0
    if fields[0] in (b"Z", b"X"):
        return 0, 0
    return int(fields[1]), int(fields[19])


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
