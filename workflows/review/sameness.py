"""Which points of reviews are the same: by the words of their titles, in any script, and by their lines. Pure."""

from __future__ import annotations

import hashlib
import re

from workflows.review.anchors import Anchor
from workflows.review.findings import Point

NEARLY_EQUAL = 0.8
"""What two titles on lines that only touch have in common, when one of them missed the line."""
# Scripts without spaces between their words, or with long words: two characters in a row stand for a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|[^\W{_UNSPACED}]+")
# Words that say nothing of what is wrong.
_EMPTY_WORDS = frozenset(
    (
        *(
            "and",
            "any",
            "are",
            "because",
            "been",
            "but",
            "can",
            "cannot",
            "could",
            "does",
            "for",
            "from",
            "has",
            "have",
        ),
        *(
            "into",
            "its",
            "may",
            "might",
            "must",
            "never",
            "not",
            "only",
            "should",
            "than",
            "that",
            "the",
            "them",
            "then",
        ),
        *("there", "these", "this", "was", "were", "when", "where", "which", "will", "with", "without", "would"),
    )
)


def is_same_point(one: Point, other: Point) -> bool:
    """Whether two findings on the same head say the same: of lines they share, in like words or in one category."""
    if one.path != other.path:
        return False
    alike = likeness(one.title, other.title)
    if one.anchor is None or other.anchor is None:
        return alike >= 0.5
    apart = _apart(one.anchor, other.anchor)
    if apart > 0:
        return apart == 1 and alike >= NEARLY_EQUAL
    return alike >= 0.3 or (one.category == other.category and alike >= 0.15)


def likeness(one: str, other: str) -> float:
    """The part of the words that two titles have in common."""
    first, second = _words(one), _words(other)
    return len(first & second) / max(1, len(first | second))


def finding_id(path: str, title: str, anchor: Anchor | None) -> str:
    """The name of a finding: of what it says about which code, wherever in the file that stands."""
    code = anchor.fingerprint.code if anchor else ()
    words = "\n".join([path, " ".join(sorted(_words(title))), *code])
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def next_id(finding_id: str) -> str:
    """Another name, for the same words about the same code in another place of the file."""
    return hashlib.sha256(finding_id.encode()).hexdigest()[:12]


def _words(title: str) -> frozenset[str]:
    words: set[str] = set()
    for match in _WORD.finditer(title.casefold()):
        text = match[0]
        if match["unspaced"]:
            words |= {text[at : at + 2] for at in range(max(1, len(text) - 1))}
        elif len(text) > 2 and not text.isdigit() and text not in _EMPTY_WORDS:
            words.add(text)
    return frozenset(words) or frozenset([title.casefold()])


def _apart(one: Anchor, other: Anchor) -> float:
    """How many lines two anchors of one file are apart, 0 when they share one."""
    if one.side != other.side:
        return float("inf")
    return max(0, one.first - other.line, other.first - one.line)
