"""Running commands: one bash in its own session, output bounded, deadline kept, state carried on request."""

from __future__ import annotations

import contextlib
import math
import os
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

from .output import HeadAndTail
from .processes import OomCounter, end_processes, running, start_tick

_GRACE_AFTER_TERM = 2.0
_GRACE_FOR_PIPE = 0.3
_TICK = 0.05
_ARGUMENT_BYTES = 100_000  # the kernel's limit for one argument is 128 KiB
_STATE_BYTES = 1_000_000
_OOM_SCORE = b"500"


class Shell:
    """The commands of one container. ``environment`` is what every command starts with."""

    def __init__(self, workspace: str, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = dict(environment)
        self._state = b""
        self._active: set[int] = set()
        self._lock = threading.Lock()
        self._oom = OomCounter()
        # Opened early: once the toolbox is not dumpable, its own /proc files belong to root.
        self._oom_score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)

    def execute(
        self, command: str, *, timeout: float, environment: Mapping[str, str], carry: bool, output_limit: int
    ) -> dict[str, object]:
        """Run ``command``; the answer has the fields of ExecResult. Raises OSError when no process can be made."""
        began = time.monotonic()
        if "\0" in command:
            return _answer(2, "The command holds a NUL character; remove it.\n", began)
        kills, before = self._oom.read(), running()
        with contextlib.ExitStack() as descriptors:
            state: int | None = None
            script = command
            if carry:
                state = os.memfd_create("state", 0)
                descriptors.callback(os.close, state)
                script = self._carrying(command, environment, state)
            process = self._start_bash(script, environment, state)
            descriptors.callback(self.forget, process)
            output = HeadAndTail(output_limit)
            timed_out = self._watch(process, output, began + timeout, before)
            if state is not None:
                self._keep(state)
        text, truncated = output.render()
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        answer = _answer(None if timed_out else code, text, began)
        answer.update(truncated=truncated, timed_out=timed_out, out_of_memory=self._oom.read() > kills)
        return answer

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        environment: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a process in its own session with both outputs in one pipe, as a first choice of the OOM killer."""
        with self._lock:
            # A child inherits the score at the fork; the toolbox itself must be the last to go.
            os.write(self._oom_score, _OOM_SCORE)
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=dict(self._environment if environment is None else environment),
                    pass_fds=pass_fds,
                    start_new_session=True,
                    bufsize=0,
                )
            finally:
                os.write(self._oom_score, b"0")
            self._active.add(process.pid)
        return process

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """A spawned process has ended: its id no longer protects anything from another command's deadline."""
        with self._lock:
            self._active.discard(process.pid)

    def _start_bash(self, script: str, environment: Mapping[str, str], state: int | None) -> subprocess.Popen[bytes]:
        text = script.encode("utf-8", "replace")
        fds = [] if state is None else [state]
        argv = ["bash", "-c", os.fsdecode(text)]
        long_script: int | None = None
        if len(text) > _ARGUMENT_BYTES:
            long_script = os.memfd_create("command", 0)
            _write_all(long_script, text)
            argv = ["bash", f"/dev/fd/{long_script}"]
            fds.append(long_script)
        cwd = self._workspace if os.path.isdir(self._workspace) else "/"
        merged = {**self._environment, **environment}
        try:
            try:
                return self.spawn(argv, cwd=cwd, environment=merged, pass_fds=tuple(fds))
            except BlockingIOError:
                # The process limit is reached: leftovers of earlier commands, or a fork bomb among them.
                end_processes(0, before=(), keep=self._active)
                return self.spawn(argv, cwd=cwd, environment=merged, pass_fds=tuple(fds))
        finally:
            if long_script is not None:
                os.close(long_script)

    def _carrying(self, command: str, environment: Mapping[str, str], state: int) -> str:
        """``command`` between restoring the state of the last carried command and noting its own when it ends."""
        _write_all(state, self._state)
        exports = "".join(f"export {name}={shlex.quote(value)};" for name, value in environment.items())
        note = f'export -p >/dev/fd/{state}; printf "cd -- %q 2>/dev/null\\n" "$PWD" >>/dev/fd/{state}'
        return f". /dev/fd/{state}; {exports} trap {shlex.quote(note)} EXIT\n{command}"

    def _keep(self, state: int) -> None:
        size = os.fstat(state).st_size
        if 0 < size <= _STATE_BYTES:
            self._state = os.pread(state, size, 0)

    def _watch(
        self, process: subprocess.Popen[bytes], output: HeadAndTail, deadline: float, before: frozenset[int]
    ) -> bool:
        """Read until the command has ended; at the deadline end it and what it started. True when it was too late."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        since = start_tick(process.pid)
        with _Ending(process) as ending:
            open_pipe = _read_until(ending, pipe, output, deadline)
            timed_out = not ending.wait(deadline)
            if timed_out:
                _signal_group(process.pid, signal.SIGTERM)
                late = time.monotonic() + _GRACE_AFTER_TERM
                open_pipe = open_pipe and _read_until(ending, pipe, output, late)
                ending.wait(late)
                with self._lock:
                    others = self._active - {process.pid}
                _signal_group(process.pid, signal.SIGKILL)
                end_processes(since, before=before, keep=others)
        process.wait()
        if open_pipe and _drain(pipe, output, time.monotonic() + _GRACE_FOR_PIPE):
            # A background process keeps the pipe: closing it would end that process with SIGPIPE at its next line.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=_discard, args=(os.dup(pipe),), daemon=True).start()
        process.stdout.close()
        return timed_out


class _Ending:
    """When a process ends: told by the kernel at once where it has pidfds, else looked for every few milliseconds."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.descriptor = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.descriptor = os.pidfd_open(process.pid)

    def __enter__(self) -> _Ending:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def wait(self, deadline: float) -> bool:
        """Whether the process has ended by ``deadline`` (monotonic)."""
        left = max(deadline - time.monotonic(), 0)
        if self.descriptor >= 0:
            return bool(_poll([self.descriptor], left))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(left)
        return self._process.poll() is not None


def _read_until(ending: _Ending, pipe: int, output: HeadAndTail, deadline: float) -> bool:
    """Read until end of file (False), or until the process has ended or the deadline has passed (True)."""
    watched = [pipe] if ending.descriptor < 0 else [pipe, ending.descriptor]
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return True
        ready = _poll(watched, left if len(watched) > 1 else min(left, _TICK))
        if pipe in ready:
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return False
            output.add(chunk)
        elif ready or (len(watched) == 1 and ending.wait(0)):
            return True


def _poll(descriptors: Sequence[int], seconds: float) -> set[int]:
    poller = select.poll()
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poller.poll(math.ceil(seconds * 1000))}


def _answer(code: int | None, text: str, began: float) -> dict[str, object]:
    seconds = round(time.monotonic() - began, 4)
    return {
        "exit_code": code,
        "output": text,
        "truncated": False,
        "timed_out": False,
        "out_of_memory": False,
        "seconds": seconds,
    }


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _drain(pipe: int, output: HeadAndTail, deadline: float) -> bool:
    """Take what is already in the pipe and what comes within the grace; False at end of file."""
    while True:
        left = max(deadline - time.monotonic(), 0)
        if not _poll([pipe], left):
            return True
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            return False
        output.add(chunk)
        if not left:
            return True


def _discard(pipe: int) -> None:
    while os.read(pipe, 1 << 16):
        pass
    os.close(pipe)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
