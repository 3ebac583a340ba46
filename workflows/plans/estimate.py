"""What a planned job will need: the median of the jobs before it, or a guess that says that it is one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from workflows.types import Budget, Noun

FEWEST_JOBS = 3  # a median of fewer says little
# A guess, not a measurement: some turns to read and to finish, and a few for every point of the plan.
TURNS_AT_LEAST = 8
TURNS_A_STEP = 3
TURNS_A_FILE = 2
TURNS_A_TEST = 2
MINUTES_A_TURN = 0.25


class PastJob(Noun):
    """What a finished job used. ``usd`` is 0 where no prices are set."""

    turns: int
    seconds: float
    usd: float = 0.0


class Estimate(Noun):
    """What a job will need. ``jobs`` is how many it is the median of, 0 for a guess; ``usd`` None: unknown."""

    turns: int
    minutes: float
    usd: float | None = None
    jobs: int = 0


def estimate(
    *, steps: int, files: int, tests: int, history: Sequence[PastJob] = (), usd_a_turn: float | None = None
) -> Estimate:
    """The medians of the ``history`` (jobs of the same repository and kind) when it has three jobs or more.

    Else 8 turns, 3 more for each of the plan's ``steps``, 2 for each of its ``files`` and 2 for each of its ``tests``;
    a quarter of a minute a turn, and ``usd_a_turn`` if that is known.
    """
    worked = [job for job in history if job.turns > 0]
    if len(worked) >= FEWEST_JOBS:
        # Jobs from before prices were set say nothing about money.
        paid = [job.usd for job in worked if job.usd > 0]
        return Estimate(
            turns=round(median(job.turns for job in worked)),
            minutes=round(median(job.seconds for job in worked) / 60, 1),
            usd=median(paid) if paid else None,
            jobs=len(worked),
        )
    turns = TURNS_AT_LEAST + TURNS_A_STEP * steps + TURNS_A_FILE * files + TURNS_A_TEST * tests
    return Estimate(
        turns=turns,
        minutes=round(turns * MINUTES_A_TURN, 1),
        usd=None if usd_a_turn is None else turns * usd_a_turn,
    )


def render_estimate(found: Estimate, *, budget: Budget | None = None) -> str:
    """The estimate in a sentence or two; what is more than the job's ``budget`` is said."""
    money = "money unknown" if found.usd is None else f"{found.usd:.2f} USD"
    source = (
        f"the median of {found.jobs} earlier jobs" if found.jobs else "a guess from the plan's size, not a measurement"
    )
    line = f"Estimate: about {found.turns} turns, {found.minutes:g} minutes, {money} ({source})."
    over = _over(found, budget) if budget else []
    return f"{line} That is more than the job's budget of {' and '.join(over)}." if over else line


def _over(found: Estimate, budget: Budget) -> list[str]:
    return [
        text
        for text, more in (
            (f"{budget.turns} turns", found.turns > budget.turns),
            (f"{round(budget.seconds / 60, 1):g} minutes", found.minutes * 60 > budget.seconds),
            (f"{budget.usd:g} USD", (found.usd or 0) > budget.usd),
        )
        if more
    ]
