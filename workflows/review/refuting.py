"""The second reading: each finding is tried to be disproved before anybody sees it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from pydantic import Field

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, Model
from workflows.texts.untrusted import fence_untrusted
from workflows.types import Noun, Usage

log = structlog.get_logger()

SECONDS = 180.0


class Refuted(Noun):
    """Which findings fell, each with the reason, by id. ``read`` False: nobody tried, so all stand unchallenged."""

    fallen: dict[str, str] = Field(default_factory=dict)
    read: bool = True
    usage: Usage = Usage()


def refute(model: Model, findings: Mapping[str, str], *, diff: str) -> Refuted:
    """Ask the model to disprove ``findings`` (their whole text by id). A reply that cannot be read lets all stand."""
    if not findings:
        return Refuted()
    shown = "\n\n".join(f"## {name}\n{text}" for name, text in findings.items())
    conversation = [
        {"role": "system", "content": render_prompt("refute")},
        {"role": "user", "content": f"{fence_untrusted('change', diff)}\n\n{fence_untrusted('findings', shown)}"},
    ]
    try:
        reply = model.complete(conversation, deadline=SECONDS)
    except BrokenWorld as broken:
        log.warning("findings not challenged", reason=broken.message)
        return Refuted(read=False)
    said = parse_refutation(reply.content, findings)
    if said is None:
        return Refuted(read=False, usage=reply.usage)
    return Refuted(fallen=said, usage=reply.usage)


def parse_refutation(text: str, findings: Mapping[str, str]) -> dict[str, str] | None:
    """The reasons by id of the findings that fell; None when the text judges none of them."""
    for found in find_objects(text):
        judged = {name: found[name] for name in findings if isinstance(found.get(name), dict)}
        if judged:
            return {
                name: str(one.get("why") or "no reason was given")
                for name, one in judged.items()
                if one.get("stands") is False
            }
    return None
