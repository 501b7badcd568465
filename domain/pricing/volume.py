"""Volume: the band that the total falls in prices all units (S2-10, X-57, X-59).

Not monotone: one unit more can reach a cheaper band and cost less. That is what the form means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.ladder import Tier, band, tiers_of
from domain.pricing.price import Price, Step, fixed_step, priced_step
from domain.pricing.reading import metered, power_of_ten

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Price):
    """Bands of the total above an allowance, each with the rate of all its units.

    Args:
        per: Units that one rate covers, a power of ten.
        tiers: Rising bands without gap; the last one is open.
    """

    form: ClassVar[str] = "volume"

    per: Fraction
    tiers: tuple[Tier, ...]

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the step of the band and its fee; nothing used costs nothing, no fee either."""
        charged = self._over(usage.total.value)
        start, tier = band(self.tiers, charged)
        label = f"every unit, as the total is {tier.label(start)}"
        step = priced_step(label, quantity=charged, rate=tier.rate, per=self.per)
        fee = (fixed_step(f"fee of the band {tier.label(start)}", tier.fee),)
        return (
            step,
            *(fee if tier.fee and charged else ()),
            *self._uncharged(usage.total.value),
        )


def volume_from_fields(fields: Fields) -> Volume:
    """This function will read a volume price (Rejected with the place otherwise)."""
    return Volume(
        **metered(fields, "per", "included", "tiers"),
        per=power_of_ten(fields, "per"),
        tiers=tiers_of(fields, amount="rate", has_fee=True),
    )
