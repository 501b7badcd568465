"""Rating: from a period's windows to one quantity per meter, from quantities to invoice lines.

Everything here is exact; each line is rounded once, half up, to the currency's minor unit (G-04),
and keeps its unrounded amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.canonical import decimal_text
from domain.catalogue import Aggregation, Catalogue, Plan
from domain.codes import Code
from domain.errors import invariant
from domain.money import EXACT, round_half_up_to_minor
from domain.pricing.price import NOTHING, Step
from domain.quantity import NANOS_PER_UNIT, nanos_decimal, nanos_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.pricing.price import Price


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One hour of one series of one customer's meter, as the usage fold counted it.

    Args:
        meter: Meter key.
        dimensions: (name, value) pairs that split the meter, sorted by name.
        hour: Hours since 1970 UTC.
        events: Events counted.
        sum_nanos: Sum of the values, in billionths like all values here.
        min_nanos: Smallest value.
        max_nanos: Largest value.
        latest_nanos: Value that occurred last.
        latest_occurred_ms: When it occurred, milliseconds since 1970 UTC.
        latest_offset: Its source offset, which breaks ties of time.
        first_offset: First source offset that holds a counted event.
        last_offset: Last source offset that holds a counted event, inclusive.
        key_digest: Sum of the counted keys modulo 2^128.
        late: Events received more than an hour after the window ended.
    """

    meter: str
    dimensions: tuple[tuple[str, str], ...]
    hour: int
    events: int
    sum_nanos: int
    min_nanos: int
    max_nanos: int
    latest_nanos: int
    latest_occurred_ms: int
    latest_offset: int
    first_offset: int
    last_offset: int
    key_digest: int
    late: int


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
    """

    price: str
    form: str
    meter: str
    unit: str
    quantity: str
    amount_unrounded: str
    amount_minor: int
    steps: tuple[Step, ...]


def billed_quantity(*, aggregation: Aggregation, windows: Iterable[WindowRow]) -> int:
    """This function will turn a period's windows of one meter, all its series, into one value.

    Args:
        aggregation: How the meter adds up: sum and count over the windows, min and max among them,
            latest the value that occurred last (ties by source offset, then by the dimensions, for
            one source record may hold two series' events of the same moment).
        windows: In any order.

    Returns:
        The quantity in billionths; 0 when there is no window, whatever the aggregation (G-08).
    """
    rows = tuple(windows)
    if not rows:
        return 0
    match aggregation:
        case Aggregation.SUM:
            return sum(row.sum_nanos for row in rows)
        case Aggregation.COUNT:
            return sum(row.events for row in rows) * NANOS_PER_UNIT
        case Aggregation.MIN:
            return min(row.min_nanos for row in rows)
        case Aggregation.MAX:
            return max(row.max_nanos for row in rows)
        case Aggregation.LATEST:
            return max(rows, key=_occurrence).latest_nanos


def _occurrence(row: WindowRow) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    return row.latest_occurred_ms, row.latest_offset, row.dimensions


def rate(*, usage: Mapping[str, int], plan: Plan, catalogue: Catalogue) -> tuple[InvoiceLine, ...]:
    """This function will price a period's usage by a plan.

    Args:
        usage: Meter key to billed quantity in billionths; a meter without usage may be missing.
        plan: Plan of the subscription.
        catalogue: Catalogue version that the plan belongs to; it says the meters' units.

    Returns:
        One line per price, in the plan's order; a price without usage has its line too.

    Raises:
        Fatal: state_corrupt, for a negative quantity: the usage fold never counts one (G-08).
        Rejected: catalogue_invalid, when the plan names a meter that the catalogue lacks.
    """
    for meter, nanos in usage.items():
        invariant(nanos >= 0, Code.STATE_CORRUPT, "a billed quantity is negative", meter=meter)
    return tuple(
        _line(
            price,
            nanos=usage.get(price.meter, 0) if price.meter else NANOS_PER_UNIT,
            unit=catalogue.meter(price.meter).unit if price.meter else "",
            currency=plan.currency,
        )
        for price in plan.prices
    )


def _line(price: Price, *, nanos: int, unit: str, currency: str) -> InvoiceLine:
    steps = price.charge(nanos_decimal(nanos))
    exact = NOTHING
    for step in steps:
        exact = EXACT.add(exact, step.amount)
    amount_unrounded = decimal_text(exact)
    return InvoiceLine(
        price=price.key,
        form=price.form,
        meter=price.meter,
        unit=unit,
        quantity=nanos_text(nanos),
        amount_unrounded=amount_unrounded,
        amount_minor=rounded_minor(amount_unrounded, currency=currency),
        steps=steps,
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
