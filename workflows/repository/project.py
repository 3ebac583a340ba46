"""One project of a repository as detection sees it, and what a detector says about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from workflows.git.plain_text import parse_toml
from workflows.repository.runners import Runner


@dataclass(frozen=True)
class Found:
    """One way to set up and test a project. ``source`` names the file that says so; ``test_files`` ranks it.

    ``reports_tests``: the runner says which tests ran, not only whether all passed.
    """

    source: str = ""
    test_command: str | None = None
    runner: Runner = "other"
    setup_commands: tuple[str, ...] = ()
    test_files: int = 0
    reports_tests: bool = False
    why: tuple[str, ...] = ()
    setup_why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """The files below one folder, by paths relative to it."""

    names: frozenset[str]
    read: Callable[[str], str | None]

    @classmethod
    def of(cls, names: Collection[str], read: Callable[[str], str | None], *, folder: str = "") -> Project:
        """The project in ``folder`` ("" is the root) of a tree."""
        prefix = f"{folder}/" if folder else ""
        inside = frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        return cls(inside, lambda name: read(prefix + name))

    def count(self, pattern: str) -> int:
        """How many paths match a regular expression somewhere."""
        compiled = re.compile(pattern)
        return sum(1 for name in self.names if compiled.search(name))

    def read_toml(self, name: str) -> dict[str, Any]:
        """A TOML file's table; empty when it is absent or broken."""
        return parse_toml(self._text(name))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file's object; empty when it is absent or broken or something else."""
        try:
            value = json.loads(self._text(name) or "{}")
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def _text(self, name: str) -> str:
        return (self.read(name) or "") if name in self.names else ""


def table(value: Any, *keys: str) -> dict[str, Any]:
    """The table at a path of keys in foreign data; empty when something else is there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> tuple[str, ...]:
    """The strings of a list in foreign data; empty when something else is there."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
