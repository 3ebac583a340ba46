"""The private certificate authorities of the host: found, checked, public certificates alone."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUNDLE_IN_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
)

_EXPLICIT = "FORGEHAND_CA_BUNDLE"
_USUAL = (*CERTIFICATE_VARIABLES, "AWS_CA_BUNDLE")
_LOCAL = Path("/usr/local/share/ca-certificates")
_PUBLIC = Path("/usr/share/ca-certificates")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


class BadAuthorities(Exception):
    """A certificate file cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Authorities:
    """Certificates that a distribution does not ship: normalised PEM texts, sorted, at least one."""

    certificates: tuple[str, ...]

    @property
    def pem(self) -> str:
        """All certificates as one PEM text."""
        return "".join(self.certificates)


def find_authorities(
    environment: Mapping[str, str], *, local: Path = _LOCAL, public: Path = _PUBLIC
) -> Authorities | None:
    """The host's private authorities, or None when there are none.

    ``FORGEHAND_CA_BUNDLE`` in ``environment`` decides alone when it is set; else the files named by the usual variables
    (``SSL_CERT_FILE`` and its like) and the certificates an administrator put into ``local`` count. What the
    distribution ships in ``public`` is left out: the image has those already.
    Raises BadAuthorities for a file with a private key, and for an explicit file that is absent or not PEM.
    """
    explicit = environment.get(_EXPLICIT)
    if explicit:
        found = read_certificates(Path(explicit))
        if not found:
            raise BadAuthorities(f"{_EXPLICIT}={explicit} holds no PEM certificate. Point it to a PEM bundle.")
        return _checked(dict.fromkeys(found, explicit))
    named = [Path(environment[name]) for name in _USUAL if environment.get(name)]
    files = [path for path in named if path.is_file()] + sorted(local.rglob("*.crt"))
    places = {certificate: str(file) for file in files for certificate in read_certificates(file)}
    shipped = (
        {certificate for file in public.rglob("*.crt") for certificate in read_certificates(file)} if files else ()
    )
    private = {certificate: place for certificate, place in places.items() if certificate not in shipped}
    return _checked(private) if private else None


def read_certificates(path: Path) -> set[str]:
    """The certificates of one PEM file, normalised. Raises BadAuthorities when it is unreadable or holds a key."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadAuthorities(f"Cannot read the certificate file {path}: {error.strerror}. Mend the path.") from error
    if "PRIVATE KEY-----" in text:
        raise BadAuthorities(
            f"{path} holds a private key. Only public certificates may enter an image: remove the key from the file."
        )
    try:
        return {ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(block)) for block in _CERTIFICATE.findall(text)}
    except ValueError as error:
        raise _damaged(str(path), error) from error


def _checked(places: Mapping[str, str]) -> Authorities:
    """The certificates, each of which OpenSSL can read; ``places`` says where each came from."""
    for certificate, place in places.items():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
        except ssl.SSLError as error:
            raise _damaged(place, error) from error
    return Authorities(tuple(sorted(places)))


def _damaged(place: str, error: Exception) -> BadAuthorities:
    return BadAuthorities(f"{place} holds a damaged certificate ({error}). Export it again as PEM.")
