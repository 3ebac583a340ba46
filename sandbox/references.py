"""The names of images: which are well formed, what the engine calls them, and which an operator allows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
)
_WORD = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?P<path>{_WORD}(?:/{_WORD})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_HUB = ("docker.io", "index.docker.io")
# The engine takes them for an image's id; "sha256:…" reads like a name with a tag.
_IDS = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}|sha256")
_LONGEST = 255
_OURS = "forgehand/"


@dataclass(frozen=True)
class Reference:
    """An image's name as the engine lists it: ``repository`` without Docker Hub's host, and a tag or a digest.

    With a digest the engine looks at nothing else, so ``tag`` is then empty.
    """

    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The whole: ``python:3.12``, ``ghcr.io/acme/tools@sha256:…``."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @property
    def is_ours(self) -> bool:
        """Whether the name is kept for images that we make: another repository's snapshot may be among them."""
        return self.repository.startswith(_OURS)


def parse_reference(text: str) -> Reference | None:
    """The reference that ``text`` names in Docker's grammar; None for anything else, an image's id among it."""
    host, rest = _split_host(text)
    if host in _HUB:
        host = ""
        if _split_host(rest)[0]:
            return None  # the engine would read what is left as another registry's
    found = _NAME.fullmatch(rest)
    if found is None or len(text) > _LONGEST or (host and not _HOST.fullmatch(host)):
        return None
    path = found["path"]
    repository = f"{host}/{path}" if host else _without_library(path)
    if _IDS.fullmatch(repository):
        return None
    digest = found["digest"] or ""
    return Reference(repository, "" if digest else found["tag"] or "latest", digest)


def is_allowed(reference: Reference, patterns: Iterable[str]) -> bool:
    """Whether one of the ``*`` patterns fits the whole name.

    One without a slash fits Docker Hub's official images alone, so that ``python:3*`` lets no host ``python:3`` in.
    """
    return any(
        fnmatchcase(reference.name, pattern)
        for pattern in map(_without_hub, patterns)
        if "/" in pattern or "/" not in reference.repository
    )


def _split_host(text: str) -> tuple[str, str]:
    """The registry's host, if the first part is one by the engine's own rule, and the rest."""
    first, slash, rest = text.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return (first, rest) if is_host else ("", text)


def _without_hub(pattern: str) -> str:
    host, rest = _split_host(pattern)
    return _without_library(rest) if host in _HUB else _without_library(pattern)


def _without_library(path: str) -> str:
    return path.removeprefix("library/") if path.count("/") == 1 else path
