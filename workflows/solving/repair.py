"""A second chance: whether a session goes on whose change makes things worse, and with what words."""

from __future__ import annotations

from workflows.agent.budget import Spent, nearly_exhausted
from workflows.agent.done.run_report import render_tests
from workflows.agent.loop import AgentResult
from workflows.types import Budget, Usage, Verdict

MOST_REASONS = 10
SAID_DONE = frozenset({"finished", "unproven"})


def may_repair(result: AgentResult, verdict: Verdict, budget: Budget) -> bool:
    """Whether the session may go on: the model said that it was done, was wrong, and 15 % of each limit are left."""
    left = nearly_exhausted(budget, result.spent) is None
    return verdict.status == "worse" and result.stop in SAID_DONE and left


def render_verdict(verdict: Verdict) -> str:
    """The verdict in words for the model: its reasons, and the run after the change held against the one before."""
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons[:MOST_REASONS])
    if verdict.after is None:
        return reasons
    return f"{reasons}\n\n{render_tests(verdict.after, baseline=verdict.before)}"


def spent_after(first: AgentResult, second: AgentResult) -> Usage:
    """What the turns cost that the second result has and the first has not."""
    spent = Spent()
    for turn in second.turns[len(first.turns) :]:
        spent = spent.plus(turn)
    return spent.usage


def say_repair(first: AgentResult, second: AgentResult, before: Verdict, after: Verdict) -> str:
    """A sentence for the people on what happened."""
    turns = len(second.turns) - len(first.turns)
    came = "mended it" if after.status != "worse" else "could not mend it"
    more = f"{turns} more turn{'' if turns == 1 else 's'}"
    return f"The first change made things worse: {before.reasons[0].rstrip('.')}. The model {came} in {more}."
