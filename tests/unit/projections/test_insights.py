"""Sentences out of figures (S0-82)."""

from dataclasses import replace
from datetime import date

from projections.queries.analytics_values import (
    Credits,
    Revenue,
    Segments,
    TierFigures,
    Waiting,
    share,
)
from projections.queries.insights import Figures, insights

NOTHING = Figures(
    tiers=(),
    this_month=(),
    last_month=(),
    credits=Credits(0, 0, 0),
    segments=Segments(0, 0, 0, 0),
    active_days=30,
    waiting=Waiting(0, 0, 0, 0),
)
BLUEPRINT = TierFigures(
    tier="blueprint_package",
    name="Blueprint Package",
    currency="PHP",
    requested=4,
    captured=3,
    refused=1,
    waiting=0,
    credits=150,
    charged_minor=150_000,
    refunded_minor=50_000,
    customers=2,
    rank=1,
)


def _texts(figures: Figures) -> list[str]:
    return [insight.text for insight in insights(figures)]


def _month(start: date, minor: int, currency: str = "PHP") -> Revenue:
    return Revenue(start, currency, 1, minor, 0, 0)


class TestInsights:
    def test_are_none_where_nothing_is_known(self) -> None:
        assert () == insights(NOTHING)

    def test_name_the_best_tier_of_the_month_by_what_stays_of_its_revenue(self) -> None:
        figures = replace(NOTHING, tiers=(BLUEPRINT,))
        assert ["The best tier this month is Blueprint Package: PHP 1,000.00 from 3 charges."] == (
            _texts(figures)
        )

    def test_name_customers_who_cannot_afford_their_next_tier(self) -> None:
        """S0-R17; what somebody has to act on stands first."""
        figures = replace(NOTHING, waiting=Waiting(3, 145, 1, 0), tiers=(BLUEPRINT,))
        assert [
            "1 customer cannot afford a charge that waits for approval.",
            "3 charges wait for approval, together 145 credits.",
        ] == _texts(figures)[:2]

    def test_compare_months_of_one_currency_only(self) -> None:
        figures = replace(
            NOTHING,
            this_month=(_month(date(2026, 3, 1), 50_000), _month(date(2026, 3, 1), 7, "JPY")),
            last_month=(_month(date(2026, 2, 1), -50),),
        )
        assert [
            "This month brought PHP 500.00 so far; the whole of last month brought PHP -0.50.",
            "This month brought JPY 7 so far; the whole of last month brought JPY 0.",
        ] == _texts(figures)

    def test_tell_of_tiers_that_nobody_takes(self) -> None:
        refused = replace(BLUEPRINT, captured=0, refused=4, charged_minor=0, refunded_minor=0)
        assert ["Blueprint Package was offered 4 times this month, and never accepted."] == _texts(
            replace(NOTHING, tiers=(refused,))
        )

    def test_tell_who_pays_and_who_sleeps(self) -> None:
        figures = replace(
            NOTHING, segments=Segments(10, 9, 6, 2), credits=Credits(50, 100, 0), active_days=7
        )
        assert [
            "2 of 6 customers who explored have paid for a result: 33.3 %.",
            "1 customer has done nothing for 7 days.",
            "33.3 % of all credits that customers had are spent.",
        ] == _texts(figures)


class TestShares:
    def test_are_rounded_half_up_once_and_none_of_nothing(self) -> None:
        assert share(1, 0) is None
        assert ["0.1", "100.0", "66.7"] == [
            str(share(1, 2_000)),
            str(share(5, 5)),
            str(share(2, 3)),
        ]
