"""The second reading: each finding is tried to be disproved before anybody sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from pydantic import Field

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.prompts import render_prompt
from workflows.review.findings import Finding
from workflows.services import BrokenWorld, Model
from workflows.texts.untrusted import fence_untrusted
from workflows.types import Noun, Usage

log = structlog.get_logger()

SECONDS = 180.0


class Refuted(Noun):
    """Which findings fell, each with the reason, by id. ``unchallenged`` are those that nobody tried to disprove.

    ``unshown`` are those whose command ran and does not show them.
    """

    fallen: dict[str, str] = Field(default_factory=dict)
    unshown: tuple[str, ...] = ()
    unchallenged: tuple[str, ...] = ()
    usage: Usage = Usage()


def refute(model: Model, parts: Sequence[tuple[str, Sequence[Finding]]]) -> Refuted:
    """Ask the model to disprove the findings, each part of the change with those in it.

    A finding of which the reply says nothing stands, and so do all where it cannot be read.
    """
    fallen: dict[str, str] = {}
    unshown: list[str] = []
    unchallenged: list[str] = []
    usage = Usage()
    for shown, findings in parts:
        said, spent = _ask(model, shown, findings)
        usage += spent
        fallen |= {name: str(one.get("why") or "no reason was given") for name, one in said.items() if _fell(one)}
        ran = [one.id for one in findings if one.evidence.run is not None]
        unshown += [name for name in ran if name in said and said[name].get("shown") is False]
        unchallenged += [one.id for one in findings if one.id not in said]
    return Refuted(fallen=fallen, unshown=tuple(unshown), unchallenged=tuple(unchallenged), usage=usage)


def parse_refutation(text: str, findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
    """What a reply says of each finding, by id; an empty object says of each that it stands."""
    objects = find_objects(text)
    for found in objects:
        judged = {one.id: found[one.id] for one in findings if isinstance(found.get(one.id), dict)}
        if judged:
            return judged
    return {one.id: {"stands": True} for one in findings} if {} in objects else {}


def _ask(model: Model, shown: str, findings: Sequence[Finding]) -> tuple[dict[str, dict[str, Any]], Usage]:
    points = "\n\n".join(_tell(one) for one in findings)
    conversation = [
        {"role": "system", "content": render_prompt("refute")},
        {"role": "user", "content": f"{fence_untrusted('change', shown)}\n\n{fence_untrusted('findings', points)}"},
    ]
    try:
        reply = model.complete(conversation, deadline=SECONDS)
    except BrokenWorld as broken:
        log.warning("findings not challenged", reason=broken.message)
        return {}, Usage()
    return parse_refutation(reply.content, findings), reply.usage


def _tell(finding: Finding) -> str:
    """A finding with all that speaks for it: where it stands, and what its command printed."""
    anchor, run = finding.anchor, finding.evidence.run
    where = finding.path
    if anchor is not None:
        lines = f"lines {anchor.first} to {anchor.line}" if anchor.start_line else f"line {anchor.line}"
        where = f"{finding.path}, {lines} of the {'new' if anchor.side == 'RIGHT' else 'old'} file"
    parts = [f"## {finding.id}\n{where}: {finding.title}", finding.body, finding.evidence.reasoning]
    if run is not None:
        code = "ended early" if run.exit_code is None else f"exit code {run.exit_code}"
        parts.append(f"Its command ({code}): {run.command}\nThe end of what it printed:\n{run.excerpt}")
    return "\n".join(part for part in parts if part)


def _fell(said: dict[str, Any]) -> bool:
    return said.get("stands") is False
