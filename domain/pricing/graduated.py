"""Graduated: each tier prices only the units that fall into it (S2-09, X-58, X-59)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.ladder import Tier, tiers_of
from domain.pricing.price import NOTHING, Price, Step, fixed_step, priced_step
from domain.pricing.reading import metered, power_of_ten

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Graduated(Price):
    """A ladder of rates over the units above an allowance.

    Args:
        per: Units that one rate covers, a power of ten.
        tiers: Rising tiers without gap; the last one is open.
    """

    form: ClassVar[str] = "graduated"

    per: Fraction
    tiers: tuple[Tier, ...]

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return one step for each tier that is reached, at least the first, and its fee."""
        charged = self._over(usage.total.value)
        steps: list[Step] = []
        start = NOTHING
        for tier in self.tiers:
            if steps and charged <= start:
                break
            end = charged if tier.up_to is None else min(charged, tier.up_to)
            label = tier.label(start)
            steps.append(priced_step(label, quantity=end - start, rate=tier.rate, per=self.per))
            if tier.fee and charged > start:
                steps.append(fixed_step(f"fee of the tier {label}", tier.fee))
            start = end
        return (*steps, *self._uncharged(usage.total.value))


def graduated_from_fields(fields: Fields) -> Graduated:
    """This function will read a graduated price (Rejected with the place otherwise)."""
    return Graduated(
        **metered(fields, "per", "included", "tiers"),
        per=power_of_ten(fields, "per"),
        tiers=tiers_of(fields, amount="rate", has_fee=True),
    )
