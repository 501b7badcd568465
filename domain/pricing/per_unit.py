"""Per unit: a rate for each unit above what the plan includes (S1-33, S1-34, S2-08, S3-24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.price import Price, Step, priced_step
from domain.pricing.reading import fraction, metered, power_of_ten

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnit(Price):
    """A rate per unit with an included allowance.

    Args:
        rate: Major units of money for each `per` units.
        per: Units that one rate covers, a power of ten; a started one counts in part (S3-R3).
    """

    form: ClassVar[str] = "per_unit"

    rate: Fraction
    per: Fraction

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the step over the allowance; one of nothing when usage stays within it."""
        quantity = usage.total.value
        charged = self._over(quantity)
        step = priced_step(self._over_label(), quantity=charged, rate=self.rate, per=self.per)
        return self._uncharged(quantity) or (step,)


def per_unit_from_fields(fields: Fields) -> PerUnit:
    """This function will read a per-unit price (Rejected with the place otherwise)."""
    return PerUnit(
        **metered(fields, "rate", "per", "included"),
        rate=fraction(fields, "rate"),
        per=power_of_ten(fields, "per"),
    )
