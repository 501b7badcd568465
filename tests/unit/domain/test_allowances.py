"""Allowances: used, included, left and alerts of the running period, as S1 wants to be told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from domain import rating
from domain.aggregation.window_row import WindowRow
from domain.allowances import (
    Alert,
    Allowance,
    Standing,
    after_burn,
    allowances_of,
    burn_of,
    counts,
    is_allowed,
    standing_at,
)
from domain.billing_terms import Cycle, DiscountKind, Fees
from domain.books.customer import Customer
from domain.books.invoice_terms_of import invoice_terms
from domain.books.subscription import Phase, Subscription
from domain.canonical import Json, to_canonical_json
from domain.catalogue import Catalogue, parse_catalogue
from domain.credit_balance import NO_CREDIT
from domain.invoice_terms import GrantedDiscount, Override
from domain.period import Interval, Period, from_ms
from tests.support.billing import moment, units, window

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
    return replace(made, **changes)  # type: ignore[arg-type]  # names are checked by replace


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


class TestCreditsOfS1:
    """S1's credits: one allowance over four types of events."""

    @pytest.mark.parametrize(
        ("example", "before", "event_type", "units_", "burned", "remaining"),
        [
            ("x_34", 0, "LLM_token_usage", 12, 12, 999_988),
            ("x_35", 12, "vision_frame_batch", 1, 5, 999_983),
            ("x_36", 17, "optimizer_job", 1, 500, 999_483),
            ("x_37", 517, "simulator_run", 1, 1_000, 998_483),
            ("x_39", 0, "vision_frame_batch", 3, 15, 999_985),
        ],
    )
    def test_x_34_to_x_39_are_burned_by_the_weight_of_their_type(
        self,
        example: str,
        before: int,
        event_type: str,
        units_: int,
        burned: int,
        remaining: int,
    ) -> None:
        """Units times credits per unit, taken from what is left."""
        prices = catalogue()
        rows = [window("tokens", value=str(before))] if before else []
        allowance = used(rows)["credit_overage"]
        taken = burn_of(allowance, event_type=event_type, nanos=units_ * NANOS, catalogue=prices)
        after = after_burn(allowance, burned=taken, warning_percent=80)
        assert (Fraction(burned), (remaining, None)) == (taken, s1(after)), example

    def test_x_40_the_last_credit_is_no_overage_and_the_next_one_is(self) -> None:
        """500 left: a job takes them all, a token more is overage; nothing is ever below 0."""
        first = used([window("tokens", value="999500"), window("jobs", value="1", hours=1)])
        assert (0, Alert.LOW_CREDITS) == s1(first["credit_overage"])
        rows = [
            window("tokens", value="999500"),
            window("jobs", value="1", hours=1),
            window("tokens", value="1", hours=2),
        ]
        second = used(rows)["credit_overage"]
        assert (0, Alert.OVERAGE) == s1(second)
        assert (Fraction(1), Fraction(1_000_001)) == (second.overage, second.used)

    @pytest.mark.parametrize(
        ("tokens", "alert"),
        [
            ("799999.999999999", None),
            ("800000", Alert.LOW_CREDITS),
            ("1000000", Alert.LOW_CREDITS),
            ("1000000.000000001", Alert.OVERAGE),
        ],
    )
    def test_s1_r7_warn_from_80_percent_and_call_overage_beyond_all(
        self, tokens: str, alert: Alert | None
    ) -> None:
        """Each bound, and a billionth beside it."""
        row = replace(window("tokens"), sum_nanos=units(tokens))
        assert alert == used([row])["credit_overage"].alert

    def test_s1_38_begin_anew_with_each_period(self) -> None:
        """January's burn is not February's, before its invoice as after it."""
        rows = [window("tokens", value="1500000", at="2025-01-31")]
        versions = {1: catalogue()}
        january = standing(at="2025-01-31")
        february = standing(at="2025-02-01")
        renewed = subscribed(
            period_index=1, period=Period(moment("2025-02-01"), moment("2025-03-01"))
        )
        after_invoice = standing(renewed, at="2025-02-01")
        assert january is not None
        assert february is not None
        assert after_invoice is not None
        assert (0, Alert.OVERAGE) == s1(used(rows, found=january)["credit_overage"])
        assert (moment("2025-02-01"), moment("2025-03-01")) == (
            february.period.start,
            february.period.end,
        )
        for each in (february, after_invoice):
            allowance = allowances_of(each, rows=[], catalogues=versions)[0][1]
            assert (1_000_000, None) == s1(allowance)

    def test_of_an_event_that_no_allowance_counts_are_none(self) -> None:
        """A snapshot burns no credits, and an unknown type nothing at all (X-41)."""
        allowance = used([])["credit_overage"]
        for event_type in ("asset_snapshot", "no_such_type"):
            assert 0 == burn_of(
                allowance, event_type=event_type, nanos=NANOS, catalogue=catalogue()
            )
            assert not counts(allowance, event_type=event_type, catalogue=catalogue())


class TestAnAllowance:
    """One price's allowance."""

    def test_of_a_level_is_not_shared_out_over_a_part_of_a_period(self) -> None:
        """After an upgrade on the 22nd credits count by 10 of 31 days, assets by their level."""
        phases = [
            Phase(moment(START), "STARTER", Interval.MONTH, 1),
            Phase(moment("2025-01-22"), "PRO", Interval.MONTH, 1),
        ]
        found = standing(subscribed(phases=phases), at="2025-01-25")
        assert found is not None
        allowances = used([window("assets", at="2025-01-23", value="900")], found=found)
        assert Fraction(1_000_000 * 10, 31) == allowances["credit_overage"].included
        assert (Fraction(1000), Fraction(900)) == (
            allowances["asset_uplift"].included,
            allowances["asset_uplift"].used,
        )
        assert (moment("2025-01-22"), "PRO") == (found.segment.start, found.plan.code)

    def test_holds_the_free_units_that_were_granted(self) -> None:
        """Free units make the allowance larger; what was used stays what it is."""
        granted = GrantedDiscount(
            code="launch",
            name="Launch",
            kind=DiscountKind.FREE_UNITS,
            value=Decimal(500),
            prices=("credit_overage",),
        )
        found = standing(subscribed(discounts=(granted,)))
        allowance = used([window("tokens", value="100")], found=found)["credit_overage"]
        assert (Fraction(1_000_500), Fraction(100)) == (allowance.included, allowance.used)

    def test_is_the_customers_own_where_the_price_is(self) -> None:
        """An override replaces the plan's price and its allowance."""
        document = to_canonical_json(
            {
                "key": "credit_overage",
                "form": "per_unit",
                "meter": "credits",
                "included": "7",
                "rate": "0.0010",
            }
        )
        found = standing(overrides=(Override("PRO", "credit_overage", document),))
        assert Fraction(7) == used([], found=found)["credit_overage"].included

    def test_of_an_add_on_counts_as_often_as_it_is_had(self) -> None:
        """Three times ten logins."""
        phase = Phase(moment(START), "PRO", Interval.MONTH, 1, add_ons=(("more", 3),))
        found = standing(subscribed(phases=[phase]))
        allowance = used([window("users", value="12")], found=found)["addon:more/logins"]
        assert (Fraction(30), Fraction(18)) == (allowance.included, allowance.remaining)

    def test_counts_only_usage_of_its_subscription(self) -> None:
        """Usage of another app belongs to another subscription."""
        phase = Phase(moment(START), "PRO", Interval.MONTH, 1, add_ons=(("more", 1),))
        found = standing(subscribed(phases=[phase], dimensions=(("app", "a"),)))
        rows = [
            window("users", value="4", dimensions={"app": "a"}),
            window("users", value="5", dimensions={"app": "b"}),
        ]
        assert Fraction(4) == used(rows, found=found)["addon:more/logins"].used

    @pytest.mark.parametrize(
        ("overflow", "before", "allowed", "alert"),
        [
            ("bill", "9", True, Alert.LOW_CREDITS),
            ("bill", "10", True, Alert.LOW_CREDITS),
            ("warn", "10", True, Alert.LOW_CREDITS),
            ("refuse", "9", True, Alert.LOW_CREDITS),
            ("refuse", "9.000000001", False, Alert.LOW_CREDITS),
            ("refuse", "10", False, Alert.LOW_CREDITS),
        ],
    )
    def test_c_04_refuses_only_by_its_policy(
        self, overflow: str, before: str, allowed: bool, alert: Alert
    ) -> None:
        """One more login on an allowance of ten."""
        price: Json = {
            "key": "logins",
            "form": "per_unit",
            "meter": "users",
            "included": "10",
            "rate": "1",
            "overflow": overflow,
        }
        versions = {1: catalogue(prices=[price])}
        row = replace(window("users"), sum_nanos=units(before))
        allowance = used([row], versions=versions)["logins"]
        assert (allowed, alert) == (is_allowed(allowance, burned=Fraction(1)), allowance.alert)

    @pytest.mark.parametrize(
        ("overflow", "alert"), [("bill", None), ("warn", "OVERAGE"), ("refuse", "OVERAGE")]
    )
    def test_of_nothing_is_exceeded_only_where_that_matters(
        self, overflow: str, alert: str | None
    ) -> None:
        """Usage that is simply paid for by the unit is no overage."""
        price: Json = {
            "key": "logins",
            "form": "per_unit",
            "meter": "users",
            "rate": "1",
            "overflow": overflow,
        }
        versions = {1: catalogue(prices=[price])}
        allowance = used([window("users", value="1")], versions=versions)["logins"]
        assert (alert, None) == (allowance.alert, allowance.used_percent)


class TestALevelInACutPeriod:
    """Assets, counted on the 10th or the 23rd; on the 22nd the plan or the seats change."""

    def _found(self, before: str, seats: int) -> tuple[Subscription, Standing]:
        second = Phase(moment("2025-01-22"), "PRO", Interval.MONTH, 1, seats=seats)
        agreed = subscribed(phases=[Phase(moment(START), before, Interval.MONTH, 1), second])
        found = standing(agreed, at="2025-01-25")
        assert found is not None
        return agreed, found

    @pytest.mark.parametrize(("before", "seats"), [("PRO", 2), ("STARTER", 1)])
    @pytest.mark.parametrize(
        ("counted", "expected"),
        [
            ([("2025-01-10", "1200")], 1200),
            ([("2025-01-10", "1200"), ("2025-01-23", "900")], 900),
            ([("2025-01-23", "900")], 900),
            ([], 0),
        ],
    )
    def test_is_shown_as_the_invoice_will_bill_it(
        self, before: str, seats: int, counted: list[tuple[str, str]], expected: int
    ) -> None:
        """The level that stands when the part begins holds on until it changes."""
        agreed, found = self._found(before, seats)
        rows = [
            (int(at > "2025-01-21"), window("assets", at=at, value=value)) for at, value in counted
        ]
        versions = {1: catalogue()}
        terms = invoice_terms(
            subscription=agreed,
            customer=Customer("plant", "CAD", moment(START)),
            items=(),
            credit=NO_CREDIT,
            catalogues=versions,
            published_at={1: moment("2024-12-01")},
            tenant="tenant",
        )
        usage = rating.usage_entries(terms=terms, rows=rows, catalogues=versions)
        billed = rating.rate(terms=terms, usage=usage, catalogues=versions)

        allowances, _ = allowances_of(found, rows=rows, catalogues=versions)

        (line,) = [line for line in billed if line.line_id == "1/asset_uplift"]
        (shown,) = [each for each in allowances if each.name == "asset_uplift"]
        assert Fraction(expected) == shown.used == Fraction(line.quantity)

    def test_of_a_limit_stands_where_the_part_begins(self) -> None:
        """Two sites since the 10th are two sites today, whatever changed on the 22nd."""
        _, found = self._found("STARTER", 1)
        rows = [(0, window("sites", at="2025-01-10", value="2"))]
        _, (limit,) = allowances_of(found, rows=rows, catalogues={1: catalogue()})
        assert Fraction(2) == limit.value

    def test_is_all_that_is_read_of_the_parts_before(self) -> None:
        """What adds up has begun anew: its windows would be read in vain."""
        _, found = self._found("PRO", 2)
        assert {"sites", "assets"} == found.parts[0].meters
        assert {"sites", "assets"} < found.parts[1].meters


class TestALimit:
    """What a plan allows; going past it is shown and never charged."""

    @pytest.mark.parametrize(("plan_code", "exceeded"), [("PRO", False), ("STARTER", True)])
    def test_x_48_two_sites_are_within_pro_and_over_starter(
        self, plan_code: str, exceeded: bool
    ) -> None:
        """PRO has 3 sites, STARTER 1."""
        found = standing(subscribed(plan_code))
        assert found is not None
        rows = [window("sites", value="3"), window("sites", value="2", hours=24)]
        _, (limit,) = allowances_of(found, rows=running(found, rows), catalogues={1: catalogue()})
        assert ("sites", Fraction(2), exceeded) == (limit.key, limit.value, limit.is_exceeded)

    @pytest.mark.parametrize(
        ("sites", "exceeded"), [("3", False), ("3.000000001", True), ("4", True)]
    )
    def test_is_exceeded_beyond_its_maximum_alone(self, sites: str, exceeded: bool) -> None:
        """Three of three sites are within it."""
        found = standing()
        assert found is not None
        row = replace(window("sites"), latest_nanos=units(sites))
        _, (limit,) = allowances_of(found, rows=running(found, [row]), catalogues={1: catalogue()})
        assert exceeded is limit.is_exceeded

    def test_looks_at_usage_of_its_subscription_alone(self) -> None:
        """Sites of another plant of the customer belong to another subscription."""
        found = standing(subscribed(dimensions=(("plant", "a"),)))
        assert found is not None
        rows = [
            window("sites", value="1", dimensions={"plant": "a"}),
            window("sites", value="9", hours=1, dimensions={"plant": "b"}),
        ]
        _, (limit,) = allowances_of(found, rows=running(found, rows), catalogues={1: catalogue()})
        assert Fraction(1) == limit.value

    def test_is_read_although_no_price_reads_its_meter(self) -> None:
        """The windows that are wanted hold the limit's meter."""
        found = standing()
        assert found is not None
        assert {"sites", "assets", "tokens", "frames", "jobs", "runs"} == found.parts[-1].meters
        assert {"sites", "assets"} == found.parts[-1].extreme


class TestWhatHolds:
    """The subscription at a moment."""

    @pytest.mark.parametrize("at", ["2024-12-31", "2025-03-01"])
    def test_is_nothing_before_its_start_and_after_its_end(self, at: str) -> None:
        """Nobody has an allowance without a subscription."""
        assert standing(subscribed(ends_at=moment("2025-03-01")), at=at) is None

    def test_is_a_later_period_before_the_ones_before_it_are_invoiced(self) -> None:
        """In March January may still wait for its invoice."""
        found = standing(at="2025-03-31")
        assert found is not None
        assert (moment("2025-03-01"), moment("2025-04-01")) == (
            found.period.start,
            found.period.end,
        )

    def test_g_07_is_of_the_version_that_the_period_will_be_billed_by(self) -> None:
        """A version published in January counts from February on."""
        versions = {1: catalogue(), 2: catalogue(2, pro="7")}
        published = {1: "2024-12-01", 2: "2025-01-10"}
        for at, included in (("2025-01-31", 1_000_000), ("2025-02-01", 7)):
            found = standing(at=at, versions=versions, published=published)
            assert found is not None
            allowances, _ = allowances_of(found, rows=[], catalogues=versions)
            assert included == allowances[1].included

    def test_of_a_trial_is_the_whole_allowance(self) -> None:
        """A trial is a period of its own that nobody bills."""
        trial = subscribed(
            starts_at=moment("2024-12-18"),
            trial_ends_at=moment(START),
            phases=[Phase(moment("2024-12-18"), "PRO", Interval.MONTH, 1)],
        )
        found = standing(trial, at="2024-12-20")
        assert found is not None
        assert ("trialing", Period(moment("2024-12-18"), moment(START))) == (
            found.status,
            found.period,
        )
        assert Fraction(1_000_000) == used([], found=found)["credit_overage"].included

    def test_of_a_paused_part_is_no_allowance(self) -> None:
        """Nothing is charged, so nothing is included."""
        paused = Phase(moment(START), "PRO", Interval.MONTH, 1, is_paused=True)
        found = standing(subscribed(phases=[paused]))
        assert found is not None
        assert ((), "paused") == (
            allowances_of(found, rows=[], catalogues={1: catalogue()})[0],
            found.status,
        )

    def test_reads_hours_of_its_part_alone(self) -> None:
        """The span is the part that runs."""
        found = standing()
        assert found is not None
        span = found.parts[-1].span
        assert Period(moment(START), moment("2025-02-01")) == Period(
            from_ms(span.start_ms), from_ms(span.end_ms)
        )
        assert timedelta(days=31) == from_ms(span.end_ms) - from_ms(span.start_ms)
