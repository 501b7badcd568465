"""Rating: from a period's quantity per meter to invoice lines.

Everything here is exact; each line is rounded once, half up, to the currency's minor unit (G-04),
and keeps its unrounded amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.aggregation.measure import Measured
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import invariant
from domain.money import EXACT, round_half_up_to_minor
from domain.pricing.price import NOTHING, Step
from domain.quantity import NANOS_PER_UNIT, nanos_decimal, nanos_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalogue import Catalogue, Plan
    from domain.pricing.price import Price

NO_USAGE, ONE_FEE = Measured(0), Measured(NANOS_PER_UNIT)


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What one price of the plan came to in a period.

    Args:
        price: Key of the price within the plan; names the line for good.
        form: Price form.
        meter: Meter that was priced; empty for a fee.
        unit: What one unit of the quantity is, for people; empty for a fee.
        quantity: Billed quantity as exact decimal text; "1" for a fee.
        amount_unrounded: Exact amount in major units as decimal text.
        amount_minor: The amount rounded half up, once, in minor units of the plan's currency.
        steps: How the amount came about.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
    """

    price: str
    form: str
    meter: str
    unit: str
    quantity: str
    amount_unrounded: str
    amount_minor: int
    steps: tuple[Step, ...]
    is_estimate: bool = False


def rate(
    *, usage: Mapping[str, Measured], plan: Plan, catalogue: Catalogue
) -> tuple[InvoiceLine, ...]:
    """This function will price a period's usage by a plan.

    Args:
        usage: Meter key to billed quantity; a meter without usage may be missing.
        plan: Plan of the subscription.
        catalogue: Catalogue version that the plan belongs to; it says the meters' units.

    Returns:
        One line per price, in the plan's order; a price without usage has its line too.

    Raises:
        Fatal: state_corrupt, for a negative quantity: the usage fold never counts one (G-08).
        Rejected: catalogue_invalid, when the plan names a meter that the catalogue lacks.
    """
    for meter, quantity in usage.items():
        invariant(
            quantity.nanos >= 0, Code.STATE_CORRUPT, "a billed quantity is negative", meter=meter
        )
    return tuple(
        _line(
            price,
            quantity=usage.get(price.meter, NO_USAGE) if price.meter else ONE_FEE,
            unit=catalogue.meter(price.meter).unit if price.meter else "",
            currency=plan.currency,
        )
        for price in plan.prices
    )


def _line(price: Price, *, quantity: Measured, unit: str, currency: str) -> InvoiceLine:
    steps = price.charge(nanos_decimal(quantity.nanos))
    exact = NOTHING
    for step in steps:
        exact = EXACT.add(exact, step.amount)
    amount_unrounded = decimal_text(exact)
    return InvoiceLine(
        price=price.key,
        form=price.form,
        meter=price.meter,
        unit=unit,
        quantity=nanos_text(quantity.nanos),
        amount_unrounded=amount_unrounded,
        amount_minor=rounded_minor(amount_unrounded, currency=currency),
        steps=steps,
        is_estimate=quantity.is_estimate,
    )


def rounded_minor(amount_unrounded: str, *, currency: str) -> int:
    """This function will round a line's exact amount, the only rounding of an invoice (G-04).

    Args:
        amount_unrounded: Decimal text in major units.
        currency: ISO 4217 code.

    Returns:
        Whole minor units.
    """
    return round_half_up_to_minor(Decimal(amount_unrounded), currency=currency).amount_minor
