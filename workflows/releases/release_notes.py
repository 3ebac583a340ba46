"""Release notes: every merged pull request and every author of a range, grouped for readers; checked before use.

The list is made of what GitHub says was merged. A model's words can stand above it and decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from workflows.agent.describe import CATEGORIES, Category
from workflows.releases.version_range import VersionRange
from workflows.texts.conventional import category_of, parse_breaking_notes, parse_conventional
from workflows.texts.outbound import HOSTS, MAX_CHARACTERS, clean_line, clean_outbound, code_span
from workflows.texts.untrusted import clean_inbound
from workflows.types import MergedPull

Group = Literal["Breaking changes", "Maintenance", "Commits without a pull request"] | Category
GROUPS: tuple[Group, ...] = ("Breaking changes", *CATEGORIES, "Maintenance", "Commits without a pull request")
SMALL: tuple[Group, ...] = ("Maintenance", "Commits without a pull request")
LONG = 40  # more entries than this, and the small ones move into an appendix
HIGHLIGHTS = "## Highlights"
# Labels, without their prefixes ("type: ", "kind/") and in lower case. What people labelled counts before a title.
_LABELS: dict[Group, frozenset[str]] = {
    "Breaking changes": frozenset({"breaking", "breaking change", "breaking changes", "semver major", "major"}),
    "Security": frozenset({"security", "vulnerability"}),
    "Added": frozenset({"enhancement", "feature", "feat", "new feature", "added"}),
    "Fixed": frozenset({"bug", "bugfix", "fix", "fixed", "regression"}),
    "Deprecated": frozenset({"deprecation", "deprecated"}),
    "Removed": frozenset({"removal", "removed"}),
    "Changed": frozenset({"changed", "performance", "perf"}),
    "Maintenance": frozenset(
        {"dependencies", "documentation", "docs", "ci", "chore", "internal", "test", "tests", "refactor", "maintenance"}
        | {"github actions", "skip changelog", "ignore for release"}
    ),
}
Commit = tuple[str, str, str | None]
"""Id, message, and the author's login if GitHub knows it."""


@dataclass(frozen=True)
class _Entry:
    group: Group
    text: str
    reference: str
    author: str

    def render(self, longest: int, *, author: bool = True) -> str:
        """One line; the word before the reference is never one that closes an issue."""
        title = clean_line(self.text, limit=longest) if longest else ""
        by = f"by {code_span('@' + self.author)} " if author and self.author else ""
        return f"- {title} {by}in {self.reference}" if title else f"- {self.reference} {by}".rstrip()


def direct_commits(commits: Sequence[Commit], pulls: Sequence[MergedPull]) -> list[Commit]:
    """The commits of the range that no pull request brought."""
    brought = {sha for pull in pulls for sha in (*pull.commits, pull.merge_commit)}
    return [commit for commit in commits if commit[0] not in brought]


def group_of(pull: MergedPull) -> Group:
    """Where a pull request stands: by its labels, else by its title if that is conventional, else "Changed"."""
    labels = {_plain_label(label) for label in pull.labels}
    commit = parse_conventional(pull.title)
    breaking = commit is not None and (commit.breaking or parse_breaking_notes(clean_inbound(pull.body).text))
    if breaking or labels & _LABELS["Breaking changes"]:
        return "Breaking changes"
    labelled = next((group for group, names in _LABELS.items() if labels & names), None)
    if labelled:
        return labelled
    return "Changed" if commit is None else category_of(commit) or "Maintenance"


def render_release_notes(
    span: VersionRange,
    pulls: Sequence[MergedPull],
    commits: Sequence[Commit] = (),
    *,
    highlights: str = "",
    newcomers: Collection[str] = (),
    secrets: Collection[str] = (),
    hosts: Collection[str] = HOSTS,
    limit: int = MAX_CHARACTERS,
) -> str:
    """The notes of a range in Markdown: pull requests by group, direct commits, authors.

    ``commits`` are all of the range; those that came without a pull request are listed. ``highlights`` is a model's
    paragraph; ``newcomers`` are logins whose first contribution this is. When the notes are longer than ``limit``,
    titles are shortened, then left out: :func:`check_release_notes` says whether everything is still there.
    """
    direct = direct_commits(commits, pulls)
    entries = [_pull_entry(pull) for pull in pulls] + [_commit_entry(commit) for commit in direct]
    told = "\n\n".join(clean_line(part, secrets, hosts=hosts, limit=2_000) for part in highlights.split("\n\n")).strip()
    text = ""
    for longest in (200, 60, 0):
        parts = [
            f"{HIGHLIGHTS}\n\n{told}" if told else "",
            *_render_entries(entries, longest),
            _render_authors(authors_of(pulls, direct), newcomers),
            f"All changes: {code_span(str(span))}",
        ]
        text = "\n\n".join(part for part in parts if part)
        if len(clean_outbound(text, secrets, hosts=hosts, limit=10 * limit)) <= limit:
            break
    return clean_outbound(text, secrets, hosts=hosts, limit=limit)


def check_release_notes(text: str, pulls: Sequence[MergedPull], commits: Sequence[Commit] = ()) -> tuple[str, ...]:
    """What the notes leave out: a sentence for each pull request, direct commit and author. Highlights do not count."""
    listed = _without_highlights(text)
    direct = direct_commits(commits, pulls)
    numbers = set(re.findall(r"(?<![\w/#])#(\d+)\b", listed))
    names = {name.lower() for name in re.findall(r"(?<!\w)@([\w-]+(?:\[bot\])?)", listed)}
    missing = [f"Pull request #{pull.number} is missing." for pull in pulls if str(pull.number) not in numbers]
    missing += [f"Commit {sha[:12]} is missing." for sha, _, _ in direct if sha[:12] not in listed]
    missing += [f"Author {login} is missing." for login in authors_of(pulls, direct) if login.lower() not in names]
    return tuple(missing)


def authors_of(pulls: Sequence[MergedPull], direct: Sequence[Commit]) -> list[str]:
    """The logins of everybody who wrote something of the range, once each, in alphabetical order."""
    logins = [pull.author.login for pull in pulls] + [login for _, _, login in direct if login]
    return sorted({login.casefold(): login for login in logins}.values(), key=str.casefold)


def _plain_label(label: str) -> str:
    return re.split(r"[:/]", label)[-1].strip().lower().replace("-", " ").replace("_", " ")


def _pull_entry(pull: MergedPull) -> _Entry:
    title = re.sub(rf"[ \t]*\(#{pull.number}\)$", "", pull.title.strip())
    commit = parse_conventional(title)
    if commit and commit.type != "revert":
        scope = f"{commit.scope}: " if commit.scope else ""
        title = f"{scope}{commit.description}"
    return _Entry(group_of(pull), title, f"#{pull.number}", pull.author.login)


def _commit_entry(commit: Commit) -> _Entry:
    sha, message, login = commit
    return _Entry(
        "Commits without a pull request", message.strip().partition("\n")[0], code_span(sha[:12]), login or ""
    )


def _render_entries(entries: Sequence[_Entry], longest: int) -> list[str]:
    """A section for each group; the small ones, when there are many entries in all, folded away by author."""
    folded = [entry for entry in entries if entry.group in SMALL] if len(entries) > LONG else []
    shown = [entry for entry in entries if not folded or entry.group not in SMALL]
    parts = []
    for group in GROUPS:
        lines = [entry.render(longest) for entry in shown if entry.group == group]
        parts += [f"## {group}\n\n" + "\n".join(lines)] if lines else []
    return [*parts, _render_appendix(folded, longest)] if folded else parts


def _render_appendix(small: Sequence[_Entry], longest: int) -> str:
    by_author: Mapping[str, list[_Entry]] = {
        author: [entry for entry in small if entry.author == author]
        for author in sorted({entry.author for entry in small}, key=str.casefold)
    }
    parts = ["<details>", f"<summary>Maintenance: {len(small)} more, by author</summary>", ""]
    for author, found in by_author.items():
        parts += [f"**{code_span('@' + author) if author else 'Unknown to GitHub'}**", ""]
        parts += [entry.render(longest, author=False) for entry in found]
        parts.append("")
    return "\n".join([*parts, "</details>"])


def _render_authors(logins: Sequence[str], newcomers: Collection[str]) -> str:
    new = {login.casefold() for login in newcomers}
    named = [
        f"{code_span('@' + login)}{' (first contribution)' if login.casefold() in new else ''}" for login in logins
    ]
    return f"## Authors\n\n{', '.join(named)}" if named else ""


def _without_highlights(text: str) -> str:
    before, found, rest = text.partition(HIGHLIGHTS)
    if not found or before.strip():
        return text
    section = re.search(r"(?m)^## ", rest)
    return rest[section.start() :] if section else ""
