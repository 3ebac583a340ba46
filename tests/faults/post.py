"""The way of a webhook, in the hands of a test: it looks at one delivery, and may let it or its answer vanish."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, bytes]
Deliver = Callable[[], Answer]
Interference = Callable[[Deliver], Answer | None]


class Post:
    """A server between the local GitHub and Forgehand on ``port``.

    The next delivery that is a label goes through ``interference``, which may call its argument to deliver it, and
    returns what GitHub is answered: None cuts the connection. All others pass.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.interference: Interference | None = None
        self.done = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the webhooks go."""
        return f"http://127.0.0.1:{self._server.server_port}/webhook"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def deliver(self, headers: dict[str, str], body: bytes) -> Answer:
        """Hand one delivery to Forgehand. Raises OSError or HTTPException when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("POST", "/webhook", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def answer(self, headers: dict[str, str], body: bytes) -> Answer | None:
        """What GitHub is answered."""
        labelled = headers.get("X-GitHub-Event") == "issues" and json.loads(body).get("action") == "labeled"
        interference = self.interference if labelled else None
        if interference is None:
            return self.deliver(headers, body)
        self.interference = None
        try:
            return interference(lambda: self.deliver(headers, body))
        finally:
            self.done.set()

    def _handler(self) -> Any:
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: value for name, value in self.headers.items() if name != "Connection"}
                try:
                    answer = post.answer(headers, body)
                except (OSError, http.client.HTTPException):
                    answer = None
                self.close_connection = True
                if answer is not None:
                    self.send_response(answer[0])
                    self.send_header("Content-Length", str(len(answer[1])))
                    self.end_headers()
                    self.wfile.write(answer[1])

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        return Handler
