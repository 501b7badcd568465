"""Allowances: what a subscription has used and has left of its running period (C-03).

An allowance is the second of the three ledgers that share the word credit: it belongs to a price
of the plan, begins anew with each period, and may be exceeded. It is no book of its own: it is the
price's `included` set against the windows of the part of the period that runs now, read the same
way as for the invoice, so the two cannot disagree; of a level the parts before it count as on the
invoice (domain.rated_levels). Nothing here decides about money.

    used       = what the price's line would have as its quantity
    included   = the price's allowance, and free units; of a part of a period, its share of what
                 adds up over time
    remaining  = max(0, included - used)          never negative (S1-R8)
    overage    = max(0, used - included)
    alert      = OVERAGE when used > included; LOW_CREDITS from usage_warning_percent of it on
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from domain import rating
from domain.aggregation.kinds import ADDED, SKETCHED, Aggregation
from domain.aggregation.measures import measured
from domain.billing_terms import DiscountKind
from domain.books.agreement import phase_in, segment_of, spans_of
from domain.books.invoice_terms_of import invoice_terms
from domain.credit_balance import NO_CREDIT
from domain.invoice_terms import InvoiceKind, overrides_for
from domain.invoice_usage import parts_of
from domain.meter import carried_meters
from domain.period import Period
from domain.plan_limits import LimitUse, limits_of
from domain.pricing.price import NOTHING, ONE, Overflow
from domain.quantity import NANOS_PER_UNIT
from domain.rated import priced_of, share_of
from domain.rated_levels import STANDING, level_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.aggregation.window_row import WindowRow
    from domain.books.customer import Customer
    from domain.books.subscription import Phase, Subscription
    from domain.catalogue import Catalogue
    from domain.invoice_terms import InvoiceTerms, Segment
    from domain.meter import Meter
    from domain.plan import Limit, Plan
    from domain.rated import Priced
    from domain.usage.segment_rows import Part, SegmentRow

PERCENT = 100


class Alert(StrEnum):
    """What a customer is to be told (S1-R7)."""

    LOW_CREDITS = "LOW_CREDITS"
    OVERAGE = "OVERAGE"


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription at a moment: what holds of it, and which windows say what was used.

    Args:
        subscription: Id, sub_….
        status: scheduled, trialing, active, paused or cancelled.
        period: The billing period that runs, or the trial.
        terms: Terms of an invoice over the parts of the period up to the one that runs.
        parts: Windows that are read of each of them, those of limits too; before the one that
            runs only levels.
        catalogue: Version that prices the part.
    """

    subscription: str
    status: str
    period: Period
    terms: InvoiceTerms
    parts: tuple[Part, ...]
    catalogue: Catalogue

    @property
    def number(self) -> int:
        """Return which part of the period runs, from 0."""
        return len(self.terms.segments) - 1

    @property
    def segment(self) -> Segment:
        """Return the part that runs: plan, version, seats; its whole is the period's cycle."""
        return self.terms.segments[-1]

    @property
    def plan(self) -> Plan:
        """Return the plan that holds."""
        return self.catalogue.plan(self.segment.plan)


@dataclass(frozen=True, slots=True)
class Allowance:
    """One price's allowance in the running part of a period.

    Args:
        name: What names the price's line: its key, or addon:CODE/KEY.
        label: For people.
        meter: Meter or composite that is counted.
        unit: What one unit is.
        overflow: What usage above the allowance does (C-04).
        included: Units that cost nothing.
        used: Units used.
        alert: What to tell the customer; None for nothing.
        is_estimate: Whether used is near the true figure instead of equal to it.
    """

    name: str
    label: str
    meter: str
    unit: str
    overflow: Overflow
    included: Fraction
    used: Fraction
    alert: Alert | None
    is_estimate: bool

    @property
    def remaining(self) -> Fraction:
        """Return what is left, never below 0."""
        return max(NOTHING, self.included - self.used)

    @property
    def overage(self) -> Fraction:
        """Return what was used beyond the allowance, never below 0."""
        return max(NOTHING, self.used - self.included)

    @property
    def used_percent(self) -> int | None:
        """Return how much of the allowance is used, rounded down; None without an allowance."""
        return int(self.used * PERCENT / self.included) if self.included else None


def standing_at(
    moment: datetime,
    *,
    subscription: Subscription,
    customer: Customer,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
    tenant: str,
) -> Standing | None:
    """This function will say what holds of a subscription at a moment.

    Args:
        moment: Any moment from the open period, or the trial before it, on.
        subscription: The subscription.
        customer: Who pays.
        catalogues: Every published version.
        published_at: When each was published.
        tenant: Who bills.

    Returns:
        None before the service begins, after it ended, and before the open period: what was
        invoiced says what was used.
    """
    status = subscription.status_at(moment)
    running = _running(subscription, moment, catalogues=catalogues, published_at=published_at)
    if running is None or status in {"scheduled", "cancelled"}:
        return None
    period, whole, held = running
    segments = tuple(
        segment_of(phase, period=part, whole=whole, catalogues=catalogues) for phase, part in held
    )
    catalogue = catalogues[segments[-1].catalogue_version]
    terms = replace(
        invoice_terms(
            subscription=None,
            customer=customer,
            items=(),
            credit=NO_CREDIT,
            catalogues=catalogues,
            published_at=published_at,
            tenant=tenant,
        ),
        kind=InvoiceKind.PERIOD,
        subscription=subscription.subscription,
        period=period,
        segments=segments,
        overrides=overrides_for(customer.overrides, parts=segments),
        discounts=subscription.discounts,
        dimensions=subscription.dimensions,
    )
    return Standing(
        subscription=subscription.subscription,
        status=status,
        period=period,
        terms=terms,
        parts=_parts(
            terms, catalogues=catalogues, limits=catalogue.plan(segments[-1].plan).limits
        ),
        catalogue=catalogue,
    )


def _running(
    subscription: Subscription,
    moment: datetime,
    *,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> tuple[Period, Period, tuple[tuple[Phase, Period], ...]] | None:
    """Return the period, its whole cycle, and what held in its parts up to the moment's."""
    if moment < subscription.period.start:
        trial_end = subscription.trial_ends_at
        if trial_end is None or not subscription.starts_at <= moment < trial_end:
            return None
        trial = Period(subscription.starts_at, trial_end)
        if moment < subscription.phases[0].start:
            return None
        return trial, trial, ((subscription.phase_at(moment), trial),)
    running = subscription.period_at(moment)
    if running is None:
        return None
    held = tuple(
        (
            phase_in(
                running,
                moment=part.start,
                subscription=subscription,
                catalogues=catalogues,
                published_at=published_at,
            ),
            part,
        )
        for _, part in spans_of(subscription, running.period)
        if part.start <= moment
    )
    return running.period, running.whole, held


def _parts(
    terms: InvoiceTerms, *, catalogues: Mapping[int, Catalogue], limits: Sequence[Limit]
) -> tuple[Part, ...]:
    *before, runs = parts_of(terms, catalogues=catalogues)
    catalogue = catalogues[terms.segments[-1].catalogue_version]
    limited = [meter for limit in limits for meter, _ in catalogue.counted.parts(limit.meter)]
    levels = frozenset(key for key in runs.meters if not catalogue.meter(key).is_flow)
    standing = [meter for meter in limited if meter.aggregation in STANDING]
    return (
        *(_with_meters(replace(part, meters=part.meters & levels), standing) for part in before),
        _with_meters(runs, limited),
    )


def _with_meters(part: Part, looked_at: Sequence[Meter]) -> Part:
    """Return a part of which other meters are read as well."""
    hourly = frozenset(meter.key for meter in looked_at if meter.aggregation in SKETCHED)
    return replace(
        part,
        meters=part.meters | {meter.key for meter in looked_at},
        sketched=part.sketched | hourly,
        carried=part.carried | carried_meters(looked_at),
        extreme=part.extreme
        | frozenset(meter.key for meter in looked_at if meter.aggregation in STANDING),
    )


def allowances_of(
    standing: Standing, *, rows: Iterable[SegmentRow], catalogues: Mapping[int, Catalogue]
) -> tuple[tuple[Allowance, ...], tuple[LimitUse, ...]]:
    """This function will set what was used against what a plan includes and allows.

    Args:
        standing: What holds.
        rows: Windows of standing.parts, each with the number of its part.
        catalogues: Every published version.

    Returns:
        Allowances in the order of the plan's prices, then those of add-ons; limits in the plan's
        order.
    """
    windows = tuple(rows)
    usage = rating.usage_entries(terms=standing.terms, rows=windows, catalogues=catalogues)
    without_free = replace(
        standing.terms,
        discounts=tuple(
            each for each in standing.terms.discounts if each.kind is not DiscountKind.FREE_UNITS
        ),
    )
    lines = {
        line.line_id: line
        for line in rating.rate(terms=without_free, usage=usage, catalogues=catalogues)
    }
    found = []
    for priced in priced_of(standing.segment, standing.catalogue, standing.terms.overrides):
        price = priced.price
        if not price.meter:
            continue
        line = lines[f"{standing.number}/{priced.name}"]
        included = _included(standing, priced)
        used = Fraction(line.quantity)
        found.append(
            Allowance(
                name=priced.name,
                label=line.label,
                meter=price.meter,
                unit=line.unit,
                overflow=price.overflow,
                included=included,
                used=used,
                alert=_alert(
                    used,
                    included,
                    overflow=price.overflow,
                    warning_percent=standing.catalogue.billing.usage_warning_percent,
                ),
                is_estimate=line.is_estimate,
            )
        )
    limits = limits_of(
        standing.plan.limits,
        value_of=lambda meter: _value_of(standing, windows, meter),
        catalogue=standing.catalogue,
    )
    return tuple(found), limits


def _included(standing: Standing, priced: Priced) -> Fraction:
    price = priced.price
    is_flow = all(meter.is_flow for meter, _ in standing.catalogue.counted.parts(price.meter))
    share = share_of(standing.segment).fraction if is_flow else ONE
    free = (Fraction(each.value) for each in standing.terms.discounts if priced.frees(each))
    return (price.included * priced.times + sum(free, NOTHING)) * share


def _alert(
    used: Fraction, included: Fraction, *, overflow: Overflow, warning_percent: int
) -> Alert | None:
    """Say what to tell; usage that is simply paid for, without an allowance, is no overage."""
    if not included and overflow is Overflow.BILL:
        return None
    if used > included:
        return Alert.OVERAGE
    if used and used * PERCENT >= included * warning_percent:
        return Alert.LOW_CREDITS
    return None


def _value_of(standing: Standing, windows: Sequence[SegmentRow], meter: Meter) -> Fraction:
    """Return where a meter stands in the part that runs."""
    asked = set(standing.terms.dimensions)
    rows: dict[int, list[WindowRow]] = {}
    for number, row in windows:
        if row.meter == meter.key and row.events and asked.issubset(row.dimensions):
            rows.setdefault(number, []).append(row)
    quantity = measured(
        meter.measure,
        windows=level_rows(meter, rows=rows, together=frozenset({standing.number})),
        span=standing.parts[-1].span,
    )
    return Fraction(quantity.nanos, NANOS_PER_UNIT)


def burn_of(
    allowance: Allowance, *, event_type: str, nanos: int, catalogue: Catalogue
) -> Fraction:
    """This function will say how much of an allowance one more event takes (S1-30).

    Args:
        allowance: The allowance.
        event_type: Type of the event, or an alias of it.
        nanos: Quantity of the event in billionths.
        catalogue: Version that prices it.

    Returns:
        Units of the allowance; 0 for an event that it does not count, or counts in another way
        than by adding it up.
    """
    weights = {meter.key: weight for meter, weight in catalogue.counted.parts(allowance.meter)}
    burned = NOTHING
    for meter in catalogue.meters_of(event_type):
        if meter.key in weights and meter.aggregation in ADDED and not meter.value_property:
            value = (
                ONE if meter.aggregation is Aggregation.COUNT else Fraction(nanos, NANOS_PER_UNIT)
            )
            burned += value * weights[meter.key]
    return burned


def counts(allowance: Allowance, *, event_type: str, catalogue: Catalogue) -> bool:
    """This function will say whether events of a type are counted by an allowance."""
    keys = {meter.key for meter, _ in catalogue.counted.parts(allowance.meter)}
    return any(meter.key in keys for meter in catalogue.meters_of(event_type))


def after_burn(allowance: Allowance, *, burned: Fraction, warning_percent: int) -> Allowance:
    """This function will return an allowance as it stands once more was used.

    Args:
        allowance: As it stands.
        burned: Units of it that are used besides.
        warning_percent: Share of it from which the customer is warned.
    """
    used = allowance.used + burned
    alert = _alert(
        used,
        allowance.included,
        overflow=allowance.overflow,
        warning_percent=warning_percent,
    )
    return replace(allowance, used=used, alert=alert)


def is_allowed(allowance: Allowance, *, burned: Fraction) -> bool:
    """This function will say whether a use may happen: only overflow refuse ever says no (C-04).

    Args:
        allowance: As it stands.
        burned: Units of it that the use would take.
    """
    return allowance.overflow is not Overflow.REFUSE or allowance.used + burned <= (
        allowance.included
    )
