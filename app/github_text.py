"""Texts as GitHub takes them: whole characters, no longer than it allows."""

from __future__ import annotations

BODY_LIMIT = 65_536
SUMMARY_LIMIT = 65_535
TITLE_LIMIT = 255
CUT = "\n\n*(Cut here: GitHub takes no longer text.)*"


def scrub(text: str) -> str:
    """The text without what cannot be stored: lone surrogates become ``?`` and NULs go."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def fit_body(text: str, *, keep: str = "", limit: int = BODY_LIMIT) -> str:
    """The text in at most ``limit`` characters, with a note where it was cut. ``keep`` is in it in any case."""
    whole = scrub(text)
    if keep and keep not in whole:
        whole = f"{whole}\n{keep}"
    if len(whole) <= limit:
        return whole
    kept = whole[: limit - len(CUT)]
    if keep and keep not in kept:
        kept = whole[: limit - len(CUT) - len(keep) - 1]
        return f"{kept}{CUT}\n{keep}"
    return kept + CUT


def fit_title(text: str) -> str:
    """The text on one line, in at most TITLE_LIMIT characters."""
    line = " ".join(scrub(text).split())
    return line if len(line) <= TITLE_LIMIT else line[: TITLE_LIMIT - 1].rstrip() + "…"


def same_text(ours: str, theirs: str | None) -> bool:
    """Whether GitHub's copy is our text: it may have changed line ends and spaces at the edges."""
    return ours.replace("\r\n", "\n").strip() == (theirs or "").replace("\r\n", "\n").strip()
