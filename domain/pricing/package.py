"""Package: a bundle with a price of its own, and a rate for what lies beyond (S2-11, X-60)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.price import Price, Step, fixed_step, priced_step
from domain.pricing.reading import fraction, metered, power_of_ten

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Package(Price):
    """A bundle that is paid whether it is used or not.

    Args:
        amount: Price of the bundle in major units.
        rate: Major units of money for each `per` units beyond it.
        per: Units that one rate covers, a power of ten.
    """

    form: ClassVar[str] = "package"

    amount: Fraction
    rate: Fraction
    per: Fraction

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the bundle, and what lies beyond it."""
        charged = self._over(usage.total.value)
        beyond = priced_step(self._over_label(), quantity=charged, rate=self.rate, per=self.per)
        bundle = fixed_step("the package", self.amount)
        return (bundle, *(self._uncharged(usage.total.value) or (beyond,)))


def package_from_fields(fields: Fields) -> Package:
    """This function will read a package price (Rejected with the place otherwise)."""
    return Package(
        **metered(fields, "amount", "included", "rate", "per"),
        amount=fraction(fields, "amount"),
        rate=fraction(fields, "rate"),
        per=power_of_ten(fields, "per"),
    )
