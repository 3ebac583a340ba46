"""The test runners that are told apart, and which one a command starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Runner = Literal[
    "pytest",
    "unittest",
    "tox",
    "nox",
    "node",
    "vitest",
    "jest",
    "mocha",
    "cargo",
    "go",
    "maven",
    "gradle",
    "make",
    "other",
]

_SIGNS: tuple[tuple[str, Runner], ...] = (
    (r"(?:^|[\s;&|(/])vitest\b", "vitest"),
    (r"(?:^|[\s;&|(/])jest\b", "jest"),
    (r"\breact-scripts\s+test\b", "jest"),
    (r"(?:^|[\s;&|(/])mocha\b", "mocha"),
    (r"(?:^|[;&|])(?:(?!\bnode\b)[^;&|])*\bnode\b[^;&|]*\s--test\b", "node"),
    (r"(?:^|[\s;&|(/])tox\b", "tox"),
    (r"(?:^|[\s;&|(/])nox\b", "nox"),
    (r"(?:^|[\s;&|(/])(?:pytest|py\.test)\b", "pytest"),
    (r"\bpython[\d.]*\s+-m\s+unittest\b|\bmanage\.py\s+test\b", "unittest"),
    (r"(?:^|[;&|])(?:(?!\bcargo\b)[^;&|])*\bcargo\b[^;&|]*\s(?:test|nextest)\b", "cargo"),
    (r"\bgo\s+test\b", "go"),
    (r"(?:^|[\s;&|(/])(?:mvnw?)\b", "maven"),
    (r"(?:^|[\s;&|(/])(?:gradlew?)\b", "gradle"),
    (r"(?:^|[\s;&|(])make\b", "make"),
)
# A longer command is looked at no further.
LONGEST_COMMAND = 4_000
_SCRIPT = re.compile(r"\b(?:npm|pnpm|yarn)\s+(?:run\s+|run-script\s+)?(?:--\S+\s+)*([A-Za-z][\w:.-]*)")


def runner_of(command: str, scripts: Mapping[str, str] | None = None) -> Runner:
    """The runner that ``command`` starts; package.json's ``scripts`` are followed through ``npm test`` and its like."""
    seen: set[str] = set()
    while True:
        command = command[:LONGEST_COMMAND]
        for pattern, runner in _SIGNS:
            if re.search(pattern, command):
                return runner
        script = _SCRIPT.search(command)
        name = script[1] if script else ""
        name = "test" if name == "t" else name
        if name in seen or name not in (scripts or {}):
            return "other"
        seen.add(name)
        command = (scripts or {})[name]
