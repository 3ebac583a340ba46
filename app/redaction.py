"""Which secrets this process holds, and how they, and what looks like one, are blotted out of texts."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

BLOT = "[redacted]"
SHORTEST = 6
"""A shorter secret is not looked for: it would blot out ordinary words."""

_PATTERNS = re.compile(
    r"""
      (?:gh[pousr]_[A-Za-z0-9_]{16,}(?:\.[A-Za-z0-9_-]+)*)         # GitHub tokens, the installation's long form too
    | (?:github_pat_[A-Za-z0-9_]{20,})
    | (?:\bsk-[A-Za-z0-9_-]{16,})                                 # keys of model providers
    | (?:\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})   # JWT
    | (?:-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z))
    | (?:(?<=x-access-token:)[^@\s/'"]+)
    | (?:(?<=://)[^/\s:@'"]*:[^/\s@'"]+(?=@))                      # user:password in a URL
    | (?:(?<=authorization['":=\ ])[\s'":=]*(?:(?:bearer|basic|token)\s+)?[^\s'",}]+)
    | (?:(?<=\bbearer\ )[A-Za-z0-9._~+/=-]{8,})
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


class Redactor:
    """Blots registered secrets out of texts, raw, escaped, url-encoded, in hex and in base64; and token-like words."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self._lock = threading.Lock()
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str) -> None:
        """Blot out this value from now on; the lines of a multi-line one too."""
        forms = {form for part in _parts(secret) for form in _spellings(part)}
        with self._lock:
            if forms <= self._forms:
                return
            self._forms |= forms
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(BLOT, text)
        return _PATTERNS.sub(BLOT, text)


def _parts(secret: str) -> Iterator[str]:
    whole = secret.strip()
    lines = [line.strip() for line in whole.splitlines()]
    if len(whole) >= SHORTEST:
        yield whole
    # A log line may hold one line of a key; the lines around it say only that it is one.
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= 16 and not line.startswith("-----"))


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode()
    yield secret
    yield repr(secret)[1:-1]
    yield secret.replace("\n", "\\n")
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield raw.hex()
    yield raw.hex().upper()
    # In base64 the same bytes look different at each of three offsets; the ends depend on their neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        core = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
        if len(core) >= 8:
            yield core
            yield core.replace("+", "-").replace("/", "_")
