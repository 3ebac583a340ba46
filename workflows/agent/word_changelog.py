"""A changelog entry worded by the model from somebody's pull request, or its reason why none is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.describe import CATEGORIES, LONGEST_LINE, Category, ChangelogText
from workflows.agent.describe_pull import render_material
from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, Model
from workflows.texts.diff_cut import FittedDiff
from workflows.types import Noun, PullRequest

TRIES = 2
SECONDS = 180.0


class WordedEntry(Noun):
    """The words. Without an ``entry`` none is needed, and ``reason`` says why."""

    entry: ChangelogText | None = None
    reason: str = ""


def word_changelog(model: Model, pull: PullRequest, *, diff: FittedDiff, messages: Sequence[str]) -> WordedEntry:
    """Ask the model, once more when its reply cannot be used. Raises BrokenWorld("model")."""
    conversation = [
        {"role": "system", "content": render_prompt("changelog")},
        {"role": "user", "content": render_material(pull, diff, messages)},
    ]
    for _ in range(TRIES):
        reply = model.complete(conversation, deadline=SECONDS)
        worded = parse_worded_entry(reply.content)
        if worded is not None:
            return worded
        told = (
            "That was no JSON object with `needed`, and `text` or `reason`. Answer with that object and nothing else."
        )
        conversation += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": told}]
    raise BrokenWorld("model", f"The model worded no entry that could be read, {TRIES} times. Ask again.")


def parse_worded_entry(text: str) -> WordedEntry | None:
    """The entry in a reply, or its reason against one; None when there is neither."""
    for found in find_objects(text):
        words, reason = _line(found.get("text")), _line(found.get("reason"))
        if found.get("needed") is False and reason:
            return WordedEntry(reason=reason)
        if found.get("needed") is not False and words:
            return WordedEntry(entry=ChangelogText(category=_category(found.get("category")), text=words))
    return None


def _category(value: Any) -> Category:
    wanted = _line(value).lower()
    return next((name for name in CATEGORIES if name.lower() == wanted), "Changed")


def _line(value: Any) -> str:
    line = " ".join(value.split()) if isinstance(value, str) else ""
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1].rsplit(" ", 1)[0] + "…"
