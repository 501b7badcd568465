"""Seats: a fee for each seat of the subscription above the included ones (S3-18, S3-R4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from domain.money import exact_text
from domain.pricing.price import ONE, Price, Step, priced_step
from domain.pricing.reading import FEE_FIELDS, fraction, name_of, tax_of

if TYPE_CHECKING:
    from fractions import Fraction

    from domain.fields import Fields
    from domain.pricing.price import PriceUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats(Price):
    """A fee per seat and period; its usage is the number of seats.

    Args:
        amount: Fee of one seat in major units, exact.
    """

    form: ClassVar[str] = "seats"

    amount: Fraction

    @override
    def steps(self, usage: PriceUsage) -> tuple[Step, ...]:
        """Return the fee of the seats above the included ones."""
        seats = self._over(usage.total.value)
        label = f"seats over {exact_text(self.included)} included" if self.included else "seats"
        return (priced_step(label, quantity=seats, rate=self.amount, per=ONE),)


def seats_from_fields(fields: Fields) -> Seats:
    """This function will read a price per seat (Rejected with the place otherwise)."""
    fields.only((*FEE_FIELDS, "amount", "included"))
    return Seats(
        key=fields.text("key"),
        name=name_of(fields),
        tax=tax_of(fields),
        amount=fraction(fields, "amount"),
        included=fraction(fields, "included", default="0"),
    )
