"""Invoices from an archive and after amendments: the same bytes, the right correction."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cli.pipeline import environment_of
from domain.canonical import Json
from domain.period import add_months
from domain.routing import partition_of
from projections.archive.archiver import Archiver
from projections.invoicing.outcomes import await_projected
from projections.invoicing.reconcile import reconcile
from projections.invoicing.replay import replay
from projections.invoicing.trace import trace
from runtime.kafka import client_config
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from tests.support import checkout
from tests.support.pipeline_world import START, TENANT, Event, World, running_world

BILLED_AT = add_months(START, months=1) + timedelta(days=1)
LATER = BILLED_AT + timedelta(days=1)
CATALOGUE: Json = {
    "version": 1,
    "meters": [{"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"}],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {
                    "key": "calls",
                    "form": "graduated",
                    "meter": "calls",
                    "tiers": [{"up_to": "100", "rate": "1"}, {"rate": "0.5"}],
                },
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
        name="archive_invoices_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def amend(world: World, *arguments: str) -> None:
    settings = world.settings.model_copy(update={"tenant": TENANT, "command_timeout_ms": 60_000})
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "event", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=checkout.ROOT,
        env=environment_of(settings),
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    await_projected(world.settings, tenant=TENANT)


class TestAmendedUsage:
    def test_after_the_invoice_is_corrected_over_tiers(self, world: World) -> None:
        """140 calls cost 120; without 60 of them 80; with 10 in their place 90."""
        world.subscribe("cus_amended")
        world.send_usage("cus_amended", [Event("a", "call", "80"), Event("b", "call", "60")])
        (billed,) = world.bill("cus_amended", as_of=BILLED_AT)

        amend(
            world, "void", "cus_amended b", "--customer", "cus_amended", "--reason", "sent twice"
        )
        (voided,) = world.correct("cus_amended", as_of=LATER)

        assert [(each.before, each.after) for each in voided.changes] == [(12_000, 8_000)]
        for name in (billed.invoice, voided.correction):
            assert replay(world.settings, tenant=TENANT, name=name).is_equal, name
            assert trace(world.settings, tenant=TENANT, name=name, line_number=1).is_equal, name

        amend(
            world, "replace", "cus_amended a", "--customer", "cus_amended", "--reason", "typo",
            "--quantity", "90",
        )  # fmt: skip
        (replaced,) = world.correct("cus_amended", as_of=LATER)
        assert [(each.before, each.after) for each in replaced.changes] == [(8_000, 9_000)]
        name = replaced.correction
        assert replay(world.settings, tenant=TENANT, name=name, source="facts").is_equal
        assert trace(world.settings, tenant=TENANT, name=name, line_number=1).is_equal
        assert world.correct("cus_amended", as_of=LATER) == []
        day = START.date()
        found = reconcile(world.settings, tenant=TENANT, first=day, last=day)
        assert found.differences == ()


class TestTruncatedLog:
    def test_gives_the_same_invoice_from_the_archive(self, world: World, tmp_path: Path) -> None:
        """Amendments too: raw records are archived, whatever they say."""
        world.subscribe("cus_archive")
        world.send_usage("cus_archive", [Event("c", "call", "7"), Event("d", "call", "5")])
        amend(world, "void", "cus_archive d", "--customer", "cus_archive", "--reason", "a test")
        (billed,) = world.bill("cus_archive", as_of=BILLED_AT)
        settings = world.settings.model_copy(update={"archive_dir": str(tmp_path)})
        ends = Archiver(settings, Shutdown()).run(until_end=True)
        partition = partition_of(TENANT, "cus_archive", partitions=settings.partitions)
        admin = AdminClient(client_config(settings))
        place = TopicPartition(USAGE_EVENTS.name, partition, ends[partition])
        for future in admin.delete_records([place]).values():
            future.result(timeout=15)

        again = replay(settings, tenant=TENANT, name=billed.invoice, source="events")

        assert again.is_equal
        assert again.original.sha256 == again.content.sha256
        assert trace(settings, tenant=TENANT, name=billed.invoice, line_number=1).is_equal
