"""Package: the bundle is paid whole, what lies beyond it by the unit."""

from fractions import Fraction

import pytest

from domain.pricing.price import WHOLE
from tests.support import billing

STARTER = billing.price("package", amount="99", included="50", rate="0.50")

# name           quantity        amount
TABLE = """
nothing          0               99
one_below        49              99
allowance        50              99
just_over        50.000000001    99.0000000005
one_over         51              99.50
x_60_60_gb       60              104
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestPackage:
    @pytest.mark.parametrize(("name", "quantity", "amount"), ROWS)
    def test_s2_11_adds_overage_to_the_bundle(self, name: str, quantity: str, amount: str) -> None:
        """Price of the bundle + max(0, usage - included) times the rate."""
        assert Fraction(amount) == billing.cost(STARTER, billing.used(quantity))

    def test_steps_are_the_bundle_and_what_lies_beyond(self) -> None:
        """A reader sees both."""
        steps = STARTER.charge(billing.used("60"), share=WHOLE)
        assert [("the package", Fraction(99)), ("over 50 included", Fraction(5))] == [
            (step.label, step.amount) for step in steps
        ]
