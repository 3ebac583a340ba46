"""A model that answers at once, in a process of its own, and the clock that every agent is measured by.

Non-model time is the agent's alone: from the last byte of an answer to the last byte of the next request.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.bench.scripted_turns import Reply

MODEL_NAME = "scripted"
CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Exchange:
    """One request, ``arrived`` and ``answered`` on the machine's monotonic clock, in seconds; turns count from 0."""

    session: int
    turn: int
    arrived: float
    answered: float


@dataclass(frozen=True)
class InstantModel:
    """The running process; ``url`` is what OPENAI_BASE_URL is set to."""

    url: str

    def exchanges(self) -> list[Exchange]:
        """Every request so far."""
        with urllib.request.urlopen(f"{self.url}/times", timeout=60) as answer:
            return [Exchange(*row) for row in json.load(answer)]


@contextmanager
def serve_instantly(script: Sequence[Reply], *, think: float = 0.0) -> Iterator[InstantModel]:
    """The script on a free port of 127.0.0.1; ``think``: seconds that the model takes for each answer."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(script, file)
        file.flush()
        command = [sys.executable, "-m", "tests.bench.instant_model", file.name, str(think)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield InstantModel(process.stdout.readline().strip())
            finally:
                process.terminate()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, script: Sequence[Reply], think: float) -> None:
        self.bodies = [(_completion(reply), _stream(reply)) for reply in script]
        self.think = think
        self.exchanges: list[Exchange] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path.endswith("/times"):
            with self.server.lock:
                found = [astuple(exchange) for exchange in self.server.exchanges]
            self._send(200, json.dumps(found).encode())
        else:
            model = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "script"}
            self._send(200, json.dumps({"object": "list", "data": [model]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        arrived = time.monotonic()
        asked = json.loads(body)
        messages = asked["messages"]
        turn = sum(message["role"] == "assistant" for message in messages)
        named = re.search(r"\[session (\d+)\]", json.dumps(messages[:3]))
        if turn >= len(self.server.bodies):
            self._send(400, b'{"error": {"message": "The script has ended.", "type": "scripted", "code": null}}')
            return
        time.sleep(self.server.think)
        whole, stream = self.server.bodies[turn]
        tokens = str(len(body) // CHARACTERS_A_TOKEN).encode()
        streamed = bool(asked.get("stream"))
        kind = "text/event-stream" if streamed else "application/json"
        self._send(200, (stream if streamed else whole).replace(b'"PROMPT"', tokens), kind)
        answered = time.monotonic()
        with self.server.lock:
            self.server.exchanges.append(Exchange(int(named[1]) if named else 0, turn, arrived, answered))

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are timed, not printed."""

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        # One write: a second one would wait for the client's acknowledgement of the first.
        head = f"HTTP/1.1 {status} .\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for index, call in enumerate(reply["tool_calls"])
    ]


def _envelope(reply: Reply, kind: str, choice: dict[str, Any], *, usage: bool) -> bytes:
    said = len(json.dumps(reply)) // CHARACTERS_A_TOKEN
    answer: dict[str, Any] = {"id": "chatcmpl-0", "object": kind, "created": 0, "model": MODEL_NAME}
    answer["choices"] = [{"index": 0, "logprobs": None, **choice}]
    if usage:
        answer["usage"] = {"prompt_tokens": "PROMPT", "completion_tokens": said, "total_tokens": "PROMPT"}
    return json.dumps(answer).encode()


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply["tool_calls"] else "stop"


def _completion(reply: Reply) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": reply["content"] or None}
    if reply["tool_calls"]:
        message["tool_calls"] = [{key: call[key] for key in ("id", "type", "function")} for call in _calls(reply)]
    choice = {"message": message, "finish_reason": _finish_reason(reply)}
    return _envelope(reply, "chat.completion", choice, usage=True)


def _stream(reply: Reply) -> bytes:
    delta: dict[str, Any] = {"role": "assistant", "content": reply["content"]}
    if reply["tool_calls"]:
        delta["tool_calls"] = _calls(reply)
    first = _envelope(reply, "chat.completion.chunk", {"delta": delta, "finish_reason": None}, usage=False)
    end = {"delta": {}, "finish_reason": _finish_reason(reply)}
    last = _envelope(reply, "chat.completion.chunk", end, usage=True)
    return b"".join(b"data: " + event + b"\n\n" for event in (first, last, b"[DONE]"))


def main(script: str, think: str) -> None:
    """Serve a script's file until the process is ended; the address is the first line printed."""
    server = _Server(json.loads(Path(script).read_text()), float(think))
    assert server.socket.family == socket.AF_INET
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
