"""Limits of a plan: where their meters stand, and whether a use keeps within them (C-04, S3-R10).

A limit costs nothing. `warn` flags the subscription that is past it (S1-R11); `refuse` also says
no to the use that would go past it. Of what adds up over time a use counts on top of what there
is; of a level the reported count itself is compared, so that fewer than before is never refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.aggregation.kinds import REPORTED, Aggregation
from domain.pricing.price import NOTHING, Overflow
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from domain.catalogue import Catalogue
    from domain.meter import Meter
    from domain.plan import Limit


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit of the plan and where its meter stands; going past it is never charged.

    Args:
        key: Name of the limit.
        meter: Meter or composite that is compared.
        maximum: Largest value within it.
        value: Its value now.
        overflow: warn or refuse.
    """

    key: str
    meter: str
    maximum: Fraction
    value: Fraction
    overflow: Overflow = Overflow.WARN

    @property
    def is_exceeded(self) -> bool:
        """Say whether the subscription is flagged (S1-R11)."""
        return self.value > self.maximum

    def refuses(self, *, event_type: str, nanos: int, catalogue: Catalogue) -> bool:
        """Say whether it says no to one more use.

        Args:
            event_type: Type of the use, or an alias of it.
            nanos: Its quantity in billionths.
            catalogue: Version that holds.
        """
        if self.overflow is not Overflow.REFUSE:
            return False
        fed = catalogue.meters_of(event_type)
        parts = [each for each in catalogue.counted.parts(self.meter) if each[0] in fed]
        if not parts:
            return False
        # The catalogue takes refuse only where all parts are alike (plan.can_refuse).
        before = NOTHING if parts[0][0].aggregation in REPORTED else self.value
        used = Fraction(nanos, NANOS_PER_UNIT)
        taken = sum(
            weight if meter.aggregation is Aggregation.COUNT else used * weight
            for meter, weight in parts
        )
        return before + taken > self.maximum


def limits_of(
    limits: Iterable[Limit], *, value_of: Callable[[Meter], Fraction], catalogue: Catalogue
) -> tuple[LimitUse, ...]:
    """This function will say where limits stand.

    Args:
        limits: Limits of a plan.
        value_of: Where a meter stands in the part that runs.
        catalogue: Version that holds.
    """
    return tuple(
        LimitUse(
            key=limit.key,
            meter=limit.meter,
            maximum=limit.maximum,
            value=sum(
                (
                    weight * value_of(meter)
                    for meter, weight in catalogue.counted.parts(limit.meter)
                ),
                NOTHING,
            ),
            overflow=limit.overflow,
        )
        for limit in limits
    )
