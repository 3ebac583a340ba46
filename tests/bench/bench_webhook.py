"""How many webhooks a second are stored durably, against a bare FastAPI handler that only verifies them, in one run.

``python -m tests.bench.bench_webhook [--seconds 5]``: rates, the ratio, and the latency at half the durable rate.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.app.served import SECRET, sign

ROOT = Path(__file__).parents[2]
BODY = (ROOT / "tests/app/payloads/issues.labeled.json").read_bytes()
CONNECTIONS = 32

BARE = """
import hashlib, hmac, sys, uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()
@app.post("/webhook")
async def webhook(request: Request) -> Response:
    body = await request.body()
    expected = "sha256=" + hmac.new(sys.argv[2].encode(), body, hashlib.sha256).hexdigest()
    same = hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", ""))
    return Response(status_code=202 if same else 401)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), http="h11", access_log=False, log_level="error")
"""
OURS = """
import sys
from app.dispatch import Audience
from app.logging import configure_logging
from app.redaction import Redactor
from app.server import create_app, make_server
from workflows.durable.queue import Queue
configure_logging(style="json", level="info", redactor=Redactor([sys.argv[2]]))
queue = Queue(sys.argv[1], worker=False)
queue.start()
app = create_app(queue=queue, secrets=[sys.argv[2]], audience=Audience(), checks={})
make_server(app, host="127.0.0.1", port=int(sys.argv[3])).run()
queue.stop()
"""


@dataclass
class Load:
    """What came of a load: answers a second, and their latencies in seconds."""

    rate: float
    latencies: list[float]

    def milliseconds(self, percent: int) -> float:
        return statistics.quantiles(self.latencies, n=100)[percent - 1] * 1000


class Client(asyncio.Protocol):
    """One connection that sends a delivery, waits for the answer, and sends the next: at once or at its time."""

    def __init__(self, head: bytes, interval: float) -> None:
        self._head, self._interval = head, interval
        self._sent = self._due = 0.0
        self._buffer = b""
        self.latencies: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._due = time.perf_counter()
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) if found else 0
        if not found or len(rest) < length:
            return
        assert head.startswith(b"HTTP/1.1 202"), self._buffer
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._sent)
        self._due += self._interval
        wait = self._due - time.perf_counter()
        if self._interval and wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if not self._transport.is_closing():
            self._transport.write(self._head.replace(b"@GUID@", str(uuid.uuid4()).encode()) + BODY)


async def load(port: int, seconds: float, rate: float = 0.0) -> Load:
    """Deliver over all connections for some seconds; ``rate`` a second, or as fast as answers come."""
    head = (
        f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
        f"X-GitHub-Delivery: @GUID@\r\nX-Hub-Signature-256: {sign(BODY)}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    interval = CONNECTIONS / rate if rate else 0.0
    clients = []
    for _ in range(CONNECTIONS):
        transport, client = await loop.create_connection(lambda: Client(head, interval), "127.0.0.1", port)
        clients.append((transport, client))
        await asyncio.sleep(interval / CONNECTIONS)
    started = time.perf_counter()
    before = sum(len(client.latencies) for _, client in clients)
    await asyncio.sleep(seconds)
    took = time.perf_counter() - started
    latencies = list(itertools.chain.from_iterable(client.latencies for _, client in clients))
    for transport, _ in clients:
        transport.abort()
    return Load((len(latencies) - before) / took, latencies)


@contextmanager
def server(script: str, url: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-c", script, url, SECRET, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def measure(url: str, seconds: float) -> dict[str, float]:
    """Rates of both in turns, the ratio of their medians, and ours at half its rate."""
    bare, ours = [], []
    with server(BARE, url) as bare_port, server(OURS, url) as our_port:
        for port in (bare_port, our_port):
            asyncio.run(load(port, 1))
        for _ in range(3):
            bare.append(asyncio.run(load(bare_port, seconds)).rate)
            ours.append(asyncio.run(load(our_port, seconds)).rate)
        calm = asyncio.run(load(our_port, seconds, statistics.median(ours) / 2))
    return {
        "bare_per_second": statistics.median(bare),
        "durable_per_second": statistics.median(ours),
        "ratio": statistics.median(ours) / statistics.median(bare),
        "half_rate_p50_ms": calm.milliseconds(50),
        "half_rate_p99_ms": calm.milliseconds(99),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--url", help="a database; a new SQLite file when absent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "tests") as folder:
        results = measure(arguments.url or f"sqlite:///{folder}/bench.sqlite3", arguments.seconds)
    for name, value in results.items():
        print(f"webhook {name}: {value:.2f}")


if __name__ == "__main__":
    main()
