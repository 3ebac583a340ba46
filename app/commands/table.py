"""The one table of commands: the parser, the help and the reference page are all made from it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Takes = Literal["nothing", "words", "question", "range", "choice"]
Where = Literal["both", "issue", "pull_request"]

_AGENT = ("budget", "turns", "time", "model")
_CHANGE = (*_AGENT, "attempts", "paths", "draft")


@dataclass(frozen=True)
class Word:
    """One command.

    ``takes`` says what may follow the name: nothing, optional words, a required question or request, a required range
    ``A..B``, or one of ``choices``. ``needs``: "write" changes something or spends much, and needs write access;
    "read" needs it too unless policy opens the command to readers; "nothing" is for everybody. ``lane``: "answer" is
    said at once, even while a job of the thread runs; of "work" there is one at a time in a thread. ``example`` stands
    without the prefix.
    """

    name: str
    summary: str
    example: str
    takes: Takes = "nothing"
    where: Where = "both"
    needs: Literal["write", "read", "nothing"] = "write"
    lane: Literal["work", "answer"] = "work"
    options: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def works_on(self, *, pull_request: bool) -> bool:
        """Whether it can be said in the thread of a pull request, or of an issue."""
        return self.where in ("both", "pull_request" if pull_request else "issue")


WORDS = (
    Word(
        "fix",
        "Solve the issue, or do what the review of this pull request asks for. Words after it say what to heed.",
        "fix budget=2usd",
        takes="words",
        options=(*_CHANGE, "branch"),
    ),
    Word(
        "do",
        "Do what the words say. `do` itself may be left out when two or more words follow and no command is the first.",
        "do add a test for empty input",
        takes="question",
        options=(*_CHANGE, "branch"),
    ),
    Word(
        "plan",
        "Propose a plan, with files, tests, risks and an estimate, and change nothing.",
        "plan",
        takes="words",
        where="issue",
        options=(*_AGENT, "paths", "branch"),
    ),
    Word(
        "approve",
        "Carry out the plan that stands in this issue, exactly as it is.",
        "approve",
        where="issue",
        options=(*_CHANGE, "branch"),
    ),
    Word(
        "review",
        "Review the pull request: `full` all of it, `incremental` what is new since the last review.",
        "review full",
        takes="choice",
        choices=("full", "incremental"),
        where="pull_request",
        needs="read",
        options=(*_AGENT, "paths"),
    ),
    Word(
        "describe",
        "Describe the pull request from its changes, and suggest a title.",
        "describe",
        where="pull_request",
        options=_AGENT,
    ),
    Word(
        "ask",
        "Answer a question about the code or the change. Nothing is changed.",
        'ask "why is the cache cleared twice?"',
        takes="question",
        needs="read",
        options=(*_AGENT, "paths"),
    ),
    Word(
        "test",
        "Write tests for the change, or for what the words name.",
        "test the parser of dates",
        takes="words",
        options=(*_CHANGE, "branch"),
    ),
    Word(
        "changelog",
        "Write the pull request's changelog entry.",
        "changelog",
        where="pull_request",
        options=_AGENT,
    ),
    Word(
        "release-notes",
        "Write release notes of every pull request and author between two tags, or from one up to now (`v1.2.0..`).",
        "release-notes v1.2.0..v1.3.0",
        takes="range",
        options=(*_AGENT, "draft"),
    ),
    Word(
        "update",
        "Merge the base branch in. `rebase` does the same, because a branch is never force-pushed.",
        "update",
        where="pull_request",
        aliases=("rebase",),
    ),
    Word(
        "resolve",
        "Resolve the conflicts with the base branch.",
        "resolve",
        where="pull_request",
        options=_AGENT,
    ),
    Word(
        "ci",
        "Read the failed checks and mend what they found.",
        "ci",
        where="pull_request",
        options=(*_AGENT, "paths"),
    ),
    Word("retry", "Start the last job again, from nothing.", "retry", options=(*_CHANGE, "branch")),
    Word(
        "continue",
        "Go on with the last job where it stopped. Words after it are told to the agent.",
        "continue turns=80",
        takes="words",
        options=(*_AGENT, "draft"),
        aliases=("resume",),
    ),
    Word("stop", "Stop what runs or waits in this thread.", "stop", lane="answer", aliases=("cancel",)),
    Word("status", "Say what runs, what waits and how the last jobs ended.", "status", needs="nothing", lane="answer"),
    Word("why", "Say why the last request was done, refused or ignored.", "why", needs="nothing", lane="answer"),
    Word("config", "Show the policy in force here, and where it comes from.", "config", lane="answer"),
    Word("doctor", "Check the set-up: access, policy, model, sandbox.", "doctor", lane="answer"),
    Word("help", "Show the commands.", "help", needs="nothing", lane="answer"),
)

MAX_NAME = 30
_BY_NAME = {name: word for word in WORDS for name in (word.name, *word.aliases)}
FREE = _BY_NAME["do"]
"""What words that begin with no command mean."""


def find_word(name: str) -> Word | None:
    """The command of that name or alias, in any letter case."""
    return _BY_NAME.get(name.lower()) if name.isascii() else None


def near_word(name: str) -> str | None:
    """The name or alias that ``name`` was probably meant to be."""
    if len(name) > MAX_NAME:
        return None
    return next(iter(get_close_matches(name.lower(), _BY_NAME, 1)), None)
