"""Text on its way to GitHub: secrets, images, foreign links, mentions, commands and closing keywords are made dead.

Cleaning twice changes nothing more, and takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import groupby

from workflows.git.leaks import redact
from workflows.texts.untrusted import show_hidden

MAX_CHARACTERS = 65_536  # https://github.com/orgs/community/discussions/41331
MARKER_ROOM = 256
"""What a text leaves for one hidden marker that is put below it afterwards."""
HOSTS = ("github.com",)
CUT = "\n\n_The rest was left out: it is longer than GitHub allows._"
# What the harness writes itself, each alone on its line: after a block tag GitHub reads raw HTML up to a blank line.
MARKER = re.compile(r"<!-- forgehand:[A-Za-z0-9 ._:=/+-]{1,200} -->")
_SUMMARY = r"<summary>[\w ,.:()%-]{1,100}</summary>"
_OWN_BLOCK = re.compile(rf"</?details>|(?:<details>)?{_SUMMARY}")
_OWN_INLINE = ("<sub>", "</sub>", "<br>")
_OWN_ENTITIES = ("lt", "gt", "amp", "quot", "nbsp", "#33", "#40", "#58", "#96")
_DRAWN_BY_GITHUB = ("mermaid", "geojson", "topojson", "stl", "math")

# In code a line of ours would be read as one by whoever looks for it, though people see that it is quoted.
_MARK = re.compile(r"<!-- forgehand:")
# A block that a model wrote in its words was not applied or tested: in a thread on a diff it could be committed.
_COMMITTABLE = re.compile(r"(?im)^([ \t>*+\-0-9.)]{0,40}(?:`{3,}|~{3,})[ \t]*)suggestion\b")
_OPENING = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)")
_LEADING_FENCE = re.compile(r"^([ >*+\-0-9.)]{0,40})([~`])(?=\2\2)")
_RAW_COMMAND = re.compile(r"/[A-Za-z][\w-]*(?![\w/-])|@[A-Za-z0-9][\w/-]*[,:]?[ \t]")
_PATH = r"[A-Za-z0-9._~/#?=%+,;-]"
_REFERENCE = r"(?:(?:[\w.-]{1,100}/[\w.-]{1,100})?#\d+|GH-\d+|https?://[^\s<]{1,300}?/(?:issues|pull)/\d+)"
# What follows a code span could become a mention that it was not before, so it is taken into the span.
_TAIL = r"(?:@[\w./@-]*)?"
_TITLE_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])")
_TITLE_CLOSING = re.compile(
    r"((?<![A-Za-z0-9])(?i:close[sd]?|fix(?:e[sd])?|resolve[sd]?)[\s:*_~`(\[\"'>\\-]{1,10})"
    r"((?:[\w.-]{1,100}/[\w.-]{1,100})?#|GH-|https?:)(\d|//)",
    re.IGNORECASE,
)
_TOKENS = (
    rf"(?P<closing>(?<![A-Za-z0-9])(?i:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?:[\s:*_~(\[\"'>\\-]|&#58;){{1,10}}?)\\{{0,8}}(?P<ref>{_REFERENCE}{_TAIL})",
    r"(?P<tag><(?=\S))(?P<inline>/?(?:sub|br)>)?",
    r"(?P<image>!\[)",
    rf"(?P<link>\]\()(?P<target>(?:ORIGINS(?:[/?#]{_PATH}{{0,500}})?|(?!//|(?i:www\.)){_PATH}{{1,500}})\))?",
    r"(?P<definition>\]:)",
    r"(?P<entity>&)(?=(?P<name>#[0-9]{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});)",
    rf"(?P<address>ORIGINS(?:[/?#]{_PATH}{{0,500}})?)(?=(?:[)\].,;:!?'\"*_~>]|&#58;){{0,8}}(?:\s|\Z))",
    r"(?P<scheme>(?i:https?|ftp)(?:\\?:|&#58;)\\?/\\?/)",
    r"(?P<www>(?i:www)\.)(?=[A-Za-z0-9])",
    rf"\\{{0,8}}(?P<mention>(?<![A-Za-z0-9])@[A-Za-z0-9](?:[\w./-]*[\w-])?{_TAIL})",
    rf"(?m:^)(?P<margin>[ \t>]{{0,80}})(?P<command>/[A-Za-z][\w./-]*{_TAIL})",
)


def clean_outbound(
    text: str,
    secrets: Collection[str] = (),
    *,
    hosts: Collection[str] = HOSTS,
    limit: int = MAX_CHARACTERS,
    closes: int | None = None,
) -> str:
    """The one filter for every Markdown text sent to GitHub; at most ``limit`` characters, code fences closed.

    What the harness itself writes stays alive: hidden markers outside of code, ``<details>``, and the line
    ``Fixes #<closes>``, no other closing reference. Links stay alive when they are relative or lead to one of ``hosts``
    (``name`` or ``name:port``).
    """
    text = redact(show_hidden(text), secrets)
    markers = _own_markers(text)
    room = limit - sum(len(marker) + 1 for marker in markers)
    cleaned = _within(text, hosts, own=True, limit=limit, closes=closes)
    if all(marker in cleaned for marker in markers):
        return cleaned
    # Comments and pull requests are found again by their markers, so these survive any cut.
    rest = "\n".join(line for line in text.split("\n") if not MARKER.fullmatch(line))
    return "\n".join([_within(rest, hosts, own=True, limit=room, closes=closes), *markers])


def clean_words(
    text: str, secrets: Collection[str] = (), *, hosts: Collection[str] = HOSTS, limit: int = MAX_CHARACTERS
) -> str:
    """The same for words of a model or a stranger, before they are put into a text of ours: nothing of ours is kept.

    Headings become bold lines, so that they cannot pass for sections that the harness wrote; no block can be committed.
    """
    plain = _COMMITTABLE.sub(r"\1text", redact(show_hidden(text), secrets))
    return _within(plain, hosts, own=False, limit=limit)


def clean_line(text: str, secrets: Collection[str] = (), *, hosts: Collection[str] = HOSTS, limit: int = 300) -> str:
    """:func:`clean_words` in one line, from the first ``limit`` characters of the text."""
    line = " ".join(show_hidden(redact(text, secrets)).split())
    # Wherever it is put, as after a list's mark, it must not begin a block of code that hides the rest.
    line = _LEADING_FENCE.sub(lambda found: found[1] + {"~": "\\~", "`": "&#96;"}[found[2]], line)
    return clean_words(line if len(line) <= limit else line[: limit - 1].rstrip() + "…", hosts=hosts)


def clean_title(text: str) -> str:
    """``text`` as one line of plain text, such as a commit's subject, that closes nothing and mentions nobody.

    Nothing is rendered there that could hide an escape, so a space stands where GitHub expects none.
    """
    line = _TITLE_CLOSING.sub(lambda found: f"{found[1]}{found[2]} {found[3]}", " ".join(show_hidden(text).split()))
    return _TITLE_MENTION.sub("@ ", line)


def code_span(text: str) -> str:
    """``text`` as inline code in one line, whatever backticks it holds; nothing for nothing."""
    line = " ".join(show_hidden(text).split())
    marks = "`" * (_longest_run(line) + 1)
    space = " " if line[:1] == "`" or line[-1:] == "`" else ""
    return f"{marks}{space}{line}{space}{marks}" if line else ""


def code_block(text: str, language: str = "text") -> str:
    """``text`` as a fenced block that it cannot close."""
    marks = "`" * max(3, _longest_run(text) + 1)
    return f"{marks}{language}\n{show_hidden(text).rstrip()}\n{marks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _within(text: str, hosts: Collection[str], *, own: bool, limit: int, closes: int | None = None) -> str:
    size = min(len(text), limit)
    cleaned = _clean(text[:size], hosts, own=own, closes=closes)
    if len(text) <= limit and len(cleaned) <= limit:
        return cleaned
    # Cleaning lengthens, and cutting a cleaned text could bring half a token back to life: cut first, clean again.
    while size > 0:
        size = min(size - 1, int(size * (limit - len(CUT)) / max(len(cleaned), limit)))
        at = text.rfind("\n", size // 2, size)
        cleaned = _clean(text[: at if at > 0 else max(size, 0)].rstrip(), hosts, own=own, closes=closes) + CUT
        if len(cleaned) <= limit:
            return cleaned
    return ""


def _clean(text: str, hosts: Collection[str], *, own: bool, closes: int | None) -> str:
    cleaner = _Cleaner(frozenset(host.lower() for host in hosts), own, closes)
    for line in text.split("\n"):
        cleaner.add(line)
    return cleaner.end()


def _without_headings(lines: list[str]) -> list[str]:
    plain = []
    for line in lines:
        match = re.match(r"([ \t>*+-]{0,40}|[ \t]{0,3}\d{1,9}[.)][ \t]+)#{1,6}(?=[ \t]|$)", line)
        if match:
            title = line[match.end() :].strip().rstrip("#").replace("*", "").strip()
            plain.append(f"{match.group(1)}**{title}**" if title else "")
        elif re.fullmatch(r"[ \t>]*(?:=+|-+)[ \t]*", line):
            plain.append("* * *")
        else:
            plain.append(line)
    return plain


class _Cleaner:
    """One pass over the lines of a text: code in fences is kept, prose is cleaned paragraph by paragraph."""

    def __init__(self, hosts: frozenset[str], own: bool, closes: int | None) -> None:
        self._tokens = _tokens(hosts)
        self._own = own
        self._closing_line = "" if closes is None else f"Fixes #{closes}"
        self._done: list[str] = []
        self._prose: list[str] = []
        self._fence: re.Match[str] | None = None

    def add(self, line: str) -> None:
        """Take the next line."""
        if self._fence is not None:
            if _closes(line, self._fence["fence"]):
                self._done.append(self._fence["fence"])
                self._fence = None
            else:
                self._done.append(_code_line(line, len(self._fence["indent"])))
            return
        match = _opened(line)
        if match is not None:
            # Written at the margin, it is a fence whatever list or quote stood before it.
            self._flush()
            self._done.append(match["fence"] + _info(match["info"]))
            self._fence = match
        elif self._own and "<" in line and (MARKER.fullmatch(line) or _OWN_BLOCK.fullmatch(line)):
            self._flush()
            self._done.append(line)
        else:
            self._prose.append(line)

    def end(self) -> str:
        """The whole text, its last fence closed."""
        self._flush()
        if self._fence is not None:
            self._done.append(self._fence["fence"])
            self._fence = None
        lines: list[str] = []
        for line in self._done:
            if lines and line.strip() and _OWN_BLOCK.fullmatch(lines[-1]) and not _OWN_BLOCK.fullmatch(line):
                lines.append("")
            lines.append(line)
        return "\n".join(lines)

    def _flush(self) -> None:
        prose = self._prose if self._own else _without_headings(self._prose)
        for blank, group in groupby(prose, key=lambda line: not line.strip()):
            lines = list(group)
            self._done += lines if blank else self._paragraph(lines).split("\n")
        self._prose = []

    def _paragraph(self, lines: list[str]) -> str:
        """Inline code is trusted where every line closes its own, as GitHub pairs backticks in the same way then."""
        split = [_split_spans(line) for line in lines]
        table = any("|" in line and "-" in line and not line.strip("-:| \t>") for line in lines)
        if any(pieces is None or (table and any("|" in span for span in pieces[1::2])) for pieces in split):
            return self._prose_text("\n".join(lines).replace("`", "&#96;"))
        # Prose and spans in turn; prose runs on over the ends of lines.
        pieces = [""]
        for number, line in enumerate(split):
            first, *rest = line or [""]
            pieces[-1] += ("\n" if number else "") + first
            pieces += rest
        cleaned = []
        for number, piece in enumerate(pieces):
            if number % 2:
                cleaned.append(_unmarked(piece))
                continue
            # The backticks on either side are shown to the patterns, and a new span must not touch them.
            before, after = "`" * (number > 0), "`" * (number < len(pieces) - 1)
            prose = self._prose_text(before + piece + after)
            prose = prose[len(before) : len(prose) - len(after)]
            left = " " if before and prose.startswith("`") else ""
            right = " " if after and prose.endswith("`") else ""
            cleaned.append(left + prose + right)
        return "".join(cleaned)

    def _prose_text(self, text: str) -> str:
        return self._tokens.sub(self._dead, text)

    def _dead(self, match: re.Match[str]) -> str:
        whole, kind = match.group(), _kind(match)
        if kind == "closing":
            return self._closing(match)
        if kind == "tag":
            # A tag alone on its line begins a block of raw HTML.
            inline = self._own and whole in _OWN_INLINE and not _alone(match, marks=">*+-.)0123456789")
            return whole if inline else f"&lt;{whole[1:]}"
        if kind in ("link", "address"):
            return whole if kind == "address" or match["target"] else "]&#40;"
        if kind == "entity":
            return whole if match["name"] in _OWN_ENTITIES else "&amp;"
        if kind == "scheme":
            return re.sub("[tT]{2}", "xx", whole).replace("ftp", "fxp").replace("FTP", "FXP")
        if kind == "mention":
            return f"`{match['mention']}`"
        if kind == "command":
            return f"{match['margin']}`{match['command']}`"
        return {"image": "&#33;[", "definition": "]&#58;", "www": f"{whole[:-1]}[.]"}[kind]

    def _closing(self, match: re.Match[str]) -> str:
        if match.group() == self._closing_line and _alone(match):
            return match.group()
        return match["closing"].rstrip("\\") + f"`{match['ref']}`"


@lru_cache(maxsize=32)
def _tokens(hosts: frozenset[str]) -> re.Pattern[str]:
    origins = []
    for host in sorted(hosts):
        local = re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host)
        origins.append(("https?://" if local else "https://") + re.escape(host))
    allowed = "(?:" + "|".join(origins or ["(?!)"]) + ")"
    return re.compile("|".join(_TOKENS).replace("ORIGINS", allowed))


_KINDS = ("closing", "tag", "image", "link", "definition", "entity", "address", "scheme", "www", "mention", "command")


def _kind(match: re.Match[str]) -> str:
    return next(kind for kind in _KINDS if match[kind] is not None)


def _alone(match: re.Match[str], *, marks: str = "") -> bool:
    """Whether nothing else stands on the line, ``marks`` in front of it aside."""
    text = match.string
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    rest = text[match.end() : end if end >= 0 else None]
    return not text[start : match.start()].strip(f" \t{marks}") and not rest.strip()


def _own_markers(text: str) -> list[str]:
    """The lines that are hidden markers of ours, those that stand in code aside."""
    found, fence = [], ""
    for line in text.split("\n"):
        if fence:
            fence = "" if _closes(line, fence) else fence
        elif (opened := _opened(line)) is not None:
            fence = opened["fence"]
        elif MARKER.fullmatch(line):
            found.append(line)
    return found


def _opened(line: str) -> re.Match[str] | None:
    """The fence with which the line begins a block of code."""
    match = _OPENING.fullmatch(line) if "```" in line or "~~~" in line else None
    return match if match and (match["fence"][0] == "~" or "`" not in match["info"]) else None


def _unmarked(code: str) -> str:
    return _MARK.sub("<!-- forgehand :", code)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t")
    return len(bare) >= len(fence) and not bare.strip(fence[0])


def _info(info: str) -> str:
    word = re.match(r"[A-Za-z0-9_+#.-]{0,30}", info.strip())
    language = word.group() if word else ""
    return "" if language.lower() in _DRAWN_BY_GITHUB else language


def _code_line(line: str, indent: int) -> str:
    depth = 0
    while depth < indent and line[depth : depth + 1] in (" ", "\t"):
        depth += 1
    line = _unmarked(line[depth:])
    # Bots that read raw text look for commands at the start of a line, in code too: `/merge`, or `@bot merge`.
    return f" {line}" if _RAW_COMMAND.match(line) else line


def _split_spans(line: str) -> list[str] | None:
    """A line as prose, span, prose, span, …, prose; None when its backticks do not pair up within it."""
    if "`" not in line:
        return [line]
    if "\\`" in line:
        return None
    runs = [match.span() for match in re.finditer("`+", line)]
    partners = list(_partners([end - start for start, end in runs]))
    pieces: list[str] = []
    at = number = 0
    while number < len(runs):
        partner = partners[number]
        if partner is None:
            return None
        pieces += [line[at : runs[number][0]], line[runs[number][0] : runs[partner][1]]]
        at = runs[partner][1]
        number = partner + 1
    return [*pieces, line[at:]]


def _partners(lengths: list[int]) -> Iterator[int | None]:
    """For each run of backticks the next run of the same length."""
    following: dict[int, int] = {}
    found: list[int | None] = []
    for number in range(len(lengths) - 1, -1, -1):
        found.append(following.get(lengths[number]))
        following[lengths[number]] = number
    return reversed(found)
