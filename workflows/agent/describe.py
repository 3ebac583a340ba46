"""The description of a finished change: asked of the model once, else made from its closing words."""

from __future__ import annotations

import re
from typing import Any, Literal

import structlog
from pydantic import Field

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, Model
from workflows.texts.untrusted import clean_inbound, fence_untrusted, show_hidden
from workflows.types import Finish, Issue, Noun, Usage, Verdict

log = structlog.get_logger()

Category = Literal["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
CATEGORIES: tuple[Category, ...] = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
LONGEST_DIFF = 60_000
LONGEST_BODY = 8_000
LONGEST_TITLE = 72
LONGEST_SUMMARY = 4_000
LONGEST_LINE = 300
MOST_FILES = 100
SECONDS = 180.0


class ChangelogText(Noun):
    """One changelog entry: its category in Keep a Changelog's words, and a sentence for users."""

    category: Category
    text: str


class Description(Noun):
    """What a pull request says of a change. ``files`` maps paths to why they changed; ``written_by`` is its author."""

    title: str
    summary: str
    files: dict[str, str] = Field(default_factory=dict)
    changelog: ChangelogText | None = None
    written_by: Literal["model", "harness"] = "model"


def describe(
    model: Model, issue: Issue, *, diff: str, finish: Finish | None, verdict: Verdict | None = None
) -> tuple[Description, Usage]:
    """Ask the model to describe the change, once. What cannot be used falls back to the issue's title and ``finish``.

    ``diff`` is a unified diff, of which the first 60,000 characters are shown. Never raises: a description is not worth
    a job.
    """
    fallback = describe_without_model(issue, finish)
    messages = [
        {"role": "system", "content": render_prompt("describe")},
        {"role": "user", "content": _render_material(issue, diff, finish, verdict)},
    ]
    try:
        reply = model.complete(messages, deadline=SECONDS)
    except BrokenWorld as broken:
        log.warning("change not described by the model", reason=broken.message)
        return fallback, Usage()
    described = parse_description(reply.content)
    if described is None:
        log.warning("description not understood", characters=len(reply.content))
    return described or fallback, reply.usage


def describe_without_model(issue: Issue, finish: Finish | None) -> Description:
    """The description made from what is known for certain."""
    title = _line(issue.title, LONGEST_TITLE) or f"Change for issue #{issue.number}"
    summary = (finish.summary.strip() if finish else "") or f"A change for issue #{issue.number}: {title}"
    bug = re.search(
        r"\b(bug|crash|error|fail\w*|wrong\w*|broken)\b", f"{' '.join(issue.labels)} {title}", re.IGNORECASE
    )
    changelog = ChangelogText(category="Fixed" if bug else "Changed", text=_sentence(title))
    return Description(title=title, summary=summary[:LONGEST_SUMMARY], changelog=changelog, written_by="harness")


def parse_description(text: str) -> Description | None:
    """The description in a reply, whatever fences or prose surround its JSON object; None when there is none to use."""
    for found in find_objects(text):
        title, summary = _line(found.get("title"), LONGEST_TITLE), _text(found.get("summary"))
        if title and summary:
            return Description(
                title=title.rstrip("."),
                summary=summary[:LONGEST_SUMMARY],
                files=_files(found.get("files")),
                changelog=_changelog(found.get("changelog"), title),
            )
    return None


def _files(value: Any) -> dict[str, str]:
    if isinstance(value, list):  # [{"path": …, "why": …}] is a habit
        value = {str(item.get("path", "")): item.get("why", "") for item in value if isinstance(item, dict)}
    if not isinstance(value, dict):
        return {}
    lines = {path.strip(): _line(why, LONGEST_LINE) for path, why in list(value.items())[:MOST_FILES]}
    return {path: why for path, why in lines.items() if path and why}


def _changelog(value: Any, title: str) -> ChangelogText:
    entry = value if isinstance(value, dict) else {"text": value}
    wanted = _line(entry.get("category"), LONGEST_LINE).lower()
    category: Category = next((name for name in CATEGORIES if name.lower() == wanted), "Changed")
    return ChangelogText(category=category, text=_line(entry.get("text"), LONGEST_LINE) or _sentence(title))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _line(value: Any, limit: int) -> str:
    """One line of at most ``limit`` characters, cut between words."""
    line = " ".join(_text(value).split())
    return line if len(line) <= limit else line[: limit - 1].rsplit(" ", 1)[0] + "…"


def _sentence(title: str) -> str:
    return title if title.endswith((".", "!", "?", "…")) else f"{title}."


def _render_material(issue: Issue, diff: str, finish: Finish | None, verdict: Verdict | None) -> str:
    closing = f"{finish.summary}\n\n{finish.verification}".strip() if finish else "There are none."
    cut = diff if len(diff) <= LONGEST_DIFF else f"{diff[:LONGEST_DIFF]}\n[… the rest of the diff is left out …]"
    parts = [
        fence_untrusted(f"issue #{issue.number}", clean_inbound(f"{issue.title}\n\n{issue.body}").text[:LONGEST_BODY]),
        fence_untrusted("diff", show_hidden(cut)),
        fence_untrusted("closing words of the engineer", closing),
    ]
    if verdict is not None:
        parts.append(f"The tests' verdict: {'; '.join([verdict.status, *verdict.reasons])}")
    return "\n\n".join(parts)
