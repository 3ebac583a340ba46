"""The seeded-bug set: pull requests with one known defect each and clean ones, read from the texts below ``pairs/``.

A text is one pair: the same request on the same base, once with a defect and once done right, so that a reviewer who
takes fright at a kind of code gains nothing. It begins with ``name: value`` lines and goes on with files::

    @@@ path             a file of the repository; ``@@@ proof path`` is a test that no reviewer sees
    <<<< base            what the change takes away (may be left out),
    >>>> defect          what stands there instead in the one change,
    >>>> clean           in the other,
    >>>> head            or in both;
    <<<<                 the end of it

``at`` names the whole lines on which the defect shows, ``terms`` is a pattern of words without which a comment does not
name it. ``doubt`` is what a hasty reader says of the clean change, ``doubt at`` where, ``holds`` why it is wrong. A
text without ``at`` has a clean change alone.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.workflows.git.test_mirrors import git

FOLDER = Path(__file__).with_name("pairs")
LANGUAGES = ("python", "javascript", "go")
KINDS = (
    *("concurrency", "resource leak", "off by one", "missing authorisation", "injection", "time zone", "money"),
    *("swallowed error", "API misuse", "compatibility", "stale cache", "weakened test", "shared state"),
)
# What every project of a language has beside its code.
MANIFESTS: Mapping[str, Mapping[str, str]] = {
    "python": {"conftest.py": ""},
    "javascript": {"package.json": '{\n  "type": "module",\n  "scripts": { "test": "node --test" }\n}\n'},
    "go": {"go.mod": "module example.org/project\n\ngo 1.19\n"},
}
Variant = Literal["defect", "clean"]
_SECTIONS = {"base": ("base",), "defect": ("defect",), "clean": ("clean",), "head": ("defect", "clean")}


class BadCase(ValueError):
    """A text of the set is not written as it should be."""


@dataclass(frozen=True)
class Defect:
    """What is wrong in a change. ``places`` are paths and lines (1-based, of the changed files) on which it shows."""

    places: tuple[tuple[str, int], ...]
    kind: str
    severity: str
    why: str
    terms: str


@dataclass(frozen=True)
class Doubt:
    """What a hasty reader says of a clean change, where, and why it does not hold."""

    path: str
    line: int
    says: str
    holds: str


@dataclass(frozen=True)
class Case:
    """One pull request of the set; one without a ``defect`` is clean. Files are texts by path.

    ``proof`` are tests that fail on a change with a defect and pass on a clean one.
    """

    id: str
    language: str
    title: str
    body: str
    base: Mapping[str, str]
    changed: Mapping[str, str]
    proof: Mapping[str, str]
    defect: Defect | None
    doubt: Doubt | None

    @property
    def repository(self) -> str:
        """A name for its repository that gives nothing away."""
        return f"project-{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"


@dataclass
class _File:
    """A file on all sides, line by line; ``added`` are the lines (1-based) of a side that are in its sections."""

    path: str
    texts: dict[str, list[str]] = field(default_factory=lambda: {"base": [], "defect": [], "clean": []})
    added: dict[str, list[int]] = field(default_factory=lambda: {"base": [], "defect": [], "clean": []})

    def add(self, line: str, sides: Sequence[str], *, common: bool) -> None:
        for side in sides:
            self.texts[side].append(line)
            if not common:
                self.added[side].append(len(self.texts[side]))

    def text(self, side: str) -> str:
        return "".join(f"{line}\n" for line in self.texts[side])


def load_cases(*languages: str) -> tuple[Case, ...]:
    """All cases, or those of some languages, the two of a pair one after the other. Raises BadCase."""
    return tuple(
        case
        for language in languages or LANGUAGES
        for path in sorted((FOLDER / language).glob("*.txt"))
        for case in parse_pair(path.read_text(), f"{language}/{path.stem}", language)
    )


def commit_cases(cases: Sequence[Case], folder: Path) -> dict[str, tuple[str, str]]:
    """Make one git repository of all cases in an empty folder; the commits before and after, by case."""
    git(folder, "init", "-q", "-b", "main")
    stream = bytearray()
    for number, case in enumerate(cases):
        for mark, files in ((2 * number + 1, case.base), (2 * number + 2, case.changed)):
            stream += f"commit refs/heads/{case.repository}\nmark :{mark}\n".encode()
            stream += b"committer a <a@example.org> 1700000000 +0000\ndata 0\n\n"
            # Without a parent of its own a commit of this stream begins with the branch's last files.
            stream += b"deleteall\n"
            for path, text in files.items():
                content = text.encode()
                stream += f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n"
    subprocess.run(
        ("git", "fast-import", "--quiet", "--export-marks=marks"), cwd=folder, input=bytes(stream), check=True
    )
    marks = dict(line.split() for line in (folder / "marks").read_text().splitlines())
    return {case.id: (marks[f":{2 * at + 1}"], marks[f":{2 * at + 2}"]) for at, case in enumerate(cases)}


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Put texts by path below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def parse_pair(text: str, name: str, language: str) -> Iterator[Case]:
    """The cases that one text describes. Raises BadCase."""
    head, separator, rest = text.partition("@@@ ")
    told = _parse_head(head, name)
    files, proofs = _parse_files(separator + rest, name)
    sides: tuple[Variant, ...] = ("defect", "clean") if "at" in told else ("clean",)
    manifest = MANIFESTS[language]
    for side in sides:
        base = {one.path: one.text("base") for one in files if one.texts["base"]}
        changed = {one.path: one.text(side) for one in files}
        yield Case(
            id=f"{name}/{side}",
            language=language,
            title=told["title"][0],
            body=told["body"][0],
            base={**manifest, **base},
            changed={**manifest, **changed},
            proof={one.path: one.text("base") for one in proofs},
            defect=_defect(told, files, name) if side == "defect" else None,
            doubt=_doubt(told, files, name) if side == "clean" else None,
        )


def _parse_head(text: str, name: str) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            raise BadCase(f"{name}: this is no `name: value`: {line}")
        value = value.strip() if not value.startswith(" |") else value[2:]
        told.setdefault(key, []).append(value)
    return told


def _parse_files(text: str, name: str) -> tuple[list[_File], list[_File]]:
    files: list[_File] = []
    proofs: list[_File] = []
    everywhere = ("base", "defect", "clean")
    sides: Sequence[str] = everywhere
    for line in text.splitlines():
        mark, _, label = line.partition(" ")
        if mark == "@@@":
            if sides is not everywhere:
                raise BadCase(f"{name}: the file before {label} ends within a section")
            if label.startswith("proof "):
                proofs.append(_File(label.removeprefix("proof ")))
                target = proofs[-1]
            else:
                files.append(_File(label))
                target = files[-1]
        elif mark == "<<<<":
            sides = _SECTIONS["base"] if sides is everywhere else everywhere
        elif mark == ">>>>":
            sides = _SECTIONS[label]
        else:
            target.add(line, sides, common=sides is everywhere)
    return files, proofs


def _defect(told: Mapping[str, list[str]], files: Sequence[_File], name: str) -> Defect:
    places = tuple(_place(line, files, "defect", name) for line in told["at"])
    return Defect(places, told["kind"][0], told["severity"][0], told["why"][0], told["terms"][0])


def _doubt(told: Mapping[str, list[str]], files: Sequence[_File], name: str) -> Doubt:
    path, line = _place(told["doubt at"][0], files, "clean", name)
    return Doubt(path, line, told["doubt"][0], told["holds"][0])


def _place(text: str, files: Sequence[_File], side: str, name: str) -> tuple[str, int]:
    """The one added line with this text, else the one line: what was left out shows on a line that was there."""
    every = [(file, number) for file in files for number, line in enumerate(file.texts[side], 1) if line == text]
    found = [(file, number) for file, number in every if number in file.added[side]] or every
    if len(found) != 1:
        raise BadCase(f"{name}: this line stands {len(found)} times in the {side} change: {text!r}")
    return found[0][0].path, found[0][1]


def names_defect(words: str, defect: Defect) -> bool:
    """Whether what somebody says is about this defect, by its words."""
    return re.search(defect.terms, words, re.IGNORECASE) is not None
