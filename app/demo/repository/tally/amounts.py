"""Amounts of money, as text and as whole cents."""

from __future__ import annotations


class AmountError(ValueError):
    """The text is not an amount."""


def parse_amount(text: str) -> int:
    """Return the cents of an amount such as ``12.50``, ``7.5`` or ``3``."""
    whole, _, fraction = text.strip().partition(".")
    digits = whole.lstrip("-")
    if not digits.isdigit() or len(fraction) > 2 or (fraction and not fraction.isdigit()):
        raise AmountError(f"not an amount: {text!r}")
    return int(whole) * 100 + int(fraction.ljust(2, "0"))
