"""The seeded-bug set: small changes with one known defect each, and clean ones; read from the YAML files beside this.

A case is written as the files before (``files``), edits of them (``changes``: each ``old`` text stands there once),
and ``new`` files. ``defect.at`` is the whole line of the changed file at which the defect is. ``check``, for Python, is
a program that fails on the change with a defect and passes on a clean one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.workflows.git.test_mirrors import git

FOLDER = Path(__file__).parent
LANGUAGES = ("python", "javascript", "go")


@dataclass(frozen=True)
class Defect:
    """What is wrong in a change: ``line`` is in the changed file, 1-based."""

    path: str
    line: int
    kind: str
    why: str


@dataclass(frozen=True)
class Case:
    """One pull request of the set; without a ``defect`` it is clean. Files are texts by path."""

    id: str
    language: str
    title: str
    body: str
    base: Mapping[str, str]
    changed: Mapping[str, str]
    defect: Defect | None
    check: str = ""


def load_cases(*languages: str) -> tuple[Case, ...]:
    """All cases, or those of some languages, in the order of the files."""
    return tuple(
        case
        for language in languages or LANGUAGES
        for kind in ("defects", "clean")
        for case in _read(FOLDER / f"{language}_{kind}.yaml", language)
    )


def commit_case(case: Case, folder: Path) -> tuple[str, str]:
    """Make a git repository of a case in an empty folder; the commits before and after, the latter on ``change``."""
    git(folder, "init", "-q", "-b", "main")
    commits = []
    for files, message in ((case.base, "base"), (case.changed, case.title)):
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", message)
        commits.append(git(folder, "rev-parse", "HEAD"))
        if len(commits) == 1:
            git(folder, "checkout", "-q", "-b", "change")
    return commits[0], commits[1]


def _read(path: Path, language: str) -> Iterator[Case]:
    for data in yaml.safe_load_all(path.read_text()):
        base = data["files"]
        changed = {name: _edited(text, data["changes"].get(name, []), data["id"]) for name, text in base.items()}
        changed |= data.get("new", {})
        yield Case(
            id=data["id"],
            language=language,
            title=data["title"],
            body=data["body"],
            base=base,
            changed=changed,
            defect=_defect(data["defect"], changed) if "defect" in data else None,
            check=data.get("check", ""),
        )


def _edited(text: str, edits: list[dict[str, str]], name: str) -> str:
    for edit in edits:
        if text.count(edit["old"]) != 1:
            raise ValueError(f"{name}: this stands {text.count(edit['old'])} times in the file:\n{edit['old']}")
        text = text.replace(edit["old"], edit["new"])
    return text


def _defect(told: dict[str, Any], changed: Mapping[str, str]) -> Defect:
    lines = changed[told["path"]].split("\n")
    if lines.count(told["at"]) != 1:
        raise ValueError(f"{told['path']} has this line {lines.count(told['at'])} times: {told['at']}")
    return Defect(told["path"], lines.index(told["at"]) + 1, told["kind"], told["why"])
