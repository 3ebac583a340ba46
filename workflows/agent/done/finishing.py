"""The model's word that it is done: it is taken once it is proven, or once what is not proven was said honestly."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workflows.agent import notices
from workflows.agent.calls.toolcalls import MalformedCall, Schema, parse_call
from workflows.agent.done.doubts import OPENINGS, Doubt, Reason, find_doubts, say_old_failures
from workflows.agent.done.proof import weigh_runs
from workflows.agent.stuck.steps import string_argument
from workflows.types import Finish, Patch, ToolCall, ToolResult, Turn

# No doubt is said more often than this, so that no session is held for ever.
MOST_REFUSALS = 2
FEWEST_WORDS = 5
FEWEST_NEW_WORDS = 4
# Where one refusal is enough: a doubt about the one reply, and a request that cannot always be met.
_SAID_ONCE: frozenset[Reason] = frozenset({"failed_call", "changed", "unchanged", "no_test"})


def answer_finish(
    calls: Sequence[ToolCall],
    turns: Sequence[Turn],
    under_way: Turn,
    *,
    schemas: Sequence[Schema],
    changed: bool,
    patch: Patch | None = None,
    baseline_failing: frozenset[str] = frozenset(),
    weakened: tuple[str, ...] = (),
) -> tuple[Finish | None, list[ToolResult]]:
    """The closing words, if they are accepted, and one result a call: the first is ``finish``, the rest is not run.

    ``under_way`` is its own turn before it; ``changed`` says whether the workspace differs from its base and ``patch``
    how (None: not known, then no test is asked for). ``baseline_failing`` failed before any change.
    ``weakened`` are sentences on tests that check less now. What is accepted without proof is in ``Finish.unproven``;
    where no reason came with it either, ``Finish.unexplained`` says so.
    """
    parsed = parse_call(calls[0], schemas)
    finish = None
    if isinstance(parsed, MalformedCall):
        objection = parsed.message
    else:
        said = Finish.model_validate(parsed.arguments)
        with_tests = any(schema["function"]["name"] == "run_tests" for schema in schemas)
        proof = weigh_runs([*turns, under_way], known_failing=baseline_failing)
        doubts = find_doubts(said, proof, changed=changed, with_tests=with_tests, patch=patch, weakened=weakened)
        if any(result.failed and result.name != "run_tests" for result in under_way.results):
            doubts.insert(0, Doubt("failed_call", f"{OPENINGS['failed_call']}: look at its result."))
        unsettled = _unsettled(said, doubts, turns)
        objection = _object([doubt for doubt, times in unsettled if times < MOST_REFUSALS])
        if not objection:
            old = "" if said.no_change_needed else say_old_failures(proof)
            unproven = tuple(one for one in (*(doubt.unproven for doubt in doubts), old) if one)
            finish = said.model_copy(update={"unproven": unproven, "unexplained": changed and bool(unsettled)})
    answers = [(calls[0], objection or notices.FINISHED, bool(objection))]
    answers += [(call, notices.AFTER_FINISH, True) for call in calls[1:]]
    return finish, [
        ToolResult(call_id=call.id, name=call.name, content=text, failed=failed) for call, text, failed in answers
    ]


def _unsettled(finish: Finish, doubts: Sequence[Doubt], turns: Sequence[Turn]) -> list[tuple[Doubt, int]]:
    """The doubts that the closing words do not answer, and how often each was said already."""
    earlier = _refusals(turns)
    explained = _explains(finish, [words for words, _ in earlier])
    unsettled = []
    for doubt in doubts:
        times = sum(f"- {OPENINGS[doubt.reason]}" in text for _, text in earlier)
        if not times or (doubt.reason not in _SAID_ONCE and not (doubt.explainable and explained)):
            unsettled.append((doubt, times))
    return unsettled


def _object(standing: Sequence[Doubt]) -> str:
    """The answer that sends the model back; empty when its word is taken."""
    if not standing:
        return ""
    closing = (
        "Put it right. If it cannot be put right or is as it should be, call `finish` again and say in `verification` "
        "in full sentences why, and what is therefore not proven: it is shown to the people who read the change."
    )
    return "\n".join([notices.NOT_FINISHED, *(f"- {doubt.said}" for doubt in standing), closing])


def _refusals(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """The ``verification`` and the answer of every ``finish`` that was sent back with doubts."""
    found = []
    for turn in turns:
        answers = {result.call_id: result.content for result in turn.results if result.name == "finish"}
        for call in turn.reply.tool_calls:
            text = answers.get(call.id, "")
            if text.startswith(notices.NOT_FINISHED):
                found.append((string_argument(call, "verification"), text))
    return found


def _explains(finish: Finish, refused: Sequence[str]) -> bool:
    """Whether ``verification`` is a sentence with something new, beside the summary and what was refused already."""
    words = re.findall(r"\w+", finish.verification.lower())
    said = [set(re.findall(r"\w+", text.lower())) for text in (*refused, finish.summary)]
    return len(words) >= FEWEST_WORDS and all(len(set(words) - known) >= FEWEST_NEW_WORDS for known in said)
