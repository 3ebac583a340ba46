"""Where commands stand in a comment: the lines that its Markdown makes plain words, and not code, quotes or the like.

CommonMark with GitHub's tables decides, by markdown-it-py. Its work is counted, so that hostile text costs no more
than a fixed amount of it: docs/decisions/0013.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_block import table as gfm_table
from markdown_it.rules_inline import StateInline, html_inline
from markdown_it.token import Token

MAX_LINES = 10_000
MAX_BLOCK_STEPS = 3_000
MAX_INLINE_STEPS = 2_000
MAX_INLINE_CHARACTERS = 8_192
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_ONE_COLUMN = re.compile(r"\|?[ \t]*:?-+:?[ \t]*\|?[ \t]*")
_TAG = re.compile(r"<[A-Za-z/!?]")
# These, left open in raw HTML, make what follows hidden, quoted, code, a table or a link.
_NAMES = (
    "blockquote|details|pre|code|samp|kbd|tt|table|ul|ol|dl|h[1-6]|del|strike|s|a|q|"
    "template|svg|math|script|style|textarea"
)
_ENCLOSING = re.compile(rf"(?ai)</?(?:{_NAMES})(?=[\s/>])")
# As a browser reads them: a comment, or a tag with its name. Each character is read once.
_HTML = re.compile(r"(?ais)<!--(?:-?>|.*?(?:-->|\Z))|<(/?)([a-z][^\s/>]*)[^>]*")


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
    if len(lines) > MAX_LINES:
        return [Misplaced(min(candidates) + 1, _TOO_LONG)]
    try:
        tokens = _blocks().parse("\n".join(lines), {"steps": 0})
    except _TooMuch:
        return [Misplaced(min(candidates) + 1, _TOO_LONG)]
    return list(islice(_Reader(lines, candidates).places(tokens), limit))


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
        self._open: Counter[str] = Counter()  # raw HTML elements, by name
        self._inline = {"steps": 0}

    def places(self, tokens: list[Token]) -> Iterator[Place | Misplaced]:
        for at, token in enumerate(tokens):
            if token.type == "html_block" and token.map:
                yield from self._html(token.level, *token.map)
                if _is_open_ended(token.content):
                    return
                self._note_tags(token.content)
            elif token.map and token.type in ("paragraph_open", "heading_open"):
                start, end = token.map
                numbers = [number for number in range(start, end) if number in self._candidates]
                if numbers and token.type == "paragraph_open" and not token.level:
                    yield from self._paragraph(start, end, numbers)
                    continue
                if numbers and not self._enclosed():
                    heading = token.type == "heading_open"
                    yield Misplaced(numbers[0] + 1, _HEADING if heading else _DRAWN_IN)
                content = tokens[at + 1].content
                if _ENCLOSING.search(content):
                    self._note_tags("".join(self._read_inline(content).tags.values()))

    def _html(self, level: int, start: int, end: int) -> Iterator[Misplaced]:
        """Tell of a line that HTML takes in because no empty line stands between, where that is no element's inside."""
        number = next((number for number in range(start, end) if number in self._candidates), None)
        if number is None or level or self._enclosed():
            return
        before = "\n".join(self._lines[start:number])
        outside = self._open.copy()
        self._note_tags(before)
        if not self._enclosed() and not _is_open_ended(before):
            yield Misplaced(number + 1, _IN_HTML)
        self._open = outside

    def _enclosed(self) -> bool:
        return any(self._open.values())

    def _note_tags(self, html: str) -> None:
        for closing, written in _HTML.findall(html):
            name = written.lower()
            if re.fullmatch(_NAMES, name):
                self._open[name] = max(self._open[name] + (-1 if closing else 1), 0)

    def _paragraph(self, start: int, end: int, numbers: list[int]) -> Iterator[Place | Misplaced]:
        text = "\n".join(self._lines[start:end])
        offsets = self._offsets(start, end)
        free = [number for number in numbers if not self._enclosed()]
        if any(mark in text[: offsets[numbers[-1]]] for mark in "`<[") or _ENCLOSING.search(text):
            inline = self._read_inline(text)
            if inline.cut_off:
                if not self._enclosed():
                    yield Misplaced(numbers[0] + 1, _UNCLEAR)
                return
            free = []
            tags = sorted(inline.tags.items(), reverse=True)
            for number in numbers:
                while tags and tags[-1][0] < offsets[number]:
                    self._note_tags(tags.pop()[1])
                if offsets[number] in inline.texts and not self._enclosed():
                    free.append(number)
            self._note_tags("".join(tag for _, tag in reversed(tags)))
        for number, following in zip(free, [*free[1:], end], strict=False):
            yield Place(number + 1, self._candidates[number]["rest"], tuple(self._lines[number + 1 : following]))

    def _offsets(self, start: int, end: int) -> dict[int, int]:
        """Where in the paragraph's text each line's first character that is no space stands."""
        offsets = {}
        at = 0
        for number in range(start, end):
            line = self._lines[number]
            offsets[number] = at + len(line) - len(line.lstrip(" "))
            at += len(line) + 1
        return offsets

    def _read_inline(self, text: str) -> _Inline:
        inline = _Inline(text, self._inline)
        inline.cut_off = len(text) > MAX_INLINE_CHARACTERS
        if not inline.cut_off:
            try:
                _inlines().inline.parse(text, _inlines(), {"inline": inline}, [])
            except _TooMuch:
                inline.cut_off = True
        return inline


@dataclass
class _Inline:
    """One text's inline Markdown: the positions at which its own text begins, and its tags by their position.

    ``count`` goes on from text to text. ``cut_off``: the text costs too much, and the rest of it is not known.
    """

    text: str
    count: dict[str, int]
    texts: set[int] = field(default_factory=set)
    tags: dict[int, str] = field(default_factory=dict)
    cut_off: bool = False


_TOO_LONG = "This comment is too long for its commands to be found. Write the command in a comment of its own."
_DRAWN_IN = (
    "This line is part of the list or quote above it, as GitHub reads it, and so no command. "
    "Leave an empty line in between."
)
_IN_HTML = (
    "This line is part of the HTML above it, as GitHub reads it, and so no command. Leave an empty line in between."
)
_HEADING = (
    "This line is a heading by the marks below it, as GitHub reads it, and so no command. "
    "Leave an empty line in between."
)
_UNCLEAR = (
    "It cannot be told whether this line is a command: code or a link may be open above it. "
    "Leave an empty line before it."
)


def _is_open_ended(html: str) -> bool:
    """Whether a comment or a tag is not ended in it: a browser looks for the end further on, and hides all before."""
    return html.rfind("<!--") > html.rfind("-->") or bool(_TAG.search(html, html.rfind(">") + 1))


@lru_cache(maxsize=1)
def _blocks() -> MarkdownIt:
    parser = MarkdownIt("commonmark").disable(["inline", "text_join"])
    ruler = parser.block.ruler
    # The library looks for tables first; on GitHub a fence or a comment may have a table's header for its first line.
    ruler.before("lheading", "late_table", _table, {"alt": ["paragraph", "reference"]})
    ruler.at("reference", _reference)
    ruler.before("code", "count", _count_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    return parser


@lru_cache(maxsize=1)
def _inlines() -> MarkdownIt:
    parser = MarkdownIt("commonmark").disable(["emphasis", "entity", "balance_pairs", "fragments_join"])
    parser.inline.ruler.at("html_inline", _tag)
    parser.inline.ruler.before("text", "see", _see)
    return parser


def _count_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    state.env["steps"] += 1
    if state.env["steps"] > MAX_BLOCK_STEPS:
        raise _TooMuch
    return False


def _see(state: StateInline, silent: bool) -> bool:
    """Note where text begins that is the paragraph's own, and not that of a link or an image."""
    inline: _Inline = state.env["inline"]
    inline.count["steps"] += 1
    if inline.count["steps"] > MAX_INLINE_STEPS:
        raise _TooMuch
    if not silent and state.linkLevel == 0 and state.src is inline.text:
        inline.texts.add(state.pos)
    return False


def _tag(state: StateInline, silent: bool) -> bool:
    start = state.pos
    found = html_inline(state, silent)
    inline: _Inline = state.env["inline"]
    if found and not silent and state.src is inline.text:
        inline.tags[start] = state.src[start : state.pos]
    return found


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A link's definition, at the top alone: in a quote or a list, the lines below it at the margin belong to it."""
    return state.level == 0 and not _is_table(state, start, end) and reference(state, start, end, silent)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """GitHub's tables without their cells: a few lines of Markdown can ask for 65,536 of them."""
    if not _is_table(state, start, end):
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


def _is_table(state: StateBlock, start: int, end: int) -> bool:
    """Whether a table begins here; on GitHub its one column needs no ``|`` in the header."""
    if gfm_table(state, start, end, True):
        return True
    if start + 1 >= end or state.is_code_block(start + 1) or state.sCount[start + 1] < state.blkIndent:
        return False
    header, rule = (state.src[state.bMarks[at] + state.tShift[at] : state.eMarks[at]] for at in (start, start + 1))
    return "|" not in header and bool(_ONE_COLUMN.fullmatch(rule)) and rule.strip("- \t") != ""
