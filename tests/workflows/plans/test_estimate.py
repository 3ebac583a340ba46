"""Estimates: medians where there is something to go by, an admitted guess where not."""

from __future__ import annotations

import pytest

from workflows.plans.estimate import Estimate, PastJob, estimate, render_estimate
from workflows.types import Budget

PAST = [PastJob(turns=turns, seconds=turns * 30.0, usd=turns / 100) for turns in (10, 20, 90)]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (PAST, Estimate(turns=20, minutes=10.0, usd=0.2, jobs=3)),
        (PAST[:2], Estimate(turns=19, minutes=4.8)),
        ([], Estimate(turns=19, minutes=4.8)),
        ([*PAST[:2], PastJob(turns=0, seconds=1)], Estimate(turns=19, minutes=4.8)),
        ([PastJob(turns=4, seconds=60)] * 3, Estimate(turns=4, minutes=1.0, jobs=3)),
    ],
)
def test_medians_or_a_guess(history: list[PastJob], expected: Estimate) -> None:
    """Three jobs that worked give a median; fewer give the formula. Money without prices is unknown, not zero."""
    assert estimate(steps=1, files=2, tests=2, history=history) == expected


def test_a_guess_with_a_price() -> None:
    """A known price a turn makes a guess of money too."""
    assert estimate(steps=0, files=0, tests=0, usd_a_turn=0.5).usd == 4.0


def test_words() -> None:
    """People are told where the numbers come from, and what is over the budget."""
    guess, known = Estimate(turns=19, minutes=4.8), Estimate(turns=20, minutes=10, usd=0.2, jobs=3)
    assert "a guess" in render_estimate(guess)
    assert "money unknown" in render_estimate(guess)
    assert render_estimate(known) == "Estimate: about 20 turns, 10 minutes, 0.20 USD (the median of 3 earlier jobs)."
    tight = Budget(turns=19, seconds=570, usd=0.1)
    assert render_estimate(known, budget=tight).endswith("budget of 19 turns and 9.5 minutes and 0.1 USD.")
    assert render_estimate(known, budget=Budget()) == render_estimate(known)
