"""The commands as people read them: the answer to ``help``, and their part of the reference page.

Commands and names stand in code spans, so what is posted here neither calls us nor mentions anyone.
"""

from __future__ import annotations

from app.commands.grammar import MAX_COMMANDS, MAX_TEXT
from app.commands.options import OPTIONS
from app.commands.table import WORDS, Word


def render_help(prefix: str = "/qwen", *, slug: str | None = None, on_pull_request: bool) -> str:
    """The answer to ``help`` in Markdown: the commands for this kind of thread and their options."""
    words = [word for word in WORDS if word.works_on(pull_request=on_pull_request)]
    kind = "pull request" if on_pull_request else "issue"
    called = f"`{prefix}` or `@{slug}`" if slug else f"`{prefix}`"
    lines = [
        f"Write a command on a line of its own that begins with {called}. These work in this {kind}:",
        "",
        "| Command | What it does |",
        "|---|---|",
        *(f"| {_usage(word, prefix)} | {word.summary} |" for word in words),
        "",
        f"Two or more other words, such as `{prefix} make the error message say which file`, mean `do`.",
        "",
        "| Option | What it says |",
        "|---|---|",
        *(f"| `{option.key}=` | {option.summary} It wants {option.wanted}. |" for option in OPTIONS.values()),
        "",
        "Options can only lower what the policy and the operator allow.",
    ]
    return "\n".join(lines)


def render_reference(prefix: str = "/qwen") -> str:
    """The section on commands of ``docs/reference.md``."""
    lines = [
        "## Commands",
        "",
        f"A command is a line of a comment or a review that begins with `{prefix}` or `@<app-slug>`. It counts in",
        "plain text alone: not in code, quotes, lists (they tell of commands as a rule), tables, headings, links or",
        "HTML.",
        "",
        "- Its words go on over the following lines of its paragraph, up to the next command. They are taken as",
        f"  they were written, at most {MAX_TEXT:,} characters. A command that takes no words wants an empty",
        "  line after it.",
        f"- Several commands run in order, at most {MAX_COMMANDS} of a comment.",
        f"- The label `qwen:review` on a pull request is `{prefix} review`; in a thread that begins with a finding of",
        f"  ours, an answer that says “fix this” and nothing else is `{prefix} fix`.",
        "- What cannot be read is answered with what to write instead. An edited comment is not read again.",
        "",
        "| Command | Where | Who | What it does |",
        "|---|---|---|---|",
        *(_reference_row(word, prefix) for word in WORDS),
        "",
        "Who: *write* wants write access; so does *read*, unless policy opens it to readers; *all* are those who can",
        "see the thread. What is *said at once* is answered even while a job runs; of the others there is one at a",
        "time in a thread.",
        "",
        "### Options",
        "",
        "`key=value`, right after the command, as the last words of its line, or on a line of nothing else in its",
        "paragraph. They can only lower or narrow what the policy and the operator allow. In quotation marks or",
        "backticks they are words.",
        "",
        "| Option | What it says | For |",
        "|---|---|---|",
        *(
            f"| `{key}=` | {option.summary} It wants {option.wanted}. | {_users(key)} |"
            for key, option in OPTIONS.items()
        ),
    ]
    return "\n".join(lines)


def _usage(word: Word, prefix: str) -> str:
    return f"`{prefix} {word.example}`"


def _reference_row(word: Word, prefix: str) -> str:
    where = {"both": "everywhere", "issue": "issues", "pull_request": "pull requests"}[word.where]
    names = ", ".join(f"`{name}`" for name in (word.name, *word.aliases))
    needs = "all" if word.needs == "nothing" else word.needs
    who = f"{needs}{', said at once' if word.lane == 'answer' else ''}"
    return f"| {names}<br>{_usage(word, prefix)} | {where} | {who} | {word.summary} |"


def _users(key: str) -> str:
    return ", ".join(f"`{word.name}`" for word in WORDS if key in word.options)
