"""The file formats of changelogs: towncrier's and scriv's settings, fragments' names, Keep a Changelog's sections."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.describe import Category
from workflows.git.plain_text import parse_ini, parse_toml

# https://keepachangelog.com/en/1.1.0/#how
SECTION_ORDER: tuple[Category, ...] = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
TYPE_WORDS: dict[Category, tuple[str, ...]] = {
    "Added": ("added", "add", "feature", "features", "feat", "enhancement", "new", "improvement"),
    "Changed": ("changed", "change", "improvement", "enhancement", "breaking", "misc"),
    "Deprecated": ("deprecated", "deprecation", "deprecations", "removal", "change"),
    "Removed": ("removed", "remove", "removal", "breaking", "deprecation"),
    "Fixed": ("fixed", "fix", "bugfix", "bug", "bugfixes", "patch"),
    "Security": ("security", "bugfix", "fixed", "fix", "bug"),
}
_FRAGMENT = re.compile(
    r"(?P<stem>\+?[^.]+)(?:\.(?!(?:md|rst|txt)$)(?P<type>[a-z_]+))?(?:\.\d+)?(?P<suffix>\.(?:md|rst|txt))?"
)
DEFAULT_TYPES = ("feature", "bugfix", "doc", "removal", "misc")


def choose_type(category: Category, types: Sequence[str]) -> str:
    """The fragment type among ``types`` that says ``category``; "misc" or the last one when none does."""
    lower = {name.lower(): name for name in reversed(types)}
    found = next((lower[word] for word in TYPE_WORDS[category] if word in lower), None)
    return found or lower.get("misc") or (types[-1] if types else TYPE_WORDS[category][0])


@dataclass(frozen=True)
class TowncrierSettings:
    """Where towncrier looks for fragments, which types it knows, and the suffix that fits its news file."""

    folder: str
    types: tuple[str, ...]
    suffix: str

    def type_of(self, category: Category) -> str:
        """The type for a category."""
        return choose_type(category, self.types)


def towncrier_settings(own: str | None, pyproject: str | None, *, forced: bool) -> TowncrierSettings | None:
    """The settings in ``towncrier.toml`` or ``pyproject.toml``; None when there are none (``forced``: the defaults).

    https://towncrier.readthedocs.io/en/stable/configuration.html
    """
    table = _toml_table(own, "towncrier") or _toml_table(pyproject, "towncrier")
    if table is None and not forced:
        return None
    table = table or {}
    package = str(table.get("package") or "")
    folder = table.get("directory")
    if not isinstance(folder, str) or not folder:
        folder = posixpath.join(str(table.get("package_dir") or "."), package.replace(".", "/"), "newsfragments")
    sections = [one for one in table.get("section") or [] if isinstance(one, dict)]
    paths = [str(one.get("path") or "") for one in sections]
    folder = posixpath.normpath(posixpath.join(folder, "" if not paths or "" in paths else paths[0]))
    if folder.startswith(("/", "..")):
        return None
    suffix = ".md" if str(table.get("filename") or "").lower().endswith(".md") else ".rst"
    return TowncrierSettings(folder, _towncrier_types(table) or DEFAULT_TYPES, suffix)


def _towncrier_types(table: Mapping[str, Any]) -> tuple[str, ...]:
    listed = table.get("type")
    if isinstance(listed, list):
        named = [one.get("directory") or one.get("name") for one in listed if isinstance(one, dict)]
        return tuple(str(name).lower() for name in named if name)
    fragments = table.get("fragment")
    return tuple(str(name).lower() for name in fragments) if isinstance(fragments, dict) else ()


@dataclass(frozen=True)
class ScrivSettings:
    """Where scriv looks for fragments, and how it writes them."""

    folder: str
    suffix: str
    categories: tuple[str, ...]
    underline: str

    def render(self, category: Category, text: str) -> str:
        """A fragment with one bullet under its category."""
        by_lower = {name.lower(): name for name in self.categories}
        name = by_lower.get(category.lower()) or (self.categories[0] if self.categories else "")
        if not name:
            return f"- {text}\n"
        head = f"### {name}" if self.suffix == ".md" else f"{name}\n{self.underline * len(name)}"
        return f"{head}\n\n- {text}\n"


def scriv_settings(sources: Mapping[str, str | None], *, forced: bool) -> ScrivSettings | None:
    """The settings in the files ``sources``, by name; None when there are none (``forced``: the defaults).

    https://scriv.readthedocs.io/en/latest/configuration.html
    """
    table: dict[str, Any] | None = _toml_table(sources.get("pyproject.toml"), "scriv")
    for name, text in sources.items():
        if name != "pyproject.toml" and table is None:
            table = _ini_section(text, ("tool.scriv", "scriv"))
    if table is None and not forced:
        return None
    table = table or {"format": "md"}
    folder = posixpath.normpath(str(table.get("fragment_directory") or "changelog.d"))
    if folder.startswith(("/", "..")):
        return None
    given = table.get("categories", SECTION_ORDER)
    names = re.split(r"[\n,]", given) if isinstance(given, str) else [str(one) for one in given]
    characters = str(table.get("rst_header_chars") or "=-")
    return ScrivSettings(
        folder=folder,
        suffix=".md" if table.get("format") == "md" else ".rst",
        categories=tuple(name.strip() for name in names if name.strip()),
        underline=(characters + "--")[1],
    )


@dataclass(frozen=True)
class FragmentStyle:
    """What the names of a folder's fragments have in common."""

    suffix: str
    numbered: bool
    typed: bool
    types: tuple[str, ...]

    def type_of(self, category: Category) -> str:
        """The type for a category: one that is in use, or the common word."""
        wanted = next((word for word in TYPE_WORDS[category] if word in self.types), None)
        common = {"Added": "feature", "Fixed": "bugfix", "Removed": "removal"}
        return wanted or common.get(category, "misc" if "misc" in self.types else category.lower())


def read_fragment_style(names: Sequence[str]) -> FragmentStyle:
    """How fragments are named (``123.bugfix.md``, ``123.md``, …), by the majority of ``names``."""
    pattern = re.compile(
        r"(?P<stem>\+?[^.]+)(?:\.(?!(?:md|rst|txt)$)(?P<type>[a-z_]+))?(?:\.\d+)?(?P<suffix>\.(?:md|rst|txt))?"
    )
    matches = [match for name in names if (match := pattern.fullmatch(name.lower()))]
    types = Counter(match["type"] for match in matches if match["type"])
    suffixes = Counter(match["suffix"] or "" for match in matches)
    numbered = sum(bool(re.fullmatch(r"(?:gh-?|pr-?|issue-?|#)?\d+", match["stem"])) for match in matches)
    return FragmentStyle(
        suffix=suffixes.most_common(1)[0][0] if suffixes else ".md",
        numbered=numbered * 2 > len(names) > 0,
        typed=sum(types.values()) * 2 > len(names) > 0,
        types=tuple(sorted(types)),
    )


def add_unreleased_entry(
    content: bytes, category: Category, text: str, *, issue: int, forced: bool = False
) -> bytes | None:
    """A Keep a Changelog file with the entry in its Unreleased section; the same bytes when it is there already.

    None when the file has no such section and does not say that it keeps one (``forced``: one is made). Line endings,
    a byte order mark, and everything else stay as they are.
    """
    try:
        source = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    newline = "\r\n" if "\r\n" in source else "\n"
    lines = source.replace("\r\n", "\n").split("\n")
    page = _Page(lines)
    if page.start is None:
        if not (forced or "keepachangelog.com" in source):
            return None
        page = _Page(page.with_section())
    if issue and f"(#{issue})" not in text and re.search(r"(?m)^[-*] .*\(#\d+\)", source):
        text = f"{text} (#{issue})"
    page.add(category, text)
    return newline.join(page.lines).encode()


class _Page:
    """The lines of a changelog, with the bounds of its Unreleased section: ``start`` is the heading's line."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.start: int | None = None
        self.end = len(lines)
        self.level = 2
        self._code = self._lines_of_code()
        for number, line in enumerate(lines):
            heading = self._heading(number)
            if heading is None:
                if self.start is not None and re.match(r"\[[^\]]+\]:\s", line) and number not in self._code:
                    self.end = number
                    break
            elif self.start is None and re.fullmatch(
                r"\[?unreleased\]?(?:\s.*|\(.*)?", heading[1].strip(), re.IGNORECASE
            ):
                self.start, self.level = number, heading[0]
            elif self.start is not None and heading[0] <= self.level:
                self.end = number
                break

    def with_section(self) -> list[str]:
        """The lines with an empty Unreleased section in front of the first release."""
        releases = [at for at in range(len(self.lines)) if (heading := self._heading(at)) and heading[0] == 2]
        links = [at for at, line in enumerate(self.lines) if re.match(r"\[[^\]]+\]:\s", line)]
        at = min([*releases[:1], *links[:1]], default=len(self.lines))
        title = "## [Unreleased]" if not releases or self.lines[releases[0]].startswith("## [") else "## Unreleased"
        before = self.lines[:at]
        while before and not before[-1].strip():
            before.pop()
        return [*before, "", title, "", *self.lines[at:]]

    def add(self, category: Category, text: str) -> None:
        """Put the entry where it belongs, unless it stands there."""
        start = self.start or 0
        body = self.lines[start + 1 : self.end]
        marks = Counter(line[0] for line in self.lines if re.match(r"[-*+] ", line))
        bullet = f"{marks.most_common(1)[0][0] if marks else '-'} {text}"
        if any(_same(line) == _same(bullet) for line in body):
            return
        headings = [(at, self._heading(at)) for at in range(start + 1, self.end)]
        inner = [(at, heading[1].strip()) for at, heading in headings if heading]
        mine = [number for number, title in inner if re.fullmatch(rf"\W*{category}\W*", title, re.IGNORECASE)]
        if mine:
            self._append(mine[0], self._next(inner, mine[0]), bullet)
        elif not inner and any(re.match(r"[-*+] ", line) for line in body):
            self._append(start, self.end, bullet)
        else:
            self._insert_category(inner, category, bullet)

    def _insert_category(self, inner: list[tuple[int, str]], category: Category, bullet: str) -> None:
        rank = {name.lower(): number for number, name in enumerate(SECTION_ORDER)}
        later = [at for at, title in inner if rank.get(title.lower(), -1) > rank[category.lower()]]
        at = later[0] if later else self.end
        head = f"{'#' * min(self.level + 1, 6)} {category}"
        while at > 0 and not self.lines[at - 1].strip():
            at -= 1
        rest = list(itertools.dropwhile(lambda line: not line.strip(), self.lines[at:]))
        tight = [number for number, _ in inner if number + 1 < self.end and self.lines[number + 1].strip()]
        gap = [] if tight else [""]
        self.lines = [*self.lines[:at], "", head, *gap, bullet, "", *rest]

    def _append(self, heading: int, end: int, bullet: str) -> None:
        last = end - 1
        while last > heading and not self.lines[last].strip():
            last -= 1
        gap = [""] if last == heading else []
        after = [] if last + 1 < len(self.lines) and not self.lines[last + 1].strip() else [""]
        self.lines[last + 1 : last + 1] = [*gap, bullet, *after]

    def _next(self, inner: list[tuple[int, str]], number: int) -> int:
        return next((at for at, _ in inner if at > number), self.end)

    def _heading(self, number: int) -> tuple[int, str] | None:
        match = re.match(r"\ufeff?(#{1,6})[ \t]+(.*)", self.lines[number])
        return (len(match[1]), match[2]) if match and number not in self._code else None

    def _lines_of_code(self) -> frozenset[int]:
        inside, found = "", []
        for number, line in enumerate(self.lines):
            mark = line.lstrip()[:3]
            if inside:
                found.append(number)
                inside = "" if mark == inside else inside
            elif mark in ("```", "~~~"):
                inside = mark
                found.append(number)
        return frozenset(found)


def _same(line: str) -> str:
    bare = line.strip().lstrip("-*+ ")
    head, mark, number = bare.rpartition("(#")
    if mark and number.endswith(")") and number[:-1].isdecimal():
        bare = head
    return " ".join(bare.split()).rstrip(".").lower()


def _toml_table(text: str | None, tool: str) -> dict[str, Any] | None:
    tools = parse_toml(text or "").get("tool")
    table = tools.get(tool) if isinstance(tools, dict) else None
    return table if isinstance(table, dict) else None


def _ini_section(text: str | None, names: Sequence[str]) -> dict[str, Any] | None:
    parser = parse_ini(text or "")
    return next((dict(parser[name]) for name in names if parser.has_section(name)), None) if parser else None
