"""The opening of release notes, asked of the model once; the notes are complete without it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import structlog

from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, Model
from workflows.texts.untrusted import clean_inbound, fence_untrusted
from workflows.types import MergedPull

log = structlog.get_logger()

LONGEST_BODY = 600
LONGEST_MATERIAL = 40_000
LONGEST = 2_000
MOST_PARAGRAPHS = 3
SECONDS = 180.0


def write_highlights(model: Model, pulls: Sequence[MergedPull]) -> str:
    """Paragraphs with an empty line between them; nothing when there is nothing to tell or the model fails.

    Never raises BrokenWorld: an opening is not worth a job.
    """
    if not pulls:
        return ""
    messages = [
        {"role": "system", "content": render_prompt("highlights")},
        {"role": "user", "content": fence_untrusted("what was merged", _render_material(pulls))},
    ]
    try:
        reply = model.complete(messages, deadline=SECONDS)
    except BrokenWorld as broken:
        log.warning("no highlights", reason=broken.message)
        return ""
    return parse_highlights(reply.content)


def parse_highlights(text: str) -> str:
    """The paragraphs of a reply, without headings and the marks of lists; nothing when it is too long to be read."""
    parts = [" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", text.strip())]
    plain = [re.sub(r"^(?:#{1,6}|[-*+]|\d{1,3}[.)])\s+", "", part) for part in parts if not part.startswith("#")]
    told = "\n\n".join(part for part in plain if part)
    return told if len(told) <= LONGEST and len(plain) <= MOST_PARAGRAPHS else ""


def _render_material(pulls: Sequence[MergedPull]) -> str:
    parts = []
    for pull in pulls:
        body = " ".join(clean_inbound(pull.body).text.split())[:LONGEST_BODY]
        parts.append(f"{clean_inbound(pull.title).text}\n{body}".strip())
    return "\n\n".join(parts)[:LONGEST_MATERIAL]
