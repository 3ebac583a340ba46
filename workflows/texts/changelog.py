"""How a repository keeps its changelog, and the entry of one change in that way; pure, and at rest when repeated."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from workflows.agent.describe import Category, ChangelogText
from workflows.git.patch import patch_file
from workflows.repository.policy import ChangelogStyle
from workflows.texts.changelog_files import (
    add_unreleased_entry,
    read_fragment_style,
    scriv_settings,
    towncrier_settings,
)
from workflows.types import Noun, PatchFile

Kept = Literal["towncrier", "changesets", "scriv", "fragments", "keepachangelog", "body"]
Read = Callable[[str], bytes | None]
_Tree = tuple[frozenset[str], frozenset[str], Read]

CHANGELOG_NAMES = ("changelog.md", "changes.md", "history.md", "news.md", "docs/changelog.md")
FRAGMENT_FOLDERS = ("changelog.d", "changes", "newsfragments", "changelog/unreleased", "changelogs/unreleased")
NEW_CHANGELOG = (
    "# Changelog\n\nThe format follows [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).\n\n## [Unreleased]\n"
)
LONGEST_ENTRY = 500


class ChangelogEntry(Noun):
    """One entry. ``path`` is where it stands; ``file`` is None when it stands nowhere, or there already.

    Without a ``path`` the entry belongs into the pull request's text.
    """

    style: Kept
    category: Category
    text: str
    path: str | None = None
    file: PatchFile | None = None


def plan_changelog(
    entry: ChangelogText | None,
    *,
    issue: int,
    style: ChangelogStyle,
    names: Collection[str],
    read: Read,
    patched: Collection[str] = (),
) -> ChangelogEntry | None:
    """The entry in the repository's own way; None when there is nothing to say or the policy wants none.

    ``names`` are all paths, ``read`` gives their content with the change applied, and ``patched`` are the paths that
    the change touches: an entry that is in it already is not written again.
    """
    text = _one_line(entry.text) if entry else ""
    if entry is None or not text or style == "none":
        return None
    plan = _Plan(entry, text, issue, tree=(frozenset(names) | frozenset(patched), frozenset(patched), read))
    for kept in _order(style):
        found = plan.entry(kept, forced=style != "auto")
        if found is not None:
            return _as_written(found, plan)
    return ChangelogEntry(style="body", category=entry.category, text=text)


def _order(style: ChangelogStyle) -> Sequence[Kept]:
    if style == "auto":
        return ("towncrier", "changesets", "scriv", "fragments", "keepachangelog")
    if style == "body":
        return ()
    return () if style == "none" else (style,)


def _as_written(entry: ChangelogEntry, plan: _Plan) -> ChangelogEntry:
    """The entry, without a file of ours where the change brings one of its own in the same place."""
    path = entry.path or ""
    if entry.style == "keepachangelog":
        brought = path if path in plan.patched else None
    else:
        folder = posixpath.dirname(path)
        taken = (name for name in sorted(plan.patched) if posixpath.dirname(name) == folder and _is_fragment(name))
        brought = next(taken, None)
    if brought is not None and plan.read(brought) is not None:
        return entry.model_copy(update={"path": brought, "file": None})
    unchanged = entry.file is not None and plan.read(path) == entry.file.content
    return entry.model_copy(update={"file": None}) if unchanged else entry


def _is_fragment(name: str) -> bool:
    stem = posixpath.basename(name).lower()
    return not stem.startswith((".", "readme", "template", "config.json", "_"))


class _Plan:
    """One change's entry, in each way of keeping a changelog; None where the repository does not keep it so."""

    def __init__(self, entry: ChangelogText, text: str, issue: int, *, tree: _Tree) -> None:
        self.category, self.text, self.issue = entry.category, text, issue
        self.names, self.patched, self.read = tree

    def entry(self, kept: Kept, *, forced: bool) -> ChangelogEntry | None:
        """The entry in one way; ``forced`` takes its defaults where the repository shows no sign of it."""
        ways: dict[Kept, Callable[[bool], ChangelogEntry | None]] = {
            "towncrier": self._towncrier,
            "changesets": self._changesets,
            "scriv": self._scriv,
            "fragments": self._fragments,
            "keepachangelog": self._keep_a_changelog,
        }
        return ways[kept](forced)

    def _towncrier(self, forced: bool) -> ChangelogEntry | None:
        settings = towncrier_settings(self._text("towncrier.toml"), self._text("pyproject.toml"), forced=forced)
        if settings is None:
            return None
        siblings = self._siblings(settings.folder)
        shown = read_fragment_style([name for name in siblings if _is_fragment(name)])
        suffix = shown.suffix if shown.typed else settings.suffix
        kind = settings.type_of(self.category)
        orphan = "" if self.issue else "+"  # towncrier's mark of a fragment without an issue
        return self._file("towncrier", settings.folder, f"{orphan}{self._stem()}.{kind}", suffix, f"{self.text}\n")

    def _changesets(self, forced: bool) -> ChangelogEntry | None:
        if not forced and ".changeset/config.json" not in self.names:
            return None
        packages = self._packages()
        if not packages:
            return None
        # A breaking change is for people to declare: no more than a minor version is asked for.
        bump = "minor" if self.category == "Added" else "patch"
        lines = "".join(f"{json.dumps(package, ensure_ascii=False)}: {bump}\n" for package in packages)
        content = f"---\n{lines}---\n\n{self.text}\n"
        return self._file("changesets", ".changeset", f"issue-{self.issue}-{_slug(self.text, 30)}", ".md", content)

    def _scriv(self, forced: bool) -> ChangelogEntry | None:
        sources = ("pyproject.toml", "setup.cfg", "tox.ini", "changelog.d/scriv.ini")
        settings = scriv_settings({name: self._text(name) for name in sources}, forced=forced)
        if settings is None:
            return None
        content = settings.render(self.category, self.text)
        return self._file(
            "scriv", settings.folder, f"issue-{self.issue}-{_slug(self.text, 30)}", settings.suffix, content
        )

    def _fragments(self, forced: bool) -> ChangelogEntry | None:
        for folder in FRAGMENT_FOLDERS:
            siblings = self._siblings(folder)
            fragments = [name for name in siblings if _is_fragment(name)]
            # A folder of release pages (1.2.0.md) is no folder of fragments.
            pages = [name for name in fragments if re.match(r"v?\d+\.\d+", name)]
            shown = read_fragment_style(fragments)
            if not siblings or pages or (fragments and not (shown.numbered or folder == "changelog.d")):
                continue
            example = next((self._text(f"{folder}/{name}") or "" for name in sorted(fragments)), "")
            bullet = next((mark for mark in ("- ", "* ") if example.lstrip().startswith(mark)), "")
            stem = f"{self._stem()}.{shown.type_of(self.category)}" if shown.typed else self._stem()
            return self._file("fragments", folder, stem, shown.suffix, f"{bullet}{self.text}\n")
        if not forced:
            return None
        return self._file("fragments", FRAGMENT_FOLDERS[0], self._stem(), ".md", f"- {self.text}\n")

    def _keep_a_changelog(self, forced: bool) -> ChangelogEntry | None:
        by_lower = {name.lower(): name for name in sorted(self.names, reverse=True)}
        for name in CHANGELOG_NAMES:
            path = by_lower.get(name)
            content = self.read(path) if path else None
            if path is None or content is None:
                continue
            changed = add_unreleased_entry(content, self.category, self.text, issue=self.issue, forced=forced)
            if changed is not None:
                return self._at("keepachangelog", path, changed)
        if not forced or "changelog.md" in by_lower:
            return None
        made = add_unreleased_entry(NEW_CHANGELOG.encode(), self.category, self.text, issue=self.issue, forced=True)
        return self._at("keepachangelog", "CHANGELOG.md", made or b"")

    def _packages(self) -> list[str]:
        """The names of the packages whose files the change touches; without such, the root's or the only one."""
        named: dict[str, str] = {}
        manifests = (name for name in self.names if posixpath.basename(name) == "package.json")
        for path in sorted(name for name in manifests if "node_modules/" not in name)[:500]:
            data = _parse_json(self._text(path))
            name = data.get("name")
            if isinstance(name, str) and name and not (path == "package.json" and data.get("workspaces")):
                named[posixpath.dirname(path)] = name
        owners = (next((folder for folder in _folders_up(path) if folder in named), None) for path in self.patched)
        touched = {named[folder] for folder in owners if folder is not None}
        if touched or "" in named:
            return sorted(touched) or [named[""]]
        return list(named.values()) if len(named) == 1 else []

    def _stem(self) -> str:
        return str(self.issue) if self.issue else _slug(self.text)

    def _siblings(self, folder: str) -> list[str]:
        return [name[len(folder) + 1 :] for name in sorted(self.names) if posixpath.dirname(name) == folder]

    def _text(self, path: str) -> str | None:
        content = self.read(path) if path in self.names else None
        return None if content is None else content.decode("utf-8-sig", "replace")

    def _file(self, kept: Kept, folder: str, stem: str, suffix: str, content: str) -> ChangelogEntry:
        """A fragment under the first name that is free, or that holds this very entry."""
        for number in range(100):
            path = posixpath.join(folder, f"{stem}{f'.{number}' if number else ''}{suffix}")
            # A file that is there and cannot be read is nobody's to overwrite.
            if path not in self.names or self.read(path) == content.encode():
                break
        return self._at(kept, path, content.encode())

    def _at(self, kept: Kept, path: str, content: bytes) -> ChangelogEntry:
        file = patch_file(path, "100644", content)
        return ChangelogEntry(style=kept, category=self.category, text=self.text, path=path, file=file)


def _folders_up(path: str) -> list[str]:
    folders = []
    while path:
        path = posixpath.dirname(path)
        folders.append(path)
    return folders


def _parse_json(text: str | None) -> dict[str, object]:
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _one_line(text: str) -> str:
    line = " ".join(text.split()).lstrip("-*#> ")
    return line if len(line) <= LONGEST_ENTRY else line[: LONGEST_ENTRY - 1].rstrip() + "…"


def _slug(text: str, longest: int = 40) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")
    return slug or "entry"
