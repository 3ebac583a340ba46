"""A running server for the tests: real uvicorn on a free port, and a client that signs what GitHub would send."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from app.server import make_server

SECRET = "the-secret-of-the-webhook"


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serve(app: FastAPI, **limits: int) -> Iterator[int]:
    """The port on which ``app`` is served by uvicorn, in a thread; ``limits`` are ``make_server``'s."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = make_server(app, host="127.0.0.1", port=0, drain_seconds=1, **limits)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery_headers(body: bytes, *, event: str = "issues", guid: str | None = None) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": guid or str(uuid.uuid4()),
        "X-Hub-Signature-256": sign(body),
    }


def request(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body or None, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})
    finally:
        connection.close()


def deliver(port: int, body: bytes, *, event: str = "issues", guid: str | None = None, **headers: str) -> Answer:
    """POST a signed delivery; ``headers`` replace (underscores stand for hyphens)."""
    replaced = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(port, "POST", "/webhook", body, delivery_headers(body, event=event, guid=guid) | replaced)
