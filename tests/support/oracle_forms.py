"""Price forms of the second rater for invoices: what one quantity of a whole period costs.

Imports nothing of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Document = Mapping[str, Any]


def _over(price: Document, quantity: Fraction) -> Fraction:
    if price.get("overflow", "bill") != "bill":
        return Fraction(0)
    return max(Fraction(0), quantity - Fraction(price.get("included", "0")))


def _per_unit(price: Document, quantity: Fraction) -> Fraction:
    return _over(price, quantity) * Fraction(price["rate"]) / Fraction(price.get("per", "1"))


def _graduated(price: Document, quantity: Fraction) -> Fraction:
    charged, start, amount = _over(price, quantity), Fraction(0), Fraction(0)
    for tier in price["tiers"]:
        if charged <= start:
            break
        end = min(charged, Fraction(tier["up_to"])) if "up_to" in tier else charged
        amount += (end - start) * Fraction(tier["rate"]) / Fraction(price.get("per", "1"))
        amount += Fraction(tier.get("fee", "0"))
        start = end
        if "up_to" in tier:
            start = Fraction(tier["up_to"])
    return amount


def _band(price: Document, charged: Fraction) -> Document:
    return next(
        tier
        for tier in price["tiers"]
        if "up_to" not in tier or charged <= Fraction(tier["up_to"])
    )


def _volume(price: Document, quantity: Fraction) -> Fraction:
    charged = _over(price, quantity)
    if not charged:
        return Fraction(0)
    tier = _band(price, charged)
    rate = Fraction(tier["rate"]) / Fraction(price.get("per", "1"))
    return charged * rate + Fraction(tier.get("fee", "0"))


def _tiered_flat(price: Document, quantity: Fraction) -> Fraction:
    charged = _over(price, quantity)
    return Fraction(_band(price, charged)["amount"]) if charged else Fraction(0)


def _package(price: Document, quantity: Fraction) -> Fraction:
    return Fraction(price["amount"]) + _per_unit(price, quantity)


def _block(price: Document, quantity: Fraction) -> Fraction:
    return math.ceil(_over(price, quantity) / Fraction(price["size"])) * Fraction(price["amount"])


FORMS = {
    "per_unit": _per_unit,
    "graduated": _graduated,
    "volume": _volume,
    "tiered_flat": _tiered_flat,
    "package": _package,
    "block": _block,
}
