"""The repository's own guidance for contributors: which files of the base commit hold it, and which one is the nearest.

Only the commit we started from, on the default branch, is read: a change under work cannot rewrite its own guidance.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Sequence

from sandbox.container import WORKSPACE
from workflows.git.mirrors import Mirror

FOR_AGENTS = ("AGENTS.md", "QWEN.md", "CLAUDE.md")
FOR_THE_WHOLE = (*FOR_AGENTS, ".github/copilot-instructions.md")
CONTRIBUTING = ("CONTRIBUTING.md", "CONTRIBUTING", ".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md")
MOST_NESTED = 200
LONGEST_PATH = 300
LONGEST_GUIDANCE = 32_000
LARGEST_FILE = 1_000_000


def root_guidance(names: Collection[str]) -> tuple[str, ...]:
    """The guidance files for the whole repository, in the order in which they are given; one CONTRIBUTING at most."""
    contributing = next((name for name in CONTRIBUTING if name in names), None)
    return (*(name for name in FOR_THE_WHOLE if name in names), *([contributing] if contributing else []))


def nested_guidance(names: Iterable[str]) -> tuple[str, ...]:
    """The guidance files of single folders (AGENTS.md, QWEN.md, CLAUDE.md), at most 200, the shallowest first."""
    found = [name for name in names if "/" in name and posixpath.basename(name) in FOR_AGENTS]
    short = [name for name in found if len(name) <= LONGEST_PATH]
    return tuple(sorted(short, key=lambda name: (name.count("/"), name))[:MOST_NESTED])


def nearest_guidance(paths: Sequence[str], touched: str) -> str | None:
    """The one of ``paths`` in the folder of ``touched``, or in the nearest one above it; AGENTS.md before the others.

    ``touched`` is a file or folder as the tools take it: relative to the repository's root, or below /workspace.
    """
    known = set(paths)
    folder = _inside(touched)
    while folder is not None:
        for name in FOR_AGENTS:
            candidate = posixpath.join(folder, name)
            if candidate in known:
                return candidate
        folder = posixpath.dirname(folder) if folder else None
    return None


def read_guidance(mirror: Mirror, base: str, path: str) -> str | None:
    """A guidance file's text at the commit ``base``, its first 32,000 characters; None when it is a link, above 1 MB or
    empty. Raises GitFailure.
    """
    content = mirror.read_file(base, path, limit=LARGEST_FILE)
    text = "" if content is None else content.decode("utf-8", "replace")[:LONGEST_GUIDANCE]
    return text if text.strip() else None


def _inside(touched: str) -> str | None:
    """The path relative to the repository's root, "" for the root itself; None when it leads out of it."""
    path = posixpath.normpath(posixpath.join(WORKSPACE, touched))
    if path == WORKSPACE:
        return ""
    return path.removeprefix(f"{WORKSPACE}/") if path.startswith(f"{WORKSPACE}/") else None
