"""What a secret looks like in text: registered values in any dress, and the known shapes of credentials."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

REDACTED = "[secret removed]"
SHORTEST_KNOWN = 8

# Every pattern starts where no word character stands before it, so that a long run is tried once: linear time.
_START = r"(?<![A-Za-z0-9_-])"
_PEM = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,-]{0,20000}"
SHAPES: dict[str, re.Pattern[str]] = {
    "a GitHub token": re.compile(_START + r"(?:gh[pousr]_[A-Za-z0-9_.-]{20,}|github_pat_[A-Za-z0-9_]{22,})"),
    "an API key": re.compile(_START + r"(?:sk|pk|rk)[-_](?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{20,}"),
    "an AWS key": re.compile(_START + r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])(?<!EXAMPLE)"),
    "a Slack token": re.compile(_START + r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a Google key": re.compile(_START + r"AIza[A-Za-z0-9_-]{35}"),
    "a package registry token": re.compile(_START + r"(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{60,})"),
    "a GitLab or Hugging Face token": re.compile(_START + r"(?:glpat-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,})"),
    "a JSON web token": re.compile(
        _START + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}(?![A-Za-z0-9_-])"
    ),
    "a private key": re.compile(_PEM),
}


@dataclass(frozen=True)
class Leak:
    """A stretch of text that looks like a secret; ``kind`` is a phrase for people, never the value."""

    start: int
    end: int
    kind: str


def find_leaks(text: str, known: Collection[str] = ()) -> list[Leak]:
    """Where ``text`` holds one of the ``known`` values, in any dress, or something shaped like a credential."""
    found = [Leak(match.start(), match.end(), kind) for kind, shape in SHAPES.items() for match in shape.finditer(text)]
    for form in dressed_forms(known):
        start = text.find(form)
        while start >= 0:
            found.append(Leak(start, start + len(form), "a secret of this server"))
            start = text.find(form, start + len(form))
    return sorted(found, key=lambda leak: (leak.start, leak.end))


def redact(text: str, known: Collection[str] = ()) -> str:
    """``text`` with every leak replaced."""
    parts, done = [], 0
    for leak in find_leaks(text, known):
        if leak.start >= done:
            parts += [text[done : leak.start], REDACTED]
        done = max(done, leak.end)
    return "".join([*parts, text[done:]])


def dressed_forms(known: Collection[str]) -> list[str]:
    """The values as they are, reversed, in hexadecimal, percent-encoded, and in base64 at each of its three offsets."""
    forms: set[str] = set()
    for value in known:
        if len(value) < SHORTEST_KNOWN:
            continue
        raw = value.encode("utf-8", "surrogatepass")
        forms |= {value, value[::-1], raw.hex(), raw.hex().upper(), quote(value, safe="")}
        for offset in range(3):
            # Only the characters that do not depend on what stands before or after the value.
            coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
            inner = coded[(0, 2, 3)[offset] : len(coded) - (1 if (offset + len(raw)) % 3 else 0)]
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return sorted(form for form in forms if len(form) >= SHORTEST_KNOWN)
