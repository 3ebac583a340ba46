"""What the set-up phase may reach: the allow-list, and the check of one proxy request against it; no I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

# Package registries. An encrypted tunnel hides what is sent, so every host here could receive the repository's content
# from a hostile package: the set-up phase holds no secret, and the list stays short. GitHub is left out on purpose:
# anyone's token makes it a drop box, and packages seldom need it. An operator adds what a repository needs.
DEFAULT_ALLOWED_HOSTS: tuple[str, ...] = (
    "pypi.org",
    "files.pythonhosted.org",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "repo.yarnpkg.com",
    "crates.io",
    "index.crates.io",
    "static.crates.io",
    "static.rust-lang.org",
    "proxy.golang.org",
    "sum.golang.org",
    "repo.maven.apache.org",
    "repo1.maven.org",
    "plugins.gradle.org",
    "plugins-artifacts.gradle.org",
    "services.gradle.org",
    "rubygems.org",
    "index.rubygems.org",
    "deb.debian.org",
    "security.debian.org",
    "archive.ubuntu.com",
    "security.ubuntu.com",
    "ports.ubuntu.com",
)

# Named one by one: `is_private` also counts the documentation ranges, onto which some company gateways map every name.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/127", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        "168.63.129.16/32",  # Azure's metadata service has a public address
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REQUEST = re.compile(r"(CONNECT|GET|HEAD) (\S{1,8000}) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*")
_NOT_FORWARDED = frozenset(
    (
        *(
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
            "expect",
            "host",
        ),
        *("proxy-authorization", "proxy-connection"),
    )
)


class Refused(Exception):
    """A request that is not let through: an HTTP status, a reason, and the address to report as blocked, if any."""

    def __init__(self, status: int, reason: str, *, blocked: str | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.blocked = blocked


class Request(NamedTuple):
    """A checked request: ``head`` is what to send to the host itself, empty for a tunnel (CONNECT)."""

    host: str
    port: int
    path: str
    method: str
    headers: tuple[str, ...]

    @property
    def tunnel(self) -> bool:
        """Whether bytes are passed both ways."""
        return self.method == "CONNECT"


@dataclass(frozen=True)
class Rules:
    """What is let through: names (exact, or ``*.suffix`` for what lies below), and one port for each of the two ways.

    ``inside`` names hosts that may have a private address (a company's own registry): an operator's choice alone.
    """

    allowed: frozenset[str]
    inside: frozenset[str] = frozenset()
    tunnel_port: int = 443
    plain_port: int = 80


def matches(host: str, patterns: Iterable[str]) -> bool:
    """Whether a lower-case host name is one of the patterns, or lies below a ``*.suffix`` pattern."""
    return any(
        host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
        for pattern in (pattern.lower().rstrip(".") for pattern in patterns)
    )


def parse_request(head: bytes, rules: Rules) -> Request:
    """A request's head (up to its blank line), checked against the rules. Raises Refused."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    match = _REQUEST.fullmatch(first)
    if match is None:
        raise Refused(405, "Only CONNECT, GET and HEAD pass the set-up phase")
    method, target = match.groups()
    if not all(_HEADER.fullmatch(line) for line in lines):
        raise Refused(400, "Damaged header")
    host, port, path = _split_target(target, tunnel=method == "CONNECT")
    wanted = rules.tunnel_port if method == "CONNECT" else rules.plain_port
    address = host if port == wanted else f"{host}:{port}"
    if not _NAME.fullmatch(host):
        raise Refused(403, "Hosts are reached by name, never by address", blocked=address)
    if not matches(host, rules.allowed):
        raise Refused(403, f"{host} is not among the hosts allowed in the set-up phase", blocked=address)
    if port != wanted:
        raise Refused(403, f"Port {port} is not allowed in the set-up phase", blocked=address)
    kept = tuple(line for line in lines if line.partition(":")[0].lower() not in _NOT_FORWARDED)
    return Request(host, port, path, method, kept)


def is_inside(address: str) -> bool:
    """Whether an IP address belongs to this machine, its network, or a cloud's metadata service."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        embedded = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            embedded = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if embedded is not None:
            return is_inside(str(embedded))
    return any(found in network for network in _INSIDE)


def _split_target(target: str, *, tunnel: bool) -> tuple[str, int, str]:
    """Host (lower case, without a final dot or brackets), port and path of a request's target. Raises Refused."""
    try:
        parts = urlsplit(f"//{target}" if tunnel else target)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused(400, "Damaged target") from error
    if not host or parts.username is not None or (tunnel and (port is None or parts.path or parts.query)):
        raise Refused(400, "Damaged target")
    if not tunnel and parts.scheme != "http":
        raise Refused(400, "Only http:// addresses and CONNECT pass the set-up phase")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return host.lower().rstrip("."), port or 80, path
