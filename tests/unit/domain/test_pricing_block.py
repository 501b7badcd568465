"""Block: a started block is paid whole."""

from fractions import Fraction

import pytest

from domain.codes import Code
from domain.errors import Rejected
from domain.pricing.price import WHOLE, Share
from tests.support import billing

BLOCKS = billing.price("block", size="1000", amount="5", included="100")

# name            quantity          amount
TABLE = """
nothing           0                 0
allowance         100               0
just_over         100.000000001     5
one_over          101               5
block_minus_1     1099              5
block_bound       1100              5
block_just_over   1100.000000001    10
block_plus_1      1101              10
many              1000100           5000
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


class TestBlock:
    @pytest.mark.parametrize(("name", "quantity", "amount"), ROWS)
    def test_charges_started_blocks(self, name: str, quantity: str, amount: str) -> None:
        """Above the allowance, rounded up to whole blocks."""
        assert Fraction(amount) == billing.cost(BLOCKS, billing.used(quantity))

    def test_the_step_counts_blocks(self) -> None:
        """A reader sees how many, and of what size."""
        (step,) = BLOCKS.charge(billing.used("1101"), share=WHOLE)
        assert ("started blocks of 1000, over 100 included", Fraction(2)) == (
            step.label,
            step.quantity,
        )

    def test_a_part_of_a_period_pays_that_part_of_the_blocks_of_a_whole_one(self) -> None:
        """600 in half a period are 1,200 in a whole one: 2 blocks, of which it pays half."""
        assert 5 == billing.cost(BLOCKS, billing.used("600"), share=Share(1, 2))

    def test_blocks_of_no_size_are_refused(self) -> None:
        with pytest.raises(Rejected) as caught:
            billing.price("block", size="0.0", amount="5")
        assert (Code.CATALOGUE_INVALID, "price.size") == (
            caught.value.code,
            caught.value.fields["param"],
        )
