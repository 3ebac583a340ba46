import pytest

from tally.ledger import LedgerError, Payment, read_ledger


def test_a_payment_is_read() -> None:
    assert read_ledger(["2024-05-02, Ada, Train, 42.00"]) == [
        Payment("2024-05-02", "Ada", "Train", 4200)
    ]


def test_comments_and_empty_lines_are_passed_over() -> None:
    assert read_ledger(["# May", "", "   "]) == []


def test_a_bad_line_is_named() -> None:
    with pytest.raises(LedgerError, match="line 2: expected 4 fields, found 2"):
        read_ledger(["2024-05-02,Ada,Train,42.00", "2024-05-03,Grace"])
