"""The issues that a pull request says it closes: what they demand is held against the change, demand by demand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflows.services import GitHub
from workflows.texts.outbound import code_span
from workflows.texts.untrusted import clean_inbound, fence_untrusted
from workflows.types import Noun

MOST_ISSUES = 3
LONGEST_ISSUE = 12_000
# https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue
_CLOSES = re.compile(
    r"(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?[ \t]+"
    r"(?:#|(?P<repository>[\w.-]{1,100}/[\w.-]{1,100})#"
    r"|https?://[\w.:-]{1,200}/(?P<linked>[\w.-]{1,100}/[\w.-]{1,100})/issues/)(?P<number>\d{1,9})\b"
)
# What is shown as code, or quoted, is not the author's word; hidden comments, such as a template's, are gone before.
_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})")
_SPAN = re.compile(r"(?<!`)(`{1,3})(?!`)[^`]+\1(?!`)")
_ASK = """\
The change says that it closes what follows. List for yourself every demand in it, and hold the change against each, one
by one, with a command where one can show it. Each demand that is not met is one finding of the category "requirement",
whose title names the demand; its path is the file where it would be met. A demand that is met is not said."""


class Demand(Noun):
    """An issue with what it demands, as it is now."""

    number: int
    author: str
    title: str
    body: str


class Demands(Noun):
    """The issues that a change is held against; ``left_out`` are those that it closes beyond the first."""

    demands: tuple[Demand, ...] = ()
    left_out: tuple[int, ...] = ()


def parse_closed(body: str, repository: str) -> tuple[int, ...]:
    """The issues of this repository that a description closes by GitHub's words, in their order, each once."""
    found = []
    for match in _CLOSES.finditer(_words_of(body[:100_000])):
        named = match["repository"] or match["linked"]
        if named is None or named.casefold() == repository.casefold():
            found.append(int(match["number"]))
    return tuple(dict.fromkeys(found))


def fetch_demands(github: GitHub, body: str, repository: str) -> Demands:
    """What the first of those issues say; pull requests, and issues that are gone, demand nothing."""
    demands = []
    closed = parse_closed(body, repository)
    for number in closed[:MOST_ISSUES]:
        issue = github.fetch_issue(number)
        if issue is not None and not issue.is_pull_request:
            text = clean_inbound(issue.body).text[:LONGEST_ISSUE]
            demands.append(Demand(number=number, author=issue.author.login, title=issue.title, body=text))
    return Demands(demands=tuple(demands), left_out=closed[MOST_ISSUES:])


def say_demands(demands: Demands) -> str:
    """The note for people on what the change was held against; empty without anything."""
    if not demands.demands:
        return ""
    named = _named([one.number for one in demands.demands])
    held = f"The change was held against the issues that it says it closes: {named}"
    return f"{held}; for want of room not against {_named(demands.left_out)}." if demands.left_out else f"{held}."


def render_demands(demands: Sequence[Demand]) -> str:
    """The issues for the reviewer, fenced: they say what the change should do, and nothing about the task."""
    told = [fence_untrusted(f"issue #{one.number} by {one.author}", f"{one.title}\n\n{one.body}") for one in demands]
    return "\n\n".join([_ASK, *told])


def _words_of(body: str) -> str:
    """The lines of a description that are its author's own words: no comment, no code, no quote."""
    words, fence = [], ""
    for line in clean_inbound(body).text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            closes = mark and mark[1].startswith(fence) and not line[mark.end() :].strip()
            fence = "" if closes else fence
        elif mark:
            fence = mark[1]
        elif not line.lstrip().startswith(">"):
            words.append(_SPAN.sub(" ", line))
    return "\n".join(words)


def _named(numbers: Sequence[int]) -> str:
    return ", ".join(code_span(f"#{number}") for number in numbers[:20])
