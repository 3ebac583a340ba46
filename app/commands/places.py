"""Where commands stand in a comment: the lines that its Markdown makes plain words, and not code, quotes or the like.

CommonMark with GitHub's tables decides, by markdown-it-py. Its work is counted, so that hostile text costs no more
than a fixed amount of it: docs/decisions/0013.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block import table as gfm_table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_BLOCK_STEPS = 4_000
MAX_INLINE_STEPS = 2_000
MAX_INLINE_CHARACTERS = 8_192
# What the lines inside belong to when these are left open in raw HTML: hidden, quoted or struck out for who reads it.
_ENCLOSING = re.compile(
    r"(?ai)<(/?)(blockquote|details|pre|code|samp|kbd|tt|table|ul|ol|dl|h[1-6]|del|strike|s|a)(?=[\s/>])"
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_UNCLOSABLE = re.compile(r"(?ai)\s*<(?:[!?]|(?:script|pre|style|textarea)(?=[\s>]))")


@dataclass(frozen=True)
class Place:
    """A line that is a command: its 1-based number, what follows the prefix, and the rest of its paragraph's lines."""

    line: int
    rest: str
    following: tuple[str, ...] = ()


@dataclass(frozen=True)
class Misplaced:
    """A line that begins as a command does and cannot be one where it stands; ``why`` is a sentence for its author."""

    line: int
    why: str


class _TooMuch(Exception):
    """The parser was given more work than a comment is worth."""


def find_places(body: str, names: Sequence[str], *, limit: int) -> list[Place | Misplaced]:
    """The commands of a comment in order, at most ``limit``: lines that begin with one of ``names`` as a whole word.

    A line of a top-level paragraph is one, indented by at most three spaces. Nothing else is: code, HTML, comments,
    tables, the inside of links and code spans, headings, quotes, and lists, which as a rule tell of commands instead of
    giving them. Where Markdown draws a line at the margin into a list, a quote or a heading, its author is told.
    """
    text = body.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    pattern = _pattern(tuple(names))
    candidates = _candidates(text, pattern)
    if not candidates:
        return []
    # A paragraph ends at a blank line, so nothing below that of the last candidate has a say.
    blank = _BLANK_LINE.search(text, candidates[max(candidates)].start())
    lines = text[: blank.start() if blank else len(text)].split("\n")
    try:
        tokens = _blocks().parse("\n".join(lines), {"steps": 0})
    except _TooMuch:
        why = "This comment is too long for its commands to be found. Write the command in a comment of its own."
        return [Misplaced(min(candidates) + 1, why)]
    reader = _Reader(lines, candidates)
    found: list[Place | Misplaced] = []
    for place in reader.places(tokens):
        found.append(place)
        if len(found) == limit:
            break
    return found


def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(re.escape(name) for name in names if name)
    # ASCII alone: without it, a Kelvin sign is a k and a long s is an s.
    return re.compile(rf"(?aim)^ {{0,3}}(?:{words or '(?!)'})(?=[,:]?(?:[ \t]|$))[,:]?(?P<rest>.*)$")


def _candidates(text: str, pattern: re.Pattern[str]) -> dict[int, re.Match[str]]:
    """The matches by the 0-based number of their line."""
    found = {}
    number = at = 0
    for match in pattern.finditer(text):
        number += text.count("\n", at, match.start())
        at = match.start()
        found[number] = match
    return found


class _Reader:
    """The candidates among the lines of one comment, judged block by block."""

    def __init__(self, lines: list[str], candidates: dict[int, re.Match[str]]) -> None:
        self._lines = lines
        self._candidates = candidates
        self._open: dict[str, int] = {}  # raw HTML elements that are open, by name
        self._inline = {"steps": 0}

    def places(self, tokens: list[Token]) -> Iterator[Place | Misplaced]:
        for token in tokens:
            if token.type == "html_block" and token.level == 0:
                self._note_html(token.content)
            elif token.map is None or token.type not in ("paragraph_open", "heading_open"):
                continue
            else:
                start, end = token.map
                numbers = [number for number in range(start, end) if number in self._candidates]
                if not numbers or any(self._open.values()):
                    continue
                if token.type == "heading_open":
                    yield Misplaced(numbers[0] + 1, _made("a heading, by the marks below it"))
                elif token.level:
                    yield Misplaced(numbers[0] + 1, _made("part of the list or quote above it"))
                else:
                    yield from self._paragraph(start, end, numbers)

    def _note_html(self, content: str) -> None:
        if _UNCLOSABLE.match(content):
            return
        for closing, name in _ENCLOSING.findall(content):
            count = self._open.get(name.lower(), 0)
            self._open[name.lower()] = max(count - 1, 0) if closing else count + 1

    def _paragraph(self, start: int, end: int, numbers: list[int]) -> Iterator[Place | Misplaced]:
        free = self._free(start, end, numbers)
        if free is None:
            why = (
                "It cannot be told whether this line is a command: code or a link may be open above it. Leave an empty "
                "line before it."
            )
            yield Misplaced(numbers[0] + 1, why)
            return
        for number, following in zip(free, [*free[1:], end], strict=False):
            rest = self._candidates[number]["rest"]
            yield Place(number + 1, rest, tuple(self._lines[number + 1 : following]))

    def _free(self, start: int, end: int, numbers: list[int]) -> list[int] | None:
        """Those of the numbers whose line begins outside of code spans, links and HTML; None: it costs too much."""
        before = "\n".join(self._lines[start : numbers[-1]])
        if not any(mark in before for mark in "`<["):
            return numbers
        text = "\n".join(self._lines[start:end])
        if len(text) > MAX_INLINE_CHARACTERS:
            return None
        offsets = {}
        at = 0
        for number in range(start, end):
            line = self._lines[number]
            offsets[at + len(line) - len(line.lstrip(" "))] = number
            at += len(line) + 1
        env: dict[str, Any] = {"text": text, "seen": set(), "count": self._inline}
        try:
            _inlines().inline.parse(text, _inlines(), env, [])
        except _TooMuch:
            return None
        seen = {offsets[position] for position in env["seen"] if position in offsets}
        return [number for number in numbers if number in seen]


def _made(what: str) -> str:
    return f"This line is {what}, as GitHub reads it, and so no command. Leave an empty line in between."


@lru_cache(maxsize=1)
def _blocks() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])
    ruler = parser.block.ruler
    ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    ruler.before("table", "count", _count_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    return parser


@lru_cache(maxsize=1)
def _inlines() -> MarkdownIt:
    parser = MarkdownIt("commonmark").disable(["emphasis", "entity", "balance_pairs", "fragments_join"])
    parser.inline.ruler.before("text", "see", _see)
    return parser


def _count_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    state.env["steps"] += 1
    if state.env["steps"] > MAX_BLOCK_STEPS:
        raise _TooMuch
    return False


def _see(state: StateInline, silent: bool) -> bool:
    """Note where text begins that is the paragraph's own, and not that of a link or an image."""
    count = state.env["count"]
    count["steps"] += 1
    if count["steps"] > MAX_INLINE_STEPS:
        raise _TooMuch
    if not silent and state.linkLevel == 0 and state.src is state.env["text"]:
        state.env["seen"].add(state.pos)
    return False


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """GitHub's tables without their cells: a few lines of Markdown can ask for 65,536 of them."""
    if not gfm_table(state, start, end, True):
        return False
    if silent:
        return True
    interrupting = state.md.block.ruler.getRules("blockquote")
    line = start + 2
    while (
        line < end
        and not state.isEmpty(line)
        and state.sCount[line] >= state.blkIndent
        and not state.is_code_block(line)
        and not any(rule(state, line, end, True) for rule in interrupting)
    ):
        line += 1
    state.line = line
    return True
