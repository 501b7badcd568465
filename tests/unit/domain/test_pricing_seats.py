"""Seats: each one above the included ones has its fee."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing

# name                 amount  included  seats  cost
TABLE = """
x_71_one_seat          49      1         1      0
x_80_starter_five      49      1         5      196
x_81_enterprise_five   199     1         5      796
one_over               49      1         2      49
no_seats               49      1         0      0
none_included          15      0         3      45
three_included_at      15      3         3      0
three_included_over    15      3         4      15
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestSeats:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
    def test_s3_18_charges_seats_above_the_included(self, row: list[str]) -> None:
        """S3-R4: one seat is included, each further one costs the plan's seat price."""
        _, amount, included, seats, cost = row
        price = billing.price("seats", amount=amount, included=included)
        assert Fraction(cost) == billing.cost(price, billing.used(seats, is_flow=False))

    def test_the_step_says_how_many(self) -> None:
        """A reader sees the seats that are charged and what one costs."""
        price = billing.price("seats", amount="49", included="1")
        (step,) = price.charge(billing.used("5"), share=WHOLE)
        assert ("seats over 1 included", Fraction(4), Fraction(49)) == (
            step.label,
            step.quantity,
            step.rate,
        )
