from tally.ledger import read_ledger
from tally.report import format_amount, render_report
from tally.shares import split_evenly

TRIP = ["2024-05-02,Ada,Train tickets,42.00", "2024-05-03,Grace,Groceries,18.60"]


def test_amounts_are_written_with_two_digits() -> None:
    assert format_amount(1205) == "12.05"


def test_shares_add_up() -> None:
    assert split_evenly(1000, 3) == [334, 333, 333]


def test_the_report_says_who_owes_whom() -> None:
    assert render_report(read_ledger(TRIP)).splitlines() == [
        "Ada        42.00   gets 11.70",
        "Grace      18.60   owes 11.70",
        "total      60.60",
    ]


def test_an_empty_ledger_has_a_total() -> None:
    assert render_report([]) == "total       0.00"
