"""What all price forms share: the port of a price and the readable step of an amount."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from domain.money import EXACT

if TYPE_CHECKING:
    from domain.fields import Fields

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of how an amount came about, in a form a person can read.

    Args:
        label: What was charged, for example "over 100 up to 250".
        quantity: Exact quantity of this step, in the meter's unit.
        rate: Price of one rate unit; the fee itself for a flat step.
        per: How many of the meter's units one rate unit holds.
        amount: Exact, unrounded amount in major units.
    """

    label: str
    quantity: Decimal
    rate: Decimal
    per: Decimal
    amount: Decimal


class Price(Protocol):
    """One price of a plan; charge is pure and exact: it never rounds."""

    @property
    def key(self) -> str:
        """Name of the price within the plan."""

    @property
    def meter(self) -> str:
        """Meter that is priced; empty for a fee."""

    @property
    def form(self) -> str:
        """Name of the price form."""

    def charge(self, quantity: Decimal) -> tuple[Step, ...]:
        """Return the steps that make up the price of a period's quantity."""


def over(quantity: Decimal, *, included: Decimal) -> Decimal:
    """This function will return how much of a quantity lies over the allowance, exactly."""
    return max(NOTHING, EXACT.subtract(quantity, included))


def priced_step(label: str, *, quantity: Decimal, rate: Decimal, per: Decimal) -> Step:
    """This function will price a quantity exactly: quantity times rate over per.

    Args:
        label: What is charged.
        quantity: In the meter's unit.
        rate: Major units of money for each `per` units.
        per: A power of ten, so that the quotient is exact.
    """
    amount = EXACT.divide(EXACT.multiply(quantity, rate), per)
    return Step(label=label, quantity=quantity, rate=rate, per=per, amount=amount)


def power_of_ten(fields: Fields, name: str) -> Decimal:
    """This function will read a rate unit such as "1000"; missing counts as 1.

    Raises:
        Rejected: When it is no power of ten: a quotient by it might have no last digit.
    """
    value = fields.decimal(name, default="1")
    if value < 1 or EXACT.normalize(value).as_tuple().digits != (1,):
        raise fields.refuse(name, 'must be a power of ten, for example "1000"')
    return value
