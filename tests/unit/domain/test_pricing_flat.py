"""Flat: the fee is the same whatever is used."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE, Share
from tests.support import billing


class TestFlat:
    @pytest.mark.parametrize("quantity", ["0", "1", "9999999"])
    def test_s2_04_x_55_costs_the_same_whatever_is_used(self, quantity: str) -> None:
        """S3 Professional is 499 for 0 calls and for 9,999,999."""
        price = billing.price("flat", amount="499")
        assert Fraction(499) == billing.cost(price, billing.used(quantity))

    def test_says_that_it_is_the_fee(self) -> None:
        """The one step shows the fee once."""
        (step,) = billing.price("flat", amount="0.01").charge(billing.used("5"), share=WHOLE)
        assert ("fee of the period", Fraction(1), Fraction("0.01")) == (
            step.label,
            step.quantity,
            step.rate,
        )

    def test_a_part_of_a_period_is_that_part_of_the_fee(self) -> None:
        """10 of 31 days of 9,000: exactly, and said."""
        price = billing.price("flat", amount="9000")
        (step,) = price.charge(billing.used("1", is_flow=False), share=Share(10, 31))
        assert Fraction(90_000, 31) == step.amount
        assert "fee of the period, 10 of 31 days" == step.label
