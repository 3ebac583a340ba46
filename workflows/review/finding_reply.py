"""A reviewer's reply, read leniently: the findings in its JSON, and a reason for each that is not taken. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.calls.loose_json import find_objects
from workflows.review.anchors import NO_FILES, Anchor, LineMap
from workflows.review.findings import (
    CATEGORIES,
    Evidence,
    Finding,
    RecordedRun,
    Severity,
    rank,
)
from workflows.review.reply_places import NOTHING_MOVED, find_path, locate, text_of
from workflows.review.runs import only_looks, plain_command
from workflows.review.sameness import finding_id, is_same_point
from workflows.review.suggestions import Suggestion, SuggestionMistake, parse_suggestion, without_marks
from workflows.types import Noun

MOST_FINDINGS = 100
LONGEST_TITLE = 140
LONGEST_BODY = 2_000
"""What is longer is a wall of text, which nobody reads."""
# What the model is told to answer with.
FINDINGS_FORMAT = """\
{
  "findings": [
    {
      "severity": "critical | important | minor",
      "category": "CATEGORIES",
      "confidence": 0.0 to 1.0,
      "path": "path/in/the/repository",
      "side": "RIGHT for the new file, LEFT for removed lines",
      "start_line": first line, "line": last line,
      "code": "the first of these lines, copied exactly",
      "title": "what is wrong, in one sentence",
      "body": "when it goes wrong, with what input, and what happens then",
      "command": "a command that you ran and that shows it, exactly as you ran it; empty when none does",
      "reasoning": "otherwise: the path through the code that leads there",
      "suggestion": "the new lines in place of start_line to line, an empty ``` block to delete them, or null"
    }
  ]
}""".replace("CATEGORIES", " | ".join(CATEGORIES))

_SEVERITY_WORDS: Mapping[str, Severity] = {
    **dict.fromkeys(
        ("critical", "blocker", "blocking", "severe", "fatal", "urgent", "p0", "sev0", "sev1", "s0", "s1"), "critical"
    ),
    **dict.fromkeys(("important", "high", "major", "error", "medium", "moderate", "warning", "p1"), "important"),
    **dict.fromkeys(
        ("minor", "low", "nit", "nitpick", "trivial", "info", "informational", "note", "style", "suggestion"), "minor"
    ),
    **dict.fromkeys(("cosmetic", "optional", "non", "p2", "p3", "p4"), "minor"),
}
_CONFIDENCE_WORDS = {"certain": 0.95, "high": 0.9, "medium": 0.6, "moderate": 0.6, "low": 0.3}
_CATEGORY_WORDS = {"correctness": "bug", "logic": "bug", "vulnerability": "security", "race": "concurrency"}
_MERE_ADVICE = re.compile(
    r"\s*(?:(?:please |you (?:may|might|should) (?:want to )?|(?:it )?(?:may|might) be (?:worth|good to) |consider )"
    r"(?:verify(?:ing)?|ensur(?:e|ing)|mak(?:e|ing) sure|double-?check(?:ing)?|confirm(?:ing)?|check(?:ing)?"
    r"|review(?:ing)?|validat(?:e|ing))\b"
    r"|(?:verify|ensure|make sure|double-?check|confirm|check|review|validate) (?:that|if|whether)\b)"
    # What follows says after all what goes wrong.
    r"(?!.*(?:[:;—–]|, (?:or|otherwise|because|since)\b))",
    re.IGNORECASE,
)
_PAPERWORK = re.compile(
    r"\b(?:copyright|spdx|licensing)\b|\blicen[cs]e (?:header|notice|file|text|year|comment|identifier)s?\b"
    r"|\b(?:missing|no|wrong|outdated) licen[cs]e\W*$"
    r"|\b(?:year|date)\b.{0,40}\b(?:(?:is|lies|be) in the (?:future|past)|is outdated)\W*$",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\s*(?:lgtm\b.*|(?:looks good|well done)(?: to me)?\W*"
    r"|(?:very )?(?:good|nice|great|excellent)(?:\W*$| (?:use of|catch|choice|call|idea|improvement|refactor\w*|naming"
    r"|separation|cleanup|coverage|approach|work|to see)\b.*))",
    re.IGNORECASE,
)


class Refused(Noun):
    """A point that is not taken: its title or place, and why. ``misplaced``: it matters, and only its file is wrong."""

    what: str
    reason: str
    misplaced: bool = False


@dataclass(frozen=True)
class ParsedFindings:
    """What a reply holds. ``mistake`` is a sentence for the model when there is nothing to read in it."""

    findings: tuple[Finding, ...] = ()
    refused: tuple[Refused, ...] = ()
    mistake: str = ""

    @property
    def misplaced(self) -> tuple[Refused, ...]:
        """The points that matter, and are of no file of the repository."""
        return tuple(one for one in self.refused if one.misplaced)


def parse_findings(
    text: str,
    maps: Mapping[str, LineMap],
    *,
    runs: Sequence[RecordedRun] = (),
    files: Mapping[str, LineMap] = NO_FILES,
    moved: Mapping[str, str] = NOTHING_MOVED,
) -> ParsedFindings:
    """The findings in a model's reply, whatever fences or prose surround its JSON. Never raises.

    ``maps`` are the lines of the change; ``files`` those of the whole head, which a finding may name as well;
    ``moved`` are the names of files before the change, with those of now.
    ``runs`` are the commands that were run: only these are evidence, and none that only lists or reads files.
    """
    items = _items(text)
    if items is None:
        return ParsedFindings(mistake=f"No JSON object with `findings` was found. The form is:\n{FINDINGS_FORMAT}")
    found: list[Finding] = []
    refused: list[Refused] = []
    known = {plain_command(run.command): run for run in runs if not only_looks(run.command)}
    for item in items[:MOST_FINDINGS]:
        finding = _parse_item(item, maps, known, files, moved)
        if isinstance(finding, Finding):
            twin = next((one for one in found if is_same_point(one, finding)), None)
            if twin is None:
                found.append(finding)
                continue
            finding = Refused(what=finding.title, reason=f"it says again what “{twin.title}” says")
        refused.append(finding)
    if len(items) > MOST_FINDINGS:
        refused.append(Refused(what=f"{len(items) - MOST_FINDINGS} more findings", reason="there are too many"))
    return ParsedFindings(tuple(rank(found)), tuple(refused))


def _items(text: str) -> list[dict[str, Any]] | None:
    """The raw findings of the last list of them in the reply; bare objects count, None when there is nothing."""
    objects = find_objects(text)
    for value in reversed(objects):
        listed = value.get("findings", value.get("issues"))
        if isinstance(listed, list):
            items = [item for item in listed if isinstance(item, dict)]
            # Sentences where objects belong are findings that cannot be read, not none.
            return items if items or not listed else None
    bare = [value for value in objects if "path" in value and ("title" in value or "body" in value)]
    return bare or None


def _parse_item(
    item: Mapping[str, Any],
    maps: Mapping[str, LineMap],
    runs: Mapping[str, RecordedRun],
    files: Mapping[str, LineMap],
    moved: Mapping[str, str],
) -> Finding | Refused:
    title, body = _title_and_body(item)
    written = text_of(item, "path", "file", "file_path", "filename")
    path = find_path(written, maps, files, moved=moved)
    what = title or written or "a finding"
    if not title:
        return Refused(what=what, reason="it says nothing")
    severity = _severity(text_of(item, "severity", "priority"))
    anchor, whole = locate(item, maps[path]) if path in maps else (None, False)
    if anchor is None and path in files:
        anchor, _ = locate(item, files[path])
    run = runs.get(plain_command(text_of(item, "command")))
    # Of a range that was cut, the suggestion would replace only a part of what it was written for.
    suggestion = _suggestion(item.get("suggestion"), anchor, maps[path]) if anchor and whole else None
    reason = _unwanted(title, severity, shown=run is not None or suggestion is not None)
    if not reason and not path:
        reason = f"there is no file {written[:200]} in the repository" if written else "it names no file"
        return Refused(what=what, reason=reason, misplaced=severity != "minor")
    reason = reason or (_out_of_place(maps.get(path), anchor) if severity == "minor" else "")
    if reason:
        return Refused(what=what, reason=reason)
    return Finding(
        id=finding_id(path, title, anchor),
        severity=severity,
        category=_category(text_of(item, "category", "type")),
        confidence=_confidence(item.get("confidence")),
        title=title,
        body=body,
        path=path,
        anchor=anchor,
        evidence=Evidence(run=run, reasoning=text_of(item, "reasoning", "evidence")[:LONGEST_BODY]),
        suggestion=suggestion,
    )


def _title_and_body(item: Mapping[str, Any]) -> tuple[str, str]:
    title = " ".join(text_of(item, "title", "summary").split())
    body = text_of(item, "body", "description", "message", "comment")
    if not title and body:
        title = re.split(r"(?<=[.!?])\s", " ".join(body.split()), maxsplit=1)[0]
    if len(title) > LONGEST_TITLE:
        title = title[: LONGEST_TITLE - 1].rstrip() + "…"
    return title, body if len(body) <= LONGEST_BODY else body[: LONGEST_BODY - 1].rstrip() + "…"


def _suggestion(written: Any, anchor: Anchor, lines: LineMap) -> Suggestion | None:
    if not isinstance(written, str) or not written.strip():
        return None
    parsed = parse_suggestion(written)
    if isinstance(parsed, SuggestionMistake):
        return None
    return without_marks(parsed, [lines.text(number) or "" for number in range(anchor.first, anchor.line + 1)])


def _unwanted(title: str, severity: Severity, *, shown: bool) -> str:
    if shown:
        return ""
    if _PRAISE.fullmatch(title):
        return "it is praise"
    if severity != "critical" and _MERE_ADVICE.match(title):
        return "it asks people to verify something instead of saying what is wrong"
    if severity == "minor" and _PAPERWORK.search(title):
        return "it is about a licence or a date"
    return ""


def _out_of_place(lines: LineMap | None, anchor: Anchor | None) -> str:
    if anchor is None or anchor.outside or lines is None:
        return "its line is not in the change"
    changed = lines.is_changed(anchor.line, side=anchor.side, start_line=anchor.start_line)
    return "" if changed else "its lines were not changed"


def _severity(word: str) -> Severity:
    """By the first word that is known; what says nothing known is no reason to hide a finding."""
    words = re.findall(r"[a-z]+\d?", word.casefold())
    return next((_SEVERITY_WORDS[one] for one in words if one in _SEVERITY_WORDS), "important")


def _category(word: str) -> str:
    plain = word.casefold().replace("_", " ").replace("-", " ").strip()
    return plain if plain in CATEGORIES else _CATEGORY_WORDS.get(plain.split(" ")[0], "other")


def _confidence(value: Any) -> float:
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in _CONFIDENCE_WORDS:
            return _CONFIDENCE_WORDS[word]
        match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%?", word)
        value = float(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return 0.5
    return float(value if value <= 1 else value / 100)
