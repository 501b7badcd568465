"""A test tenant's year in seconds: the clock moves, and what falls due on the way is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.period import time_text
from projections.effects.playing import advance_clock
from tests.support.pipeline_world import TENANT, World, running_world
from tests.support.stories import CATALOGUE, plan

START = datetime(2025, 1, 15, tzinfo=UTC)


def document(version: int, quarter: str) -> Json:
    """A catalogue with a plan in arrears and one in advance at a price."""
    return {
        **CATALOGUE,
        "version": version,
        "billing": {"grace_hours": 24, "due_days": 20},
        "plans": [
            plan("MONTH", "31", trial_days=16),
            plan("QUARTER", quarter, interval="quarter", fees="in_advance"),
        ],
    }


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("clock"),
        catalogue=document(1, "90"),
        name="test_clock",
    ) as running:
        yield running


def play(world: World, to: datetime) -> list[str]:
    """What happens up to a moment, told in lines; ids are left out."""
    return [
        f"{time_text(played.at)} {played.kind} {played.note}"
        for played in advance_clock(world.settings, world.sender, tenant=TENANT, to=to)
    ]


def test_plays_half_a_year_in_the_order_of_its_times(world: World) -> None:
    """Trial, day 31, an upgrade of time, an end, invoices with their grace, and overdue marks."""
    with pytest.raises(Rejected) as caught:
        play(world, START)
    assert caught.value.code == Code.CLOCK_MISSING

    world.act("StartClock", as_of=time_text(START))
    world.act("CreateCustomer", customer="acme", currency="CAD")
    for name, code in (("sub_month", "MONTH"), ("sub_quarter", "QUARTER")):
        world.act(
            "CreateSubscription",
            subscription=name,
            customer="acme",
            plan=code,
            start=time_text(START),
        )
    assert play(world, datetime(2025, 3, 1, tzinfo=UTC)) == [
        "2025-01-15T00:00:00Z invoice sub_quarter opening 90.00 CAD",
        "2025-01-31T00:00:00Z trial_ended trial ended",
        "2025-02-05T00:00:00Z overdue INV-2025-000001 is overdue",
        "2025-03-01T00:00:00Z invoice sub_month period 31.00 CAD",
        "2025-03-01T00:00:00Z clock the clock stands here",
    ]
    world.act("CancelSubscription", subscription="sub_month", when="period_end")
    assert play(world, datetime(2025, 4, 16, 12, tzinfo=UTC)) == [
        "2025-03-22T00:00:00Z overdue INV-2025-000002 is overdue",
        "2025-03-31T00:00:00Z subscription_ended subscription ended",
        "2025-04-01T00:00:00Z invoice sub_month period 31.00 CAD",
        "2025-04-16T00:00:00Z invoice sub_quarter period 90.00 CAD",
        "2025-04-16T12:00:00Z clock the clock stands here",
    ]
    assert world.rows("SELECT number, issued_at FROM invoice ORDER BY number") == [
        ("INV-2025-000001", datetime(2025, 1, 15, tzinfo=UTC)),
        ("INV-2025-000002", datetime(2025, 3, 1, tzinfo=UTC)),
        ("INV-2025-000003", datetime(2025, 4, 1, tzinfo=UTC)),
        ("INV-2025-000004", datetime(2025, 4, 16, tzinfo=UTC)),
    ]
    assert world.rows("SELECT started_at, now_at FROM tenant_clock") == [
        (START, datetime(2025, 4, 16, 12, tzinfo=UTC))
    ]


def test_played_again_to_where_it_stands_does_nothing(world: World) -> None:
    """And it never goes back."""
    now = datetime(2025, 4, 16, 12, tzinfo=UTC)
    assert play(world, now) == ["2025-04-16T12:00:00Z clock the clock stands here"]
    with pytest.raises(Rejected) as caught:
        play(world, START)
    assert caught.value.code == Code.CLOCK_BACKWARDS


def test_a_version_holds_from_when_it_was_published_by_its_clock(world: World) -> None:
    """Books and builder read the same time, or no fee in advance is ever billed again."""
    world.act("PublishCatalogue", content=json.dumps(document(2, "60")))
    assert play(world, datetime(2025, 7, 16, tzinfo=UTC))[-2:] == [
        "2025-07-16T00:00:00Z invoice sub_quarter period 60.00 CAD",
        "2025-07-16T00:00:00Z clock the clock stands here",
    ]
    assert world.rows("SELECT published_at FROM catalogue WHERE version = 2") == [
        (datetime(2025, 4, 16, 12, tzinfo=UTC),)
    ]
