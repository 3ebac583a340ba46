"""Whether a session goes round in circles: patterns in its last turns, each look bounded by a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from workflows.agent.stuck.chanting import is_chanting
from workflows.agent.stuck.steps import Step, changed_tree, read_step
from workflows.types import TestTally, ToolResult, Turn

Pattern = Literal[
    "same_result",
    "same_call",
    "same_error",
    "alternating",
    "messages",
    "chanting",
    "compactions",
    "no_progress",
    "same_failures",
]

SAME_RESULTS = 4
SAME_CALLS = 5
SAME_ERRORS = 3
MESSAGES = 3
# How often a round of two or of three calls is one too often: others' tests take three calls three times for work.
ROUNDS = {2: 3, 3: 4}
# An error counts as the same though the model looked at something in between, but not for ever.
ERROR_WINDOW = 8
BARE_COMPACTIONS = 10
COMPACTIONS = 3
IDLE_TURNS = 40
SAME_FAILURES = 10
STEP_WINDOW = 20
TURN_WINDOW = 60
SHOWN = 160


@dataclass(frozen=True)
class Stuck:
    """How a session is stuck: the pattern, and one sentence of what repeats, for the model and for people."""

    pattern: Pattern
    sentence: str


def find_stuck(
    turns: Sequence[Turn],
    *,
    since: int = 0,
    known_failing: frozenset[str] = frozenset(),
    steps: Sequence[Step] | None = None,
) -> Stuck | None:
    """The first pattern that the last turns show, or None; it looks at no more than the last 60 of them.

    ``since``: the number of turns at the beginning that do not count, because a person spoke after them.
    ``known_failing``: tests that failed before any change.
    ``steps``: what was read of the last turns before, of at least ``STEP_WINDOW`` of them where there are so many.
    """
    window = turns[max(since, len(turns) - TURN_WINDOW) :]
    if not window:
        return None
    if is_chanting(window[-1].reply.content):
        return Stuck("chanting", "Your last reply said one thing over and over.")
    count = min(len(window), STEP_WINDOW)
    steps = [read_step(turn) for turn in window[-count:]] if steps is None else steps[-count:]
    return find_repetition(steps) or _find_idleness(window, known_failing)


def find_repetition(steps: Sequence[Step], *, errors: int = SAME_ERRORS) -> Stuck | None:
    """The pattern in which the last steps repeat, or None; the last 20 are looked at.

    ``errors``: how often the same error is one too many.
    """
    steps = steps[-STEP_WINDOW:]
    if not steps:
        return None
    if only_messages(steps):
        return Stuck("messages", f"The last {MESSAGES} replies held no whole tool call.")
    bare = sum(step.compactions for step in takewhile(lambda step: not _speaks(step), reversed(steps)))
    if bare >= BARE_COMPACTIONS:
        return Stuck("compactions", f"The conversation was shortened {bare} times with nothing done in between.")
    if not _acts(steps[-1]):
        return None
    acts = [step for step in steps if _acts(step)]
    return _same_error(acts, errors) or _same_result(acts) or _same_call(acts) or _rounds(acts)


def only_messages(steps: Sequence[Step]) -> bool:
    """Whether the last three replies held no call."""
    return len(steps) >= MESSAGES and all(_speaks(step) and not _acts(step) for step in steps[-MESSAGES:])


def _acts(step: Step) -> bool:
    return bool(step.calls)


def _speaks(step: Step) -> bool:
    return _acts(step) or not step.compactions


def _same_result(steps: Sequence[Step]) -> Stuck | None:
    tail = steps[-SAME_RESULTS:]
    if len(tail) < SAME_RESULTS or not tail[-1].results or len({step.pair for step in tail}) > 1:
        return None
    return Stuck("same_result", f"The same call gave the same result {SAME_RESULTS} times: {_shown(tail[-1])}.")


def _same_error(steps: Sequence[Step], times: int) -> Stuck | None:
    tail = steps[-times:]
    if len(tail) < times or not tail[-1].errors:
        return None
    if all(step.failed for step in tail) and len({step.calls for step in tail}) == 1:
        return Stuck("same_error", f"The same call failed {times} times in a row: {_shown(tail[-1])}.")
    common = frozenset.intersection(*(step.errors for step in tail))
    if not (common and all(step.failed for step in tail)):
        recent = list(takewhile(lambda step: step.changed is False, reversed(steps[-ERROR_WINDOW:])))
        common = frozenset(error for error in tail[-1].errors if sum(error in step.errors for step in recent) >= times)
    if not common:
        return None
    tool, text = min(common)
    # Further lines are a command's output, and words of others do not belong into ours.
    first = _clean(text.partition("\n")[0]).rstrip(".")
    return Stuck("same_error", f"`{tool}` failed with the same error {times} times: {first}.")


def _same_call(steps: Sequence[Step]) -> Stuck | None:
    tail = steps[-SAME_CALLS:]
    if len(tail) < SAME_CALLS or len({step.calls for step in tail}) > 1:
        return None
    results = {step.results for step in tail}
    # Waiting for something to change by looking at it is no loop, nor is a command that does a piece of work each time.
    if len(results) > 1 and (tail[-1].reads or all(step.changed for step in tail)):
        return None
    return Stuck("same_call", f"The same call was made {SAME_CALLS} times in a row: {_shown(tail[-1])}.")


def _rounds(steps: Sequence[Step]) -> Stuck | None:
    """Two or three calls that come again in the same order, each with the result that it had."""
    for length, times in ROUNDS.items():
        tail = [step.pair for step in steps[-times * length :]]
        if len(tail) == times * length and all(results for _, results in tail) and tail[length:] == tail[:-length]:
            told = " and ".join(_shown(step) for step in steps[-length:])
            count = {2: "Two", 3: "Three"}[length]
            return Stuck("alternating", f"{count} calls took turns {times} times with the same results: {told}.")
    return None


def _find_idleness(turns: Sequence[Turn], known_failing: frozenset[str]) -> Stuck | None:
    """The patterns of a session that does different things and gets nowhere."""
    idle = list(reversed(turns[_last_progress(turns) :]))
    shortened = sum(any(compaction.kind != "fresh" for compaction in turn.compactions) for turn in idle)
    if shortened >= COMPACTIONS:
        return Stuck(
            "compactions",
            f"The conversation was shortened {shortened} times while neither the files nor the failing tests changed.",
        )
    if len(idle) >= IDLE_TURNS:
        return Stuck("no_progress", f"For {len(idle)} turns neither the files nor the failing tests changed.")
    return _same_failures(turns, known_failing)


def _last_progress(turns: Sequence[Turn]) -> int:
    """How many turns it took to the last change of the tree, or of what a test command shows; 0 without one."""
    shown: dict[str, tuple[object, ...]] = {}
    last = 0
    for number, turn in enumerate(turns, start=1):
        if changed_tree(turn):
            last = number
        for result in turn.results:
            if result.tests is not None:
                now = _outcome(result.tests)
                if shown.setdefault(_command(result), now) != now:
                    last = number
                shown[_command(result)] = now
    return last


def _same_failures(turns: Sequence[Turn], known_failing: frozenset[str]) -> Stuck | None:
    """Edit after edit, and the same tests fail: no call repeats, and nothing comes of them."""
    runs = [result for turn in turns for result in turn.results if result.tests is not None]
    if not runs or runs[-1] not in turns[-1].results:
        return None
    same = [result for result in runs if _command(result) == _command(runs[-1])][-SAME_FAILURES:]
    last = same[-1].tests
    if last is None or len(same) < SAME_FAILURES or set(last.failing) <= known_failing:
        return None
    if any(result.tests is None or _outcome(result.tests) != _outcome(last) for result in same):
        return None
    failing = [name for name in last.failing if name not in known_failing]
    told = ", ".join(f"`{_clean(name)}`" for name in failing[:3])
    return Stuck("same_failures", f"{SAME_FAILURES} test runs in a row failed in the same tests: {told}.")


def _outcome(tests: TestTally) -> tuple[object, ...]:
    return (frozenset(tests.failing), tests.failed, tests.passed, tests.exit_code if not tests.counted else None)


def _command(result: ToolResult) -> str:
    """The command that a test run names in its first line: runs of other targets are not comparable."""
    return result.content.partition("\n")[0]


def _shown(step: Step) -> str:
    return " and ".join(f"`{_clean(call)}`" for call in step.calls[:3])


def _clean(text: str) -> str:
    line = " ".join(text.replace("`", "'").split())
    return line[:SHOWN] + ("…" if len(line) > SHOWN else "")
