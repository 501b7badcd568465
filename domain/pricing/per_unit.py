"""Per unit: a rate for each unit above what the plan includes (S1-33, S1-34, S3-24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.pricing.price import Step, over, power_of_ten, priced_step

if TYPE_CHECKING:
    from decimal import Decimal

    from domain.fields import Fields


@dataclass(frozen=True, slots=True)
class PerUnit:
    """A rate per unit with an included allowance.

    Args:
        key: Name of the price within the plan.
        meter: Meter that is priced.
        rate: Major units of money for each `per` units.
        per: Units that one rate covers, a power of ten; a started one counts in part (S3-R3).
        included: Units of the period that cost nothing.
    """

    key: str
    meter: str
    rate: Decimal
    per: Decimal
    included: Decimal
    form: str = "per_unit"

    def charge(self, quantity: Decimal) -> tuple[Step, ...]:
        """Return the step over the allowance; one of nothing when usage stays within it."""
        label = f"over {decimal_text(self.included)} included" if self.included else "every unit"
        charged = over(quantity, included=self.included)
        return (priced_step(label, quantity=charged, rate=self.rate, per=self.per),)


def per_unit_from_fields(fields: Fields) -> PerUnit:
    """This function will read a per-unit price (Rejected with the place otherwise)."""
    fields.only(("key", "form", "meter", "rate", "per", "included"))
    return PerUnit(
        key=fields.text("key"),
        meter=fields.text("meter"),
        rate=fields.decimal("rate"),
        per=power_of_ten(fields, "per"),
        included=fields.decimal("included", default="0"),
    )
