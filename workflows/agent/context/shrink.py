"""When a conversation is shrunk and by which means: masking first, then a snapshot, then the hard trim."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.agent.context.compaction import apply_compaction, plan_mask, plan_snapshot, plan_trim, worth_it
from workflows.agent.context.retelling import FILE_TOKENS, LONGEST_CARRIED, MOST_FILES, characters_for
from workflows.agent.context.summaries import LARGEST, take_snapshot
from workflows.agent.context.tokens import estimate_tokens
from workflows.services import ContextTooLong, Model
from workflows.types import Compaction, PlanItem, Usage

DEFAULT_CAP = 128_000
DEFAULT_SHARE = 0.8
LARGEST_SHARE = 0.95
# Shares of the cap. Opening, plan and what people said come on top; together they stay below ENOUGH.
ENOUGH = 0.6
KEPT = 0.2
SNAPSHOT = 0.1
FILES = 0.15
CARRIED = 0.1
LEAST_CARRIED = 4_000


def working_cap(window: int, setting: int | None = None) -> int:
    """From how many tokens on a conversation is shrunk, never above 95 % of the window.

    Without a setting it is the smaller of 80 % of the window and 128,000.
    """
    wished = min(DEFAULT_SHARE * window, DEFAULT_CAP) if setting is None else setting
    return int(min(wished, LARGEST_SHARE * window))


@dataclass(frozen=True)
class _Need:
    """What the means share. ``ratio``: real tokens for an estimated one; ``room``: real tokens to aim at."""

    model: Model
    tools: Sequence[Mapping[str, Any]]
    ratio: float
    room: int
    attached: Sequence[tuple[str, str]]
    plan: Sequence[PlanItem]
    deadline: float | None

    def raw(self, share: float) -> int:
        """A share of the room in estimated tokens."""
        return int(share * self.room / self.ratio)

    def size(self, messages: Sequence[dict[str, Any]]) -> int:
        """The real tokens of a request with these messages."""
        return math.ceil(self.ratio * estimate_tokens(messages, self.tools))


def compact(
    model: Model,
    messages: Sequence[dict[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]],
    cap: int,
    tokens: int,
    failed_ids: Collection[str] = (),
    attached: Sequence[tuple[str, str]] = (),
    plan: Sequence[PlanItem] = (),
    deadline: float | None = None,
    force: int = 0,
) -> tuple[Compaction, ...]:
    """The compactions to apply before the next request, in order, each to the conversation that the last one left.

    ``tokens`` is what the next request will probably measure; below ``cap`` nothing is done. ``force`` counts how often
    this request was refused as too long: at the first (1 or True) masking and snapshot come regardless of the numbers,
    from the second on half of the conversation goes. Empty: nothing more can be gained. The usage of snapshots, refused
    ones too, is in the compactions. Asks the model, so call it inside a step; applying the result is pure.
    """
    if not force and tokens < cap:
        return ()
    ratio = max(1, tokens) / max(1, estimate_tokens(messages, tools))
    room = min(cap, max(1, tokens)) if force else cap
    need = _Need(model, tools, ratio, room, attached, plan, deadline)
    if force > 1:
        return _trim(need, messages, share=0.5)
    mask = _sized(need, messages, plan_mask(messages, failed_ids=failed_ids))
    steps = (mask,) if mask else ()
    masked = apply_compaction(messages, mask) if mask else list(messages)
    if mask and not force and mask.tokens_after <= ENOUGH * cap:
        return steps
    shows_all = not force and tokens + LARGEST < model.context_window
    snapshot, lost = _snapshot(need, messages if shows_all else masked, masked)
    snapshot = _sized(need, masked, snapshot)
    if snapshot is None:
        return _charged((*steps, *_trim(need, masked, share=ENOUGH)), lost)
    after = apply_compaction(masked, snapshot)
    return (*steps, snapshot, *(_trim(need, after, share=ENOUGH) if snapshot.tokens_after >= room else ()))


def _snapshot(
    need: _Need, shown: Sequence[dict[str, Any]], masked: Sequence[dict[str, Any]]
) -> tuple[Compaction | None, Usage]:
    kept_from = plan_snapshot(masked, keep_tokens=need.raw(KEPT))
    for conversation in (shown, masked) if shown is not masked else (masked,):
        try:
            return take_snapshot(
                need.model,
                masked,
                shown=conversation,
                tools=need.tools,
                kept_from=kept_from,
                deadline=need.deadline,
                attached=need.attached,
                plan=need.plan,
                largest=min(LARGEST, need.raw(SNAPSHOT)),
                file_tokens=min(FILE_TOKENS, need.raw(FILES) // MOST_FILES),
                carried=max(LEAST_CARRIED, min(LONGEST_CARRIED, characters_for(need.raw(CARRIED)))),
            )
        except ContextTooLong:
            continue
    return None, Usage()


def _trim(need: _Need, messages: Sequence[dict[str, Any]], *, share: float) -> tuple[Compaction, ...]:
    target = need.raw(share) - estimate_tokens((), need.tools)
    trim = plan_trim(messages, target_tokens=max(0, target), plan=need.plan)
    sized = _sized(need, messages, trim)
    return (sized,) if sized else ()


def _charged(steps: tuple[Compaction, ...], lost: Usage) -> tuple[Compaction, ...]:
    """With what refused snapshots cost on the last step: it was spent, whatever came of it."""
    return (*steps[:-1], steps[-1].model_copy(update={"usage": lost})) if steps else ()


def _sized(need: _Need, messages: Sequence[dict[str, Any]], compaction: Compaction | None) -> Compaction | None:
    """With the figures that the provider would report, tools included; None when it is not worth it by these."""
    if compaction is None:
        return None
    after = need.size(apply_compaction(messages, compaction))
    sized = compaction.model_copy(update={"tokens_before": need.size(messages), "tokens_after": after})
    return sized if worth_it(sized) else None
