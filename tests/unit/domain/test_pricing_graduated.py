"""Graduated: each tier prices only the units that fall into it."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing
from tests.support.billing import tiers

TOP_UPS = billing.price("graduated", tiers=tiers(("100", "10.00"), ("250", "9.60"), ("", "9.00")))
"""The ladder of X-57 to X-59: 1-100 at 10.00, 101-250 at 9.60, from 251 at 9.00."""

# name               quantity          steps  amount
TABLE = """
nothing              0                 1      0
first_unit           1                 1      10
tier_1_minus_1       99                1      990
tier_1_bound         100               1      1000
tier_1_just_over     100.000000001     2      1000.0000000096
x_59_tier_1_plus_1   101               2      1009.60
tier_2_minus_1       249               2      2430.40
x_58_tier_2_bound    250               2      2440
tier_2_plus_1        251               3      2449
x_58_500             500               3      4690
far_beyond           1000000           3      9000190
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestGraduated:
    @pytest.mark.parametrize(("name", "quantity", "steps", "amount"), ROWS)
    def test_s2_09_prices_each_tier_by_itself(
        self, name: str, quantity: str, steps: str, amount: str
    ) -> None:
        """Only tiers that are reached have a step; a bound belongs to the tier below it."""
        made = TOP_UPS.charge(billing.used(quantity), share=WHOLE)
        assert (int(steps), Fraction(amount)) == (len(made), sum(step.amount for step in made))

    def test_starts_the_ladder_above_the_allowance(self) -> None:
        """With 50 included, unit 150 is the last of tier one and 151 the first of tier two."""
        price = billing.price("graduated", tiers=tiers(("100", "10"), ("", "1")), included="50")
        totals = [
            billing.cost(price, billing.used(quantity))
            for quantity in ("49", "50", "51", "150", "151")
        ]
        assert [0, 0, 10, 1000, 1001] == totals

    @pytest.mark.parametrize(
        ("quantity", "cost"),
        [
            ("0", "0"),
            ("0.000000001", "5.000000001"),
            ("10", "15"),
            ("10.000000001", "22.0000000005"),
        ],
    )
    def test_a_tier_s_fee_is_due_once_it_is_reached(self, quantity: str, cost: str) -> None:
        """5 for the first tier, 7 for the second, from the first billionth of it."""
        ladder = [{"up_to": "10", "rate": "1", "fee": "5"}, {"rate": "0.5", "fee": "7"}]
        price = billing.price("graduated", tiers=ladder)
        assert Fraction(cost) == billing.cost(price, billing.used(quantity))

    def test_divides_by_the_rate_unit_exactly(self) -> None:
        """A rate of 0.000001 per 1,000 for one unit is a billionth."""
        price = billing.price("graduated", tiers=tiers(("", "0.000001")), per="1000")
        assert Fraction("0.000000001") == billing.cost(price, billing.used("1"))

    def test_keeps_every_digit(self) -> None:
        """Bounds with 18 places and quantities above 28 digits lose nothing between tiers."""
        price = billing.price("graduated", tiers=tiers(("0.000000000000000001", "1"), ("", "1")))
        steps = price.charge(billing.used("99999999999999999999.999999999"), share=WHOLE)
        assert Fraction("99999999999999999999.999999998999999999") == steps[1].quantity

    def test_steps_say_their_tiers(self) -> None:
        """A reader sees where each tier begins and ends."""
        labels = [step.label for step in TOP_UPS.charge(billing.used("500"), share=WHOLE)]
        assert ["over 0 up to 100", "over 100 up to 250", "over 250"] == labels
