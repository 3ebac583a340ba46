"""Ledgers: CSV files with one line for each payment."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass

from tally.amounts import AmountError, parse_amount


class LedgerError(ValueError):
    """A line of a ledger cannot be read."""


@dataclass(frozen=True)
class Payment:
    """One line of a ledger; the amount is in cents."""

    date: str
    person: str
    purpose: str
    cents: int


def read_ledger(lines: Iterable[str]) -> list[Payment]:
    """Read the payments of a ledger; empty lines and comments are passed over."""
    payments = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = next(csv.reader([line], skipinitialspace=True))
        if len(fields) != 4:
            raise LedgerError(f"line {number}: expected 4 fields, found {len(fields)}")
        date, person, purpose, amount = (field.strip() for field in fields)
        try:
            payments.append(Payment(date, person, purpose, parse_amount(amount)))
        except AmountError as error:
            raise LedgerError(f"line {number}: {error}") from None
    return payments
