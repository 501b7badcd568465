"""Ladders: the rising tiers of graduated, volume and tiered flat prices.

A bound belongs to the tier below it (S2-R4), and bounds count units above the allowance. Tiers are
written by their upper bounds alone, so that they can neither overlap nor leave a gap.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.money import exact_text
from domain.pricing.price import NOTHING
from domain.pricing.reading import fraction, optional_fraction

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields

TIERS_MAX = 50
"""Tiers of one price; bounds the steps of an invoice line."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier.

    Args:
        up_to: Last unit of the tier, inclusive; None for the open last tier.
        rate: Major units of money for each `per` units of the price; of a tiered flat price, for
            everything together.
        fee: Major units of money once the tier is reached.
    """

    up_to: Fraction | None
    rate: Fraction
    fee: Fraction = NOTHING

    def label(self, start: Fraction) -> str:
        """Return the tier's bounds for people."""
        bound = "" if self.up_to is None else f" up to {exact_text(self.up_to)}"
        return f"over {exact_text(start)}{bound}"


def band(tiers: tuple[Tier, ...], quantity: Fraction) -> tuple[Fraction, Tier]:
    """This function will return the tier that a quantity falls in, with where it starts."""
    start = NOTHING
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return start, tier
        start = tier.up_to
    return start, tiers[-1]


def tiers_of(fields: Fields, *, amount: str, has_fee: bool) -> tuple[Tier, ...]:
    """This function will read the tiers of a price.

    Args:
        fields: The price.
        amount: Name of the field that holds what a tier costs.
        has_fee: Whether a tier may have a fee.

    Raises:
        Rejected: With the place, when tiers do not rise, or the last one is closed.
    """
    tiers = tuple(
        _tier(item, amount=amount, has_fee=has_fee)
        for item in fields.objects("tiers", count_max=TIERS_MAX)
    )
    bounds = [tier.up_to for tier in tiers]
    if not bounds or bounds[-1] is not None or None in bounds[:-1]:
        raise fields.refuse("tiers", "must end with exactly one tier without up_to")
    closed = [NOTHING, *(bound for bound in bounds if bound is not None)]
    for index, (low, high) in enumerate(itertools.pairwise(closed)):
        if low >= high:
            raise fields.refuse(
                f"tiers[{index}].up_to", f"must rise from tier to tier: over {exact_text(low)}"
            )
    return tiers


def _tier(fields: Fields, *, amount: str, has_fee: bool) -> Tier:
    fields.only(("up_to", amount, *(("fee",) if has_fee else ())))
    return Tier(
        up_to=optional_fraction(fields, "up_to"),
        rate=fraction(fields, amount),
        fee=fraction(fields, "fee", default="0") if has_fee else NOTHING,
    )
