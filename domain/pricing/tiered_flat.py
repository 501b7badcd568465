"""Tiered flat: the band that the total falls in has one amount, however far it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.ladder import Tier, band, tiers_of
from domain.pricing.price import NOTHING, Price, Step, fixed_step
from domain.pricing.reading import metered

if TYPE_CHECKING:
    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredFlat(Price):
    """Bands of the total above an allowance, each with an amount.

    Args:
        tiers: Rising bands without gap; the last one is open.
    """

    form: ClassVar[str] = "tiered_flat"

    tiers: tuple[Tier, ...]

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the amount of the band; nothing used costs nothing."""
        charged = self._over(usage.total.value)
        uncharged = self._uncharged(usage.total.value)
        if not charged:
            return uncharged or (fixed_step("no band is reached", NOTHING),)
        start, tier = band(self.tiers, charged)
        return (fixed_step(f"the total is {tier.label(start)}", tier.rate),)


def tiered_flat_from_fields(fields: Fields) -> TieredFlat:
    """This function will read a tiered flat price (Rejected with the place otherwise)."""
    return TieredFlat(
        **metered(fields, "included", "tiers"),
        tiers=tiers_of(fields, amount="amount", has_fee=False),
    )
