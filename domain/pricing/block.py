"""Block: units are sold by the block, and a started block is paid whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.money import exact_text
from domain.pricing.price import ONE, Price, Step, priced_step
from domain.pricing.reading import fraction, metered

if TYPE_CHECKING:
    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Price):
    """An amount for each started block above an allowance.

    Args:
        size: Units of a block, above 0.
        amount: Major units of money for each started block.
    """

    form: ClassVar[str] = "block"

    size: Fraction
    amount: Fraction

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the started blocks over the allowance."""
        quantity = usage.total.value
        blocks = Fraction(math.ceil(self._over(quantity) / self.size))
        label = f"started blocks of {exact_text(self.size)}, {self._over_label()}"
        step = priced_step(label, quantity=blocks, rate=self.amount, per=ONE)
        return self._uncharged(quantity) or (step,)


def block_from_fields(fields: Fields) -> Block:
    """This function will read a block price (Rejected with the place otherwise)."""
    size = fraction(fields, "size")
    if not size:
        raise fields.refuse("size", "must be above 0")
    return Block(
        **metered(fields, "size", "amount", "included"),
        size=size,
        amount=fraction(fields, "amount"),
    )
