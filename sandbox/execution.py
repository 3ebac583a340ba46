"""One program run by the engine's exec in a running container: bytes in, both outputs out, a deadline kept."""

from __future__ import annotations

import contextlib
import select
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import docker
import requests
from docker.errors import DockerException

from sandbox.container import SandboxUnavailable

_HEADER = struct.Struct(">BxxxL")
_STDOUT = 1
_TICK = 0.1
_QUIET_TICKS = 5
"""So long nothing more came when the program has ended: the engine passes on its two outputs each by itself."""
_MOST_BYTES = 64 * 1024 * 1024


@dataclass
class Executed:
    """What a program did: its outputs so far, and its exit code, None when it was still running at its deadline."""

    code: int | None
    output: bytes
    errors: bytes


@dataclass
class Exec:
    """Runs programs in one container through the engine, each a new exec. ``environment`` is what they start with."""

    client: docker.DockerClient
    container: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        environment: Mapping[str, str] | None = None,
        on_output: Callable[[bytes], None] | None = None,
        done: Callable[[bytes], bool] = lambda errors: False,
        cancelled: Event | None = None,
    ) -> Executed:
        """Run ``argv`` in the workspace. Raises SandboxUnavailable when the engine or the container is gone.

        ``on_output`` takes standard output instead of keeping it. ``done`` says from standard error that the program
        is at its end, though something it left behind may hold the outputs open.
        """
        output, errors = bytearray(), bytearray()
        take = on_output or output.extend
        with self._attached(argv, stdin=stdin, environment=environment) as (number, connection, ahead):
            deadline = time.monotonic() + timeout
            raw = bytearray(ahead)
            _sort(raw, take, errors)
            quiet = 0
            while time.monotonic() < deadline and not (cancelled is not None and cancelled.is_set()):
                if not select.select([connection], [], [], _TICK)[0]:
                    quiet += 1
                    if quiet >= _QUIET_TICKS and done(bytes(errors)):
                        break
                    continue
                quiet = 0
                chunk = _receive(connection)
                if not chunk:
                    break
                raw += chunk
                _sort(raw, take, errors)
                if len(output) + len(errors) > _MOST_BYTES:
                    raise SandboxUnavailable("A program in the sandbox answered more than it was asked for. Try again.")
            else:
                return Executed(None, bytes(output), bytes(errors))
            return Executed(self._exit_code(number), bytes(output), bytes(errors))

    @contextlib.contextmanager
    def _attached(self, argv: Sequence[str], *, stdin: bytes, environment: Mapping[str, str] | None) -> Any:
        variables = {**self.environment, **(environment or {})}
        try:
            api = self.client.api
            made = api.exec_create(self.container, list(argv), stdin=bool(stdin), environment=variables)
            attached = api.exec_start(made["Id"], socket=True)
            connection: Any = getattr(attached, "_sock", attached)
            try:
                ahead = _read_ahead(attached, connection)
                # A program may end before it has read all: what it said then is still there to be read.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(stdin)
                yield made["Id"], connection, ahead
            finally:
                connection.close()
                attached.close()
        except (DockerException, requests.RequestException, OSError) as error:
            raise SandboxUnavailable(
                f"The container does not run programs any more ({type(error).__name__}: {error}). "
                "Retry in a fresh container."
            ) from error

    def _exit_code(self, number: str) -> int | None:
        deadline = time.monotonic() + 2.0
        while True:
            state = self.client.api.exec_inspect(number)
            if not state["Running"] or time.monotonic() > deadline:
                code = state["ExitCode"]
                return None if code is None else int(code)
            time.sleep(0.02)


def _receive(connection: Any) -> bytes:
    """Some more of what the program said; nothing at its end, which is a reset where it left input unread."""
    try:
        return bytes(connection.recv(1 << 18))
    except ConnectionResetError:
        return b""


def _read_ahead(attached: Any, connection: Any) -> bytes:
    """What came with the head of the engine's answer: the first that a quick program said, or all of it.

    docker-py hands out the connection below the buffer in which http.client reads that head, and more where there is
    more: https://github.com/docker/docker-py/blob/main/docker/api/client.py (_get_raw_response_socket).
    """
    buffered = attached._response.raw._fp.fp
    patience = connection.gettimeout()
    connection.setblocking(False)
    try:
        return bytes(buffered.read1() or b"")
    finally:
        connection.settimeout(patience)


def _sort(raw: bytearray, take: Callable[[bytes], None], errors: bytearray) -> None:
    """Take the engine's whole frames (8 bytes of header, then that many) off the front of ``raw``."""
    at = 0
    while len(raw) - at >= _HEADER.size:
        kind, size = _HEADER.unpack_from(raw, at)
        end = at + _HEADER.size + size
        if len(raw) < end:
            break
        content = bytes(raw[at + _HEADER.size : end])
        if kind == _STDOUT:
            take(content)
        else:
            errors += content
        at = end
    del raw[:at]
