"""Flat: one fee per period, whatever is used (X-55)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.pricing.price import Step

if TYPE_CHECKING:
    from domain.fields import Fields

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Flat:
    """A fee per period.

    Args:
        key: Name of the price within the plan.
        amount: Fee in major units, exact.
    """

    key: str
    amount: Decimal
    form: str = "flat"
    meter: str = ""

    def charge(self, quantity: Decimal) -> tuple[Step, ...]:  # noqa: ARG002 -- a fee asks for no usage
        """Return the fee as the only step."""
        return (Step("fee of the period", ONE, self.amount, ONE, self.amount),)


def flat_from_fields(fields: Fields) -> Flat:
    """This function will read a flat price (Rejected with the place otherwise)."""
    fields.only(("key", "form", "amount"))
    return Flat(key=fields.text("key"), amount=fields.decimal("amount"))
