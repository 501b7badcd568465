"""Tiered flat: one amount for the band, however far it is reached."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing
from tests.support.billing import tiers

BANDS = billing.price(
    "tiered_flat",
    tiers=tiers(("10", "20"), ("100", "150"), ("", "900"), what="amount"),
    included="5",
)

# name             quantity        amount
TABLE = """
nothing            0               0
allowance          5               0
just_over          5.000000001     20
band_1_minus_1     14              20
band_1_bound       15              20
band_1_just_over   15.000000001    150
band_1_plus_1      16              150
band_2_bound       105             150
band_2_just_over   105.000000001   900
far_beyond         1000000         900
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestTieredFlat:
    @pytest.mark.parametrize(("name", "quantity", "amount"), ROWS)
    def test_costs_the_band_of_the_total(self, name: str, quantity: str, amount: str) -> None:
        """A bound belongs to the band below it, and bounds count above the allowance."""
        assert Fraction(amount) == billing.cost(BANDS, billing.used(quantity))

    def test_the_step_says_the_band(self) -> None:
        """Or that none is reached."""
        labels = [BANDS.charge(billing.used(units), share=WHOLE)[0].label for units in ("5", "16")]
        assert ["no band is reached", "the total is over 10 up to 100"] == labels
