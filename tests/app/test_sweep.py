"""The sweep for lost deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.github import Delivery
from app.sweep import choose_lost

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def entry(number: int, guid: str, status: int, *, minutes: float = 10) -> Delivery:
    """One line of GitHub's log."""
    return Delivery(
        id=number,
        guid=guid,
        event="issues",
        action="labeled",
        delivered_at=NOW - timedelta(minutes=minutes),
        status_code=status,
        redelivery=False,
    )


@pytest.mark.parametrize(
    ("entries", "known", "chosen"),
    [
        ([entry(1, "a", 502)], [], [1]),
        ([entry(1, "a", 202)], [], []),
        ([entry(1, "a", 502)], ["a"], []),
        ([entry(1, "a", 502, minutes=20), entry(2, "a", 200)], [], []),
        ([entry(1, "a", 502, minutes=20), entry(2, "a", 503)], [], [2]),
        ([entry(1, "a", 502, minutes=0.1)], [], []),
        ([entry(number, "a", 502, minutes=60 - number) for number in range(5)], [], []),
        ([entry(1, "b", 502, minutes=5), entry(2, "a", 502, minutes=9)], [], [2, 1]),
    ],
    ids=["lost", "arrived", "known", "arrived later", "lost twice", "in flight", "given up", "oldest first"],
)
def test_what_counts_as_lost(entries: list[Delivery], known: list[str], chosen: list[int]) -> None:
    """A delivery is lost when no attempt arrived, we do not know it, and it is neither in flight nor hopeless."""
    lost = choose_lost(entries, known=lambda guid: guid in known, now=NOW)
    assert [delivery.id for delivery in lost] == chosen
