"""Graduated: each tier prices only the units that fall into it."""

from decimal import Decimal

import pytest

from domain.pricing.graduated import Graduated, Tier


def ladder(*tiers: tuple[str, str], per: str = "1", included: str = "0") -> Graduated:
    """Tiers as (up_to, rate); "" leaves the last one open."""
    return Graduated(
        key="price",
        meter="meter",
        per=Decimal(per),
        included=Decimal(included),
        tiers=tuple(
            Tier(Decimal(up_to) if up_to else None, Decimal(rate)) for up_to, rate in tiers
        ),
    )


TOP_UPS = ladder(("100", "10.00"), ("250", "9.60"), ("", "9.00"))
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
        made = TOP_UPS.charge(Decimal(quantity))
        assert (len(made), sum(step.amount for step in made)) == (int(steps), Decimal(amount))

    def test_starts_the_ladder_above_the_allowance(self) -> None:
        """With 50 included, unit 150 is the last of tier one and 151 the first of tier two."""
        price = ladder(("100", "10"), ("", "1"), included="50")
        totals = [
            sum(step.amount for step in price.charge(Decimal(quantity)))
            for quantity in (49, 50, 51, 150, 151)
        ]
        assert totals == [0, 0, 10, 1000, 1001]

    def test_divides_by_the_rate_unit_exactly(self) -> None:
        """A rate of 0.000001 per 1,000 for one unit is a billionth."""
        (step,) = ladder(("", "0.000001"), per="1000").charge(Decimal(1))
        assert step.amount == Decimal("0.000000001")

    def test_keeps_every_digit(self) -> None:
        """Bounds with 18 places and quantities above 28 digits lose nothing between tiers."""
        price = ladder(("0.000000000000000001", "1"), ("", "1"))
        quantity = Decimal("99999999999999999999.999999999")
        steps = price.charge(quantity)
        assert steps[1].quantity == Decimal("99999999999999999999.999999998999999999")

    def test_steps_say_their_tiers(self) -> None:
        """A reader sees where each tier begins and ends."""
        labels = [step.label for step in TOP_UPS.charge(Decimal(500))]
        assert labels == ["over 0 up to 100", "over 100 up to 250", "over 250"]
