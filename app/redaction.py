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
LONG_LINE = 16
"""Characters that make a line of a key tell something."""

_PATTERNS = re.compile(
    r"""
      (?:gh[pousr]_[A-Za-z0-9_]{16,}(?:\.[A-Za-z0-9_-]+)*)         # GitHub tokens, the installation's long form too
    | (?:github_pat_[A-Za-z0-9_]{20,})
    | (?:\bsk-[A-Za-z0-9_-]{16,})                                 # keys of model providers
    | (?:(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})   # JWT; a run is tried once
    | (?:-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z))
    | (?:(?<=x-access-token:)[^@\s/'"]+)
    | (?:(?<=://)[^/\s:@'"]*:[^/\s@'"]+(?=@))                      # user:password in a URL
    | (?:(?<=authorization['":=\ ])[\s'":=]*(?:(?:bearer|basic|token)\s+)?[^\s'",}]+)
    | (?:(?<=\bbearer\ )[A-Za-z0-9._~+/=-]{8,})
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


_HINTS = (
    *(f"gh{kind}_" for kind in "pousr"),
    "github_pat_",
    "sk-",
    "eyj",
    "private key",
    "x-access-token:",
    "://",
    "authorization",
    "bearer ",
)
"""What every match of the patterns holds, in lower case: most texts hold none, and cost no more than this look."""


class Redactor:
    """Blots registered secrets out of texts, raw, escaped, url-encoded, in hex and in base64; and token-like words."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._lock = threading.Lock()
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str) -> None:
        """Blot out this value from now on; the lines of a multi-line one too."""
        whole = secret.strip()
        forms = set(_spellings(whole)) if len(whole) >= SHORTEST else set()
        if "\n" in whole:
            # A log line may hold one line of a key; the lines around it say only that it is one.
            lines = (line.strip() for line in whole.splitlines())
            forms |= {line for line in lines if len(line) >= LONG_LINE and not line.startswith("-----")}
        with self._lock:
            known = {form.lower() for form in forms}.union(self._forms)
            self._forms = tuple(sorted(known, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """The text without secrets. Case is ignored: hex and percent-encoding come in both."""
        lowered = text.lower()
        found = [form for form in self._forms if form in lowered]
        if found:
            text = re.sub("|".join(map(re.escape, found)), BLOT, text, flags=re.IGNORECASE)
        return _PATTERNS.sub(BLOT, text) if _hinted(lowered) else text

    def is_clean(self, text: str) -> bool:
        """Whether the text surely holds nothing to blot out: a quick look, which errs on the side of no."""
        lowered = text.lower()
        return not _hinted(lowered) and not any(form in lowered for form in self._forms)


def _hinted(lowered: str) -> bool:
    return any(hint in lowered for hint in _HINTS)


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode()
    yield secret
    yield repr(secret)[1:-1]
    yield secret.replace("\n", "\\n")
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield raw.hex()
    # In base64 the same bytes look different at each of three offsets; the ends depend on their neighbours.
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        core = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(raw)) % 3 else 0)]
        if len(core) >= 8:
            yield core
            yield core.replace("+", "-").replace("/", "_")
