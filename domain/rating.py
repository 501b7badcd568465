"""Rating: from what was used to the lines of an invoice, before discounts, credit and tax.

Two pure steps, which the builder, the books and replay share (docs/decisions/0025): usage_entries
turns windows into one quantity for each selection that a price reads, and rate turns quantities
into lines. All amounts are exact; only the line `minimum` looks at rounded ones, because it makes
up what those lack. Everything about rating that others use is here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeAlias

from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.money import exact_text, round_half_up
from domain.plan import Of
from domain.pricing.price import (
    FREE_LABEL,
    NOTHING,
    ONE,
    TAX_STANDARD,
    PriceUsage,
    Quantity,
    Share,
    Step,
    amount_of,
    fixed_step,
    scaled,
)
from domain.quantity import NANOS_PER_UNIT
from domain.rated import (
    NO_SEGMENT,
    Bound,
    Priced,
    RatedLine,
    Selection,
    UsageEntry,
    override_price,
    priced_of,
    rounded,
    share_of,
)
from domain.rated_levels import alike_parts
from domain.rated_usage import line_sources, meters_of, selections, sources_of, usage_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from domain.catalogue import Catalogue
    from domain.invoice_terms import GrantedDiscount, InvoiceTerms, Segment
    from domain.overrides import Override
    from domain.plan import Commitment
    from domain.pricing.price import Price, Where

__all__ = (
    "Bound",
    "RatedLine",
    "Selection",
    "UsageEntry",
    "alike_parts",
    "commitment",
    "line_sources",
    "meters_of",
    "override_price",
    "rate",
    "rate_fees",
    "rounded",
    "selections",
    "usage_entries",
)
_Found: TypeAlias = "Mapping[tuple[int, str], Mapping[Where, UsageEntry]]"


def rate(
    *,
    terms: InvoiceTerms,
    usage: Iterable[UsageEntry],
    catalogues: Mapping[int, Catalogue],
) -> tuple[RatedLine, ...]:
    """This function will price what was used.

    Args:
        terms: What the invoice is made by.
        usage: What usage_entries made, in any order.
        catalogues: At least the versions that the terms name.

    Returns:
        Fees, add-ons' fees, then part by part the plan's prices and the add-ons', then what a
        minimum lacks; a price without usage has its line too.

    Raises:
        Rejected: plan_unknown, add_on_unknown; bad_value, for usage that no price reads.
        Fatal: state_corrupt, for a negative quantity: the usage fold never counts one (G-08).
    """
    lines: list[RatedLine] = []
    lines += _fee_lines(terms.fees, catalogues=catalogues, overrides=terms.overrides)
    found = _indexed(usage)
    read: set[tuple[int, str]] = set()
    for number, segment in enumerate(terms.segments):
        catalogue = catalogues[segment.catalogue_version]
        for priced in priced_of(segment, catalogue, terms.overrides):
            if priced.price.meter:
                read.update(
                    (number, each.meter) for each in sources_of(number, priced.price, catalogue)
                )
                lines.append(
                    _usage_line(
                        number,
                        segment,
                        priced,
                        catalogue=catalogue,
                        found=found,
                        free=[each for each in terms.discounts if priced.frees(each)],
                    )
                )
    for number, meter in found:
        if (number, meter) not in read:
            raise Rejected(
                Code.BAD_VALUE, f"usage of meter {meter!r} in part {number} is read by no price"
            )
    lines += _minimum_lines(lines, terms=terms, catalogues=catalogues)
    return tuple(lines)


def rate_fees(
    *,
    segment: Segment,
    catalogues: Mapping[int, Catalogue],
    overrides: tuple[Override, ...],
    currency: str,
) -> tuple[RatedLine, ...]:
    """This function will price the fees of a period, or of a part of one.

    Args:
        segment: What fees are for; of a part, days and of_days say how much.
        catalogues: At least the segment's version.
        overrides: Prices that the customer has differently.
        currency: ISO 4217 code that the plan must have.

    Returns:
        The plan's fees, then the add-ons'; none when it is paused.

    Raises:
        Rejected: plan_unknown, add_on_unknown; currency_differs, when the plan has another one.
    """
    plan = catalogues[segment.catalogue_version].plan(segment.plan)
    if plan.currency != currency:
        raise Rejected(
            Code.CURRENCY_DIFFERS, f"plan {plan.code!r} is in {plan.currency}, not in {currency}"
        )
    return tuple(_fee_lines((segment,), catalogues=catalogues, overrides=overrides))


@dataclass(frozen=True, slots=True)
class _Fee:
    """A fee over the parts of its period in which it stays the same.

    Args:
        number: Number of the first of them.
        priced: Its price.
        count: Seats that it counts; 1 for a fee that counts none.
        start: Start of the first.
        end: End of the last.
        days: Their days.
        of_days: Days of the whole cycle period.
    """

    number: int
    priced: Priced
    count: int
    start: datetime
    end: datetime
    days: int
    of_days: int

    def goes_on(self, other: _Fee) -> bool:
        """Say whether another one, of the next part, is the same fee."""
        mine, its = self.priced, other.priced
        return (mine.price, mine.times, mine.label, self.count) == (
            *(its.price, its.times, its.label),
            other.count,
        )

    def line(self) -> RatedLine:
        """Return what it comes to."""
        price, times = self.priced.price, self.priced.times
        is_seats = price.form == "seats"
        steps = price.charge(
            PriceUsage(Quantity(Fraction(self.count)), is_flow=False),
            share=Share(self.days, self.of_days),
        )
        kind = "seats" if is_seats else "fee"
        if times > 1:
            steps = scaled(steps, factor=Fraction(times), note=f"{times} times")
        part = f"{self.number}/" if self.number else ""
        return RatedLine(
            line_id=f"fee/{part}{self.priced.name}",
            kind=kind if self.priced.add_on is None else "add_on",
            label=self.priced.label,
            price=price.key,
            form=price.form,
            meter="",
            unit="seat" if is_seats else "",
            quantity=exact_text(Fraction(self.count * times)),
            amount_exact=amount_of(steps),
            steps=steps,
            is_estimate=False,
            tax=price.tax,
            segment=NO_SEGMENT,
            start=self.start,
            end=self.end,
            fee=self.priced.name,
            add_on=self.priced.code,
        )


def _fee_lines(
    parts: Sequence[Segment],
    *,
    catalogues: Mapping[int, Catalogue],
    overrides: Sequence[Override],
) -> Iterator[RatedLine]:
    """Yield the fees of a period: those that a change leaves as they are have one line."""
    found: list[_Fee] = []
    before: dict[str, int] = {}
    for number, part in enumerate(parts):
        going_on: dict[str, int] = {}
        for priced in priced_of(part, catalogues[part.catalogue_version], overrides):
            if priced.price.meter:
                continue
            count = part.seats if priced.price.form == "seats" else 1
            fee = _Fee(number, priced, count, part.start, part.end, part.days, part.of_days)
            place = before.get(priced.name)
            if place is not None and found[place].goes_on(fee):
                last = found[place]
                found[place] = replace(last, end=fee.end, days=last.days + fee.days)
            else:
                place = len(found)
                found.append(fee)
            going_on[priced.name] = place
        before = going_on
    return (fee.line() for fee in found)


def _indexed(usage: Iterable[UsageEntry]) -> _Found:
    found: dict[tuple[int, str], dict[Where, UsageEntry]] = defaultdict(dict)
    for entry in usage:
        invariant(
            entry.nanos >= 0,
            Code.STATE_CORRUPT,
            "a billed quantity is negative",
            meter=entry.meter,
        )
        found[entry.segment, entry.meter][entry.where] = entry
    return found


def _usage_line(
    number: int,
    segment: Segment,
    priced: Priced,
    *,
    catalogue: Catalogue,
    found: _Found,
    free: Sequence[GrantedDiscount],
) -> RatedLine:
    price, share = priced.price, share_of(segment)
    usage = _usage_of(number, price, catalogue=catalogue, found=found)
    total = usage.total
    free_steps: tuple[Step, ...] = ()
    for discount in free:
        usage, step = _without_free(usage, discount, share)
        free_steps = (*free_steps, step)
    if priced.times == 1:
        steps = price.charge(usage, share=share)
    else:
        # n of an add-on are one with n times its allowance, bounds and amounts.
        times = Fraction(priced.times)
        steps = scaled(
            price.charge(usage.times(1 / times), share=share),
            factor=times,
            note=f"{priced.times} times",
        )
    return RatedLine(
        line_id=f"{number}/{priced.name}",
        kind="usage",
        label=priced.label,
        price=price.key,
        form=price.form,
        meter=price.meter,
        unit=catalogue.unit(price.meter),
        quantity=exact_text(total.value),
        amount_exact=amount_of(steps),
        steps=(*free_steps, *steps),
        is_estimate=total.is_estimate,
        tax=price.tax,
        segment=number,
        start=segment.start,
        end=segment.end,
        add_on=priced.code,
    )


def _without_free(
    usage: PriceUsage, discount: GrantedDiscount, share: Share
) -> tuple[PriceUsage, Step]:
    """Return the usage without the free units of a period, and the step that says so.

    Of a part of a period it is a part of them, as of every allowance: of what adds up over time.
    """
    units = Fraction(discount.value) * (share.fraction if usage.is_flow else ONE)
    taken = min(units, usage.total.value)
    label = f"{FREE_LABEL}{discount.name}"
    total = Quantity(usage.total.value - taken, usage.total.events, usage.total.is_estimate)
    return PriceUsage(total, usage.groups, usage.is_flow), Step(
        label, taken, NOTHING, ONE, NOTHING
    )


def _usage_of(number: int, price: Price, *, catalogue: Catalogue, found: _Found) -> PriceUsage:
    """Return what a price is asked to charge: a composite adds its meters up, weighted."""
    parts = catalogue.counted.parts(price.meter)
    is_flow = all(meter.is_flow for meter, _ in parts)
    if not price.reads:
        total = Quantity(NOTHING)
        for meter, weight in parts:
            entry = found.get((number, meter.key), {}).get(price.where)
            if entry is not None:
                total = _plus(total, entry, weight)
        return PriceUsage(total, is_flow=is_flow)
    groups: dict[Where, Quantity] = {}
    for meter, weight in parts:
        for where, entry in found.get((number, meter.key), {}).items():
            group = _group_key(where, price)
            if group is not None:
                groups[group] = _plus(groups.get(group, Quantity(NOTHING)), entry, weight)
    total = Quantity(
        sum((each.value for each in groups.values()), NOTHING),
        sum((each.events for each in groups.values()), NOTHING),
        any(each.is_estimate for each in groups.values()),
    )
    return PriceUsage(total, tuple(sorted(groups.items(), key=lambda pair: pair[0])), is_flow)


def _group_key(where: Where, price: Price) -> Where | None:
    """Return an entry's values of the dimensions that a price reads; None for another's entry."""
    names = sorted({*price.reads, *(name for name, _ in price.where)})
    if [name for name, _ in where] != names:
        return None
    values = dict(where)
    fixed = ((name, value) for name, value in price.where if name not in price.reads)
    if any(values[name] != value for name, value in fixed):
        return None
    return tuple((name, values[name]) for name in price.reads)


def _plus(total: Quantity, entry: UsageEntry, weight: Fraction) -> Quantity:
    value = Fraction(entry.nanos, NANOS_PER_UNIT)
    return Quantity(
        total.value + (value if weight == 1 else value * weight),
        total.events + entry.events,
        total.is_estimate or entry.is_estimate,
    )


def commitment(
    *,
    terms: InvoiceTerms,
    catalogues: Mapping[int, Catalogue],
    which: Literal["minimum", "maximum"],
) -> Bound | None:
    """This function will return the least or the largest amount that plans ask for.

    It goes by the parts of the period whose usage is billed, not by the period that fees are for:
    fees in advance are the next period's, and the plan may have changed by then.

    Returns:
        None when no part's plan has one. A part whose catalogue bills no usage asks for no least
        amount: only fees and items are owed (S3-44).
    """
    amount, has_fees = NOTHING, False
    numbers = []
    for number, segment in enumerate(terms.segments):
        if segment.is_paused:
            continue
        catalogue = catalogues[segment.catalogue_version]
        if which == "minimum" and not catalogue.billing.usage_lines:
            continue
        plan = catalogue.plan(segment.plan)
        given: Commitment | None = plan.minimum if which == "minimum" else plan.maximum
        if given is not None:
            numbers.append(number)
            amount += given.amount * share_of(segment).fraction
            has_fees = has_fees or given.of is Of.ALL
    return Bound(amount, frozenset(numbers), has_fees) if numbers else None


def _minimum_lines(
    lines: Sequence[RatedLine], *, terms: InvoiceTerms, catalogues: Mapping[int, Catalogue]
) -> Iterator[RatedLine]:
    """Yield the line that makes up what a minimum lacks; 0 when it is reached.

    It is the difference of rounded amounts, so that the lines add up to the commitment itself.
    """
    bound = commitment(terms=terms, catalogues=catalogues, which="minimum")
    if bound is None:
        return
    places = terms.scale
    amounts = zip(lines, rounded(lines, places=places), strict=True)
    reached = sum(amount for line, amount in amounts if bound.counts(line))
    wanted = round_half_up(bound.amount, places=places)
    amount = Fraction(max(0, wanted - reached), 10**places)
    label = f"up to the minimum of {exact_text(Fraction(wanted, 10**places))}"
    numbers = sorted(bound.segments)
    yield RatedLine(
        line_id="minimum",
        kind="minimum",
        label="minimum",
        price="",
        form="minimum",
        meter="",
        unit="",
        quantity="1",
        amount_exact=amount,
        steps=(fixed_step(label, amount),),
        is_estimate=False,
        tax=TAX_STANDARD,
        segment=NO_SEGMENT,
        start=terms.segments[numbers[0]].start,
        end=terms.segments[numbers[-1]].end,
    )
