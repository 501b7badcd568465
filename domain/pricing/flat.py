"""Flat: one fee per period, whatever is used (S2-04, X-55)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.pricing.price import Price, Step, fixed_step
from domain.pricing.reading import FEE_FIELDS, fraction, name_of, tax_of

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat(Price):
    """A fee per period.

    Args:
        amount: Fee in major units, exact.
    """

    form: ClassVar[str] = "flat"

    amount: Fraction

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the fee as the only step; the usage does not matter."""
        return (fixed_step("fee of the period", self.amount),)


def flat_from_fields(fields: Fields) -> Flat:
    """This function will read a flat price (Rejected with the place otherwise)."""
    fields.only((*FEE_FIELDS, "amount"))
    return Flat(
        key=fields.text("key"),
        name=name_of(fields),
        tax=tax_of(fields),
        amount=fraction(fields, "amount"),
    )
