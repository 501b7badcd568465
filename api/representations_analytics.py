"""What the answers of analytics look like; as everywhere, exact texts and no float."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from pydantic import Field

from api.representations import (
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from domain.canonical import decimal_text
from domain.money import Money
from domain.period import time_text
from domain.recurring import RecurringRevenue, totals
from projections.queries.analytics_summary import Summary
from projections.queries.analytics_values import (
    ActivityDay,
    Credits,
    CustomerFigures,
    Preference,
    Revenue,
    Segments,
    TierFigures,
    Waiting,
)

PERCENT = "Percent with one decimal place, decimal text; null when there is nothing to share"


class RevenueRepresentation(Representation):
    """What one day or month brought in, in one currency."""

    start: str = Field(description="First day of the step, YYYY-MM-DD, UTC")
    currency: str
    charges: int = Field(description="Charges made in it")
    charged: MoneyRepresentation = Field(description="Their prices")
    refunded: MoneyRepresentation = Field(description="What was given back in it")
    revenue: MoneyRepresentation = Field(description="Charged less refunded")
    top_ups: MoneyRepresentation = Field(description="Paid for credits; no part of revenue")


class TierRepresentation(Representation):
    """What one tier or bundle came to."""

    rank: int = Field(description="By revenue, from 1, among the tiers of a currency")
    emergence_type: str = Field(description="Code of the tier")
    name: str
    currency: str
    requested: int = Field(description="Charges that were asked for")
    charged: int = Field(description="Of them, those that were made")
    refused: int = Field(description="Declined, withdrawn, or not approved in time")
    waiting: int = Field(description="Those that are not decided")
    accepted_percent: str | None = Field(description=f"Charged of decided ones. {PERCENT}")
    credits: int = Field(description="Credits of charged ones, less those given back")
    revenue: MoneyRepresentation
    refunded: MoneyRepresentation
    customers: int = Field(description="Different customers that were charged")


class PreferenceRepresentation(Representation):
    """How often a tier was charged."""

    emergence_type: str
    charges: int


class TierAnalyticsRepresentation(Representation):
    """Use and revenue by tier."""

    tiers: list[TierRepresentation]
    preferences: list[PreferenceRepresentation] = Field(description="The tier used most first")


class CreditsRepresentation(Representation):
    """Where all credits are."""

    spent: int
    available: int
    held: int
    utilisation_percent: str | None = Field(description=f"Spent of all. {PERCENT}")


class SegmentsRepresentation(Representation):
    """Customers, and what they do."""

    total: int
    active: int = Field(description="With a node event or a transaction in the window")
    dormant: int
    active_days: int = Field(description="Length of the window, days")
    explorers: int = Field(description="With any node event")
    payers: int = Field(description="Of them, those with a charge that was not given back")
    conversion_percent: str | None = Field(description=f"Payers of explorers. {PERCENT}")


class WaitingRepresentation(Representation):
    """What waits for somebody."""

    approvals: int
    credits: int = Field(description="Credits that the approvals would take")
    unaffordable_customers: int = Field(
        description="Customers with a waiting charge above what they can spend"
    )
    open_suspicions: int


class InsightRepresentation(Representation):
    """A sentence that follows from the figures."""

    key: str
    text: str


class CustomerFiguresRepresentation(Representation):
    """What one customer came to."""

    customer: str
    lifetime_value: MoneyRepresentation = Field(description="Charges made, less refunds")
    charges: int
    credits_spent: int
    credits_available: int
    credits_held: int
    utilisation_percent: str | None = Field(description=PERCENT)
    last_active_at: str | None = Field(description=f"{TIME}; null without any activity")


class ActivityRepresentation(Representation):
    """What happened on one day."""

    day: str = Field(description="YYYY-MM-DD, UTC, by the time of receipt")
    weekday: str
    customers: int = Field(description="Different customers with node events")
    node_updates: int
    pulses: int
    transactions: int


class MetricsRepresentation(Representation):
    """Where the tenant stands."""

    as_of: str = Field(description=TIME)
    customers: SegmentsRepresentation
    credits: CreditsRepresentation
    waiting: WaitingRepresentation
    revenue_today: list[RevenueRepresentation] = Field(description="One for each currency")
    revenue_this_month: list[RevenueRepresentation]
    revenue_by_day: list[RevenueRepresentation] = Field(
        description="The last 30 days; days without a booking are left out"
    )
    revenue_by_month: list[RevenueRepresentation] = Field(description="The last 12 months")
    tiers: list[TierRepresentation]
    insights: list[InsightRepresentation]


class RevenueTrendRepresentation(Representation):
    """Revenue by day or month."""

    data: list[RevenueRepresentation]


class ActivityListRepresentation(Representation):
    """Activity by day."""

    data: list[ActivityRepresentation] = Field(description="Days without any are left out")


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def to_representation_metrics(summary: Summary) -> MetricsRepresentation:
    """This function will show where the tenant stands."""
    return MetricsRepresentation(
        as_of=time_text(summary.as_of),
        customers=_segments(summary.segments, days=summary.active_days),
        credits=_credits(summary.credits),
        waiting=_waiting(summary.waiting),
        revenue_today=[to_representation_revenue(step) for step in summary.today],
        revenue_this_month=[to_representation_revenue(step) for step in summary.this_month],
        revenue_by_day=[to_representation_revenue(step) for step in summary.by_day],
        revenue_by_month=[to_representation_revenue(step) for step in summary.by_month],
        tiers=[to_representation_tier(tier) for tier in summary.tiers],
        insights=[
            InsightRepresentation(key=insight.key, text=insight.text)
            for insight in summary.insights
        ],
    )


def to_representation_revenue(step: Revenue) -> RevenueRepresentation:
    """This function will show one step of a trend."""
    return RevenueRepresentation(
        start=step.start.isoformat(),
        currency=step.currency,
        charges=step.charges,
        charged=_money(step.charged_minor, step.currency),
        refunded=_money(step.refunded_minor, step.currency),
        revenue=_money(step.net_minor, step.currency),
        top_ups=_money(step.top_up_minor, step.currency),
    )


def to_representation_tier(tier: TierFigures) -> TierRepresentation:
    """This function will show a tier."""
    return TierRepresentation(
        rank=tier.rank,
        emergence_type=tier.tier,
        name=tier.name,
        currency=tier.currency,
        requested=tier.requested,
        charged=tier.captured,
        refused=tier.refused,
        waiting=tier.waiting,
        accepted_percent=_text(tier.acceptance),
        credits=tier.credits,
        revenue=_money(tier.net_minor, tier.currency),
        refunded=_money(tier.refunded_minor, tier.currency),
        customers=tier.customers,
    )


def to_representation_preference(preference: Preference) -> PreferenceRepresentation:
    """This function will show a preference."""
    return PreferenceRepresentation(emergence_type=preference.tier, charges=preference.charges)


def to_representation_customer_figures(
    figures: CustomerFigures,
) -> CustomerFiguresRepresentation:
    """This function will show what a customer came to."""
    return CustomerFiguresRepresentation(
        customer=figures.customer,
        lifetime_value=_money(figures.spent_minor, figures.currency),
        charges=figures.charges,
        credits_spent=figures.credits_spent,
        credits_available=figures.available,
        credits_held=figures.held,
        utilisation_percent=_text(figures.utilisation),
        last_active_at=None
        if figures.last_active_at is None
        else time_text(figures.last_active_at),
    )


def to_representation_activity(day: ActivityDay) -> ActivityRepresentation:
    """This function will show one day."""
    return ActivityRepresentation(
        day=day.day.isoformat(),
        weekday=_WEEKDAYS[day.day.weekday()],
        customers=day.customers,
        node_updates=day.updates,
        pulses=day.pulses,
        transactions=day.transactions,
    )


def _segments(segments: Segments, *, days: int) -> SegmentsRepresentation:
    return SegmentsRepresentation(
        total=segments.customers,
        active=segments.active,
        dormant=segments.dormant,
        active_days=days,
        explorers=segments.explorers,
        payers=segments.payers,
        conversion_percent=_text(segments.conversion),
    )


def _credits(credits_: Credits) -> CreditsRepresentation:
    return CreditsRepresentation(
        spent=credits_.spent,
        available=credits_.available,
        held=credits_.held,
        utilisation_percent=_text(credits_.utilisation),
    )


def _waiting(waiting: Waiting) -> WaitingRepresentation:
    return WaitingRepresentation(
        approvals=waiting.approvals,
        credits=waiting.credits,
        unaffordable_customers=waiting.unaffordable_customers,
        open_suspicions=waiting.suspicions,
    )


def _money(amount_minor: int, currency: str) -> MoneyRepresentation:
    return to_representation_money(Money(amount_minor, currency))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


class RecurringRepresentation(Representation):
    """What the active subscriptions of a plan come to, or all in a currency."""

    plan: str | None = Field(description="Plan code; null for all plans of the currency")
    active_subscriptions: int
    mrr: MoneyRepresentation = Field(description="A month of it; of a longer period its share")
    arr: MoneyRepresentation = Field(description="A year of it")


class RecurringListRepresentation(Representation):
    """Recurring revenue by plan, and what plans of a currency come to together."""

    as_of: str = Field(description=f"The tenant's time; {TIME}")
    plans: list[RecurringRepresentation] = Field(description="By currency and plan")
    totals: list[RecurringRepresentation] = Field(
        description="By currency: the sum of its plans, to the minor unit"
    )


def to_representation_recurring(
    plans: Sequence[RecurringRevenue], *, as_of: datetime
) -> RecurringListRepresentation:
    """This function will show recurring revenue."""
    return RecurringListRepresentation(
        as_of=time_text(as_of),
        plans=[_recurring(each) for each in plans],
        totals=[_recurring(each) for each in totals(plans)],
    )


def _recurring(found: RecurringRevenue) -> RecurringRepresentation:
    return RecurringRepresentation(
        plan=found.plan or None,
        active_subscriptions=found.subscriptions,
        mrr=to_representation_money(found.monthly),
        arr=to_representation_money(found.annual),
    )
