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

from .output import HeadAndTail, Live, OutputFile, OutputFiles
from .processes import count_oom_kills, count_refused_forks, end_processes, running, tick_now
from .spare import Preparation, Spare, identify_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_GRACE_AFTER_TERM = 2.0
_GRACE_AFTER_CANCEL = 0.4
_GRACE_FOR_PIPE = 0.3
_TICK = 0.02
_STATE_BYTES = 1_000_000
_OOM_SCORE = b"500"
_OUTPUT_FOLDER = "/tmp"
_CROWDED = "\n[the sandbox's limit of processes was reached; what the command left running was ended]\n"


def find_program(name: str, path: str) -> str | None:
    """Where a program is on ``path``, as the shell would find it; None when it is not."""
    for folder in path.split(os.pathsep):
        full = os.path.join(folder, name)
        if os.path.isfile(full) and os.access(full, os.X_OK):
            return full
    return None


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read within some seconds."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(max(math.ceil(seconds * 1000), 0)))


class Cancel:
    """Whether a running command is still wanted: a pipe, so that whoever waits for output is woken at once."""

    def __init__(self) -> None:
        self.descriptor, self._set = os.pipe()

    def set(self) -> None:
        """It is not wanted any more."""
        os.write(self._set, b"x")

    def close(self) -> None:
        """Nobody waits any more."""
        os.close(self.descriptor)
        os.close(self._set)


class Shell:
    """The commands of one container. ``environment`` is what every command starts with."""

    def __init__(self, workspace: str, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = dict(environment)
        self._state = b""
        self._active: set[int] = set()
        self._lock = threading.Lock()
        self._oom = count_oom_kills()
        self._refused = count_refused_forks()
        self._outputs = OutputFiles(_OUTPUT_FOLDER)
        self._spares: list[Spare] = []
        # Opened early: once the toolbox is not dumpable, its own /proc files belong to root.
        self._oom_score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)

    def execute(
        self,
        command: str,
        *,
        timeout: float,
        environment: Mapping[str, str],
        carry: bool,
        output_limit: int,
        live: Callable[[int, bytes], None] | None = None,
        cancel: Cancel | None = None,
    ) -> dict[str, object]:
        """Run ``command``; the answer has the fields of ExecResult. Raises OSError when no process can be made.

        ``live`` is given the output as it comes, with the number of bytes that were dropped before each piece.
        """
        began = time.monotonic()
        if "\0" in command:
            return _answer(2, "The command holds a NUL character; remove it.\n", began)
        kills, refused = self._oom.read(), self._refused.read()
        file = OutputFile(self._outputs) if carry else None
        with contextlib.ExitStack() as undo:
            spare = self._take_spare(environment)
            undo.callback(spare.preparation.close)
            undo.callback(self.forget, spare.process)
            before, since = running() - {spare.process.pid}, tick_now()
            state = spare.preparation.state
            script = self._carrying(command, environment, state) if carry else command
            restored = os.fstat(state).st_size
            spare.preparation.go(script.encode("utf-8", "replace"), keep_state=carry)
            watch = _Watch(spare.process, HeadAndTail(output_limit, file), live and Live(live), cancel)
            ended = watch.follow(began + timeout)
            if not ended:
                self._end(watch, since, before)
            crowded = self._refused.read() > refused
            if ended and crowded:  # what multiplies in the background would leave no room for the next command
                self._end_leftovers(spare.process.pid, since, before)
            watch.finish()
            if carry:
                self._keep(state, restored)
        text, truncated = watch.output.render()
        text += _CROWDED if crowded else ""
        code = spare.process.returncode
        answer = _answer((code if code >= 0 else 128 - code) if ended else None, text, began)
        answer.update(truncated=truncated, timed_out=not ended and not watch.cancelled, cancelled=watch.cancelled)
        answer.update(out_of_memory=self._oom.read() > kills, output_file=file.path or None if file else None)
        return answer

    def prepare(self) -> None:
        """Start a bash for the next command, when there is none; for a moment in which nobody waits."""
        with self._lock:
            enough = bool(self._spares)
        if not enough:
            with contextlib.suppress(OSError):  # the process limit is reached: the next command deals with it
                made = self._start_bash(self._environment)
                with self._lock:
                    self._spares.append(made)

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

    def _take_spare(self, environment: Mapping[str, str]) -> Spare:
        """The waiting bash where it will do, else a new one."""
        with self._lock:
            spare = self._spares.pop() if self._spares and not environment else None
        if spare is not None:
            if spare.process.poll() is None and spare.folder == identify_folder(self._workspace):
                return spare
            self._drop(spare)
        merged = {**self._environment, **environment}
        try:
            return self._start_bash(merged)
        except BlockingIOError:
            # The process limit is reached: leftovers of earlier commands, or a fork bomb among them.
            end_processes(0, before=(), keep=self._active)
            return self._start_bash(merged)

    def _start_bash(self, environment: Mapping[str, str]) -> Spare:
        cwd = self._workspace if os.path.isdir(self._workspace) else "/"
        preparation = Preparation()
        try:
            argv = ["bash", "-c", preparation.text]
            process = self.spawn(argv, cwd=cwd, environment=environment, pass_fds=preparation.descriptors)
        except OSError:
            preparation.close()
            raise
        return Spare(process, preparation, identify_folder(cwd))

    def _drop(self, spare: Spare) -> None:
        spare.process.kill()
        spare.process.wait()
        assert spare.process.stdout is not None
        spare.process.stdout.close()
        spare.preparation.close()
        self.forget(spare.process)

    def _carrying(self, command: str, environment: Mapping[str, str], state: int) -> str:
        """``command`` between restoring the state of the last carried command and noting its own when it ends."""
        os.write(state, self._state)  # the bash shares the place in the file: its own state comes behind
        exports = "".join(f"export {name}={shlex.quote(value)};" for name, value in environment.items())
        note = f'{{ export -p; printf "cd -- %q 2>/dev/null\\n" "$PWD"; }} >&{state}'
        return f". /dev/fd/{state}; {exports} trap {shlex.quote(note)} EXIT\n{command}"

    def _keep(self, state: int, restored: int) -> None:
        """Keep what a command noted behind the ``restored`` bytes that it began with."""
        size = os.fstat(state).st_size - restored
        if 0 < size <= _STATE_BYTES:
            self._state = os.pread(state, size, restored)

    def _end(self, watch: _Watch, since: int, before: frozenset[int]) -> None:
        """End a command and what it started: asked first, then made to."""
        pid = watch.process.pid
        _signal_group(pid, signal.SIGTERM)
        watch.follow(time.monotonic() + (_GRACE_AFTER_CANCEL if watch.cancelled else _GRACE_AFTER_TERM))
        _signal_group(pid, signal.SIGKILL)
        self._end_leftovers(pid, since, before)

    def _end_leftovers(self, pid: int, since: int, before: frozenset[int]) -> None:
        """End what a command left running, of the commands that run beside it nothing."""
        with self._lock:
            others = self._active - {pid}
        end_processes(since, before=before, keep=others)


class _Watch:
    """One running command: reads its output until it has ended, its deadline has passed, or nobody wants it."""

    def __init__(
        self, process: subprocess.Popen[bytes], output: HeadAndTail, live: Live | None, cancel: Cancel | None
    ) -> None:
        assert process.stdout is not None
        self.process = process
        self.output = output
        self.cancelled = False
        self._live = live
        self._cancel = cancel
        self._pipe = process.stdout.fileno()
        self._open = True
        self._pidfd = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(process.pid)
        self._poll = select.poll()
        for descriptor in (self._pipe, self._pidfd, -1 if cancel is None else cancel.descriptor):
            if descriptor >= 0:
                self._poll.register(descriptor, select.POLLIN)

    def follow(self, deadline: float) -> bool:
        """Whether the command ended by itself before ``deadline`` (monotonic seconds), not cancelled either."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            ready = {descriptor for descriptor, _ in self._poll.poll(math.ceil(self._patience(left) * 1000))}
            if self._cancel is not None and self._cancel.descriptor in ready:
                self._poll.unregister(self._cancel.descriptor)
                self._cancel = None
                self.cancelled = True
                return False
            if self._pipe in ready:
                self._take()
            elif (self._pidfd in ready) if self._pidfd >= 0 else self.process.poll() is not None:
                return True
            if self._live is not None and self._live.patience() == 0:
                self._live.flush()

    def finish(self) -> None:
        """Take what is still in the pipe, and leave the pipe to a background process that may hold it."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self.process.wait()
        assert self.process.stdout is not None
        if self._open and self._drain(time.monotonic() + _GRACE_FOR_PIPE):
            # A background process keeps the pipe: closing it would end that process with SIGPIPE at its next line.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=_discard, args=(os.dup(self._pipe),), daemon=True).start()
        self.process.stdout.close()
        if self._live is not None:
            self._live.flush()

    def _patience(self, left: float) -> float:
        if self._pidfd < 0:
            left = min(left, _TICK)
        waits = None if self._live is None else self._live.patience()
        return left if waits is None else min(left, waits)

    def _take(self) -> bool:
        chunk = os.read(self._pipe, 1 << 16)
        if not chunk:
            self._open = False
            self._poll.unregister(self._pipe)
            return False
        self.output.add(chunk)
        if self._live is not None:
            self._live.add(chunk)
        return True

    def _drain(self, deadline: float) -> bool:
        """Take what is already in the pipe and what comes within the grace; False at end of file."""
        while True:
            left = max(deadline - time.monotonic(), 0)
            if not wait_readable(self._pipe, left):
                return True
            if not self._take():
                return False
            if not left:
                return True


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


def _discard(pipe: int) -> None:
    while os.read(pipe, 1 << 16):
        pass
    os.close(pipe)
