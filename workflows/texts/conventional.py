"""Conventional Commits 1.0.0: a message read into its parts, and the changelog category that it stands for.

https://www.conventionalcommits.org/en/v1.0.0/#specification
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflows.agent.describe import Category
from workflows.types import Noun

# The specification allows any noun as a type. Only these count, so that "Note: …" and "Windows: …" do not. Its own two
# and those of https://github.com/conventional-changelog/commitlint (config-conventional), with the habits around them.
# None: nothing that users of the software would notice.
TYPES: dict[str, Category | None] = {
    "feat": "Added",
    "feature": "Added",
    "fix": "Fixed",
    "bugfix": "Fixed",
    "hotfix": "Fixed",
    "perf": "Changed",
    "refactor": None,
    "revert": "Changed",
    "deprecate": "Deprecated",
    "remove": "Removed",
    "security": "Security",
    "docs": None,
    "doc": None,
    "style": None,
    "test": None,
    "tests": None,
    "build": None,
    "ci": None,
    "chore": None,
    "deps": None,
    "release": None,
}
TYPE_OF: dict[Category, str] = {
    "Added": "feat",
    "Changed": "refactor",
    "Deprecated": "chore",
    "Removed": "refactor",
    "Fixed": "fix",
    "Security": "fix",
}
_SUBJECT = re.compile(
    r"(?P<type>[A-Za-z]{2,20})(?:\((?P<scope>[^()\n]{1,100})\))?(?P<breaking>!)?:[ \t]{1,9}(?P<description>\S.*)"
)
_REVERT = re.compile(r'Revert "(?P<reverted>[^\n]{1,300})"')  # what `git revert` and GitHub's button write
# Points 8 to 12 and 16: a word token or BREAKING CHANGE, then ": " or " #".
_FOOTER = re.compile(r"(?P<token>BREAKING[ -]CHANGE|[A-Za-z][A-Za-z0-9-]{0,50})(?::[ \t]{1,9}| (?=#))(?P<value>\S.*)")
_BREAKING = ("BREAKING CHANGE", "BREAKING-CHANGE")
_NOTHING = re.compile(r"(?i)(?:none|no|nothing|n/?a|-+)\W{0,3}")  # what people leave standing in a template
_REMOVES = re.compile(r"(?i)(?:remove[sd]?|drop(?:s|ped)?|delete[sd]?)\b")
_DEPRECATES = re.compile(r"(?i)deprecate[sd]?\b")


class ConventionalCommit(Noun):
    """One message. ``type`` is in lower case; ``breaking_notes`` are the texts of its BREAKING CHANGE footers."""

    type: str
    description: str
    scope: str = ""
    breaking: bool = False
    breaking_notes: tuple[str, ...] = ()


def are_conventional(subjects: Sequence[str]) -> bool:
    """Whether a repository's last commit subjects show that it writes Conventional Commits: most of three or more."""
    telling = [subject for subject in subjects if not subject.startswith("Merge ")]
    conventional = sum(parse_conventional(subject) is not None for subject in telling)
    return len(telling) >= 3 and conventional * 2 > len(telling)


def parse_conventional(message: str) -> ConventionalCommit | None:
    """The parts of a commit's message, or of a title alone; None when it does not follow the convention.

    Types are read in any case (point 15), and only those of :data:`TYPES`. A BREAKING CHANGE footer is also found
    where a squash merge leaves it, in the middle of the body; of its text the first paragraph counts.
    """
    subject, _, body = message.replace("\r\n", "\n").strip().partition("\n")
    reverts = _REVERT.match(subject)
    if reverts:
        known = parse_conventional(reverts["reverted"])
        return known and ConventionalCommit(type="revert", description=subject.strip())
    match = _SUBJECT.fullmatch(subject.strip())
    if match is None or match["type"].lower() not in TYPES:
        return None
    notes = parse_breaking_notes(body)
    return ConventionalCommit(
        type=match["type"].lower(),
        description=match["description"].strip(),
        scope=(match["scope"] or "").strip(),
        breaking=bool(match["breaking"] or notes),
        breaking_notes=notes,
    )


def parse_breaking_notes(body: str) -> tuple[str, ...]:
    """The texts of a body's BREAKING CHANGE footers, each in one line; "none" and its like are no text."""
    notes: list[list[str]] = []
    inside = False
    for line in body.splitlines():
        footer = _FOOTER.match(line)
        if footer:
            inside = footer["token"] in _BREAKING
            if inside:
                notes.append([footer["value"]])
        elif inside and line.strip():
            notes[-1].append(line)
        else:
            inside = False
    told = (" ".join(" ".join(lines).split()) for lines in notes)
    return tuple(note for note in told if not _NOTHING.fullmatch(note))


def category_of(commit: ConventionalCommit) -> Category | None:
    """The category in Keep a Changelog's words; None for what users do not notice, which a breaking change never is."""
    usual = TYPES.get(commit.type)
    if commit.scope.lower() == "security" and usual:
        return "Security"
    if usual == "Security":
        return usual
    if _DEPRECATES.match(commit.description):
        return "Deprecated"
    if _REMOVES.match(commit.description) and (commit.breaking or usual == "Added"):
        return "Removed"
    return usual or ("Changed" if commit.breaking else None)
