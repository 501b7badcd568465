"""Volume: the band that the total falls in prices all units."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing
from tests.support.billing import tiers

TOP_UPS = billing.price("volume", tiers=tiers(("100", "10.00"), ("250", "9.60"), ("", "9.00")))
"""The ladder of X-57 to X-59, read as bands."""

# name                 quantity        amount
TABLE = """
nothing                0               0
one_billionth          0.000000001     0.00000001
x_57_band_1_minus_1    99              990
x_57_band_1_bound      100             1000
band_1_just_over       100.000000001   960.0000000096
x_59_band_1_plus_1     101             969.60
band_2_minus_1         249             2390.40
x_57_band_2_bound      250             2400
band_2_just_over       250.000000001   2250.000000009
band_2_plus_1          251             2259
x_57_500               500             4500
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestVolume:
    @pytest.mark.parametrize(("name", "quantity", "amount"), ROWS)
    def test_s2_10_prices_all_units_by_the_band(
        self, name: str, quantity: str, amount: str
    ) -> None:
        """S2-R4: a bound belongs to the band below it."""
        assert Fraction(amount) == billing.cost(TOP_UPS, billing.used(quantity))

    def test_is_not_monotone_at_a_bound(self) -> None:
        """The 101st unit makes all of them cheaper: what the form means, not a defect."""
        at, over = (billing.cost(TOP_UPS, billing.used(units)) for units in ("100", "101"))
        assert over < at

    def test_bands_and_fees_start_above_the_allowance(self) -> None:
        """With 50 included, 50 cost nothing, 51 the fee and a unit, 151 the second band."""
        bands = [{"up_to": "100", "rate": "2", "fee": "5"}, {"rate": "1"}]
        price = billing.price("volume", tiers=bands, included="50", per="10")
        costs = [
            billing.cost(price, billing.used(units))
            for units in ("49", "50", "50.000000001", "51", "150", "151")
        ]
        assert [0, 0, Fraction("5.0000000002"), Fraction("5.2"), 25, Fraction("10.1")] == costs

    def test_the_step_says_the_band(self) -> None:
        """A reader sees why every unit costs what it does."""
        (step,) = TOP_UPS.charge(billing.used("101"), share=WHOLE)
        assert "every unit, as the total is over 100 up to 250" == step.label
