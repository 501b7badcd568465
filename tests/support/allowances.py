"""Standings and allowances of made-up subscriptions, for the tests of allowances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec import structs

from domain.aggregation.window_row import WindowRow
from domain.allowances import (
    Allowance,
    Standing,
    allowances_of,
    standing_at,
)
from domain.billing_terms import Cycle, Fees
from domain.books.customer import Customer
from domain.books.subscription import Phase, Subscription
from domain.canonical import Json
from domain.catalogue import Catalogue, parse_catalogue
from domain.overrides import Override
from domain.period import Interval, Period
from tests.support.billing import moment

NANOS = 10**9
START = "2025-01-01"
METERS: list[Json] = [
    {"key": "tokens", "event_type": "LLM_token_usage", "aggregation": "sum", "unit": "1k_tokens"},
    {"key": "frames", "event_type": "vision_frame_batch", "aggregation": "sum", "unit": "frames"},
    {"key": "jobs", "event_type": "optimizer_job", "aggregation": "sum", "unit": "job"},
    {"key": "runs", "event_type": "simulator_run", "aggregation": "sum", "unit": "run"},
    {"key": "assets", "event_type": "asset_snapshot", "aggregation": "latest", "unit": "asset"},
    {"key": "sites", "event_type": "asset_sites", "aggregation": "latest", "unit": "site"},
    {
        "key": "users",
        "event_type": "login",
        "aggregation": "sum",
        "unit": "login",
        "group_by": ["app"],
    },
]
CREDITS: Json = {
    "key": "credits",
    "unit": "credit",
    "of": [
        {"meter": "tokens", "weight": "1"},
        {"meter": "frames", "weight": "5"},
        {"meter": "jobs", "weight": "500"},
        {"meter": "runs", "weight": "1000"},
    ],
}


def plan(code: str, *, credits_: str, sites: str, prices: Sequence[Json] = ()) -> Json:
    """A plan of S1: credits and assets with allowances, and a limit of sites."""
    return {
        "code": code,
        "name": code.title(),
        "currency": "CAD",
        "prices": [
            {"key": "base", "form": "flat", "amount": "9000"},
            {
                "key": "asset_uplift",
                "form": "per_unit",
                "meter": "assets",
                "included": "1000",
                "rate": "3.00",
            },
            {
                "key": "credit_overage",
                "form": "per_unit",
                "meter": "credits",
                "included": credits_,
                "rate": "0.0020",
            },
            *prices,
        ],
        "limits": [{"key": "sites", "meter": "sites", "maximum": sites}],
    }


def catalogue(version: int = 1, *, prices: Sequence[Json] = (), pro: str = "1000000") -> Catalogue:
    """Return S1's catalogue as far as allowances go."""
    return parse_catalogue(
        json.dumps(
            {
                "version": version,
                "meters": METERS,
                "composites": [CREDITS],
                "add_ons": [
                    {
                        "code": "more",
                        "name": "More logins",
                        "currency": "CAD",
                        "prices": [
                            {
                                "key": "logins",
                                "form": "per_unit",
                                "meter": "users",
                                "included": "10",
                                "rate": "1",
                            }
                        ],
                    }
                ],
                "plans": [
                    plan("PRO", credits_=pro, sites="3", prices=prices),
                    plan("STARTER", credits_="250000", sites="1"),
                ],
            }
        )
    )


def subscribed(
    plan_code: str = "PRO", *, phases: Sequence[Phase] = (), **changes: object
) -> Subscription:
    """Return a monthly subscription from START."""
    start = moment(START)
    made = Subscription(
        subscription="sub_1",
        customer="plant",
        currency="CAD",
        anchor=start,
        anchor_day=1,
        starts_at=start,
        interval=Interval.MONTH,
        cycle=Cycle.ANNIVERSARY,
        fees=Fees.IN_ARREARS,
        trial_ends_at=None,
        period_index=0,
        period=Period(start, moment("2025-02-01")),
        opening_due=False,
        phases=tuple(phases) or (Phase(start, plan_code, Interval.MONTH, 1),),
        ends_at=None,
        discounts=(),
        dimensions=(),
        parked_reason="",
        created_at=start,
    )
    return structs.replace(made, **changes)


def standing(
    subscription: Subscription | None = None,
    *,
    at: str = "2025-01-20",
    versions: Mapping[int, Catalogue] | None = None,
    published: Mapping[int, str] | None = None,
    overrides: tuple[Override, ...] = (),
) -> Standing | None:
    """Return what holds at a moment."""
    catalogues = versions or {1: catalogue()}
    days = published or dict.fromkeys(catalogues, "2024-12-01")
    return standing_at(
        moment(at),
        subscription=subscription or subscribed(),
        customer=Customer("plant", "CAD", moment(START), overrides=overrides),
        catalogues=catalogues,
        published_at={version: moment(day) for version, day in days.items()},
        tenant="tenant",
    )


def running(held: Standing, rows: Sequence[WindowRow]) -> list[tuple[int, WindowRow]]:
    """Return windows as those of the part that runs."""
    return [(held.number, row) for row in rows]


def used(
    rows: Sequence[WindowRow],
    *,
    found: Standing | None = None,
    versions: Mapping[int, Catalogue] | None = None,
) -> dict[str, Allowance]:
    """Return the allowances by the name of their line."""
    held = found or standing(versions=versions)
    assert held is not None
    allowances, _ = allowances_of(
        held, rows=running(held, rows), catalogues=versions or {1: catalogue()}
    )
    return {each.name: each for each in allowances}


def s1(allowance: Allowance) -> tuple[int, str | None]:
    """Return remaining_credits and alert, as S1 answers them."""
    assert allowance.remaining.denominator == 1
    return int(allowance.remaining), allowance.alert
