"""How a conversation is shrunk: what to mask, where to cut, and the conversation after it; pure, so a replay agrees."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

from workflows.agent.client.encoding import Unchanging
from workflows.agent.context.retelling import characters_for, render_trim
from workflows.agent.context.tokens import estimate_message, estimate_tokens
from workflows.types import Compaction, PlanItem

OPENING = 2
KEEP_LAST = 10
FLOOR = 400
LEAST_GAIN = 0.1
LONGEST_TRIM_WORDS = 16_000
SHORTEST_TRIM_WORDS = 600
# An answer to `ask` is a person's word.
HUMAN_TOOLS = frozenset({"ask"})


def apply_compaction(messages: Sequence[dict[str, Any]], compaction: Compaction) -> list[dict[str, Any]]:
    """The conversation after the compaction, as a new list; unchanged messages are shared with the old one.

    A valid conversation stays valid for strict servers. Raises ValueError for a compaction that does not belong to this
    conversation: a masked message that is no tool result, a cut between a call and its results, or no words.
    """
    if compaction.kind == "mask":
        return _masked(messages, compaction.masked)
    kept_from = compaction.kept_from
    if kept_from not in _boundaries(messages):
        raise ValueError(f"The compaction cuts at message {kept_from}, which is no boundary of this conversation.")
    if not compaction.words.strip():
        raise ValueError("The compaction has no words to put in place of what it drops.")
    words = Unchanging(role="user", content=compaction.words)
    return [*messages[:OPENING], words, *messages[kept_from:]]


def cut_points(messages: Sequence[dict[str, Any]]) -> list[int]:
    """The indices at which a conversation may be cut: before the first message of a turn (its notices, if it has some),
    and at the end; always outside the opening two and never between a call and its results.
    """
    whole = len(messages)
    return [
        index for index in _boundaries(messages) if index in (OPENING, whole) or messages[index - 1]["role"] != "user"
    ]


def plan_mask(
    messages: Sequence[dict[str, Any]],
    *,
    keep_last: int = KEEP_LAST,
    floor: int = FLOOR,
    failed_ids: Collection[str] = (),
) -> Compaction | None:
    """Mask the old tool results in one batch; None when the conversation would shrink by less than 10 %.

    What stays: the last ``keep_last`` results, those of failed calls (``failed_ids``: call ids) and of ``ask``, those
    of less than ``floor`` characters, and everything that is no tool result.
    """
    names = _tool_names(messages)
    results = [index for index, message in enumerate(messages) if message["role"] == "tool"]
    old = results[: max(0, len(results) - keep_last)]
    masked = tuple(
        index
        for index in old
        if len(messages[index]["content"]) >= floor
        and messages[index]["tool_call_id"] not in failed_ids
        and names.get(messages[index]["tool_call_id"]) not in HUMAN_TOOLS
    )
    return _if_worth_it(messages, Compaction(kind="mask", masked=masked)) if masked else None


def plan_snapshot(messages: Sequence[dict[str, Any]], *, keep_tokens: int) -> int:
    """From where the messages are kept: the first cut after which at most ``keep_tokens`` (estimated) are left; the end
    when even the last turn is larger.
    """
    return _first_cut(messages, keep_tokens)


def plan_trim(
    messages: Sequence[dict[str, Any]], *, target_tokens: int, plan: Sequence[PlanItem] = ()
) -> Compaction | None:
    """Drop the oldest turns until about ``target_tokens`` (estimated) are left; None when that gains less than 10 %.

    The words list the plan, what people said, and one line a call.
    """
    room = target_tokens - estimate_tokens(messages[:OPENING])
    kept_from = _first_cut(messages, room - target_tokens // 4)
    dropped = messages[OPENING:kept_from]
    if not dropped:
        return None
    for limit in (min(LONGEST_TRIM_WORDS, characters_for(target_tokens // 4)), SHORTEST_TRIM_WORDS):
        words = render_trim(dropped, plan=plan, limit=max(limit, SHORTEST_TRIM_WORDS))
        done = _if_worth_it(messages, Compaction(kind="trim", kept_from=kept_from, words=words))
        if done is not None:
            return done
    return None


def fresh_start(messages: Sequence[dict[str, Any]], *, words: str) -> Compaction:
    """Drop everything after the opening two, and say ``words`` instead."""
    return measured(messages, Compaction(kind="fresh", kept_from=len(messages), words=words))


def measured(messages: Sequence[dict[str, Any]], compaction: Compaction) -> Compaction:
    """The compaction of this conversation with its tokens before and after (estimates, without the tools' schemas)."""
    before = estimate_tokens(messages)
    after = estimate_tokens(apply_compaction(messages, compaction))
    return compaction.model_copy(update={"tokens_before": before, "tokens_after": after})


def worth_it(compaction: Compaction) -> bool:
    """Whether a measured compaction saves at least 10 %."""
    return compaction.tokens_after <= (1 - LEAST_GAIN) * compaction.tokens_before


def _if_worth_it(messages: Sequence[dict[str, Any]], compaction: Compaction) -> Compaction | None:
    done = measured(messages, compaction)
    return done if worth_it(done) else None


def _masked(messages: Sequence[dict[str, Any]], indices: Sequence[int]) -> list[dict[str, Any]]:
    names = _tool_names(messages)
    masked = list(messages)
    for index in indices:
        message = messages[index]
        if message["role"] != "tool":
            raise ValueError(f"The compaction masks message {index}, which is no tool result.")
        name = names.get(message["tool_call_id"], "a tool")
        size = len(message["content"])
        words = f"[output of {name} left out: {size:,} characters; call it again if you need it]"
        masked[index] = Unchanging({**message, "content": words})
    return masked


def _tool_names(messages: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The tools' names by call id, which are unique over a session."""
    calls = (call for message in messages for call in message.get("tool_calls") or ())
    return {call["id"]: call["function"]["name"] for call in calls}


def _boundaries(messages: Sequence[dict[str, Any]]) -> list[int]:
    """The indices after the opening two before which every call is answered, the end among them."""
    return list(_walk_boundaries(messages))


def _walk_boundaries(messages: Sequence[dict[str, Any]]) -> Iterator[int]:
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if index >= OPENING and not waiting and message["role"] != "tool":
            yield index
        waiting |= {call["id"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool":
            waiting.discard(message["tool_call_id"])
    if len(messages) >= OPENING and not waiting:
        yield len(messages)


def _first_cut(messages: Sequence[dict[str, Any]], keep_tokens: int) -> int:
    sizes = [estimate_message(message) for message in messages]
    left = [*reversed(list(accumulate(reversed(sizes)))), 0]
    return next((cut for cut in cut_points(messages) if left[cut] <= keep_tokens), len(messages))
