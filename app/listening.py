"""The web server's address, tried before anything begins."""

from __future__ import annotations

import socket

from app.settings import SettingsError


def check_address(host: str, port: int) -> None:
    """Raise SettingsError, with what to do, where the web server could not listen."""
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(
            f"FORGEHAND_HOST: {host} is no address of this machine: {error.strerror}. Name one that is, as 127.0.0.1."
        ) from None
    for family, kind, _, _, address in places:
        try:
            probe = socket.socket(family, kind)
        except OSError:
            continue  # a kernel without this kind of address: the web server leaves it out, too
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise SettingsError(
                    f"The web server cannot listen on {address[0]} port {port}: {error.strerror}. Stop what listens "
                    "there, or name another FORGEHAND_HOST or FORGEHAND_PORT."
                ) from None
