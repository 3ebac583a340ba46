"""How much of its budget a session has spent: pure sums over finished turns, so that a replay agrees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from workflows.types import Budget, Turn, Usage

WRAP_UP_SHARE = 0.85

Exhausted = Literal["turns", "tokens", "seconds", "money"]


@dataclass(frozen=True)
class Spent:
    """What a session used so far. ``seconds`` is the wall time of the turns, not of pauses between them."""

    turns: int = 0
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)

    def plus(self, turn: Turn) -> Spent:
        """The spending with one more turn."""
        usage = sum((compaction.usage for compaction in turn.compactions), self.usage + turn.reply.usage)
        return Spent(self.turns + 1, self.seconds + turn.seconds, usage)


def exhausted(budget: Budget, spent: Spent) -> Exhausted | None:
    """The first part of the budget that is used up, or None."""
    return next((name for name, share in _shares(budget, spent).items() if share >= 1.0), None)


def nearly_exhausted(budget: Budget, spent: Spent) -> Exhausted | None:
    """The first part of the budget of which 85 % are used, or None."""
    return next((name for name, share in _shares(budget, spent).items() if share >= WRAP_UP_SHARE), None)


def _shares(budget: Budget, spent: Spent) -> dict[Exhausted, float]:
    used = spent.usage
    return {
        "turns": spent.turns / budget.turns,
        "tokens": (used.input_tokens + used.output_tokens) / budget.tokens,
        "seconds": spent.seconds / budget.seconds,
        "money": used.usd / budget.usd,
    }
