import pytest

from tally.amounts import AmountError, parse_amount


@pytest.mark.parametrize(
    ("text", "cents"),
    [("12.50", 1250), ("7.5", 750), ("3", 300), ("0.05", 5), (" 1.00 ", 100)],
)
def test_amounts_are_read_as_cents(text: str, cents: int) -> None:
    assert parse_amount(text) == cents


@pytest.mark.parametrize("text", ["", "ten", "1.234", "1,50", "1.x"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountError):
        parse_amount(text)
