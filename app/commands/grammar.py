"""A comment's text read as commands.

A command is a line of a top-level paragraph (``places``) that begins with the prefix or with ``@<app-slug>``. What it
says is on that line and on the following lines of the same paragraph, up to the next command.
"""

from __future__ import annotations

import re

from app.commands.options import OPTIONS, Pair, near_option, parse_pair, read_options
from app.commands.places import Misplaced, Place, find_places
from app.commands.table import FREE, Word, find_word, near_word
from workflows.types import Command, CommandError

MAX_COMMANDS = 10
MAX_TEXT = 4_000
# Text and options together: what is longer is not even looked at, because options are looked for word by word.
_MAX_WRITTEN = 2 * MAX_TEXT
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}
_REF = r"[A-Za-z0-9](?:[A-Za-z0-9._/+-]{0,98}[A-Za-z0-9])?"
_RANGE = re.compile(rf"(?a:{_REF}\.\.(?:{_REF})?)")


def parse_comment(
    body: str, *, prefix: str = "/qwen", slug: str | None = None, on_pull_request: bool
) -> tuple[Command | CommandError, ...]:
    """The commands of a comment in order, at most ten; a line that was meant as one and cannot be read is an error.

    ``prefix`` and ``@slug`` count in any letter case, as whole words. ``Command.text`` holds the actor's own
    characters, at most 4,000: it is a stranger's text wherever it goes. Takes time in proportion to the body, and
    never raises.
    """
    names = [prefix, f"@{slug}" if slug else ""]
    places = find_places(body, names, limit=MAX_COMMANDS + 1)
    reader = _LineReader(prefix, on_pull_request)
    read = [reader.read(place) for place in places[:MAX_COMMANDS]]
    if len(places) > MAX_COMMANDS:
        message = f"At most {MAX_COMMANDS} commands of a comment are read; this one and those after it were left out."
        read.append(CommandError(message=message, line=places[MAX_COMMANDS].line))
    return tuple(read)


class _LineReader:
    """Reads one command after the other. A ``str`` in place of a value is a sentence on what is wrong with the line."""

    def __init__(self, prefix: str, on_pull_request: bool) -> None:
        self._prefix = prefix
        self._on_pull_request = on_pull_request

    def read(self, place: Place | Misplaced) -> Command | CommandError:
        """The command that stands at ``place``, or what is wrong with it."""
        if isinstance(place, Misplaced):
            return CommandError(message=place.why, line=place.line)
        command = self._command(place)
        return CommandError(message=command, line=place.line) if isinstance(command, str) else command

    def _command(self, place: Place) -> Command | str:
        lines = [place.rest, *place.following]
        if sum(map(len, lines)) > _MAX_WRITTEN:
            return _too_long()
        if not lines[0].strip() and len(lines) > 1:
            del lines[0]
        pairs, head = _leading_pairs(lines[0].strip())
        begun = self._word(head, lines[1:])
        if isinstance(begun, str):
            return begun
        word, head = begun
        if not word.works_on(pull_request=self._on_pull_request):
            return f"`{word.name}` works on {'pull requests' if word.where == 'pull_request' else 'issues'} only."
        more, head = _leading_pairs(head)
        said = self._said(word, head, lines[1:])
        if isinstance(said, str):
            return said
        text, trailing = said
        options = read_options([*pairs, *more, *trailing], word.options, word.name)
        if isinstance(options, str):
            return options
        return Command(word=word.name, text=text, options=options, line=place.line)

    def _word(self, head: str, following: list[str]) -> tuple[Word, str] | str:
        """The command that the line begins with, and what stands after its name."""
        tokens = head.split(maxsplit=1)
        if not tokens:
            return f"Say what to do, such as {self._say('fix')}. {self._say('help')} lists the commands."
        name = tokens[0].rstrip(".,:;!?")
        word = find_word(name)
        if word:
            return word, tokens[1] if len(tokens) > 1 else ""
        if len(tokens) > 1 or any(line.strip() for line in following):
            return FREE, head
        return self._unknown(name)

    def _unknown(self, name: str) -> str:
        near = near_word(name)
        if near:
            return f"There is no such command. Did you mean {self._say(near)}? {self._say('help')} lists them all."
        return f"There is no such command. {self._say('help')} lists them all; free words are at least two."

    def _said(self, word: Word, head: str, following: list[str]) -> tuple[str, list[Pair]] | str:
        """The text that the command takes, and the options after it."""
        if word.takes not in ("words", "question"):
            return self._said_without_words(word, head, following)
        text, pairs = _words(head, following)
        if not text and word.takes == "question":
            return f"`{word.name}` wants your words after it, such as {self._say(word.example)}."
        return _too_long() if len(text) > MAX_TEXT else (text, pairs)

    def _said_without_words(self, word: Word, head: str, following: list[str]) -> tuple[str, list[Pair]] | str:
        text = ""
        tokens = head.split()
        if tokens and word.takes == "choice" and tokens[0].lower() in word.choices:
            text = tokens.pop(0).lower()
        elif word.takes == "range":
            if not tokens or not _RANGE.fullmatch(tokens[0]):
                return self._unwanted(word)
            text = tokens.pop(0)
        pairs = _only_pairs(" ".join(tokens))
        if pairs is None:
            return self._unwanted(word)
        for line in following:
            more = _only_pairs(line)
            if more is None:
                return f"{self._unwanted(word)} What is not meant for it stands after an empty line."
            pairs += more
        return text, pairs

    def _unwanted(self, word: Word) -> str:
        if word.takes == "range":
            return f"`{word.name}` takes one range of tags, such as {self._say(word.example)}."
        choices = " or ".join(f"`{choice}`" for choice in word.choices)
        return (
            f"`{word.name}` takes {f'{choices} and no other' if choices else 'no'} words. To ask for something in your "
            f"own words, begin with {self._say('do')}; for a question, with {self._say('ask')}."
        )

    def _say(self, words: str) -> str:
        return f"`{self._prefix} {words}`"


def _too_long() -> str:
    return f"These are more than {MAX_TEXT:,} characters. Say it shorter, or point to where it stands."


def _words(head: str, following: list[str]) -> tuple[str, list[Pair]]:
    """The words of a command as they were written, and the options that stand after them.

    Those are the last words of the command's own line, and following lines of nothing else. Quotation marks around all
    of the words go, and what stands inside them is no option.
    """
    lines: list[str] = []
    pairs: list[Pair] = []
    for line in following:
        more = _only_pairs(line)
        if more and all(pair.key in OPTIONS for pair in more):
            pairs += more
        else:
            lines.append(line)
    closing = _QUOTES.get(head[:1])
    end = head.find(closing, 1) if closing else -1
    after = _only_pairs(head[end + 1 :]) if end > 0 else None
    if after is not None and not lines:
        return head[1:end].strip(), after + pairs
    trailing: list[Pair] = []
    if closing is None or end > 0:
        head, trailing = _trailing_pairs(head)
    text = "\n".join([head, *lines]).strip()
    if closing and len(text) > 1 and text.find(closing, 1) == len(text) - 1:
        text = text[1:-1].strip()
    return text, trailing + pairs


def _leading_pairs(text: str) -> tuple[list[Pair], str]:
    """The options that a text begins with, and the rest of it."""
    pairs = []
    while text:
        token = text.split(maxsplit=1)[0]
        pair = parse_pair(token)
        if pair is None:
            break
        pairs.append(pair)
        text = text[len(token) :].lstrip()
    return pairs, text


def _trailing_pairs(text: str) -> tuple[str, list[Pair]]:
    """The text without the options at its end: known ones, and those nearly so, which are asked about."""
    pairs: list[Pair] = []
    while text:
        token = text.rsplit(maxsplit=1)[-1]
        pair = parse_pair(token)
        if pair is None or (pair.key not in OPTIONS and near_option(pair.key) is None):
            break
        pairs.append(pair)
        text = text[: -len(token)].rstrip()
    return text, pairs[::-1]


def _only_pairs(line: str) -> list[Pair] | None:
    """The options of a line that holds nothing else; None when it does."""
    pairs = [parse_pair(token) for token in line.split()]
    known = [pair for pair in pairs if pair]
    return known if len(known) == len(pairs) else None
