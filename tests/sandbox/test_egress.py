"""The way out of the set-up phase: what it lets through and what it refuses, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.container import SandboxUnavailable
from sandbox.egress import EgressProxy
from sandbox.egress_rules import Refused, Rules, is_inside, matches, parse_request

RULES = Rules(frozenset({"pypi.org", "*.example.org", "192.0.2.7"}))


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def connect(proxy: EgressProxy) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(proxy.socket))
    return client


def ask(proxy: EgressProxy, request: bytes) -> bytes:
    with connect(proxy) as client:
        client.sendall(request)
        return read_all(client)


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that gives each connection to ``serve``, one after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                serve(peer)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def echo(peer: socket.socket) -> None:
    while chunk := peer.recv(65536):
        peer.sendall(chunk.upper())


@pytest.mark.parametrize(
    ("request_line", "status", "blocked"),
    [
        ("CONNECT example.com:443", 403, "example.com"),
        ("CONNECT pypi.org:22", 403, "pypi.org:22"),
        ("CONNECT pypi.org:80", 403, "pypi.org:80"),
        ("CONNECT pypi.org.evil.net:443", 403, "pypi.org.evil.net"),
        ("CONNECT evilpypi.org:443", 403, "evilpypi.org"),
        ("CONNECT example.org:443", 403, "example.org"),
        ("CONNECT 192.0.2.7:443", 403, "192.0.2.7"),
        ("CONNECT 2130706433:443", 403, "2130706433"),
        ("CONNECT 0x7f.1:443", 403, "0x7f.1"),
        ("CONNECT [::1]:443", 403, "::1"),
        ("CONNECT pypi.org@evil.net:443", 400, None),
        ("CONNECT pypi.org:443/path", 400, None),
        ("CONNECT pypi.org", 400, None),
        ("CONNECT pypi.org:99999", 400, None),
        ("GET http://pypi.org:8080/", 403, "pypi.org:8080"),
        ("GET https://pypi.org/", 400, None),
        ("GET ftp://pypi.org/", 400, None),
        ("GET /etc/passwd", 400, None),
        ("GET http://user:word@pypi.org/", 400, None),
        ("POST http://pypi.org/", 405, None),
        ("PUT http://pypi.org/", 405, None),
    ],
)
def test_refusals(request_line: str, status: int, blocked: str | None) -> None:
    """Only a name of the list, on the one port of its way, by CONNECT, GET or HEAD, passes; addresses never do."""
    with pytest.raises(Refused) as refused:
        parse_request(f"{request_line} HTTP/1.1\r\n\r\n".encode(), RULES)
    assert (refused.value.status, refused.value.blocked) == (status, blocked)


@pytest.mark.parametrize(
    "head", ["X: 1\r\n folded: 2", "X: a\rTransfer-Encoding: chunked", "no colon", "X : 1", "X: \0"]
)
def test_damaged_headers_are_refused(head: str) -> None:
    """A header that two servers could read differently goes no further."""
    with pytest.raises(Refused, match="Damaged header"):
        parse_request(f"GET http://pypi.org/ HTTP/1.1\r\n{head}\r\n\r\n".encode(), RULES)


def test_names_match_without_case_and_final_dot() -> None:
    """PyPI.org. is pypi.org, and a suffix pattern covers what lies below it at any depth."""
    assert parse_request(b"CONNECT PyPI.ORG.:443 HTTP/1.1\r\n\r\n", RULES).host == "pypi.org"
    assert matches("a.b.example.org", RULES.allowed)
    assert parse_request(b"HEAD http://a.example.org/x?y=1 HTTP/1.0\r\n\r\n", RULES).path == "/x?y=1"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "100.100.100.200", "0.0.0.0", "224.0.0.1"),
        *("169.254.169.254", "168.63.129.16", "::1", "::", "fe80::1%eth0", "fd00:ec2::254"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    ],
)
def test_addresses_inside(address: str) -> None:
    """This machine, its network and every cloud's metadata service count as inside, however the address is written."""
    assert is_inside(address)


@pytest.mark.parametrize("address", ["151.101.0.223", "203.0.113.80", "2a04:4e42::223", "64:ff9b::9765:1df"])
def test_addresses_outside(address: str) -> None:
    """Public addresses pass, and so do the documentation ranges, which some gateways use."""
    assert not is_inside(address)


def test_tunnel_passes_bytes_both_ways(tmp_path: Path) -> None:
    """An allowed host gets a tunnel in which a megabyte goes up and comes back."""
    with server(echo) as port, EgressProxy(["localhost"], tmp_path, inside=["localhost"], tunnel_port=port) as proxy:
        with connect(proxy) as client:
            client.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
            answer = client.recv(65536)
            while not answer.endswith(b"EARLY"):
                answer += client.recv(65536)
            upward = threading.Thread(
                target=lambda: (client.sendall(b"a" * 1_000_000), client.shutdown(socket.SHUT_WR))
            )
            upward.start()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert read_all(client) == b"A" * 1_000_000
            upward.join(10)
        assert (proxy.reached, proxy.blocked) == (("localhost",), ())


def test_private_address_is_refused_without_the_operators_word(tmp_path: Path) -> None:
    """An allowed name that resolves to this machine is refused and reported, unless the operator named it as inside."""
    with server(echo) as port, EgressProxy(["localhost"], tmp_path, tunnel_port=port) as proxy:
        answer = ask(proxy, f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 localhost has a private address")
        assert proxy.blocked == ("localhost",)


def test_blocked_hosts_are_listed_once_and_clean(tmp_path: Path) -> None:
    """What was refused is listed once each, and its characters cannot break out of a pull request's text."""
    with EgressProxy(["pypi.org"], tmp_path) as proxy:
        for host in ("example.com", "example.com", "10.0.0.1", "`()<b>"):
            assert b" 403 " in ask(proxy, f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode("latin-1"))
        assert proxy.blocked == ("example.com", "10.0.0.1", "????b?")


def test_plain_request_is_rewritten_and_alone(tmp_path: Path) -> None:
    """A plain GET reaches the host in origin form without the proxy's headers, and a second one behind it does not."""
    seen = []

    def serve(peer: socket.socket) -> None:
        seen.append(peer.recv(65536))
        peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        peer.shutdown(socket.SHUT_WR)
        seen.append(read_all(peer))

    with server(serve) as port, EgressProxy(["localhost"], tmp_path, inside=["localhost"], plain_port=port) as proxy:
        first = (
            f"GET http://localhost:{port}/a?b HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: x\r\nAccept: */*\r\n\r\n"
        )
        answer = ask(proxy, (first + f"POST http://localhost:{port}/secret HTTP/1.1\r\n\r\n").encode())
    assert answer.endswith(b"\r\n\r\nhello")
    assert (
        seen[0] == f"GET /a?b HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nAccept: */*\r\n\r\n".encode()
    )
    assert seen[1:] == [b""]


def test_host_proxy_is_used(tmp_path: Path) -> None:
    """Behind a company proxy the tunnel goes through it, with its credentials, and the name is its to resolve."""
    heads = []

    def serve(peer: socket.socket) -> None:
        heads.append(peer.recv(65536))
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        echo(peer)

    with server(serve) as port:
        environment = {"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}", "NO_PROXY": "other.invalid"}
        with EgressProxy(["pypi.invalid"], tmp_path, environment=environment) as proxy, connect(proxy) as client:
            client.sendall(b"CONNECT pypi.invalid:443 HTTP/1.1\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"hi")
            assert client.recv(65536) == b"HI"
    authorization = b"Proxy-Authorization: Basic bWU6cEBzcw=="
    assert heads == [b"CONNECT pypi.invalid:443 HTTP/1.1\r\nHost: pypi.invalid:443\r\n" + authorization + b"\r\n\r\n"]


def test_idle_and_crowding_connections_end(tmp_path: Path) -> None:
    """A silent tunnel is closed after the idle time, and a connection above the cap is told so."""
    with (
        server(echo) as port,
        EgressProxy(
            ["localhost"], tmp_path, inside=["localhost"], tunnel_port=port, connections=1, idle_seconds=0.3
        ) as proxy,
        connect(proxy) as client,
    ):
        client.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        with connect(proxy) as other:
            assert read_all(other).startswith(b"HTTP/1.1 503 ")
        assert read_all(client) == b""


def test_end_leaves_nothing(tmp_path: Path) -> None:
    """Leaving the context ends open tunnels, their threads and the socket; entering again works."""
    before = set(threading.enumerate())
    with server(echo) as port:
        proxy = EgressProxy(["localhost"], tmp_path / "deep", inside=["localhost"], tunnel_port=port)
        for _ in range(2):
            with proxy:
                client = connect(proxy)
                client.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n".encode())
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert read_all(client) == b""
            client.close()
            assert not proxy.socket.exists()
    assert set(threading.enumerate()) - before == set()


def test_folder_too_deep(tmp_path: Path) -> None:
    """A socket path that the kernel cannot take ends in an error that says what to change."""
    with pytest.raises(SandboxUnavailable, match="shorter data folder"), EgressProxy([], tmp_path / ("x" * 120)):
        pass
