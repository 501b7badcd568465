"""Numbers on the screen are exact."""

from decimal import Decimal

import pytest

from cli.demo import tables


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (18_059_974, "18,059,974"),
        ("1234567.0250", "1,234,567.0250"),
        (Decimal("1000.50"), "1,000.5"),
    ],
)
def test_thousands_are_set_apart_and_nothing_is_rounded(
    value: Decimal | int | str, shown: str
) -> None:
    assert tables.number(value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1000000", "1M"), ("2500000", "2,500k"), ("1000", "1k"), ("1500", "1,500"), ("0", "0")],
)
def test_bounds_and_rate_units_are_short_and_exact(text: str, shown: str) -> None:
    assert tables.short(text) == shown
