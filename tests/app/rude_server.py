"""A server that answers each request with the next bytes it was given, whole or not, and remembers what it was sent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RESET = b""
"""In place of an answer: the connection is cut."""

SILENCE = b"\0"
"""In place of an answer: nothing comes, ever."""


def answer(status: int, body: object = None, *, text: str | None = None, **headers: str) -> bytes:
    """A whole HTTP answer; ``headers`` with underscores for dashes."""
    payload = (json.dumps(body) if text is None else text).encode()
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json; charset=utf-8", f"Content-Length: {len(payload)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + payload


class RudeServer:
    """Listens on loopback until closed; ``requests`` holds the raw bytes of each request."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.requests.append(_read(connection))
            reply = self._answers.pop(0) if self._answers else answer(599)
            if reply == SILENCE:
                self._open.append(connection)
                continue
            connection.sendall(reply)
            connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._open:
            connection.close()


def _read(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def rude_server(*answers: bytes) -> Iterator[RudeServer]:
    """A server that plays these answers, each on its own connection."""
    server = RudeServer(list(answers))
    try:
        yield server
    finally:
        server.close()
