"""Even shares of a sum, to the cent."""

from __future__ import annotations


def split_evenly(cents: int, people: int) -> list[int]:
    """Split a sum into shares that differ by at most one cent and add up to it."""
    share, rest = divmod(cents, people)
    return [share + 1 if index < rest else share for index in range(people)]
