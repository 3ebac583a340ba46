"""What people answered to findings, judged: accepted, and the finding is withdrawn; or answered, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from workflows.agent.calls.loose_json import find_objects
from workflows.agent.prompts import render_prompt
from workflows.review.ledger import Rebuttal, State
from workflows.services import BrokenWorld, Model
from workflows.texts.untrusted import fence_untrusted
from workflows.types import Noun

log = structlog.get_logger()

SECONDS = 180.0
LONGEST_SAID = 1_500
MOST_BEFORE = 5
"""As many answers that were judged before are told with a later one."""


class Judged(Noun):
    """One rebuttal, judged: ``say`` is the model's answer to people, uncleaned; ``reply`` the last that was read.

    ``counts`` is the rebuttal's: a model can be talked into anything; so is ``later``, with which ``say`` is empty.
    """

    finding: str
    accepted: bool
    say: str
    reply: int
    counts: bool = True
    later: bool = False

    @property
    def closed(self) -> State | None:
        """What the finding becomes: withdrawn by an answer that was accepted, of whoever may decide it, or rebutted by
        people's last word; None when it stays open.
        """
        return ("rebutted" if self.later else "withdrawn") if self.accepted and self.counts else None


class Judgements(Noun):
    """What was judged; a rebuttal that is missing here waits for the next time."""

    judged: tuple[Judged, ...] = ()


def judge_rebuttals(model: Model, rebuttals: Sequence[Rebuttal], *, said: Mapping[str, str], diff: str) -> Judgements:
    """Ask the model about each; ``said`` is what we said, by finding. What cannot be read is not judged."""
    if not rebuttals:
        return Judgements()
    talks = [fence_untrusted(one.entry.id, _render(one, said.get(one.entry.id, ""))) for one in rebuttals]
    conversation = [
        {"role": "system", "content": render_prompt("judge_rebuttal")},
        {"role": "user", "content": "\n\n".join([fence_untrusted("change", diff), *talks])},
    ]
    try:
        reply = model.complete(conversation, deadline=SECONDS)
    except BrokenWorld as broken:
        log.warning("rebuttals not judged", reason=broken.message)
        return Judgements()
    return parse_judgements(reply.content, rebuttals)


def parse_judgements(text: str, rebuttals: Sequence[Rebuttal]) -> Judgements:
    """The judgements in a reply. Only a plain ``true`` accepts, and a first one without words to people is none."""
    for found in find_objects(text):
        judged = []
        for one in rebuttals:
            verdict = found.get(one.entry.id)
            say = str(verdict.get("say") or "").strip() if isinstance(verdict, dict) else ""
            if isinstance(verdict, dict) and isinstance(verdict.get("accepted"), bool) and (say or one.later):
                last, say = one.replies[-1].id, "" if one.later else say[:LONGEST_SAID]
                told = {"finding": one.entry.id, "accepted": verdict["accepted"], "say": say}
                judged.append(Judged(**told, reply=last, counts=one.counts, later=one.later))
        if judged:
            return Judgements(judged=tuple(judged))
    return Judgements()


def _render(rebuttal: Rebuttal, said: str) -> str:
    entry = rebuttal.entry
    place = f"{entry.path}:{entry.anchor.line}" if entry.anchor else entry.path
    lines = [f"finding: {place}: {entry.title}", said]
    lines += [
        f"{reply.author} answered, and you answered that: {reply.text}" for reply in rebuttal.before[-MOST_BEFORE:]
    ]
    answered = "answered you again" if rebuttal.later else "answered"
    return "\n\n".join([*lines, *(f"{reply.author} {answered}: {reply.text}" for reply in rebuttal.replies)])
