"""Graduated: each tier prices only the units that fall into it (S2-09, X-58, X-59)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.money import EXACT
from domain.pricing.price import NOTHING, Step, over, power_of_ten, priced_step

if TYPE_CHECKING:
    from decimal import Decimal

    from domain.fields import Fields

TIERS_MAX = 50
"""Tiers of one price; bounds the steps of an invoice line."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier.

    Args:
        up_to: Last unit of the tier, inclusive; None for the open last tier.
        rate: Major units of money for each `per` units of the price.
    """

    up_to: Decimal | None
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Graduated:
    """A ladder of rates over the units above an allowance.

    Args:
        key: Name of the price within the plan.
        meter: Meter that is priced.
        per: Units that one rate covers, a power of ten.
        included: Units of the period that cost nothing; the ladder starts above them.
        tiers: Rising tiers without gap; the last one is open.
    """

    key: str
    meter: str
    per: Decimal
    included: Decimal
    tiers: tuple[Tier, ...]
    form: str = "graduated"

    def charge(self, quantity: Decimal) -> tuple[Step, ...]:
        """Return one step for each tier that is reached, at least the first."""
        charged = over(quantity, included=self.included)
        steps: list[Step] = []
        start = NOTHING
        for tier in self.tiers:
            if steps and charged <= start:
                break
            end = charged if tier.up_to is None else min(charged, tier.up_to)
            bound = "" if tier.up_to is None else f" up to {decimal_text(tier.up_to)}"
            label = f"over {decimal_text(start)}{bound}"
            part = EXACT.subtract(end, start)
            steps.append(priced_step(label, quantity=part, rate=tier.rate, per=self.per))
            start = end
        return tuple(steps)


def graduated_from_fields(fields: Fields) -> Graduated:
    """This function will read a graduated price.

    Raises:
        Rejected: With the place, when tiers do not rise, or the last one is closed.
    """
    fields.only(("key", "form", "meter", "per", "included", "tiers"))
    tiers = tuple(_tier(item) for item in fields.objects("tiers", count_max=TIERS_MAX))
    bounds = [tier.up_to for tier in tiers]
    if not bounds or bounds[-1] is not None or None in bounds[:-1]:
        raise fields.refuse("tiers", "must end with exactly one tier without up_to")
    closed = [NOTHING, *(bound for bound in bounds if bound is not None)]
    if any(low >= high for low, high in itertools.pairwise(closed)):
        raise fields.refuse("tiers", "must rise from tier to tier")
    return Graduated(
        key=fields.text("key"),
        meter=fields.text("meter"),
        per=power_of_ten(fields, "per"),
        included=fields.decimal("included", default="0"),
        tiers=tiers,
    )


def _tier(fields: Fields) -> Tier:
    fields.only(("up_to", "rate"))
    up_to = fields.decimal("up_to") if "up_to" in fields.values else None
    return Tier(up_to=up_to, rate=fields.decimal("rate"))
