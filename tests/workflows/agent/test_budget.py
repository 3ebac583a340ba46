"""What a session has spent."""

from __future__ import annotations

from functools import reduce

import pytest

from workflows.agent.budget import Budget, Spent, exhausted, nearly_exhausted
from workflows.types import Reply, Turn, Usage

BUDGET = Budget(turns=10, tokens=1_000, seconds=100.0, usd=1.0)


def turn(number: int, *, tokens: int = 0, seconds: float = 0.0, usd: float = 0.0) -> Turn:
    usage = Usage(input_tokens=tokens, usd=usd)
    return Turn(number=number, reply=Reply(usage=usage, seconds=seconds), seconds=seconds)


def spent_on(turns: list[Turn]) -> Spent:
    return reduce(Spent.plus, turns, Spent())


@pytest.mark.parametrize(
    ("spent", "name"),
    [({"tokens": 100}, "turns"), ({"tokens": 200}, "tokens"), ({"seconds": 20.0}, "seconds"), ({"usd": 0.2}, "money")],
)
def test_each_part_ends_the_session(spent: dict[str, float], name: str) -> None:
    """At 85 % of any part it is nearly exhausted, at all of it exhausted, and not before."""
    turns = [turn(n, **spent) for n in range(1, 11)]  # type: ignore[arg-type]
    scale = 10 if name == "turns" else 5
    assert nearly_exhausted(BUDGET, spent_on(turns[: scale // 2])) is None
    assert exhausted(BUDGET, spent_on(turns[: scale - 1])) is None
    assert exhausted(BUDGET, spent_on(turns[:scale])) == name
    assert nearly_exhausted(BUDGET, spent_on(turns[:scale])) == name


def test_no_turns_cost_nothing() -> None:
    """A session that has not begun has its whole budget."""
    assert exhausted(BUDGET, spent_on([])) is None
    assert spent_on([]).usage == Usage()
