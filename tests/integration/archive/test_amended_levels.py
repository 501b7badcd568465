"""Windows stated anew when the log no longer has their events: from the archive, or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cli.pipeline import environment_of
from domain.codes import Code
from domain.routing import partition_of
from projections.archive.archiver import Archiver
from projections.invoicing.outcomes import await_projected
from projections.invoicing.trace import trace
from runtime.kafka import client_config, new_consumer, partition_ends
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from tests.integration.invoicing.test_amended_levels import (
    BILLED_AT,
    CATALOGUE,
    KEYS,
    quantities,
    send,
)
from tests.support import checkout
from tests.support.pipeline_world import TENANT, World, running_world


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="archived_levels_test",
    ) as running:
        running.act("StartClock", as_of="2020-01-01T00:00:00Z")
        yield running


def archived(world: World, folder: Path) -> Settings:
    """Put all that the log has into an archive."""
    settings = world.settings.model_copy(update={"archive_dir": str(folder)})
    Archiver(settings, Shutdown()).run(until_end=True)
    return settings


def truncate(settings: Settings, customer: str) -> None:
    """Delete all records of the customer's partition."""
    partition = partition_of(TENANT, customer, partitions=settings.partitions)
    consumer = new_consumer(settings, group="test")
    _, end = partition_ends(consumer, USAGE_EVENTS.name, partition)
    consumer.close()
    place = TopicPartition(USAGE_EVENTS.name, partition, end)
    admin = AdminClient(client_config(settings))
    for future in admin.delete_records([place]).values():
        future.result(timeout=15)


def void(settings: Settings, customer: str, event: str) -> subprocess.CompletedProcess[str]:
    """Void an event in a process of its own."""
    settings = settings.model_copy(update={"command_timeout_ms": 60_000, "tenant": TENANT})
    arguments = ("void", f"{customer} {event}", "--customer", customer, "--reason", "a test")
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "event", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=checkout.ROOT,
        env=environment_of(settings),
    )  # fmt: skip
    await_projected(settings, tenant=TENANT)
    return done


class TestBehindATruncatedLog:
    def test_an_archive_says_what_a_window_held(self, world: World, tmp_path: Path) -> None:
        """Half of the hour in the archive, half on the log: as if the event had never come."""
        for customer, names in (("kept", ("low", "high")), ("never", ("low",))):
            world.subscribe(customer)
            send(world, customer, *names)
        settings = archived(world, tmp_path)
        truncate(settings, "kept")
        for customer in ("kept", "never"):
            send(world, customer, "last")

        done = void(settings, "kept", "high")

        assert 0 == done.returncode, done.stderr
        assert quantities(world, "kept") == quantities(world, "never")
        (billed,) = world.bill("kept", as_of=BILLED_AT)
        for number in range(1, 1 + len(KEYS)):
            traced = trace(settings, tenant=TENANT, name=billed.invoice, line_number=number)
            assert traced.is_equal, traced.usage

    @pytest.mark.parametrize(
        ("customer", "code"), [("lost", Code.LOG_TRUNCATED), ("gap", Code.ARCHIVE_GAP)]
    )
    def test_without_the_events_an_amendment_is_refused(
        self, world: World, tmp_path: Path, customer: str, code: Code
    ) -> None:
        """No archive, or one that ends too early: nothing changes, and usage goes on counting."""
        world.subscribe(customer)
        settings = archived(world, tmp_path) if code is Code.ARCHIVE_GAP else world.settings
        send(world, customer, "low")
        truncate(settings, customer)
        send(world, customer, "high")
        before = quantities(world, customer)

        done = void(settings, customer, "high")

        assert 0 != done.returncode
        assert code in done.stderr
        assert quantities(world, customer) == before
        assert world.rows("SELECT FROM event_amendment WHERE customer = %s", customer) == []
        send(world, customer, "last")
        assert quantities(world, customer)["total"] == "98"
