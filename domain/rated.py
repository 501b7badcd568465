"""What rating speaks of: what prices read, what that came to, and the lines that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.billing_terms import DiscountKind
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice_terms import SEGMENTS_MAX
from domain.money import round_half_up
from domain.plan import price_over
from domain.pricing.price import Share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.catalogue import Catalogue
    from domain.fields import Fields
    from domain.invoice_terms import GrantedDiscount, Segment
    from domain.overrides import Override
    from domain.plan import AddOn
    from domain.pricing.price import Price, Step, Where

FEE_KINDS = frozenset({"fee", "seats", "add_on"})
_OF_PLAN = frozenset({"fee", "seats", "usage"})
NO_SEGMENT = -1
LINE_ID_LENGTH_MAX = len(f"fee/{SEGMENTS_MAX}/addon:/") + 2 * TEXT_LENGTH_MAX
"""Characters of a line id: "fee", a part of the period, and code and price key of an add-on, each
of which is as long as a text of a catalogue may be: versions that were published stay readable, so
it is not the codes that are bounded. All other ids of lines are shorter."""
LINE_LABEL_LENGTH_MAX = len(": ") + 2 * TEXT_LENGTH_MAX
"""Characters of a line's label: the names of an add-on and of its price."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a price reads of one meter in one part of the period.

    Args:
        segment: Number of the part, from 0.
        meter: Meter key.
        where: Dimension values that windows must have.
        by: Dimensions by whose values the quantity is split, sorted.
    """

    segment: int
    meter: str
    where: Where
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsageEntry:
    """What a selection came to.

    Args:
        segment: Number of the part, from 0.
        meter: Meter key.
        where: Dimension values, sorted by dimension; an empty value means windows without it.
        nanos: Billed quantity in billionths, never negative (G-08).
        events: Events behind it.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
    """

    segment: int
    meter: str
    where: Where
    nanos: int
    events: int
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class RatedLine:
    """What one price came to, exactly.

    Args:
        line_id: Its name within the invoice, for good: "0/credit_overage" is part and price,
            "fee/base" a fee, "fee/1/base" one that began with the second part of its period,
            "fee/addon:CODE/KEY" and "0/addon:CODE/KEY" those of an add-on, "minimum" what a
            commitment lacks.
        kind: fee, seats, usage, add_on or minimum.
        label: What it is, for people.
        price: Key of the price; empty for a minimum.
        form: Price form; "minimum" for a minimum.
        meter: Meter or composite that was priced; empty for none.
        unit: What one unit of the quantity is, for people; empty for a fee.
        quantity: Billed quantity as decimal text; "1" for a fee.
        amount_exact: In major units.
        steps: How the amount came about.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
        tax: Tax category.
        segment: Number of the part whose usage it is; -1 for other lines.
        start: Start of the time it is for.
        end: End of it.
        fee: Name of the fee that it is, or is a part of; empty for what is no fee.
        add_on: Code of the add-on whose price it is; empty for others.
    """

    line_id: str
    kind: str
    label: str
    price: str
    form: str
    meter: str
    unit: str
    quantity: str
    amount_exact: Fraction
    steps: tuple[Step, ...]
    is_estimate: bool
    tax: str
    segment: int
    start: datetime
    end: datetime
    fee: str = ""
    add_on: str = ""

    @property
    def is_discounted(self) -> bool:
        """Say whether discounts are for it: for fees, seats and usage of the plan alone.

        A minimum is what the customer committed to pay at list prices, and add-ons are no part of
        the plan, whatever the keys of their prices.
        """
        return self.kind in _OF_PLAN and not self.add_on


@dataclass(frozen=True, slots=True)
class Bound:
    """A commitment of an invoice: the parts' commitments, each by its share of a period.

    Args:
        amount: Major units.
        segments: Parts whose plans have one.
        has_fees: Whether fees and add-ons count too.
    """

    amount: Fraction
    segments: frozenset[int]
    has_fees: bool

    def counts(self, line: RatedLine) -> bool:
        """Say whether the line is one of those that the commitment looks at."""
        if line.segment == NO_SEGMENT:
            return self.has_fees and line.kind in FEE_KINDS
        return line.segment in self.segments


@dataclass(frozen=True, slots=True)
class Priced:
    """One price of a part of a period, or of the period that fees are for.

    Args:
        price: The price, or what the customer has instead.
        add_on: Add-on that it belongs to; None for the plan.
        times: How many of the add-on there are; 1 for the plan.
    """

    price: Price
    add_on: AddOn | None
    times: int

    @property
    def name(self) -> str:
        """Return what names its line behind the part."""
        return (
            self.price.key if self.add_on is None else f"addon:{self.add_on.code}/{self.price.key}"
        )

    @property
    def code(self) -> str:
        """Return the code of its add-on; empty for the plan's."""
        return "" if self.add_on is None else self.add_on.code

    def frees(self, discount: GrantedDiscount) -> bool:
        """Say whether free units are for it: for prices of the plan alone."""
        return (
            discount.kind is DiscountKind.FREE_UNITS
            and self.add_on is None
            and self.price.key in discount.prices
        )

    @property
    def label(self) -> str:
        """Return its label for people."""
        if self.add_on is None:
            return self.price.label
        name = self.price.name
        return f"{self.add_on.name}: {name}" if name else self.add_on.name


def rounded(lines: Sequence[RatedLine], *, places: int) -> list[int]:
    """This function will round the amounts of lines, each half up.

    Of a fee that is charged by parts the rest goes with its next part: together they are the fee
    rounded once, so that a change that changes nothing changes no cent (X-54).

    Args:
        lines: The lines.
        places: Decimal places that stay.

    Returns:
        Whole 10^-places, one per line.
    """
    found: list[int] = []
    exact: dict[tuple[str, str], Fraction] = {}
    given: dict[tuple[str, str], int] = {}
    for line in lines:
        amount = line.amount_exact
        if not line.fee:
            found.append(round_half_up(amount, places=places))
            continue
        of = (line.fee, line.tax)
        exact[of] = exact.get(of, Fraction(0)) + amount
        upto = round_half_up(exact[of], places=places)
        found.append(upto - given.get(of, 0))
        given[of] = upto
    return found


def share_of(segment: Segment) -> Share:
    """This function will return how much of a whole period a segment covers."""
    return Share(segment.days, segment.of_days)


def priced_of(
    segment: Segment, catalogue: Catalogue, overrides: Sequence[Override]
) -> tuple[Priced, ...]:
    """This function will return the prices of a segment, the plan's first; none when it is paused.

    Where the catalogue bills no usage (S3-44), metered prices are none of its prices: whoever asks
    what is read, billed, covered or allowed finds the same.

    Args:
        segment: Part of a period, or the period that fees are for.
        catalogue: Its version.
        overrides: Prices that the customer has differently.

    Raises:
        Rejected: plan_unknown, add_on_unknown; bad_value, for an override that is no price.
    """
    if segment.is_paused:
        return ()
    plan = catalogue.plan(segment.plan)
    own = [each for each in overrides if not each.add_on and each.plan == plan.code]
    prices = [Priced(price, None, 1) for price in _with_own(plan.prices, own, catalogue)]
    for code, times in segment.add_ons:
        if times:
            add_on = catalogue.add_on(code)
            own = [each for each in overrides if each.add_on == code]
            prices += [
                Priced(price, add_on, times) for price in _with_own(add_on.prices, own, catalogue)
            ]
    is_billed = catalogue.billing.usage_lines
    return tuple(each for each in prices if is_billed or not each.price.meter)


def _with_own(
    prices: tuple[Price, ...], own: Sequence[Override], catalogue: Catalogue
) -> tuple[Price, ...]:
    """Return the prices of a plan or an add-on, or what the customer has instead of them.

    An own price holds where key and meter agree. A version may have the key over another meter,
    be it older than the own price or newer: there the catalogue's price holds, for the other one
    would bill what another price bills as well, and nothing would bill what this one is for.
    """
    if not own:
        return prices
    by_key = {each.price: each for each in own}
    return tuple(_own_or(price, by_key.get(price.key), catalogue) for price in prices)


def _own_or(price: Price, own: Override | None, catalogue: Catalogue) -> Price:
    if own is None or own.meter != price.meter:
        return price
    return override_price(own.fields, catalogue=catalogue)


def override_price(fields: Fields, *, catalogue: Catalogue) -> Price:
    """This function will read a price that one customer has instead of the catalogue's (S3-21).

    Args:
        fields: The price as a catalogue has it.
        catalogue: Version whose meters and composites it can be over.

    Raises:
        Rejected: With the place and the code of `fields`, for what a catalogue could not hold.
    """
    return price_over(fields, counted=catalogue.counted)
