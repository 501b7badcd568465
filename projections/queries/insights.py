"""Insights: sentences that follow from the figures alone (S0-82, S0-R17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.canonical import decimal_text
from domain.money import minor_text
from projections.queries.analytics_values import Credits, Revenue, Segments, TierFigures, Waiting


@dataclass(frozen=True, slots=True)
class Insight:
    """One sentence for people.

    Args:
        key: Which one it is; stable.
        text: The sentence.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What insights are drawn from.

    Args:
        tiers: Tiers of charges requested this month.
        this_month, last_month: Revenue by currency.
        credits: All credits.
        segments: Customers and what they do.
        active_days: Window of the segments, days.
        waiting: What waits.
    """

    tiers: Sequence[TierFigures]
    this_month: Sequence[Revenue]
    last_month: Sequence[Revenue]
    credits: Credits
    segments: Segments
    active_days: int
    waiting: Waiting


def insights(figures: Figures) -> tuple[Insight, ...]:
    """This function will write the sentences; what to act on comes first."""
    return (
        *_of_waiting(figures.waiting),
        *_of_tiers(figures.tiers),
        *_of_revenue(figures),
        *_of_customers(figures),
    )


def _of_waiting(waiting: Waiting) -> list[Insight]:
    found = []
    if waiting.unaffordable_customers:
        who = _count(waiting.unaffordable_customers, "customer")
        found.append(
            Insight("cannot_afford", f"{who} cannot afford a charge that waits for approval.")
        )
    if waiting.approvals:
        what = _count(waiting.approvals, "charge")
        verb = "waits" if waiting.approvals == 1 else "wait"
        found.append(
            Insight(
                "approvals_waiting",
                f"{what} {verb} for approval, together {_count(waiting.credits, 'credit')}.",
            )
        )
    if waiting.suspicions:
        found.append(
            Insight(
                "suspicions_open",
                f"{_count(waiting.suspicions, 'suspicion')} not yet looked into.",
            )
        )
    return found


def _of_tiers(tiers: Sequence[TierFigures]) -> list[Insight]:
    found = [
        Insight(
            "best_tier",
            f"The best tier this month is {tier.name}: "
            f"{_money(tier.net_minor, tier.currency)} "
            f"from {_count(tier.captured, 'charge')}.",
        )
        for tier in tiers
        if tier.rank == 1 and tier.net_minor > 0
    ]
    found += [
        Insight(
            "never_accepted",
            f"{tier.name} was offered {_count(tier.refused, 'time')} this month, "
            "and never accepted.",
        )
        for tier in tiers
        if tier.captured == 0 and tier.waiting == 0 and tier.refused > 0
    ]
    return found


def _of_revenue(figures: Figures) -> list[Insight]:
    before = {month.currency: month.net_minor for month in figures.last_month}
    found = []
    for month in figures.this_month:
        now_text = _money(month.net_minor, month.currency)
        last_text = _money(before.get(month.currency, 0), month.currency)
        found.append(
            Insight(
                "revenue_of_month",
                f"This month brought {now_text} so far; "
                f"the whole of last month brought {last_text}.",
            )
        )
    return found


def _of_customers(figures: Figures) -> list[Insight]:
    segments, found = figures.segments, []
    if segments.conversion is not None:
        found.append(
            Insight(
                "conversion",
                f"{segments.payers} of {segments.explorers} customers who explored have paid for "
                f"a result: {decimal_text(segments.conversion)} %.",
            )
        )
    if segments.dormant:
        verb = "has" if segments.dormant == 1 else "have"
        found.append(
            Insight(
                "dormant",
                f"{_count(segments.dormant, 'customer')} {verb} done nothing for "
                f"{figures.active_days} days.",
            )
        )
    utilisation = figures.credits.utilisation
    if utilisation is not None:
        found.append(
            Insight(
                "utilisation",
                f"{decimal_text(utilisation)} % of all credits that customers had are spent.",
            )
        )
    return found


def _money(amount_minor: int, currency: str) -> str:
    text = minor_text(amount_minor=abs(amount_minor), currency=currency)
    major, point, minor = text.partition(".")
    return f"{currency} {'-' if amount_minor < 0 else ''}{int(major):,}{point}{minor}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
