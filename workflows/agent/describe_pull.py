"""The description of somebody's pull request, asked of the model: title, type, summary, and why each file changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from pydantic import Field

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.describe import parse_description
from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, Model
from workflows.texts.conventional import TYPES, parse_conventional
from workflows.texts.diff_cut import FittedDiff, list_left_out
from workflows.texts.untrusted import clean_inbound, fence_untrusted, show_hidden
from workflows.types import Noun, PullRequest

OFFERED = ("feat", "fix", "perf", "refactor", "docs", "test", "build", "ci", "style", "chore", "revert")
LONGEST_BODY = 8_000
LONGEST_MESSAGES = 8_000
TRIES = 2
SECONDS = 180.0


class PullDescription(Noun):
    """What is said of a pull request. ``title`` is without its type; ``files`` maps paths of the change to why."""

    type: str
    scope: str = ""
    breaking: bool = False
    title: str
    summary: str
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def conventional(self) -> str:
        """The title as a Conventional Commit has it."""
        scope = f"({self.scope})" if self.scope else ""
        first = self.title[:1].lower() if self.title[1:2].islower() else self.title[:1]
        return f"{self.type}{scope}{'!' if self.breaking else ''}: {first}{self.title[1:]}"


def describe_pull(
    model: Model, pull: PullRequest, *, diff: FittedDiff, messages: Sequence[str], paths: Collection[str]
) -> PullDescription:
    """Ask the model, once more when its reply cannot be used. Raises BrokenWorld("model").

    ``pull.body`` is the author's own text; ``paths`` are all that changed: no reason is kept for any other.
    """
    conversation = [
        {"role": "system", "content": render_prompt("describe_pull", types=" | ".join(OFFERED))},
        {"role": "user", "content": render_material(pull, diff, messages)},
    ]
    for _ in range(TRIES):
        reply = model.complete(conversation, deadline=SECONDS)
        described = parse_pull_description(reply.content, paths=paths)
        if described is not None:
            return described
        told = "That was no JSON object with `type`, `title` and `summary`. Answer with that object and nothing else."
        conversation += [{"role": "assistant", "content": reply.content}, {"role": "user", "content": told}]
    raise BrokenWorld("model", f"The model described nothing that could be read, {TRIES} times. Ask again.")


def parse_pull_description(text: str, *, paths: Collection[str]) -> PullDescription | None:
    """The description in a reply, whatever surrounds its JSON object; None when there is none to use."""
    for found in find_objects(text):
        described = parse_description(json.dumps(found))
        if described is None:
            continue
        titled = parse_conventional(described.title)  # a type in the title is a habit
        kind = str(found.get("type") or "").strip().lower().rstrip("!")
        kind = kind if kind in TYPES else (titled.type if titled else "")
        if not kind:
            continue
        return PullDescription(
            type=kind,
            scope=_scope(found.get("scope")) or (titled.scope if titled else ""),
            breaking=found.get("breaking") is True or bool(titled and titled.breaking),
            title=titled.description if titled else described.title,
            summary=described.summary,
            files={path: why for path, why in described.files.items() if path in paths},
        )
    return None


def _scope(value: Any) -> str:
    """One word of the kind that stands between the brackets, or nothing."""
    word = value.strip() if isinstance(value, str) else ""
    return word if word and len(word) <= 30 and not set(word) & set("()[]<>@`!: \n\t") else ""


def render_material(pull: PullRequest, diff: FittedDiff, messages: Sequence[str]) -> str:
    """What the model is shown of a pull request, each part fenced as data."""
    said = clean_inbound(f"{pull.title}\n\n{pull.body}").text[:LONGEST_BODY]
    told = clean_inbound("\n\n".join(messages)).text[:LONGEST_MESSAGES]
    parts = [
        fence_untrusted(f"pull request #{pull.number} by {pull.author.login}", said),
        fence_untrusted("messages of its commits, newest first", told),
        fence_untrusted("diff", show_hidden(diff.text)),
        # The names are the author's words too.
        fence_untrusted("what is not shown", show_hidden(list_left_out(diff))) if list_left_out(diff) else "",
    ]
    return "\n\n".join(part for part in parts if part)
