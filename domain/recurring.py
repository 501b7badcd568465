"""Recurring revenue: what the subscriptions that run come to when nothing changes (S3-47).

A subscription's annual amount is what the fees of a whole period come to, flat fees, seats and
add-ons, times the periods of a year; a month's is a twelfth of it. Its plan, seats and add-ons are
those that hold at the moment, by the catalogue version that bills them, with the customer's own
prices. Tax on top is no part of it; a price with its tax inside counts with it. Percentages that
are granted for good come off; those for a number of periods and amounts do not, for they pass, and
neither do credits. Usage and minimum commitments do not count: nobody knows them before they are
used.

Active is who is neither to come, on trial, paused nor cancelled; a cancellation counts from the
moment it takes effect. A lifetime is active, and does not recur.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.books.agreement import fees_of, phase_in, segment_of
from domain.money import Money, minor_unit_places, round_half_up
from domain.period import MONTHS, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from domain.books.customer import Customer
    from domain.books.subscription import Phase, Subscription
    from domain.catalogue import Catalogue

MONTHS_OF_A_YEAR = 12
ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Recurring:
    """What one subscription comes to.

    Args:
        plan: Plan code.
        currency: ISO 4217 code.
        annual: Exact amount of a year, major units.
    """

    plan: str
    currency: str
    annual: Fraction


@dataclass(frozen=True, slots=True)
class RecurringRevenue:
    """What the active subscriptions of a plan come to, or all in a currency.

    Args:
        plan: Plan code; empty for all plans.
        subscriptions: Active subscriptions.
        monthly: Of a month; of a plan rounded half up once, of all plans the sum of theirs.
        annual: Of a year; of a plan rounded half up once, of all plans the sum of theirs.
    """

    plan: str
    subscriptions: int
    monthly: Money
    annual: Money


def recurring_at(
    moment: datetime,
    *,
    subscription: Subscription,
    customer: Customer,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> Recurring | None:
    """This function will say what a subscription comes to at a moment.

    Args:
        moment: From the open period on.
        subscription: The subscription.
        customer: Who pays.
        catalogues: Every published version.
        published_at: When each was published.

    Returns:
        None for a subscription that is not active.
    """
    if subscription.status_at(moment) != ACTIVE:
        return None
    phase = _phase_at(
        moment, subscription=subscription, catalogues=catalogues, published_at=published_at
    )
    if phase.interval is Interval.LIFETIME:
        return Recurring(phase.plan, subscription.currency, Fraction(0))
    whole = subscription.period
    fees = fees_of(
        segment_of(phase, period=whole, whole=whole, catalogues=catalogues),
        catalogues=catalogues,
        overrides=customer.overrides,
        discounts=tuple(each for each in subscription.discounts if not each.periods_left),
        currency=subscription.currency,
    )
    periods = Fraction(MONTHS_OF_A_YEAR, MONTHS[phase.interval])
    return Recurring(phase.plan, subscription.currency, sum(fees.values(), Fraction(0)) * periods)


def _phase_at(
    moment: datetime,
    *,
    subscription: Subscription,
    catalogues: Mapping[int, Catalogue],
    published_at: Mapping[int, datetime],
) -> Phase:
    running = subscription.period_at(moment)
    if running is None:  # its open period begins later: it was billed ahead
        return subscription.phase_at(max(moment, subscription.phases[0].start))
    return phase_in(
        running,
        moment=moment,
        subscription=subscription,
        catalogues=catalogues,
        published_at=published_at,
    )


def by_plan(found: Iterable[Recurring]) -> tuple[RecurringRevenue, ...]:
    """This function will add subscriptions up by currency and plan, in this order."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    annual: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for each in found:
        key = each.currency, each.plan
        counts[key] += 1
        annual[key] += each.annual
    return tuple(
        RecurringRevenue(
            plan=plan,
            subscriptions=count,
            monthly=_money(annual[currency, plan] / MONTHS_OF_A_YEAR, currency),
            annual=_money(annual[currency, plan], currency),
        )
        for (currency, plan), count in sorted(counts.items())
    )


def totals(plans: Iterable[RecurringRevenue]) -> tuple[RecurringRevenue, ...]:
    """This function will add plans up by currency, in its order; currencies are never mixed."""
    found: dict[str, RecurringRevenue] = {}
    for each in plans:
        currency = each.annual.currency
        before = found.get(currency)
        found[currency] = RecurringRevenue(
            plan="",
            subscriptions=each.subscriptions + (before.subscriptions if before else 0),
            monthly=each.monthly + before.monthly if before else each.monthly,
            annual=each.annual + before.annual if before else each.annual,
        )
    return tuple(found[currency] for currency in sorted(found))


def _money(amount: Fraction, currency: str) -> Money:
    return Money(round_half_up(amount, places=minor_unit_places(currency)), currency)
