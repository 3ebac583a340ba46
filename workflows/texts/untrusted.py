"""Text from outside on its way into a prompt: hidden parts taken out or shown, and the rest fenced as data.

Linear time: every position of the text is looked at a bounded number of times.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

MAX_SHOWN_RUN = 40
_FLAG_TAGS = ("gbeng", "gbsct", "gbwls")  # https://www.unicode.org/reports/tr51/#valid-emoji-tag-sequences
_FLAGS = tuple("".join(chr(0xE0000 + ord(letter)) for letter in name) + "\U000e007f" for name in _FLAG_TAGS)
# Letters, marks and symbols that draw nothing; then all of category Cf, which the tests compare with Unicode's data.
_BLANK = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2028\u2029\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)
_FORMAT = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROL = "\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_HIDDEN = re.compile(f"[{_BLANK}{_FORMAT}{_CONTROL}]+")
# GitHub hides these too, but they are ordinary in pasted code: they stay in sight of the model and are counted.
_DECLARATION = re.compile(r"<!\[CDATA\[|<![A-Za-z]|<\?")
# https://trojansource.codes: what makes code read differently from what it does
_DECEIVING = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\U000e0000-\U000e007f]")
_BROKEN = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Cleaned:
    """A cleaned text, and how many hidden things of each kind were found in it (only kinds that occurred)."""

    text: str
    hidden: Mapping[str, int]


def clean_inbound(text: str) -> Cleaned:
    """What a person could see of ``text``: HTML comments are gone, other hidden characters stand there as ``<U+202E>``.

    NUL and lone surrogates become U+FFFD. Joiners and selectors inside emoji, and the three flags made of tags, stay.
    """
    counts: Counter[str] = Counter()
    text, broken = _BROKEN.subn("\ufffd", text)
    if broken:
        counts["broken"] = broken
    text = _without_comments(_with_plain_lines(text), counts)
    declarations = len(_DECLARATION.findall(text))
    if declarations:
        counts["declaration"] = declarations
    return Cleaned(_showing_hidden(text, counts), dict(counts))


def show_hidden(text: str) -> str:
    """``text`` with every hidden character spelled out; NUL and lone surrogates become U+FFFD."""
    return _showing_hidden(_BROKEN.sub("\ufffd", _with_plain_lines(text)), Counter())


def hidden_marks(path: str, content: bytes) -> list[str]:
    """The places (``path:line``) of a file at which characters turn text around or hide it, at most ten."""
    text = content.decode("utf-8", "replace")
    if not _DECEIVING.search(text):
        return []
    lines = (number for number, line in enumerate(text.split("\n"), 1) if _DECEIVING.search(line))
    return [f"{path}:{number}" for number, _ in zip(lines, range(10), strict=False)]


def fence_untrusted(label: str, text: str) -> str:
    """``text`` as data for a prompt, between two lines that it cannot contain.

    The boundary is a digest of the text, so it is the same on replay, and a text cannot hold its own digest.
    """
    name = re.sub(r"[^A-Za-z0-9 _.#/-]+", " ", label).strip()[:80] or "text"
    round_ = 0
    boundary = _boundary(name, text, round_)
    while boundary in text:
        round_ += 1
        boundary = _boundary(name, text, round_)
    return f"<untrusted-{boundary} {name}>\n{text}\n</untrusted-{boundary}>"


def _with_plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _boundary(name: str, text: str, round_: int) -> str:
    return hashlib.sha256(f"{round_}\n{name}\n{text}".encode("utf-8", "replace")).hexdigest()[:16]


def _without_comments(text: str, counts: Counter[str]) -> str:
    """The text without HTML comments, those too that come about when one is taken out.

    A comment that begins inside a line ends with its paragraph at the latest, as on GitHub; one that begins a line
    and is never closed hides the rest.
    """
    if "<!" not in text:
        return text
    closes, blanks = _Finder(text, r"--!?>"), _Finder(text, r"\n(?=[ \t]*\n)")
    kept: list[str] = []
    tail = ""  # the last four kept characters, over the borders of what was taken out
    at = 0
    while at < len(text):
        character = text[at]
        kept.append(character)
        tail = (tail + character)[-4:]
        at += 1
        if tail != "<!--":
            continue
        del kept[-4:]
        counts["comment"] += 1
        starts_line = not _line_so_far(kept)
        short = next((mark for mark in (">", "->") if text.startswith(mark, at)), None)
        close = closes.after(at)
        end = len(text) if starts_line else blanks.after(at)[0]
        if short:
            at += len(short)
        elif close[0] < end:
            at = close[1]
        else:
            at = end
        tail = "".join(kept[-4:])
    return "".join(kept)


def _line_so_far(kept: list[str]) -> str:
    # Bounded: quote marks, list marks and indentation in front of a comment are few.
    line = ""
    for character in reversed(kept[-40:]):
        if character == "\n":
            break
        line = character + line
    return line.strip(" \t>-*+0123456789.)")


class _Finder:
    """The next match after a position, for positions that only grow: one pass over the text in all."""

    def __init__(self, text: str, pattern: str) -> None:
        self._matches = re.finditer(pattern, text)
        self._end = len(text)
        self._next: tuple[int, int] = (-1, -1)

    def after(self, position: int) -> tuple[int, int]:
        """Start and end of the first match that starts at ``position`` or later; the text's end when there is none."""
        while self._next[0] < position:
            match = next(self._matches, None)
            self._next = match.span() if match else (self._end + 1, self._end + 1)
        return self._next if self._next[0] <= self._end else (self._end, self._end)


def _showing_hidden(text: str, counts: Counter[str]) -> str:
    return _HIDDEN.sub(lambda match: _shown_run(match, counts), text)


def _shown_run(match: re.Match[str], counts: Counter[str]) -> str:
    text, start, end = match.string, match.start(), match.end()
    run = match.group()
    before = text[start - 1] if start else ""
    after = text[end] if end < len(text) else ""
    if len(run) == 1 and "A" <= before <= "~":  # the common case, and no emoji: worth a path of its own
        kind, shown = _named(run)
        counts[kind] += 1
        return shown
    kept = _emoji_part(run, before, after)
    hidden = run[len(kept) :]
    for character in hidden:
        counts[_named(character)[0]] += 1
    shown = "".join(_named(character)[1] for character in hidden[:MAX_SHOWN_RUN])
    more = f"<{len(hidden) - MAX_SHOWN_RUN} more hidden characters>" if len(hidden) > MAX_SHOWN_RUN else ""
    return kept + shown + more


def _emoji_part(run: str, before: str, after: str) -> str:
    """The beginning of a run of hidden characters that belongs to the emoji in front of it."""
    if before == "\U0001f3f4":
        flag = next((flag for flag in _FLAGS if run.startswith(flag)), "")
        if flag:
            return flag
    if before and before in "0123456789#*" and run == "\ufe0f" and after == "\u20e3":
        return run
    if not _is_pictograph(before):
        return ""
    selector = run[:1] if run[:1] in ("\ufe0e", "\ufe0f") else ""
    joiner = "\u200d" if run[len(selector) :] == "\u200d" and _is_pictograph(after) else ""
    return selector + joiner


@lru_cache(maxsize=4096)
def _is_pictograph(character: str) -> bool:
    if not character or ord(character) < 0xA9:
        return False
    return unicodedata.category(character) in ("So", "Sk") or character in "\u203c\u2049\u20e3\u2194-\u2199\u3030\u303d"


@lru_cache(maxsize=4096)
def _named(character: str) -> tuple[str, str]:
    """A hidden character's kind, and how it is shown."""
    return _kind(character), f"<U+{ord(character):04X}>"


def _kind(character: str) -> str:
    code = ord(character)
    if 0xE0000 <= code <= 0xE007F:
        return "tag"
    if code in (0x061C, 0x200E, 0x200F) or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069:
        return "bidi"
    if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return "variation"
    if unicodedata.category(character) == "Cc":
        return "control"
    return "invisible"
