"""A log whose frames hold the ids of an external registry: nowhere do ours show through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from domain.codes import Code
from domain.errors import Fatal, Retryable
from projections.invoicing.log import usage_from_events
from runtime import clock, schema_registry
from runtime.external_registry import RETRY_MS
from runtime.kafka import check_topics, ensure_topics, read_partition
from runtime.schema_registry import take_ids
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas import wire_ids
from schemas.registry import CATALOG_PUBLISHED, USAGE_BATCH, USAGE_EVENT, USAGE_FACTS
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC, Topic
from tests.support.fold_world import CUSTOMERS, TENANT, FoldWorld
from tests.support.foreign_producer import CONTEXT, ForeignProducer, event_fields
from tests.support.processes import run_command
from tests.support.registries import HttpDoor, a_field, extended
from tests.support.registry_server import registry_servers
from tests.support.shifted_registry import SHIFT, ShiftedRegistry, shifted
from tests.support.topics import fresh_topics
from tests.support.usage_facts import totals_of, windows_of
from tidegauge import Meter

SITE = a_field("site", ["null", "string"], default=None)
EXTENDED = extended(USAGE_EVENT.definition, SITE)
WAIT_S = 60


@pytest.fixture
def registry(
    kafka_bootstrap: str, database_admin_url: str, tmp_path: Path
) -> Iterator[ShiftedRegistry]:
    """Our own server, as somebody else's; its log is another topic of the same broker."""
    settings = Settings(kafka=kafka_bootstrap, partitions=2)
    fresh_topics(settings)
    with (
        registry_servers(settings, database_admin_url, tmp_path) as (server,),
        shifted(server.url, server.writer) as registry,
    ):
        yield registry


@pytest.fixture
def settings(
    kafka_bootstrap: str,
    registry: ShiftedRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """A new log on the external registry, and this process as one that works on it."""
    monkeypatch.setattr(wire_ids, "_in_force", [wire_ids.BUILT_IN])
    settings = Settings.model_validate(
        {
            "kafka": kafka_bootstrap,
            "partitions": 2,
            "state_dir": tmp_path / "state",
            "schema_registry": registry.url,
            "kafka_session_timeout_ms": 6_000,
            "fold_linger_ms": 20,
            "checkpoint_interval_ms": 50,
        }
    )
    # The registry's own topic stays: it stands for another broker.
    fresh_topics(settings, keep=("schema.registrations",))
    take_ids(settings)
    yield settings
    fresh_topics(Settings(kafka=kafka_bootstrap, partitions=2))


@pytest.fixture
def door(registry: ShiftedRegistry) -> Iterator[HttpDoor]:
    door = HttpDoor(registry.bare_url, registry.key)
    yield door
    door.client.close()


@pytest.fixture
def world(settings: Settings) -> FoldWorld:
    return FoldWorld(settings)


def ids_in(settings: Settings, topic: Topic = USAGE_EVENTS) -> set[int]:
    """The numbers in the frames of a topic."""
    return {
        int.from_bytes((message.value() or b"")[1:5], "big")
        for number in range(settings.partitions)
        for message in read_partition(settings, topic, number)
    }


class TestExternalRegistry:
    def test_gives_every_frame_its_id(
        self, world: FoldWorld, settings: Settings, door: HttpDoor
    ) -> None:
        """The SDK, a foreign producer, the catalogue and the facts; and all of it is counted."""
        batch_id = SHIFT + USAGE_BATCH.schema_id
        with Meter(settings.kafka, tenant=TENANT, schema_id=batch_id) as meter:
            for number in range(10):
                meter.record(customer=CUSTOMERS[number], type="disk", quantity=Decimal(number))
            assert meter.flush(timeout=30) == 0
        foreign = ForeignProducer(world, door, EXTENDED)
        foreign.send(10, site="here")
        world.fold()

        accepted = [facts for number in range(2) for facts in world.accepted(number)]
        counted = sum(count.accepted for facts in accepted for count in facts.counts)
        rejected = sum(count.rejected for facts in accepted for count in facts.counts)
        assert (20, 0) == (counted, rejected)
        own = {SHIFT + schema.schema_id for schema in (USAGE_BATCH, CATALOG_PUBLISHED)}
        assert own < ids_in(settings)
        assert min(ids_in(settings)) > SHIFT
        assert {SHIFT + USAGE_FACTS.schema_id} == ids_in(settings, USAGE_FACTS_TOPIC)
        again = [
            facts
            for number, end in world.ends().items()
            for facts in usage_from_events(settings, partition=number, end=end)
        ]
        assert windows_of(accepted) == windows_of(again)
        assert totals_of(accepted) == totals_of(again)

    def test_is_what_its_readers_ask(
        self, world: FoldWorld, settings: Settings, door: HttpDoor
    ) -> None:
        ForeignProducer(world, door, USAGE_EVENT.text).send(3)
        world.fold()
        deserialize = AvroDeserializer(door.client)
        context = SerializationContext(USAGE_FACTS_TOPIC.name, MessageField.VALUE)
        read = [
            deserialize(message.value(), context)
            for number in range(2)
            for message in read_partition(settings, USAGE_FACTS_TOPIC, number)
        ]
        assert 3 == sum(count["accepted"] for each in read for count in each["counts"])

    def test_takes_the_meaning_from_our_ids(self, world: FoldWorld, door: HttpDoor) -> None:
        """A frame with our 2, from a producer that was not told: refused, never guessed."""
        foreign = ForeignProducer(world, door, USAGE_EVENT.text)
        (value,) = foreign.send(1)
        stray = value[:1] + USAGE_EVENT.schema_id.to_bytes(4, "big") + value[5:]
        foreign.send_raw(stray, partition=0, code="unknown_schema")
        foreign.send_raw(
            value[:1] + (99_999).to_bytes(4, "big") + value[5:], partition=1, code="unknown_schema"
        )
        foreign.send(5)
        world.fold()
        world.assert_true()

    def test_that_is_away_holds_up_unknown_ids_and_nothing_else(
        self,
        world: FoldWorld,
        settings: Settings,
        registry: ShiftedRegistry,
        door: HttpDoor,
    ) -> None:
        """S3 of the proof: what is known goes on; what is not waits and is never refused."""
        known = ForeignProducer(world, door, USAGE_EVENT.text)
        unusual = ForeignProducer(world, door, EXTENDED)
        known.send(5)
        world.fold()
        unusual.serialize(
            event_fields(world.new_event()), CONTEXT
        )  # registers, while the registry is there

        registry.is_away = True
        known.send(5)
        shutdown = Shutdown()
        engine = world.engine(shutdown)
        thread = threading.Thread(target=engine.run, daemon=True)
        thread.start()
        try:
            _await(lambda: _counted(world) == 10)
            asked = len(registry.asked)
            unusual.send(5)
            _await(lambda: len(registry.asked) > asked)
            assert 10 == _counted(world)
            registry.is_away = False
            _await(lambda: _counted(world) == 15)
        finally:
            shutdown.request()
            thread.join(WAIT_S)
        world.assert_true()


class TestLog:
    def test_keeps_its_registry_for_life(
        self, settings: Settings, kafka_bootstrap: str, tmp_path: Path
    ) -> None:
        """A process with another setting would misread every frame, so it does not start."""
        builtin = Settings(kafka=kafka_bootstrap, partitions=2)
        check_topics(settings)
        for refuse in (check_topics, ensure_topics):
            with pytest.raises(Fatal) as refused:
                refuse(builtin)
            assert Code.REGISTRY_MISMATCH == refused.value.code
        fresh_topics(builtin)
        for refuse in (check_topics, ensure_topics):
            with pytest.raises(Fatal) as refused:
                refuse(settings)
            assert Code.REGISTRY_MISMATCH == refused.value.code


class TestCommand:
    def test_says_the_ids_and_no_password(
        self, settings: Settings, registry: ShiftedRegistry, tmp_path: Path
    ) -> None:
        given = {
            "kafka": settings.kafka,
            "partitions": "2",
            "schema_registry": registry.url,
        }
        listed = run_command(["schema", "list", "usage.facts"], given, cwd=tmp_path)
        assert listed.returncode == 0, listed.stderr
        assert str(SHIFT + USAGE_FACTS.schema_id) in listed.stdout
        shown = run_command(["config", "show"], given, cwd=tmp_path)
        for done in (listed, shown):
            assert registry.key not in done.stdout + done.stderr

    def test_waits_for_a_registry_that_is_away_and_then_says_so(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its supervisor may try again; the password stays where it is."""
        monkeypatch.setattr(schema_registry, "START_TIMEOUT_MS", 1_500)
        settings = Settings.model_validate({"schema_registry": "http://u:geheim@127.0.0.1:1"})
        started_ms = clock.monotonic_ms()
        with pytest.raises(Retryable) as refused:
            take_ids(settings)
        assert clock.monotonic_ms() - started_ms >= RETRY_MS
        assert Code.REGISTRY_AWAY == refused.value.code
        assert "TIDEGAUGE_SCHEMA_REGISTRY" in str(refused.value)
        assert "geheim" not in str(refused.value)


def _counted(world: FoldWorld) -> int:
    return sum(
        count.accepted
        for number in range(world.settings.partitions)
        for facts in world.accepted(number)
        for count in facts.counts
    )


def _await(condition: Callable[[], bool]) -> None:
    give_up_ms = clock.monotonic_ms() + WAIT_S * 1_000
    while not condition():
        assert clock.monotonic_ms() < give_up_ms
        clock.sleep_ms(50)
