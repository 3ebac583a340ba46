"""The state snapshot: asked of the model over the conversation as it was sent, and accepted only if it is worth it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from workflows.agent.context.compaction import LEAST_GAIN, OPENING, measured, worth_it
from workflows.agent.context.retelling import FILE_TOKENS, LONGEST_CARRIED, MOST_FILES, render_snapshot
from workflows.agent.context.tokens import estimate_text, estimate_tokens
from workflows.agent.prompts import render_prompt
from workflows.services import BrokenWorld, ContextTooLong, Model
from workflows.types import Compaction, PlanItem, Reply, Usage

log = structlog.get_logger()

LEAST_SECTIONS = 4
TRIES = 2
LARGEST = 8_000
WORDS_A_TOKEN = 0.7
SHORTEST_WAIT = 1.0

# A heading in whatever form: "## Task", "**Task**", "1. Task:"; bounded, as a model wrote what stands before it.
_SECTION = re.compile(
    r"^(?:[^\w\n]|\d){0,40}(task|plan|decisions|files|test state|done|tried and failed|next step)\b", re.I | re.M
)

Objection = Callable[[str], str | None]


def request_snapshot(
    model: Model,
    messages: Sequence[dict[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]],
    kept_from: int,
    deadline: float | None,
    attached: Sequence[tuple[str, str]] = (),
    plan: Sequence[PlanItem] = (),
    largest: int = LARGEST,
) -> Compaction | None:
    """Ask the model for a snapshot that replaces the messages between the opening two and ``kept_from``.

    ``deadline``: seconds for both tries together. ``attached``: path and text of touched files, the most important
    first. ``largest``: tokens. None when the model gave no acceptable snapshot, could not be reached, or when nothing
    could be gained: then it was not asked. Raises ContextTooLong when the conversation does not fit in the request.
    """
    compaction, _ = take_snapshot(
        model,
        messages,
        shown=messages,
        tools=tools,
        kept_from=kept_from,
        deadline=deadline,
        attached=attached,
        plan=plan,
        largest=largest,
    )
    return compaction


def take_snapshot(
    model: Model,
    messages: Sequence[dict[str, Any]],
    *,
    shown: Sequence[dict[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    kept_from: int,
    deadline: float | None,
    attached: Sequence[tuple[str, str]],
    plan: Sequence[PlanItem],
    largest: int = LARGEST,
    file_tokens: int = FILE_TOKENS,
    carried: int = LONGEST_CARRIED,
) -> tuple[Compaction | None, Usage]:
    """The snapshot of ``messages``, and what asking for it cost, refused ones too.

    ``shown`` is the conversation the model is asked over: the same as ``messages`` before they were masked, so that the
    provider's cache of the last request is hit. Raises ContextTooLong when that does not fit.
    """
    replaced = estimate_tokens(messages[OPENING:kept_from])

    def compact(snapshot: str, files: Sequence[tuple[str, str]]) -> Compaction:
        dropped = messages[OPENING:kept_from]
        words = render_snapshot(snapshot, dropped, plan=plan, attached=files, file_tokens=file_tokens, carried=carried)
        return measured(messages, Compaction(kind="snapshot", kept_from=kept_from, words=words))

    if replaced <= LEAST_GAIN * estimate_tokens(messages) or not worth_it(compact("", ())):
        return None, Usage()

    def objection(text: str) -> str | None:
        size = estimate_text(text)
        if size >= replaced or size > 2 * largest or not worth_it(compact(text, ())):
            return "it is too long for what it replaces"
        sections = {name.lower() for name in _SECTION.findall(text)}
        return None if len(sections) >= LEAST_SECTIONS else "it does not have the sections asked for"

    words = max(50, int(min(largest, replaced / 2) * WORDS_A_TOKEN))
    text, usage = _ask(model, shown, tools=tools, deadline=deadline, words=words, objection=objection)
    if text is None:
        return None, usage
    for count in range(min(len(attached), MOST_FILES), -1, -1):
        compaction = compact(text, attached[:count])
        if worth_it(compaction):
            return compaction.model_copy(update={"usage": usage}), usage
    return None, usage


def _ask(
    model: Model,
    shown: Sequence[dict[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]],
    deadline: float | None,
    words: int,
    objection: Objection,
) -> tuple[str | None, Usage]:
    started = time.monotonic()
    usage = Usage()
    request = [*shown, {"role": "user", "content": render_prompt("compaction", words=str(words))}]
    for _ in range(TRIES):
        left = None if deadline is None else deadline - (time.monotonic() - started)
        if left is not None and left < SHORTEST_WAIT:
            break
        try:
            reply = model.complete(request, tools=tools, deadline=left)
        except BrokenWorld as broken:
            if isinstance(broken, ContextTooLong) and usage == Usage():
                raise
            log.warning("no snapshot", reason=broken.message)
            break
        usage += reply.usage
        refused = _fault(reply) or objection(reply.content.strip())
        if refused is None:
            return reply.content.strip(), usage
        log.warning("snapshot refused", reason=refused)
        again = f"That was no usable snapshot: {refused}. Write it again, in at most {words} words, with no tool call."
        request = [*request, {"role": "user", "content": again}]
    return None, usage


def _fault(reply: Reply) -> str | None:
    if reply.tool_calls or reply.incomplete:
        return "it was a tool call"
    if reply.finish_reason == "length":
        return "it was cut off at the output limit"
    return None if reply.content.strip() else "it was empty"
