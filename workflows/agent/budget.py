"""How much of its budget a session has spent: pure sums over finished turns, so that a replay agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workflows.types import Turn, Usage

WRAP_UP_SHARE = 0.85

Exhausted = Literal["turns", "tokens", "seconds", "money"]


@dataclass(frozen=True)
class Budget:
    """What one session may use, at most. ``tokens`` counts input and output of every call, cached ones too."""

    turns: int = 200
    tokens: int = 6_000_000
    seconds: float = 3600.0
    usd: float = 3.0


@dataclass(frozen=True)
class Spent:
    """What a session used so far."""

    turns: int
    seconds: float
    usage: Usage


def spent_on(turns: Sequence[Turn]) -> Spent:
    """The sum over the turns; ``seconds`` is the wall time of the turns themselves, not of pauses between attempts."""
    usage = sum((turn.reply.usage for turn in turns), Usage())
    return Spent(turns=len(turns), seconds=sum(turn.seconds for turn in turns), usage=usage)


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
