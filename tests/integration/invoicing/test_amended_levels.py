"""An event of a maximum and of different users is voided, and the books follow."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cli.amending import amend
from cli.events import key_of
from cli.pipeline import environment_of
from domain.canonical import Json
from domain.period import Period, add_months
from domain.quantity import nanos_text
from projections.counted_events import find_counted
from projections.dump import dump_hash
from projections.invoicing.builder import preview
from projections.invoicing.outcomes import await_projected
from projections.invoicing.replay import replay
from projections.invoicing.trace import trace
from projections.queries.connection import tenant_connection
from projections.queries.usage import list_usage
from projections.queries.usage_question import Granularity, UsageQuestion
from projections.rebuild import rebuild
from runtime import postgres
from runtime.kafka import new_consumer, partition_ends
from schemas import usage_wire
from schemas.topics import USAGE_FACTS_TOPIC
from tests.support import checkout
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

BILLED_AT = add_months(START, months=1) + timedelta(days=1)
LATER = BILLED_AT + timedelta(days=1)


def _meter(key: str, aggregation: str, **more: Json) -> Json:
    return {"key": key, "event_type": "load", "aggregation": aggregation, "unit": "u", **more}


METERS: list[Json] = [
    _meter("peak", "max", group_by=["region"]),
    _meter("floor", "min"),
    _meter("level", "latest"),
    _meter("users", "unique", value="property:user"),
    _meter("held", "time_weighted"),
    _meter("p50", "percentile", percentile="50"),
    _meter("total", "sum"),
]
KEYS = ("peak", "floor", "level", "users", "held", "p50", "total")
CATALOGUE: Json = {
    "version": 1,
    "meters": METERS,
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {"key": key, "form": "per_unit", "meter": key, "rate": "1"} for key in KEYS
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="amended_levels_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


EVENTS = (("low", "3", "ann"), ("high", "90", "bob"), ("last", "5", "ann"))


def send(world: World, customer: str, *names: str) -> None:
    """Events of an hour; of them `high` is the largest value and the only one of bob's."""
    world.send_usage(
        customer,
        [
            Event(
                name,
                "load",
                quantity,
                occurred_at=START + timedelta(minutes=10 * place),
                dimensions=(("region", "eu"),),
                properties=(("user", user),),
            )
            for place, (name, quantity, user) in enumerate(EVENTS)
            if name in names
        ],
    )


def run(world: World, *arguments: str, status: int = 0) -> str:
    """A process of its own: its logs must not end in this one's threads."""
    settings = world.settings.model_copy(update={"command_timeout_ms": 60_000})
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", "event", *arguments, "--tenant", TENANT],
        capture_output=True, text=True, timeout=120, check=False, cwd=checkout.ROOT,
        env=environment_of(settings),
    )  # fmt: skip
    assert status == result.returncode, result.stdout + result.stderr
    await_projected(world.settings, tenant=TENANT)
    return result.stdout + result.stderr


def quantities(world: World, customer: str) -> dict[str, str]:
    """Quantity per meter of what would be billed now."""
    content = preview(world.settings, tenant=TENANT, subscription=f"sub_{customer}")
    return {entry.meter: nanos_text(entry.nanos) for entry in content.usage}


def asked(world: World, customer: str, meter: str) -> str:
    """Answer of the usage query over the month, as text."""
    month = Period(START, add_months(START, months=1))
    question = UsageQuestion(month, Granularity.MONTH, customer=customer, meter=meter)
    engine = postgres.new_engine(world.settings, role="app")
    with tenant_connection(engine, tenant=TENANT) as connection:
        (found,) = list_usage(connection, question=question)
    engine.dispose()
    assert found.value is not None
    return nanos_text(found.value.nanos)


class TestVoid:
    def test_leaves_what_would_have_been_billed_without_the_event(self, world: World) -> None:
        """Every aggregation, as of a customer that never sent the event; rebuilt, the same."""
        for customer, names in (("amended", ("low", "high", "last")), ("never", ("low", "last"))):
            world.subscribe(customer)
            send(world, customer, *names)
        before = quantities(world, "amended")
        run(world, "void", "amended high", "--customer", "amended", "--reason", "a test")

        after = quantities(world, "amended")
        assert quantities(world, "never") == after
        assert {"peak", "users", "total", "held"} <= {
            key for key in KEYS if before[key] != after[key]
        }
        assert ("5", "1") == (asked(world, "amended", "peak"), asked(world, "amended", "users"))

    def test_after_the_invoice_is_corrected_and_made_again(self, world: World) -> None:
        """Correction, replay from events and from facts, and trace of every line agree."""
        world.subscribe("final")
        send(world, "final", "low", "high", "last")
        (billed,) = world.bill("final", as_of=BILLED_AT)
        run(world, "void", "final high", "--customer", "final", "--reason", "a test")

        (corrected,) = world.correct("final", as_of=LATER)

        assert corrected.code == ""
        for name in (billed.invoice, corrected.correction):
            for source in ("events", "facts"):
                again = replay(world.settings, tenant=TENANT, name=name, source=source)
                assert again.differences == ()
        for number in range(1, 1 + len(KEYS)):
            traced = trace(
                world.settings, tenant=TENANT, name=corrected.correction, line_number=number
            )
            assert traced.is_equal, traced.usage
        assert world.correct("final", as_of=LATER) == []

    def test_of_the_only_event_leaves_nothing(self, world: World) -> None:
        """Then a later one counts as if it were the first."""
        world.subscribe("empty")
        send(world, "empty", "high")
        run(world, "void", "empty high", "--customer", "empty", "--reason", "a test")
        assert {"0"} >= set(quantities(world, "empty").values())
        send(world, "empty", "low")
        world.subscribe("single")
        send(world, "single", "low")
        assert quantities(world, "single") == quantities(world, "empty")

    def test_reads_each_facts_record_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And again those that touched the hour: three events, so three records at most."""
        world.subscribe("busy")
        send(world, "busy", "low", "high", "last")
        for number in range(10):
            elsewhere = START + timedelta(hours=1 + number)
            world.send_usage("busy", [Event(f"later {number}", "load", "7", elsewhere)])
        reader, decoder, decoded = threading.get_ident(), usage_wire._FACTS, 0

        class Counting:
            def decode(self, value: bytes | None) -> object:
                nonlocal decoded
                decoded += threading.get_ident() == reader  # fold and projector are threads
                return decoder.decode(value)

        monkeypatch.setattr(usage_wire, "_FACTS", Counting())
        settings = world.settings.model_copy(update={"command_timeout_ms": 60_000})
        key = key_of("busy high", source="")
        found = find_counted(settings, tenant=TENANT, customer="busy", key=key)
        assert found is not None
        amended = found.amended(event_id="busy high", replacement=None, reason="r", actor="a")
        amend(settings, found, amended)

        consumer = new_consumer(settings, group="test")
        _, end = partition_ends(consumer, USAGE_FACTS_TOPIC.name, found.partition)
        consumer.close()
        assert end >= 14, "the catalogue, events of eleven hours, announcement and amendment"
        assert end - 1 <= decoded <= end + 2, (
            "all but the amendment's own, and three of them twice"
        )

    def test_of_what_holds_on_from_before_the_period_lets_the_one_before_hold(
        self, world: World
    ) -> None:
        """The last window before the period is empty now, so the one before that counts."""
        for customer, hours in (("holds", (2, 1)), ("held", (2,))):
            world.subscribe(customer)
            events = [
                Event(
                    f"level {ago}",
                    "load",
                    str(10 * ago),
                    occurred_at=START - timedelta(hours=ago),
                    properties=(("user", "ann"),),
                )
                for ago in hours
            ]
            world.send_usage(customer, events)
        assert quantities(world, "held") != quantities(world, "holds")
        run(world, "void", "holds level 1", "--customer", "holds", "--reason", "a test")
        assert quantities(world, "held") == quantities(world, "holds")
        assert "0" != quantities(world, "held")["held"]


class TestReplace:
    def test_counts_the_other_one_in_every_meter(self, world: World) -> None:
        """As of a customer that sent the right one at once."""
        world.subscribe("typo")
        send(world, "typo", "low", "high", "last")
        same = ("--customer", "typo", "--reason", "typo")
        run(world, "replace", "typo high", *same, "--quantity", "4", "--property", "user=cid")
        assert "5" == quantities(world, "typo")["peak"]
        assert "2" == quantities(world, "typo")["users"]
        assert "12" == quantities(world, "typo")["total"]


class TestRebuild:
    def test_brings_restated_windows_back(self, world: World) -> None:
        """Every table follows from the facts, however they are cut into flushes."""
        await_projected(world.settings, tenant=TENANT)
        before = dump_hash(world.settings)
        rebuild(world.settings)
        await_projected(world.settings, tenant=TENANT)
        after = dump_hash(world.settings)
        for table in ("event_amendment", "late_usage", "usage_window", "usage_sketch"):
            assert before[table] == after[table], table
