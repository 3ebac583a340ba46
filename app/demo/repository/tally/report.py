"""The report: what each person paid, and who owes whom."""

from __future__ import annotations

from collections.abc import Iterable

from tally.ledger import Payment
from tally.shares import split_evenly


def paid_by_person(payments: Iterable[Payment]) -> dict[str, int]:
    """Add up what each person paid, in cents, in the order of their first payments."""
    paid: dict[str, int] = {}
    for payment in payments:
        paid[payment.person] = paid.get(payment.person, 0) + payment.cents
    return paid


def format_amount(cents: int) -> str:
    """Write cents as an amount such as ``12.50``."""
    return f"{cents // 100}.{cents % 100:02d}"


def render_report(payments: Iterable[Payment]) -> str:
    """Render one line for each person and one for the total."""
    paid = paid_by_person(payments)
    total = sum(paid.values())
    lines = []
    for (person, cents), share in zip(paid.items(), split_evenly(total, max(1, len(paid)))):
        lines.append(f"{person:<8} {format_amount(cents):>7}   {_balance(cents - share)}".rstrip())
    lines.append(f"{'total':<8} {format_amount(total):>7}")
    return "\n".join(lines)


def _balance(cents: int) -> str:
    if cents == 0:
        return "is even"
    return f"gets {format_amount(cents)}" if cents > 0 else f"owes {format_amount(-cents)}"
