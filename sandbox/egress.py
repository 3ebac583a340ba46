"""The one way out of the set-up phase: a proxy on a Unix socket that reaches allow-listed hosts, by name alone."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from sandbox.container import SandboxUnavailable
from sandbox.egress_rules import DEFAULT_ALLOWED_HOSTS, Refused, Request, Rules, is_inside, matches, parse_request

__all__ = ["DEFAULT_ALLOWED_HOSTS", "EgressProxy"]

_HEAD_BYTES = 32 * 1024
_HEAD_SECONDS = 10.0
_DIAL_SECONDS = 20.0
_END_SECONDS = 1.0
_CHUNK = 64 * 1024
_MOST_NAMES = 100


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    sockets: list[socket.socket] = field(default_factory=list)
    last_byte: float = field(default_factory=time.monotonic)

    def close(self) -> None:
        for one in (self.client, *self.sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class EgressProxy:
    """A running proxy: use it as a context manager; ``socket`` is what a container mounts.

    ``environment`` gives the host's own HTTPS_PROXY, HTTP_PROXY and NO_PROXY; names are then resolved by that proxy.
    """

    def __init__(
        self,
        allowed: Iterable[str],
        folder: Path,
        *,
        inside: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        tunnel_port: int = 443,
        plain_port: int = 80,
        connections: int = 64,
        idle_seconds: float = 60.0,
    ) -> None:
        self.socket = folder / "egress.sock"
        self._rules = Rules(frozenset(allowed), frozenset(inside), tunnel_port, plain_port)
        self._environment = dict(environment or {})
        self._idle = idle_seconds
        self._most = connections
        self._lock = threading.Lock()
        self._open: dict[_Connection, threading.Thread] = {}
        self._blocked: dict[str, None] = {}
        self._reached: dict[str, None] = {}
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None

    @property
    def blocked(self) -> tuple[str, ...]:
        """The addresses that were asked for and refused, in order of first appearance, at most 100."""
        with self._lock:
            return tuple(self._blocked)

    @property
    def reached(self) -> tuple[str, ...]:
        """The allowed hosts that were asked for, in order of first appearance."""
        with self._lock:
            return tuple(self._reached)

    def __enter__(self) -> EgressProxy:
        """Listen. Raises SandboxUnavailable when the socket cannot be made."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.parent.mkdir(parents=True, exist_ok=True)
            self.socket.parent.chmod(0o755)
            self.socket.unlink(missing_ok=True)
            listener.bind(str(self.socket))
            self.socket.chmod(0o666)  # the container's user is not ours
            listener.listen(self._most)
        except OSError as error:
            listener.close()
            raise SandboxUnavailable(
                f"Cannot listen on {self.socket} ({error}). A socket's path has at most 107 bytes: "
                "set a shorter data folder that this user may write."
            ) from error
        self._listener = listener
        self._accepting = threading.Thread(target=self._accept, args=(listener,), name="egress", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and end every connection."""
        if self._listener is None or self._accepting is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self._listener = None
        with self._lock:
            left = dict(self._open)
        for connection in left:
            connection.close()
        for thread in left.values():
            thread.join(timeout=_END_SECONDS)
        self.socket.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connection = _Connection(client)
            thread = threading.Thread(target=self._serve, args=(connection,), name="egress connection", daemon=True)
            with self._lock:
                full = len(self._open) >= self._most
                if not full:
                    self._open[connection] = thread
            if full:
                _answer(client, 503, "Too many connections at once")
                connection.close()
            else:
                thread.start()

    def _serve(self, connection: _Connection) -> None:
        try:
            head, rest = _read_head(connection.client)
            request = parse_request(head, self._rules)
            connection.client.settimeout(self._idle)
            self._note(self._reached, request.host)
            server = self._dial(connection, request)
            if request.tunnel:
                connection.client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
                upward = threading.Thread(
                    target=self._pass, args=(connection, connection.client, server), name="egress upward", daemon=True
                )
                upward.start()
            # What follows a plain request is never forwarded: it could be a second one, which nobody checked.
            self._pass(connection, server, connection.client)
            if request.tunnel:
                upward.join()
        except Refused as refused:
            if refused.blocked is not None:
                self._note(self._blocked, re.sub(r"[^A-Za-z0-9.:_-]", "?", refused.blocked[:253]))
            _answer(connection.client, refused.status, refused.reason)
        except OSError:
            pass  # either side hung up: there is nobody left to tell
        finally:
            connection.close()
            with self._lock:
                self._open.pop(connection, None)

    def _note(self, names: dict[str, None], name: str) -> None:
        with self._lock:
            if len(names) < _MOST_NAMES:
                names.setdefault(name)

    def _dial(self, connection: _Connection, request: Request) -> socket.socket:
        """A socket to the host, past the host's own proxy when there is one, with a plain request already sent."""
        proxy = _choose_proxy(self._environment, request)
        if proxy is None:
            server = self._dial_directly(request)
            connection.sockets.append(server)
            if not request.tunnel:
                server.sendall(_render_head(request, target=request.path))
            return server
        address, authorization = proxy
        try:
            server = socket.create_connection(address, timeout=_DIAL_SECONDS)
        except OSError as error:
            raise Refused(502, f"The host's own proxy cannot be reached ({error.strerror or error})") from error
        connection.sockets.append(server)
        if not request.tunnel:
            port = "" if request.port == 80 else f":{request.port}"
            server.sendall(
                _render_head(request, target=f"http://{request.host}{port}{request.path}", extra=authorization)
            )
            return server
        opening = [f"CONNECT {request.host}:{request.port} HTTP/1.1", f"Host: {request.host}:{request.port}"]
        server.sendall("\r\n".join([*opening, *authorization, "", ""]).encode("latin-1"))
        answer, _ = _read_head(server)
        if not re.match(rb"HTTP/1\.[01] 2", answer):
            raise Refused(502, "The host's own proxy refused the connection")
        return server

    def _dial_directly(self, request: Request) -> socket.socket:
        try:
            found = socket.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Refused(502, f"{request.host} cannot be resolved") from error
        addresses = [(family, str(place[0]), place) for family, _, _, _, place in found]
        if not matches(request.host, self._rules.inside) and any(is_inside(address) for _, address, _ in addresses):
            raise Refused(403, f"{request.host} has a private address", blocked=request.host)
        # The checked address is the one that is dialled: a second look-up could give another.
        for family, _, place in addresses:
            server = socket.socket(family, socket.SOCK_STREAM)
            server.settimeout(_DIAL_SECONDS)
            try:
                server.connect(place)
            except OSError:
                server.close()
                continue
            return server
        raise Refused(502, f"{request.host} cannot be reached")

    def _pass(self, connection: _Connection, source: socket.socket, sink: socket.socket) -> None:
        """Pass bytes one way until the source ends, or nothing has moved either way for the idle time."""
        try:
            source.settimeout(self._idle)
            while chunk := self._receive(connection, source):
                sink.sendall(chunk)
                connection.last_byte = time.monotonic()
        except OSError:
            pass  # one side hung up: the other learns it below
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _receive(self, connection: _Connection, source: socket.socket) -> bytes:
        while True:
            try:
                return source.recv(_CHUNK)
            except TimeoutError:
                if time.monotonic() - connection.last_byte >= self._idle:
                    connection.close()
                    return b""


def _render_head(request: Request, *, target: str, extra: Iterable[str] = ()) -> bytes:
    port = "" if request.port == 80 else f":{request.port}"
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {request.host}{port}", "Connection: close"]
    return "\r\n".join([*lines, *request.headers, *extra, "", ""]).encode("latin-1")


def _read_head(source: socket.socket) -> tuple[bytes, bytes]:
    """Everything up to and with the blank line, and what came after it. Raises Refused, or OSError at an early end."""
    deadline = time.monotonic() + _HEAD_SECONDS
    read = b""
    while b"\r\n\r\n" not in read:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Refused(408, "The request did not come in time")
        if len(read) > _HEAD_BYTES:
            raise Refused(431, "The request's head is too large")
        source.settimeout(left)
        try:
            chunk = source.recv(_CHUNK)
        except TimeoutError as error:
            raise Refused(408, "The request did not come in time") from error
        if not chunk:
            raise ConnectionResetError
        read += chunk
    head, _, rest = read.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _answer(client: socket.socket, status: int, reason: str) -> None:
    body = f"forgehand: {reason}.\n".encode("ascii", "replace")
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close"
    with contextlib.suppress(OSError):
        client.settimeout(_END_SECONDS)
        client.sendall(head.encode("ascii", "replace") + b"\r\n\r\n" + body)


def _choose_proxy(environment: Mapping[str, str], request: Request) -> tuple[tuple[str, int], tuple[str, ...]] | None:
    """The host's own proxy for this request, with its Proxy-Authorization header line, or None. Raises Refused."""
    kind = "https_proxy" if request.tunnel else "http_proxy"
    value = environment.get(kind) or environment.get(kind.upper())
    bypass = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    direct = [name.strip().lstrip("*.").lower() for name in bypass.split(",") if name.strip()]
    if not value or any(request.host == name or request.host.endswith(f".{name}") or not name for name in direct):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(502, f"{kind.upper()} of the host must be an http:// address")
    if parts.username is None:
        return (parts.hostname, parts.port or 80), ()
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    line = f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}"
    return (parts.hostname, parts.port or 80), (line,)
