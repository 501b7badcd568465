"""Allowances and limits of a period that is cut: levels, limits, and what holds at a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest

from domain import rating
from domain.allowances import (
    Standing,
    allowances_of,
)
from domain.books.customer import Customer
from domain.books.invoice_terms_of import invoice_terms
from domain.books.subscription import Phase, Subscription
from domain.credit_balance import NO_CREDIT
from domain.period import Interval, Period, from_ms
from tests.support.allowances import (
    START,
    catalogue,
    running,
    standing,
    subscribed,
    used,
)
from tests.support.billing import moment, units, window


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
