"""What a phase of a subscription comes to by the catalogue: its version, its plan, its fees."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from msgspec import structs

from domain import rating
from domain.billing_terms import DiscountKind, Fees
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_terms import Segment
from domain.period import Interval, Period, days_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.books.subscription import BillingPeriod, Phase, Subscription
    from domain.catalogue import Catalogue
    from domain.invoice_terms import GrantedDiscount
    from domain.overrides import Override

PERCENT = 100


def require_plan(
    catalogue: Catalogue | None, *, plan: str, currency: str, add_ons: tuple[tuple[str, int], ...]
) -> Catalogue:
    """This function will return a catalogue once it sells a plan and add-ons in a currency.

    Raises:
        Rejected: plan_unknown, add_on_unknown or currency_differs.
    """
    if catalogue is None:
        raise Rejected(Code.PLAN_UNKNOWN, "no catalogue was published")
    sold = [("plan", "plan", plan, catalogue.plan(plan).currency)]
    sold += [("add_ons", "add-on", code, catalogue.add_on(code).currency) for code, _ in add_ons]
    for param, what, code, priced_in in sold:
        if priced_in != currency:
            raise Rejected(
                Code.CURRENCY_DIFFERS,
                f"{what} {code!r} is in {priced_in}, the customer pays {currency}",
                param=param,
            )
    return catalogue


def require_seats_sold(
    phases: Iterable[Phase],
    before: Sequence[Phase] = (),
    *,
    catalogues: Mapping[int, Catalogue],
    place: str,
) -> None:
    """This function will refuse phases with more seats than their plan sells (S3-R4).

    It sells what the version of the phase and the one in force sell: the next period is of the
    latter, which asks nobody again.

    Args:
        phases: What is to hold.
        before: What held and was to hold: who has as many seats on the plan keeps them.
        catalogues: Every published version.
        place: Field of the command that is to blame.

    Raises:
        Rejected: seats_limit, with the place.
    """
    for phase in phases:
        versions = (catalogues[phase.catalogue_version], catalogues[max(catalogues)])
        seats_max = min(
            plan.seats_max for each in versions for plan in each.plans if plan.code == phase.plan
        )
        is_held = any(each.plan == phase.plan and phase.seats <= each.seats for each in before)
        if phase.seats > seats_max and not is_held:
            raise Rejected(
                Code.SEATS_LIMIT,
                f"{place} asks for {phase.seats} seats, of which plan {phase.plan!r} sells at "
                f"most {seats_max}",
                param=place,
            )


def phase_from(
    start: datetime,
    *,
    subscription: Subscription,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> Phase:
    """This function will return what holds at the start of a period, by its version (as raised).

    Args:
        start: Start of the period.
        subscription: The subscription.
        catalogues: Every published version.
        published_at: When each was published.
    """
    return raised(
        subscription.phase_at(start),
        at=start,
        currency=subscription.currency,
        catalogues=catalogues,
        published_at=published_at,
    )


def raised(
    phase: Phase,
    *,
    at: datetime,
    currency: str,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> Phase:
    """This function will return a phase by the version that its period has (G-07).

    A period takes the newest version that was published by its start, for all that was planned
    in it as well. Where that one does not sell the plan and the add-ons in the subscription's
    currency and interval, the version of before stays: a period that nothing prices could never
    be invoiced.

    Args:
        phase: What holds, by the version that was in force when it was asked for.
        at: Start of the period that it lies in.
        currency: Currency of the subscription.
        catalogues: Every published version.
        published_at: When each was published.
    """
    newest = max(
        (version for version, moment in published_at.items() if moment <= at),
        default=phase.catalogue_version,
    )
    if newest <= phase.catalogue_version:
        return phase
    try:
        catalogue = require_plan(
            catalogues[newest], plan=phase.plan, currency=currency, add_ons=phase.add_ons
        )
    except Rejected:
        return phase
    if catalogue.plan(phase.plan).interval is not phase.interval:
        return phase
    return structs.replace(phase, catalogue_version=newest)


def kept_version(subscription: Subscription, *, plan: str, day: datetime) -> int | None:
    """This function will return the version by which a plan goes on from a day (G-07).

    A change that was made for the day itself is overruled, so what runs up to it counts first.

    Args:
        subscription: The subscription.
        plan: Plan that is to hold from the day on.
        day: 00:00 UTC of it.

    Returns:
        None for a plan that holds neither up to the day nor on it: it begins anew.
    """
    earlier = [phase for phase in subscription.phases if phase.start < day]
    for phase in (*earlier[-1:], subscription.phase_at(day)):
        if phase.plan == plan:
            return phase.catalogue_version
    return None


def phase_in(
    period: BillingPeriod,
    *,
    moment: datetime,
    subscription: Subscription,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> Phase:
    """This function will return what holds at a moment of a period, by the version that bills it.

    Of a period after the open one that is the version it will have, once those before it are
    invoiced.

    Args:
        period: The open period, or one after it.
        moment: A moment in it.
        subscription: The subscription.
        catalogues: Every published version.
        published_at: When each was published.
    """
    phase = subscription.phase_at(moment)
    if period.index == subscription.period_index:
        return phase
    return raised(
        phase,
        at=period.period.start,
        currency=subscription.currency,
        catalogues=catalogues,
        published_at=published_at,
    )


def segment_of(
    phase: Phase, *, period: Period, whole: Period, catalogues: Mapping[int, Catalogue]
) -> Segment:
    """This function will write a phase as the segment of an invoice.

    Args:
        phase: What holds.
        period: The part of the cycle period it holds for.
        whole: The cycle period; a lifetime counts as one day of one, for it has no end to share.
        catalogues: Every published version.
    """
    is_lifetime = phase.interval is Interval.LIFETIME
    return Segment(
        start=period.start,
        end=period.end,
        plan=phase.plan,
        catalogue_version=phase.catalogue_version,
        catalogue_sha256=catalogues[phase.catalogue_version].sha256,
        days=1 if is_lifetime else days_of(period),
        of_days=1 if is_lifetime else days_of(whole),
        seats=phase.seats,
        add_ons=phase.add_ons,
        is_paused=phase.is_paused,
    )


def fees_of(
    segment: Segment,
    *,
    catalogues: Mapping[int, Catalogue],
    overrides: tuple[Override, ...],
    discounts: tuple[GrantedDiscount, ...],
    currency: str,
) -> dict[str, Fraction]:
    """This function will say what the fees of a segment come to, by tax category.

    Percentages come off the plan's fees as on the invoice, each of what is left; amounts do not,
    for they come off a whole invoice once.

    Returns:
        Exact amounts in major units by tax category; empty for a paused segment.
    """
    fees: dict[str, Fraction] = {}
    for line in rating.rate_fees(
        segment=segment, catalogues=catalogues, overrides=overrides, currency=currency
    ):
        amount = line.amount_exact
        for discount in discounts:
            is_meant = line.price in discount.prices or not discount.prices
            if discount.kind is DiscountKind.PERCENT and line.is_discounted and is_meant:
                amount *= 1 - Fraction(discount.value) / PERCENT
        fees[line.tax] = fees.get(line.tax, Fraction(0)) + amount
    return fees


def spans_of(subscription: Subscription, period: Period) -> tuple[tuple[Phase, Period], ...]:
    """This function will cut a period where what holds in it changes.

    Returns:
        Phase and its part of the period, in order and without gaps.
    """
    cuts = [
        period.start,
        *(phase.start for phase in subscription.phases if period.contains(phase.start)),
        period.end,
    ]
    edges = sorted(set(cuts))
    return tuple(
        (subscription.phase_at(start), Period(start, end))
        for start, end in itertools.pairwise(edges)
    )


def fee_parts(
    period: BillingPeriod,
    *,
    subscription: Subscription,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> tuple[Segment, ...]:
    """This function will return what the fees of a period are charged for (ADR 0026).

    Args:
        period: The open period, or the one after it.
        subscription: The subscription.
        catalogues: Every published version.
        published_at: When each was published.

    Returns:
        Its parts, each by what holds in it and by the version that will bill it. A lifetime has
        no days to share: each of its parts is the whole.
    """
    parts = []
    for _, part in spans_of(subscription, period.period):
        phase = phase_in(
            period,
            moment=part.start,
            subscription=subscription,
            catalogues=catalogues,
            published_at=published_at,
        )
        parts.append(segment_of(phase, period=part, whole=period.whole, catalogues=catalogues))
    return tuple(parts)


def metered_by(phase: Phase, *, catalogue: Catalogue) -> frozenset[str]:
    """This function will return the meters that a phase's plan and add-ons price.

    Args:
        phase: What holds.
        catalogue: The phase's version.
    """
    prices = [*catalogue.plan(phase.plan).prices]
    for code, _ in phase.add_ons:
        prices += catalogue.add_on(code).prices
    return frozenset(
        meter.key
        for price in prices
        if price.meter
        for meter, _ in catalogue.counted.parts(price.meter)
    )


def is_charged(subscription: Subscription, period: BillingPeriod) -> bool:
    """This function will say whether an invoice has the fees of a period already."""
    return (
        subscription.fees is Fees.IN_ADVANCE
        and not subscription.opening_due
        and period.index == subscription.period_index
    )
