"""Analytics against an independent recompute: plain Python over what the rows were made of."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
import sqlalchemy

from domain.period import Period
from projections.queries import analytics
from projections.queries.analytics_summary import summary
from projections.queries.analytics_values import CustomerFigures, CustomerKey, Step
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.settings import Settings
from tests.support.api_world import Rows
from tests.support.emergence_rows import CHARGED, TIERS, EmergenceRows

AS_OF = datetime(2026, 3, 15, 10, tzinfo=UTC)
STATUSES = ("requested", "approved", "captured", "delivered", "declined", "expired", "refunded")
CUSTOMERS = {"ada": "PHP", "bo": "PHP", "cy": "JPY", "di": "PHP", "eve": "PHP"}
PERIOD = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC))


@dataclass(frozen=True)
class Charge:
    customer: str
    tier: str
    name: str
    credits: int
    price: int
    status: str
    at: datetime
    returned_credits: int
    returned: int

    @property
    def is_charged(self) -> bool:
        return self.status in CHARGED


@dataclass
class History:
    """What a seed made happen, as plain values."""

    charges: list[Charge] = field(default_factory=list)
    refunds: list[tuple[str, datetime, int]] = field(default_factory=list)
    top_ups: list[tuple[str, datetime, int]] = field(default_factory=list)
    activity: dict[tuple[str, date], tuple[int, int]] = field(default_factory=dict)


def _live(rows: EmergenceRows, seed: int) -> History:
    """Let customers work, pay and take back for 74 days; eve signs up and does nothing."""
    chance, history = random.Random(seed), History()
    for customer, currency in CUSTOMERS.items():
        rows.customer(customer, currency=currency, available=chance.randrange(500), held=7)
    for number in range(120):
        customer = chance.choice(["ada", "bo", "cy"])
        currency = CUSTOMERS[customer]
        at = PERIOD.start + timedelta(minutes=chance.randrange(74 * 24 * 60))
        tier, status = chance.choice(TIERS), chance.choice(STATUSES)
        part = chance.choice([0, 0, 10]) if status in {"captured", "delivered"} else 0
        part = tier[2] if status == "refunded" else part
        returned = tier[3] * part // tier[2]
        charge = rows.charge(
            customer,
            tier,
            status=status,
            at=at,
            currency=currency,
            project=f"project-{number}",
            refunded_credits=part,
            refunded_minor=returned,
        )
        history.charges.append(Charge(customer, *tier, status, at, part, returned))
        if status in CHARGED:
            rows.transaction(
                customer,
                "charge",
                at=at,
                charge=charge,
                currency=currency,
                credits_=tier[2],
                amount_minor=tier[3],
            )
        if part:
            later = min(at + timedelta(days=chance.randrange(40)), AS_OF)
            rows.transaction(
                customer,
                "refund",
                at=later,
                charge=charge,
                currency=currency,
                credits_=part,
                amount_minor=returned,
            )
            history.refunds.append((customer, later, returned))
    _top_up(rows, history, chance)
    _explore(rows, history, chance)
    for customer in CUSTOMERS:
        spent = sum(
            charge.price - charge.returned
            for charge in history.charges
            if charge.customer == customer and charge.is_charged
        )
        rows.connection.execute(
            "UPDATE wallet SET total_spent_minor = %s WHERE tenant = %s AND customer = %s",
            (spent, rows.tenant, customer),
        )
    return history


def _top_up(rows: EmergenceRows, history: History, chance: random.Random) -> None:
    for _ in range(20):
        customer = chance.choice(["ada", "bo", "cy"])
        at = PERIOD.start + timedelta(hours=chance.randrange(74 * 24))
        rows.transaction(
            customer,
            "top_up",
            at=at,
            currency=CUSTOMERS[customer],
            credits_=100,
            amount_minor=100_000,
        )
        history.top_ups.append((customer, at, 100_000))
    # A refused top-up is on record and brought nothing.
    rows.transaction("ada", "top_up", at=AS_OF, amount_minor=1, status="failed")


def _explore(rows: EmergenceRows, history: History, chance: random.Random) -> None:
    for customer in ("ada", "bo", "cy", "di"):
        last = 20 if customer == "di" else 74
        for number in range(0, last, chance.randrange(1, 6)):
            day = (PERIOD.start + timedelta(days=number)).date()
            counts = (chance.randrange(1, 50), chance.randrange(4))
            rows.activity(customer, day, updates=counts[0], pulses=counts[1])
            history.activity[customer, day] = counts


@pytest.fixture(params=range(3))
def world(request: pytest.FixtureRequest, settings: Settings) -> tuple[Settings, History]:
    rows = Rows(settings)
    history = _live(EmergenceRows(rows, "acme"), request.param)
    # A neighbour whose figures must not show anywhere.
    neighbour = EmergenceRows(rows, "other")
    neighbour.customer("ada", available=10**6)
    charge = neighbour.charge("ada", status="captured", at=AS_OF)
    neighbour.transaction("ada", "charge", at=AS_OF, charge=charge)
    neighbour.activity("ada", AS_OF.date(), updates=10**6)
    rows.connection.close()
    return settings, history


@pytest.fixture
def acme(world: tuple[Settings, History]) -> Iterator[sqlalchemy.Connection]:
    engine = postgres.new_engine(world[0], role="app")
    with tenant_connection(engine, tenant="acme") as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def history(world: tuple[Settings, History]) -> History:
    return world[1]


def _charged(history: History) -> list[Charge]:
    return [charge for charge in history.charges if charge.is_charged]


class TestRevenue:
    @pytest.mark.parametrize("step", Step)
    def test_is_what_was_charged_less_what_was_given_back(
        self, acme: sqlalchemy.Connection, history: History, step: Step
    ) -> None:
        """S0-56: each booking on its own day; currencies apart."""

        def start(at: datetime) -> date:
            return at.date() if step is Step.DAY else at.date().replace(day=1)

        totals: dict[tuple[date, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for charge in _charged(history):
            bucket = totals[start(charge.at), CUSTOMERS[charge.customer]]
            bucket[0] += 1
            bucket[1] += charge.price
        for place, bookings in ((2, history.refunds), (3, history.top_ups)):
            for customer, at, amount in bookings:
                totals[start(at), CUSTOMERS[customer]][place] += amount
        found = analytics.revenue(acme, period=PERIOD, step=step)
        assert dict(sorted(totals.items())) == {
            (row.start, row.currency): [
                row.charges,
                row.charged_minor,
                row.refunded_minor,
                row.top_up_minor,
            ]
            for row in found
        }
        assert [(row.start, row.currency) for row in found] == sorted(totals)


class TestTiers:
    def test_are_ranked_by_what_stays_of_their_revenue(
        self, acme: sqlalchemy.Connection, history: History
    ) -> None:
        """S0-57, and every count of a tier."""
        groups: dict[tuple[str, str], list[Charge]] = defaultdict(list)
        for charge in history.charges:
            groups[CUSTOMERS[charge.customer], charge.tier].append(charge)
        net = {
            key: sum(item.price - item.returned for item in items if item.is_charged)
            for key, items in groups.items()
        }
        found = {(row.currency, row.tier): row for row in analytics.tier_figures(acme)}
        assert groups.keys() == found.keys()
        for key, items in groups.items():
            row, charged = found[key], [item for item in items if item.is_charged]
            better = [other for other in net if other[0] == key[0] and net[other] > net[key]]
            assert (row.rank, row.net_minor) == (len(better) + 1, net[key])
            assert (row.requested, row.captured, row.waiting, row.refused) == (
                len(items),
                len(charged),
                sum(item.status in {"requested", "approved"} for item in items),
                sum(item.status in {"declined", "expired"} for item in items),
            )
            assert row.credits == sum(item.credits - item.returned_credits for item in charged)
            assert row.customers == len({item.customer for item in charged})

    def test_used_most_come_first(self, acme: sqlalchemy.Connection, history: History) -> None:
        """S0-53: of all customers, and of one."""
        for customer in (None, "ada", "eve"):
            counted = Counter(
                charge.tier for charge in _charged(history) if customer in {None, charge.customer}
            )
            expected = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
            found = analytics.preferences(acme, customer=customer)
            assert expected == [(row.tier, row.charges) for row in found]


class TestCustomers:
    def test_are_listed_by_lifetime_value_without_gap_or_repeat(
        self, acme: sqlalchemy.Connection, history: History
    ) -> None:
        """S0-52, S0-55: page by page, with one customer on each."""
        value: Counter[str] = Counter()
        credits_spent: Counter[str] = Counter()
        for charge in _charged(history):
            value[charge.customer] += charge.price - charge.returned
            credits_spent[charge.customer] += charge.credits - charge.returned_credits
        found: list[CustomerFigures] = []
        after: CustomerKey | None = None
        while True:
            page = analytics.customer_figures(acme, limit=1, after=after)
            found += page.rows
            if not page.has_more:
                break
            after = CustomerKey(found[-1].currency, found[-1].spent_minor, found[-1].customer)
        expected = sorted(CUSTOMERS, key=lambda name: (CUSTOMERS[name], -value[name], name))
        assert expected == [row.customer for row in found]
        for row in found:
            assert (row.spent_minor, row.credits_spent) == (
                value[row.customer],
                credits_spent[row.customer],
            )
            had = row.credits_spent + row.available + row.held
            exact = Fraction(1000 * row.credits_spent, had)
            assert row.utilisation is not None
            assert abs(Fraction(row.utilisation) * 10 - exact) <= Fraction(1, 2)

    def test_are_active_by_anything_in_the_window(
        self, acme: sqlalchemy.Connection, history: History
    ) -> None:
        """S0-58, S0-59, S0-R14, at several presents and windows."""
        for days in (1, 7, 30, 365):
            for as_of in (AS_OF, AS_OF - timedelta(days=40)):
                since = as_of - timedelta(days=days)
                booked = [
                    *((item.customer, item.at) for item in _charged(history)),
                    *((customer, at) for customer, at, _ in history.refunds),
                    *((customer, at) for customer, at, _ in history.top_ups),
                    ("ada", AS_OF),
                    *(
                        (customer, datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
                        for customer, day in history.activity
                    ),
                ]
                explorers = {
                    customer
                    for customer, day in history.activity
                    if datetime(day.year, day.month, day.day, 12, tzinfo=UTC) <= as_of
                }
                payers = {
                    item.customer
                    for item in _charged(history)
                    if item.at <= as_of and item.returned_credits < item.credits
                }
                found = analytics.segments(acme, as_of=as_of, days=days)
                # The rows of the customers themselves are of 2026-03-01.
                known = set(CUSTOMERS) if as_of == AS_OF else set()
                active = {customer for customer, at in booked if since <= at <= as_of}
                assert (found.customers, found.active) == (len(known), len(active & known))
                assert (found.explorers, found.payers) == (
                    len(explorers & known),
                    len(explorers & payers & known),
                )


class TestActivity:
    def test_is_counted_by_day(self, acme: sqlalchemy.Connection, history: History) -> None:
        """S0-54: of all, and of one customer; both ends count."""
        first, last = date(2026, 1, 10), date(2026, 3, 1)
        transactions = Counter(
            at.date()
            for at in (
                *(item.at for item in _charged(history)),
                *(at for _, at, _ in history.refunds),
                *(at for _, at, _ in history.top_ups),
            )
        )
        found = {row.day: row for row in analytics.activity(acme, first=first, last=last)}
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            of_day = [counts for (_, when), counts in history.activity.items() if when == day]
            row = found.get(day)
            expected = (
                len(of_day),
                sum(updates for updates, _ in of_day),
                sum(pulses for _, pulses in of_day),
                transactions[day],
            )
            assert expected == (
                (row.customers, row.updates, row.pulses, row.transactions) if row else (0, 0, 0, 0)
            )
        assert all(first <= day <= last for day in found)
        quiet = analytics.activity(acme, first=first, last=last, customer="eve")
        assert () == quiet


class TestSummary:
    def test_is_of_the_present_that_the_caller_names(
        self, acme: sqlalchemy.Connection, history: History
    ) -> None:
        """Nothing asks the database what time it is: an old present has old figures."""
        old = AS_OF - timedelta(days=30)
        found = summary(acme, as_of=old, active_days=30)
        today = [item for item in _charged(history) if item.at.date() == old.date()]
        assert sum(item.price for item in today) == sum(row.charged_minor for row in found.today)
        assert all(row.start <= old.date() for row in found.by_day)
        assert found == summary(acme, as_of=old, active_days=30)

    def test_says_what_waits(self, acme: sqlalchemy.Connection, history: History) -> None:
        waiting = [item for item in history.charges if item.status == "requested"]
        found = summary(acme, as_of=AS_OF, active_days=30).waiting
        assert (found.approvals, found.credits) == (
            len(waiting),
            sum(item.credits for item in waiting),
        )


class TestEdges:
    @pytest.mark.parametrize(("later_s", "active"), [(0, 1), (-1, 0)])
    def test_of_the_window_count_to_the_second(
        self, settings: Settings, later_s: int, active: int
    ) -> None:
        """What happened exactly so many days ago makes active; a second before does not."""
        rows = Rows(settings)
        mine = EmergenceRows(rows, "edges")
        mine.customer("c")
        mine.activity("c", date(2026, 3, 5))  # at noon
        rows.connection.close()
        noon = datetime(2026, 3, 5, 12, tzinfo=UTC)
        engine = postgres.new_engine(settings, role="app")
        with tenant_connection(engine, tenant="edges") as connection:
            as_of = noon + timedelta(days=7, seconds=-later_s)
            assert active == analytics.segments(connection, as_of=as_of, days=7).active
        engine.dispose()

    @pytest.mark.parametrize(("status", "payers"), [("captured", 1), ("refunded", 0)])
    def test_a_charge_given_back_whole_makes_no_payer(
        self, settings: Settings, status: str, payers: int
    ) -> None:
        """S0-59, S0-R14: conversion is of completed charges."""
        rows = Rows(settings)
        mine = EmergenceRows(rows, "edges")
        mine.customer("c")
        mine.activity("c", date(2026, 3, 5))
        mine.charge("c", status=status)
        rows.connection.close()
        engine = postgres.new_engine(settings, role="app")
        with tenant_connection(engine, tenant="edges") as connection:
            found = analytics.segments(connection, as_of=AS_OF, days=30)
        engine.dispose()
        assert (1, payers) == (found.explorers, found.payers)
