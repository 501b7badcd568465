"""Per unit: only what lies over the allowance costs, exactly."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing

# name                         rate        per     included   quantity             amount
TABLE = """
x_56_credits                   0.0020      1       0          500000               1000
x_56_nothing                   0.0020      1       0          0                    0
x_56_one_billionth             0.0020      1       0          0.000000001          0.000000000002
s1_33_assets_at_allowance      3.00        1       1000       1000                 0
s1_33_assets_one_below         3.00        1       1000       999                  0
s1_33_assets_one_over          3.00        1       1000       1001                 3
s1_34_credits_one_below        0.0020      1       1000000    999999               0
s1_34_credits_at_allowance     0.0020      1       1000000    1000000              0
s1_34_credits_one_over         0.0020      1       1000000    1000001              0.002
s1_34_credits_just_over        0.0020      1       1000000    1000000.000000001    0.000000000002
x_74_calls_nothing_over        0.01        1000    1000000    1000000              0
x_75_calls_high_rate           0.01        1000    1000000    1500000              5
x_75_calls_low_rate            0.000001    1000    1000000    1500000              0.0005
x_76_storage_high_rate         0.50        1       50         60                   5
x_76_storage_low_rate          0.10        1       50         60                   1
x_77_transfer_high_rate        0.50        1       100        110                  5
x_77_transfer_low_rate         0.10        1       100        110                  1
x_79_one_call_over             0.01        1000    1000000    1000001              0.00001
s3_r3_started_thousand         0.01        1000    0          1                    0.00001
eighteen_places                0.000000000000000001  1  0     3                    0.000000000000000003
more_digits_than_28            1           1       0.000000000000000001  99999999999999999999.999999999  99999999999999999999.999999998999999999
"""  # noqa: E501 -- aligned
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestPerUnit:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
    def test_charges_exactly_what_is_over_the_allowance(self, row: list[str]) -> None:
        """The amount is (quantity - included) times rate over per, to the last digit."""
        _, rate, per, included, quantity, amount = row
        price = billing.price("per_unit", rate=rate, per=per, included=included)
        assert Fraction(amount) == billing.cost(price, billing.used(quantity))

    def test_step_says_what_was_charged(self) -> None:
        """A reader sees the allowance, the quantity over it, the rate and its unit."""
        price = billing.price("per_unit", rate="0.010", per="1000", included="1000000")
        (step,) = price.charge(billing.used("1500000"), share=WHOLE)
        assert "over 1000000 included" == step.label
        assert (Fraction(500_000), Fraction("0.01"), Fraction(1_000)) == (
            step.quantity,
            step.rate,
            step.per,
        )
