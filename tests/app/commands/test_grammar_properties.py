"""What holds for every comment whatever: properties, and the work that hostile ones cause."""

from __future__ import annotations

import gc
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands import places
from app.commands.grammar import MAX_COMMANDS, parse_comment
from app.commands.options import OPTIONS, parse_branch, parse_paths, render_options
from workflows.texts.outbound import clean_line, clean_outbound, clean_words
from workflows.types import Command, CommandError, CommandOptions

LIMIT = 65_536
PIECES = [
    "/qwen fix", "/qwen ask why", "@forgehand review", "/qwen", "\n", "\n\n", "\r\n", "\r", " ", "    ", "\t", "> ",
    "- ", "1. ", "# ", "```", "~~~", "`", "``", "<!--", "-->", "<", ">", "<div>", "</div>", "<details>", "<pre>",
    "<a href='", "[", "](", ")", "![", "[a]: ", "'", '"', "|", "-|-", "---", "===", "*", "_", "\\", "&#47;", "\0",
    "\u200b", "\u202e", "\uff0f", "\u2028", "turns=5", "budget=", "words ", "a", "\U0001f469\u200d\U0001f4bb",
    "\ud800",
]  # fmt: skip
BODIES = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)
CHANGES = settings(max_examples=300, deadline=None)


def read(body: str) -> tuple[Command | CommandError, ...]:
    return parse_comment(body, slug="forgehand", on_pull_request=True)


@CHANGES
@given(BODIES)
def test_any_text_is_read(body: str) -> None:
    """Whatever the text, there are at most eleven answers, in the order of their lines, each beginning as a command."""
    found = read(body)
    assert len(found) <= MAX_COMMANDS + 1
    numbers = [item.line for item in found]
    assert numbers == sorted(set(numbers))
    lines = body.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert all(lines[number - 1].lstrip(" ").lower().startswith(("/qwen", "@forgehand")) for number in numbers)


@CHANGES
@given(BODIES)
def test_line_endings_do_not_matter(body: str) -> None:
    """The same text with CRLF or CR gives the same commands."""
    plain = body.replace("\r\n", "\n").replace("\r", "\n")
    assert read(plain) == read(plain.replace("\n", "\r\n")) == read(plain.replace("\n", "\r")) == read(body)


@CHANGES
@given(BODIES)
def test_quoted_text_never_triggers(body: str) -> None:
    """A46: every line of a quote stays without effect, whatever stands in it."""
    plain = body.replace("\r\n", "\n").replace("\r", "\n")
    assert read("\n".join("> " + line for line in plain.split("\n"))) == ()


@CHANGES
@given(BODIES)
def test_fenced_text_never_triggers(body: str) -> None:
    """A47: nothing in a fence that it cannot close has an effect, and the fence may be left open."""
    fence = "`" * 50
    assert read(f"{fence}\n{body}\n{fence}") == ()
    assert read(f"words\n{fence}text\n{body}") == ()


@CHANGES
@given(BODIES)
def test_commented_text_never_triggers(body: str) -> None:
    """A47: nothing in an HTML comment that it cannot close has an effect."""
    hidden = body.replace("-->", "").replace(">", "")
    assert read(f"<!--\n{hidden}\n-->") == ()
    assert read(f"<!--\n{hidden}") == ()


@CHANGES
@given(BODIES)
def test_what_follows_does_not_take_a_command_back(body: str) -> None:
    """A command in a paragraph of its own at the top is read whatever stands below it."""
    assert read(f"/qwen status\n\n{body}")[0] == Command(word="status")


@CHANGES
@given(BODIES, st.sampled_from([("/qwen", "forgehand"), ("/bot", "acme"), ("@acme-bot", "acme")]))
def test_what_we_post_is_no_command(body: str, names: tuple[str, str]) -> None:
    """A44: what the outbound filter lets through is no command to us, whatever it is and however we are called."""
    prefix, slug = names
    text = body.replace("/qwen", prefix).replace("@forgehand", f"@{slug}")
    for clean in (clean_outbound, clean_words, clean_line):
        assert parse_comment(clean(text), prefix=prefix, slug=slug, on_pull_request=True) == ()


OPTION_VALUES = st.builds(
    CommandOptions,
    usd=st.none() | st.integers(1, 9_999_999).map(lambda cents: cents / 100),
    turns=st.none() | st.integers(1, 999_999),
    seconds=st.none() | st.integers(1, 999_999).map(float),
    model=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,20}", fullmatch=True),
    attempts=st.none() | st.integers(1, 99),
    branch=st.none() | st.from_regex(r"[a-z0-9/._-]{1,20}", fullmatch=True).filter(parse_branch),
    paths=st.lists(st.from_regex(r"[a-z0-9/*._-]{1,10}", fullmatch=True), max_size=5).map(
        lambda paths: parse_paths(",".join(paths)) or ()
    ),
    draft=st.none() | st.booleans(),
)


@CHANGES
@given(OPTION_VALUES)
def test_options_round_trip(options: CommandOptions) -> None:
    """Options that are written out and read again are the same, before the words and after them."""
    written = render_options(options)
    (before,) = read(f"/qwen fix {written} the parser")
    (after,) = read(f"/qwen fix the parser {written}")
    assert before == after == Command(word="fix", text="the parser", options=options)


@given(st.text(max_size=60), st.sampled_from(sorted(OPTIONS)))
def test_any_value_is_read_or_told(value: str, key: str) -> None:
    """No value of an option is a crash."""
    assert len(read(f"/qwen fix {key}={value}")) >= 1


def filled(piece: str, size: int = LIMIT) -> str:
    return (piece * (size // len(piece) + 1))[:size]


HOSTILE = {
    "I73-comments": "<!--", "I73-images": "![", "I73-links": "[](", "I73-fences": "```a\n", "I73-quotes": "> ",
    "I73-spaces": " ", "quote-lines": ">\n", "quoted-lines": "> a\n", "lists": "- ", "list-lines": "- a\n",
    "empty-items": "-\n", "numbers": "1. ", "list-and-quote": "- > ", "lines": "a\n", "paragraphs": "a\n\n",
    "headings": "# a\n", "underlined": "a\n=\n", "rules": "---\n", "brackets": "[", "backticks": "`",
    "odd-backticks": "`` ` ", "escaped-backticks": "\\``", "less": "<", "stars": "*", "mixed-stars": "**_* ",
    "tables": "a|b\n-|-\n", "rows": "|a|b|\n", "definitions": "[a]: b\n", "open-definitions": "[a\n",
    "open-titles": "[a]: b '\n", "html": "<div>\n\n", "open-tags": "<a b='\n", "attributes": "<a a='<a b=\" ",
    "instructions": "<?", "cdata": "<![CDATA[", "entities": "&amp;", "nested-labels": "[[a]]",
    "commands": "/qwen fix\n", "command-paragraphs": "/qwen fix\n\n", "misspelt": "/qwen fxi\n\n",
    "code-around": "`\n/qwen fix\n`\n\n", "brackets-before": "[" * 500 + "\n/qwen fix\n\n",
    "lazy": "> a\n/qwen fix\n\n", "details": "<details>\n\n/qwen fix\n\n", "one-letter": "a",
    "carriage-returns": "\r", "nul": "\0", "hidden": "\u200b",
}  # fmt: skip


def hostile(piece: str) -> list[str]:
    """The piece 65,536 times over, with commands where they cost most: below it, above it, in its paragraph."""
    text = filled(piece)
    above = [f"{text}\n\n/qwen fix", f"{text}\n/qwen fix", f"{text[:8_000]}\n/qwen fix\n\n{text}"]
    return [*above, f"/qwen fix\n{text}", f"/qwen fix {text}"]


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_bounded_work(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """I73: no text of 65,536 characters makes the Markdown parser take more steps than its two limits."""
    taken: list[str] = []
    blocks, see = places._count_block, places._see
    monkeypatch.setattr(places, "_count_block", lambda *step: (taken.append("block"), blocks(*step))[1])
    monkeypatch.setattr(places, "_see", lambda *step: (taken.append("inline"), see(*step))[1])
    places._blocks.cache_clear()
    places._inlines.cache_clear()
    try:
        for body in hostile(piece):
            taken.clear()
            read(body)
            assert taken.count("block") <= places.MAX_BLOCK_STEPS + 1
            # Once they are spent, each further paragraph costs one step, and there are no more of those than of blocks.
            assert taken.count("inline") <= places.MAX_INLINE_STEPS + places.MAX_BLOCK_STEPS
    finally:
        places._blocks.cache_clear()
        places._inlines.cache_clear()


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    """I73: four times the text takes a fifth of a second, or about four times as long: eight leaves room for noise."""
    for small, large in zip(_sized(piece, LIMIT), _sized(piece, 4 * LIMIT), strict=True):
        took = _seconds(large, 0.2)
        assert took < 0.2 or took < 8 * _seconds(small)


def _sized(piece: str, size: int) -> list[str]:
    text = filled(piece, size)
    return [f"{text}\n\n/qwen fix", f"/qwen fix {text}"]


def _seconds(body: str, enough: float = 0.0) -> float:
    """Of this thread alone, and without a collection of what other tests left: the first below ``enough``, or the best.

    Three times are taken at most.
    """
    best = math.inf
    gc.disable()
    try:
        for _ in range(3):
            best = min(best, _once(body))
            if best < enough:
                break
        return best
    finally:
        gc.enable()


def _once(body: str) -> float:
    started = time.thread_time()
    read(body)
    return time.thread_time() - started


def test_a_text_without_a_command_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment in which no line begins with the prefix never reaches the Markdown parser."""

    def never() -> None:
        raise AssertionError

    monkeypatch.setattr(places, "_blocks", never)
    assert read(filled("a\n> [`<!-- qwen /qwen fix @forgehand fix\n")) == ()


def test_too_much_is_told() -> None:
    """A comment whose commands cost too much to find is answered, and not passed over."""
    (error,) = read(filled("a\n") + "\n\n/qwen fix")
    assert isinstance(error, CommandError)
    assert "comment of its own" in error.message
    (error,) = read("[" * 9_000 + "\n/qwen fix")
    assert isinstance(error, CommandError)
    assert "empty line before it" in error.message
