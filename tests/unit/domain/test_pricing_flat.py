"""Flat: the fee is the same whatever is used."""

from decimal import Decimal

import pytest

from domain.pricing.flat import Flat


class TestFlat:
    @pytest.mark.parametrize("quantity", ["0", "1", "9999999"])
    def test_s2_04_x_55_costs_the_same_whatever_is_used(self, quantity: str) -> None:
        """S3 Professional is 499 for 0 calls and for 9,999,999."""
        steps = Flat(key="base", amount=Decimal(499)).charge(Decimal(quantity))
        assert [step.amount for step in steps] == [Decimal(499)]

    def test_says_that_it_is_the_fee(self) -> None:
        """The one step shows the fee once."""
        (step,) = Flat(key="base", amount=Decimal("0.01")).charge(Decimal(5))
        assert (step.label, step.quantity, step.rate) == (
            "fee of the period",
            Decimal(1),
            Decimal("0.01"),
        )
