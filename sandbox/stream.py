"""The host's end of the tool stream: requests out, answers in, over a socket that the toolbox comes to.

It begins on the multiplexed stream of the attached container, and stays there where the toolbox cannot come.
Whichever caller waits longest reads for all, so a sandbox costs no thread; a stream that breaks once stays broken.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.container import SandboxUnavailable
from sandbox.tool_socket import ToolSocket
from sandbox.toolbox.frames import ANSWER, HEADER, KEY_BYTES, REQUEST, BadFrame, pack, parse_body, parse_header

if TYPE_CHECKING:
    from sandbox.toolbox.frames import Message

_DOCKER_HEADER = struct.Struct(">BxxxL")
_STDOUT = 1
_SILENCE_SECONDS = 5.0
_PATIENCE_SECONDS = 15.0
_COMPLAINT_BYTES = 4000
_CANCEL_SECONDS = 0.1
_LAST_WORDS_SECONDS = 0.5
_PARTS = 200


class RequestRefused(Exception):
    """The toolbox could not do what was asked; the stream is fine. The message is the toolbox's own."""


@dataclass
class _Call:
    """One request under way: its answer when it is there, and the parts that came before it."""

    answer: tuple[Message, bytes] | None = None
    parts: list[tuple[Message, bytes]] = field(default_factory=list)
    cancelled: threading.Event | None = None

    def take_parts(self) -> list[tuple[Message, bytes]]:
        parts, self.parts = self.parts, []
        return parts

    @property
    def news(self) -> bool:
        return self.answer is not None or bool(self.parts) or (self.cancelled is not None and self.cancelled.is_set())


class ToolStream:
    """Requests and answers of one container. ``diagnose`` says in words what became of a container that fell silent.

    ``attached`` is the engine's stream of the container. It brings complaints, and the frames too, unless the toolbox
    comes to a socket.
    """

    def __init__(self, attached: socket.socket, diagnose: Callable[[], str]) -> None:
        self._attached = attached
        self._connection = attached
        self._expected: ToolSocket | None = None
        self._diagnose = diagnose
        self._key = secrets.token_bytes(KEY_BYTES)
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._state = threading.Condition()
        self._reading = False
        self._calls: dict[int, _Call] = {}
        self._broken: str | None = None
        self._raw = bytearray()
        self._frames = bytearray()
        self._complaints = bytearray()
        self._heard = time.monotonic()

    def expect_at(self, tool_socket: ToolSocket) -> None:
        """Go on over this socket once the toolbox has come to it, which it does before its first answer or never."""
        self._expected = tool_socket

    def start(self) -> None:
        """Give the other end the key. Raises SandboxUnavailable."""
        self._connection.settimeout(_PATIENCE_SECONDS)
        self._send(self._key)

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        attachment: bytes = b"",
        timeout: float,
        on_part: Callable[[Message, bytes], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> tuple[Message, bytes]:
        """The answer to one request. Raises RequestRefused; SandboxUnavailable after ``timeout`` seconds at most.

        ``on_part`` is called in this thread with what is sent before the answer. Once ``cancelled`` is set the toolbox
        is asked to end the request, which it then answers; when ``on_part`` raises, it is asked so, too.
        """
        number = next(self._numbers)
        call = _Call(cancelled=cancelled)
        with self._state:
            self._calls[number] = call
        answered = False
        try:
            self._request(number, operation, arguments, attachment)
            message, content = self._wait(number, call, time.monotonic() + timeout, on_part)
            answered = True
        finally:
            if not answered:
                with contextlib.suppress(SandboxUnavailable):
                    self._request(0, "cancel", {"target": number})
            with self._state:
                self._calls.pop(number, None)
        if "error" in message:
            raise RequestRefused(str(message["error"]))
        return message["result"], content

    def close(self) -> None:
        """Close the connection; the toolbox ends, and with it the container. Calls under way end with an error."""
        with self._state:
            self._broken = self._broken or "The sandbox was closed."
        for connection in (self._connection, self._attached):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._stop_expecting()

    def _request(self, number: int, operation: str, arguments: Mapping[str, Any], attachment: bytes = b"") -> None:
        self._send(pack(self._key, REQUEST, {**arguments, "op": operation, "id": number}, attachment))

    def _send(self, content: bytes) -> None:
        with self._sending:
            if self._broken:
                raise SandboxUnavailable(self._broken)
            try:
                self._connection.sendall(content)
            except OSError:
                raise self._break() from None

    def _wait(
        self, number: int, call: _Call, deadline: float, on_part: Callable[[Message, bytes], None] | None
    ) -> tuple[Message, bytes]:
        while True:
            with self._state:
                while self._reading and not call.news and not self._broken:
                    left = max(deadline - time.monotonic(), 0)
                    if not self._state.wait(min(left, _CANCEL_SECONDS) if call.cancelled else left) and not left:
                        break
                parts = call.take_parts()
                if not parts and call.answer is not None:
                    return call.answer
                if self._broken:
                    raise SandboxUnavailable(self._broken)
                if time.monotonic() > deadline:
                    break
                reads = not parts and not self._reading
                self._reading = self._reading or reads
            try:
                if call.cancelled is not None and call.cancelled.is_set():
                    call.cancelled = None
                    self._request(0, "cancel", {"target": number})
                if reads:
                    self._read_until(call, deadline)
            finally:
                if reads:
                    with self._state:
                        self._reading = False
                        self._state.notify_all()
            for message, content in parts:
                if on_part is not None:
                    on_part(message, content)
        raise self._break("The sandbox did not answer within its deadline")

    def _read_until(self, call: _Call, deadline: float) -> None:
        """Read frames for every caller, until there is news for ours or the deadline has passed."""
        pinged = False
        self._heard = time.monotonic()
        patience = _SILENCE_SECONDS if call.cancelled is None else _CANCEL_SECONDS
        while not call.news:
            now = time.monotonic()
            silent = now - self._heard
            if now > deadline:
                return
            if silent > _PATIENCE_SECONDS:
                raise self._break("The sandbox fell silent")
            if silent < _SILENCE_SECONDS:
                pinged = False
            elif not pinged:
                self._request(0, "ping", {})
                pinged = True
            self._receive(min(patience, _SILENCE_SECONDS, deadline - now) + 0.001)

    def _receive(self, timeout: float) -> None:
        # Not by the socket's own timeout: that belongs to the thread which may be sending at this moment.
        poller = select.poll()
        try:
            poller.register(self._connection, select.POLLIN)
            if self._expected is not None:
                poller.register(self._expected, select.POLLIN)
            ready = [descriptor for descriptor, _ in poller.poll(timeout * 1000)]
            if not ready:
                return
            self._heard = time.monotonic()
            if self._expected is not None and self._expected.fileno() in ready:
                self._go_over(self._expected.accept())
                return
            chunk = self._connection.recv(1 << 18)
        except (OSError, ValueError):
            raise self._break() from None
        if not chunk:
            raise self._break()
        if self._connection is self._attached:
            self._sort(chunk, self._frames)
        else:
            self._frames += chunk
        try:
            self._take_answers()
        except BadFrame as error:
            raise self._break(f"A command wrote into the tool stream ({error})") from None

    def _go_over(self, connection: socket.socket) -> None:
        """From now on the frames go over this one. What was sent while the toolbox came was for nobody: a ping."""
        connection.settimeout(_PATIENCE_SECONDS)
        with self._sending:
            self._connection = connection
        self._expected = None

    def _stop_expecting(self) -> None:
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.close()

    def _sort(self, chunk: bytes, output: bytearray) -> None:
        """Sort the engine's frames (8 bytes of header, then that many) into the standard output and complaints."""
        self._raw += chunk
        at = 0
        while len(self._raw) - at >= _DOCKER_HEADER.size:
            kind, size = _DOCKER_HEADER.unpack_from(self._raw, at)
            end = at + _DOCKER_HEADER.size + size
            if len(self._raw) < end:
                break
            (output if kind == _STDOUT else self._complaints).extend(
                memoryview(self._raw)[at + _DOCKER_HEADER.size : end]
            )
            at = end
        del self._raw[:at]
        del self._complaints[:-_COMPLAINT_BYTES]

    def _take_answers(self) -> None:
        while len(self._frames) >= HEADER.size:
            header = bytes(self._frames[: HEADER.size])
            text, attached = parse_header(self._key, ANSWER, header)
            end = HEADER.size + text + attached
            if len(self._frames) < end:
                return
            answer = parse_body(self._key, ANSWER, header, bytes(memoryview(self._frames)[HEADER.size : end]))
            del self._frames[:end]
            self._stop_expecting()
            with self._state:
                call = self._calls.get(answer[0]["id"])
                if call is None:
                    continue
                if "part" in answer[0]:
                    call.parts.append(answer)
                    del call.parts[:-_PARTS]  # whoever listens slower than it is written misses some of it
                else:
                    call.answer = answer
                self._state.notify_all()

    def _hear_last_words(self) -> None:
        """Take what the container has complained of. What a command wrote to the standard output is not looked at."""
        poller = select.poll()
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        with contextlib.suppress(OSError, ValueError):
            poller.register(self._attached, select.POLLIN)
            while poller.poll(max(deadline - time.monotonic(), 0) * 1000):
                chunk = self._attached.recv(1 << 18)
                if not chunk or time.monotonic() > deadline:
                    return
                self._sort(chunk, bytearray())

    def _break(self, what: str = "The sandbox ended") -> SandboxUnavailable:
        """Nothing can be trusted on this stream from now on; the reason is worked out once and kept."""
        with self._state:
            already = self._broken
        if already is None:
            reason = self._diagnose()
            if self._connection is not self._attached:
                self._hear_last_words()
            complaint = self._complaints.decode("utf-8", "replace").strip()
            parts = [f"{what}: {reason}", "Retry in a fresh container."]
            if complaint:
                parts.append(f"Its last words: {complaint}")
            already = " ".join(parts)
            with self._state:
                self._broken = self._broken or already
                self._state.notify_all()
        return SandboxUnavailable(already)
