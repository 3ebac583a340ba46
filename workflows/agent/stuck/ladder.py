"""What is done about a stuck agent: a nudge, a new plan, a step back to the best change, and at last an honest stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from workflows.agent.stuck.failures import list_failures
from workflows.agent.stuck.patterns import TURN_WINDOW, Pattern, Stuck, find_stuck
from workflows.agent.stuck.rung_words import render_rung
from workflows.agent.stuck.steps import Step, changed_tree
from workflows.types import Intervention, Patch, Turn

QUIET_TURNS = 15
# After a word of ours the model gets this many turns to show that it heard it, before the next rung.
PATIENCE = 2
LONG_PATIENCE = 20

_SLOW: frozenset[Pattern] = frozenset({"compactions", "no_progress", "same_failures"})
_RUNGS: dict[str, Literal["replan", "rollback", "stop"]] = {"nudge": "replan", "replan": "rollback", "rollback": "stop"}


def next_rung(
    turns: Sequence[Turn],
    *,
    since: int = 0,
    known_failing: frozenset[str] = frozenset(),
    best: Patch | None = None,
    steps: Sequence[Step] | None = None,
) -> Intervention | Literal["stop"] | None:
    """What to do before the next turn: nothing (None), an intervention to be stored with that turn, or to stop.

    Each intervention in the turns so far makes the next one sterner, until there is progress: a change with fewer
    failing tests, or 15 turns in which nothing repeats. ``since``: the number of turns before a person spoke last.
    ``best``: the change that a rollback puts back, None for the untouched tree. The words of a rollback are meant for
    a fresh context, those of the others for the conversation as it is. ``steps``: see find_stuck.
    """
    last = _last_intervention(turns, since)
    before = turns[last].intervention if last is not None else None
    fresh = before is not None and before.kind == "rollback"
    since = last if fresh and last is not None else since
    stuck = find_stuck(turns, since=since, known_failing=known_failing, steps=steps)
    if stuck is None:
        return None
    kind: Literal["nudge", "replan", "rollback", "stop"] = "nudge"
    if last is not None and before is not None:
        waited = len(turns) - last
        if waited < (LONG_PATIENCE if stuck.pattern in _SLOW else PATIENCE):
            return None
        if not _recovered(turns, last, stuck):
            kind = _RUNGS[before.kind]
    if kind == "stop":
        return "stop"
    failures = list_failures(turns, known_failing=known_failing) if kind != "nudge" else []
    return Intervention(kind=kind, pattern=stuck.pattern, words=render_rung(kind, stuck, failures=failures, best=best))


def _last_intervention(turns: Sequence[Turn], since: int) -> int | None:
    first = max(since, len(turns) - TURN_WINDOW)
    return next((at for at in range(len(turns) - 1, first - 1, -1) if turns[at].intervention is not None), None)


def _recovered(turns: Sequence[Turn], last: int, stuck: Stuck) -> bool:
    """Whether the session had got going again since its last intervention, so that the ladder begins anew."""
    later = turns[last:]
    if _fails_less(turns, last) and any(changed_tree(turn) for turn in later):
        return True
    # A slow pattern takes longer than that to be seen again, so a quiet time tells nothing.
    return stuck.pattern not in _SLOW and len(later) >= QUIET_TURNS


def _fails_less(turns: Sequence[Turn], last: int) -> bool:
    before, after = (_failing_by_command(part) for part in (turns[max(0, last - TURN_WINDOW) : last], turns[last:]))
    return any(after[command] < before[command] for command in after.keys() & before.keys())


def _failing_by_command(turns: Sequence[Turn]) -> dict[str, int]:
    """The number of failing tests in the latest run of each command that named them."""
    return {
        result.content.partition("\n")[0]: result.tests.failed
        for turn in turns
        for result in turn.results
        if result.tests is not None and result.tests.counted and result.tests.exit_code is not None
    }
