"""The repository's own pull request template: where it lies, and how our sections are fitted into it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from workflows.texts.untrusted import clean_inbound

Key = Literal["summary", "issue", "why", "changes", "verification", "changelog", "details"]
Fact = Literal["tests_pass", "tests_added", "changelog", "issue"]

# https://docs.github.com/communities/using-templates-to-encourage-useful-issues-and-pull-requests
PULL_REQUEST_TEMPLATES = tuple(
    f"{folder}pull_request_template{suffix}" for folder in (".github/", "", "docs/") for suffix in (".md", ".txt", "")
)
_FOLDERS = tuple(f"{folder}pull_request_template/" for folder in (".github/", "", "docs/"))

_NOT_OURS = (
    r"type of|known|breaking|check ?list|screenshot|review|deploy|rollback|licen[cs]e|risk|notes? for|demo|depend"
)
_HEADINGS: tuple[tuple[Key, str], ...] = (
    ("issue", r"\b(issues?|tickets?)\b|^(fixes|closes|resolves)\b"),
    ("changelog", r"change ?log|release notes?"),
    ("verification", r"\btest(s|ed|ing)?\b|verif|validat|\bqa\b"),
    ("why", r"\b(why|motivation|background|reasons?|context)\b"),
    ("changes", r"what.*chang|^(the |list of |proposed )?changes\b|changes made|implementation|approach"),
    ("summary", r"description|summary|overview|\bwhat\b|purpose|\babout\b|^details|proposed"),
)
_NO_TICK = r"\b(doc(s|ument\w*)?|manual\w*|review\w*|read|agree|sign\w*|cla|lint\w*|style|not|n/?a|breaking|if)\b"
_TICKS: tuple[tuple[Fact, str], ...] = (
    ("tests_pass", r"\btests?( suite)? (all )?(pass|passes|passing|passed|succeed|are green)\b"),
    ("tests_added", r"\b(add(ed)?|wrote|written|includes?|new)\b.*\btests?\b|\btests?\b.*\b(added|included)\b"),
    ("changelog", r"\b(change ?log|news fragment|newsfragment|changeset)\b"),
    ("issue", r"\b(link(s|ed)?|references?|closes|fixes)\b.*\bissues?\b|\bissues?\b.*\blinked\b"),
)
_CLOSING_GAP = re.compile(
    r"(?i)(\W{0,10})(?:fix(?:es)?|close[sd]?|resolves?)(?: issue)?[ \t]{0,5}:?[ \t]{0,5}#?[ \t]{0,5}"
    r"(?:\([^()]{0,80}\)|<[^<>]{0,80}>|_{1,20}|X{1,10}|n|issue[ \w]{0,20})?[ \t]{0,20}"
)
LONGEST_MATCHED = 300  # characters of a line that are looked at


@dataclass(frozen=True)
class Section:
    """A part of our text. ``title`` is its heading where the template has none for it; empty: it has no heading.

    ``spare``: left out where the template does not ask for it.
    """

    key: Key
    title: str
    body: str
    spare: bool = False


@dataclass
class _Block:
    heading: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list)


def find_template(names: Collection[str]) -> str | None:
    """The path of the template among a tree's ``names``; a folder of templates counts when it holds one alone."""
    by_lower = {name.lower(): name for name in sorted(names, reverse=True)}
    for name in PULL_REQUEST_TEMPLATES:
        if name in by_lower:
            return by_lower[name]
    for folder in _FOLDERS:
        inside = [name for lower, name in by_lower.items() if lower.startswith(folder) and lower.endswith(".md")]
        if len(inside) == 1:
            return inside[0]
    return None


def render_sections(sections: Sequence[Section]) -> str:
    """The sections one after the other, without a template."""
    wanted = [section for section in sections if section.body.strip() and not section.spare]
    return "\n\n".join(f"## {one.title}\n\n{one.body.strip()}" if one.title else one.body.strip() for one in wanted)


def fit_template(template: str, sections: Sequence[Section], *, facts: Collection[Fact] = ()) -> str:
    """The template with our sections under its headings; what it has no heading for stands before or after it.

    Nothing of the template is lost but its HTML comments. A box is ticked only for a fact in ``facts``.
    """
    blocks = _parse_blocks(clean_inbound(template).text)
    left = {section.key: section for section in sections if section.body.strip()}
    if "issue" in left and _fill_closing_gap(blocks, left["issue"].body):
        del left["issue"]
    for block in blocks:
        key = _key_of(block.title)
        section = left.pop(key, None) if key else None
        if section is not None:
            block.lines = ["", section.body.strip(), "", *block.lines]
    before = [left.pop(key) for key in ("summary", "issue") if key in left]
    parts = [render_sections(before)]
    for block in blocks:
        lines = _without_edges([_ticked(line, facts) for line in block.lines])
        parts.append("\n".join([*([block.heading, ""] if block.heading else []), *lines]).strip())
    parts.append(render_sections(list(left.values())))
    return "\n\n".join(part for part in parts if part)


def _parse_blocks(text: str) -> list[_Block]:
    blocks = [_Block()]
    fence = ""
    for line in text.split("\n"):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark.group(1)
        elif fence and line.strip() and not line.strip().strip(fence[0]) and len(line.strip()) >= len(fence):
            fence = ""
        heading = None if fence or mark else re.fullmatch(r" {0,3}(?:#{1,6}[ \t]+(.*)|\*\*([^*]+)\*\*:?[ \t]*)", line)
        if heading:
            title = (heading.group(1) or heading.group(2) or "").strip()
            blocks.append(
                _Block(heading=line.strip(), title=re.sub(r"[^\w ]+", " ", title[:LONGEST_MATCHED]).strip().lower())
            )
        else:
            blocks[-1].lines.append(line)
    if fence:
        blocks[-1].lines.append(fence)
    return blocks


def _key_of(title: str) -> Key | None:
    if not title or re.search(_NOT_OURS, title):
        return None
    return next((key for key, pattern in _HEADINGS if re.search(pattern, title)), None)


def _fill_closing_gap(blocks: Sequence[_Block], closing: str) -> bool:
    """Put our closing line in place of the template's first ``Fixes #``."""
    for block in blocks:
        for number, line in enumerate(block.lines):
            match = _CLOSING_GAP.fullmatch(line) if "#" in line or ":" in line else None
            if match and "[" not in match.group(1):
                block.lines[number] = closing.strip()
                return True
    return False


def _ticked(line: str, facts: Collection[Fact]) -> str:
    match = re.match(r"([ \t]*[-*+] \[) (\] )(.*)", line)
    if match is None:
        return line
    words = match.group(3).lower()[:LONGEST_MATCHED]
    if re.search(_NO_TICK, words):
        return line
    known = next((fact for fact, pattern in _TICKS if re.search(pattern, words)), None)
    return f"{match.group(1)}x{match.group(2)}{match.group(3)}" if known in facts else line


def _without_edges(lines: list[str]) -> list[str]:
    """The lines without empty ones at their ends, and with one at most between others."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
