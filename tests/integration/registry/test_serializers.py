"""Confluent's own serializers on our topics: they read what we write, we count what they write.

Issue 4, part 7. The server, the broker and the fold are the real ones.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry import (
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from domain.usage.facts import UsageFacts
from producers.dead_letters.letters import Wanted, read_letters
from producers.dead_letters.replay import replay
from projections.invoicing.log import usage_from_events
from runtime import clock
from runtime.kafka import new_producer, read_partition
from runtime.settings import Settings
from schemas.node_wire import NodeReport, to_wire_node_updated, to_wire_pulse_received
from schemas.registry import USAGE_EVENT
from schemas.subjects import FOREIGN_ID_MIN, HAND_OUT_MS
from schemas.topics import NODE_EVENTS, USAGE_EVENTS, USAGE_FACTS_TOPIC, Topic
from tests.support import checkout
from tests.support.fold_world import TENANT, FoldWorld
from tests.support.foreign_producer import ForeignProducer, event_fields
from tests.support.kafka_hash import partition_of
from tests.support.registries import a_field, extended, framed
from tests.support.registry_server import RegistryServer
from tests.support.usage_facts import totals_of, windows_of

AVSC = (checkout.ROOT / "schemas" / "avro" / "usage_event.avsc").read_text(encoding="utf-8")
"""What a stranger takes from our repository."""
SITE = a_field("site", ["null", "string"], default=None)
EXTENDED = extended(json.loads(AVSC), SITE)
STRATEGIES: list[dict[str, object]] = [
    {},
    {"subject.name.strategy": topic_subject_name_strategy},
    {"subject.name.strategy": topic_record_subject_name_strategy},
    {"subject.name.strategy": record_subject_name_strategy},
    {"normalize.schemas": True},
]
"""How foreign serializers find their subject; the first is what they do by themselves."""


def read_by_them(server: RegistryServer, settings: Settings, topic: Topic) -> list[dict[str, Any]]:
    """Every record of a topic as Confluent's deserializer gives it."""
    deserialize = AvroDeserializer(server.door().client, return_record_name=False)
    context = SerializationContext(topic.name, MessageField.VALUE)
    return [
        deserialize(message.value(), context)
        for number in range(settings.partitions)
        for message in read_partition(settings, topic, number)
    ]


def id_of(value: bytes) -> int:
    return int.from_bytes(value[1:5], "big")


def replayed(settings: Settings, ends: dict[int, int]) -> list[UsageFacts]:
    """The raw events of all partitions, folded anew."""
    return [
        facts
        for number, end in ends.items()
        for facts in usage_from_events(settings, partition=number, end=end)
    ]


class TestTheirReader:
    def test_reads_usage_events_and_facts(self, world: FoldWorld, server: RegistryServer) -> None:
        """Batches, single events, catalogues and facts, by their ids alone."""
        for _ in range(6):  # each time cut into other records
            world.send(10)
        world.fold()

        events = read_by_them(server, world.settings, USAGE_EVENTS)
        facts = read_by_them(server, world.settings, USAGE_FACTS_TOPIC)

        batches = [each for each in events if "producer_id" in each]
        singles = [each for each in events if "occurred_at_ms" in each and each not in batches]
        catalogues = [each for each in events if "content_sha256" in each]
        assert batches
        assert singles
        assert world.settings.partitions == len(catalogues)
        assert 60 == len(singles) + sum(len(each["customer"]) for each in batches)
        assert 60 == sum(count["accepted"] for each in facts for count in each["counts"])

    def test_reads_node_events(self, world: FoldWorld, server: RegistryServer) -> None:
        report = NodeReport("acme", "mine", "d1", clock.now_ms(), "node-update", '{"a":1}')
        producer = new_producer(world.settings)
        for value in (
            to_wire_node_updated(report, node="n1"),
            to_wire_pulse_received(report, pulse="p1", target_node="n1"),
        ):
            producer.produce(NODE_EVENTS.name, value, partition=0)
        assert producer.flush(30) == 0

        found = read_by_them(server, world.settings, NODE_EVENTS)
        node, pulse = (record for record in found if "delivery_id" in record)  # no catalogues

        assert ("n1", '{"a":1}') == (node["node"], node["data"])
        assert ("p1", "n1") == (pulse["pulse"], pulse["target_node"])


class TestTheirWriter:
    def test_with_our_schema_writes_our_frames(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        """With a key that may register nothing: what is known needs no right."""
        foreign = ForeignProducer(world, server.door(server.reader), AVSC)
        values = foreign.send(20)
        world.send(20)
        world.fold()
        assert {USAGE_EVENT.schema_id} == {id_of(value) for value in values}
        world.assert_true()

    def test_with_a_field_of_its_own_is_counted(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        """Under each naming strategy; a replay from the events counts the same.

        The field is theirs: they read it back, and it costs us nothing.
        """
        for conf in STRATEGIES:
            values = ForeignProducer(world, server.door(), EXTENDED, conf).send(10, site="here")
            assert {FOREIGN_ID_MIN} == {id_of(value) for value in values}, conf
        world.send(20)
        world.fold()

        world.assert_true()
        again = replayed(world.settings, world.ends())
        assert world.truth.windows == windows_of(again)
        assert world.truth.totals == +totals_of(again)
        read = read_by_them(server, world.settings, USAGE_EVENTS)
        assert 10 * len(STRATEGIES) == sum(each.get("site") == "here" for each in read)

    def test_that_looks_the_latest_version_up_is_counted(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        """auto.register.schemas=False and use.latest.version: the way of careful houses."""
        server.door().register("usage.events-value", EXTENDED)
        conf = {"auto.register.schemas": False, "use.latest.version": True}
        foreign = ForeignProducer(world, server.door(server.reader), AVSC, conf)
        values = foreign.send(5, site="there")
        world.fold()
        assert {FOREIGN_ID_MIN} == {id_of(value) for value in values}
        world.assert_true()


class TestUnknownIds:
    def test_are_refused_once_and_for_all(
        self, world: FoldWorld, server: RegistryServer, tmp_path: Path
    ) -> None:
        """Registered later, the id counts for later records; the earlier ones stay refused.

        A fold without any state, and a replay from the events, decide as the first fold did.
        """
        foreign = ForeignProducer(world, server.door(), AVSC)
        (value,) = foreign.send(1)
        early = value[:1] + FOREIGN_ID_MIN.to_bytes(4, "big") + value[5:]
        foreign.send_raw(early, partition=0, code="unknown_schema")
        world.fold()
        world.assert_true()

        extended_ = ForeignProducer(world, server.door(), EXTENDED)
        (later,) = extended_.send(1)
        assert FOREIGN_ID_MIN == id_of(later)
        fresh = world.settings.model_copy(update={"state_dir": tmp_path / "fresh"})
        world.fold(group="fresh", settings=fresh)
        world.assert_true()
        again = replayed(world.settings, world.ends())
        codes = Counter(reject.code for facts in again for reject in facts.rejects)
        assert {"unknown_schema": 1} == codes
        assert world.truth.windows == windows_of(again)

    def test_are_counted_when_they_are_replayed_after_it(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        """A producer whose registration was forgotten loses nothing: dead letters, then replay."""
        event = world.new_event()
        partition = partition_of(TENANT, event.customer, partitions=world.settings.partitions)
        foreign = ForeignProducer(world, server.door(), AVSC)
        early = framed(FOREIGN_ID_MIN, EXTENDED, event_fields(event, site="x"))
        foreign.send_raw(early, partition=partition, code="unknown_schema")
        world.fold()

        assert FOREIGN_ID_MIN == server.door().register("usage.events-value", EXTENDED)
        letters = read_letters(world.settings, Wanted(code="unknown_schema"), scan_max=100)
        done = replay(world.settings, letters, producer=lambda: new_producer(world.settings))
        world.count([event], partition=partition)
        world.fold()

        assert (1, 1, []) == (done.sent, done.events, done.refused)
        world.assert_true()

    def test_of_another_topic_are_refused(self, world: FoldWorld, server: RegistryServer) -> None:
        """An id means something in the topics of its subjects only."""
        schema = extended(USAGE_EVENT.definition, a_field("other", "int", default=0))
        schema_id = server.door().register("elsewhere-value", schema)
        foreign = ForeignProducer(world, server.door(), AVSC)
        (value,) = foreign.send(1)
        stray = value[:1] + schema_id.to_bytes(4, "big") + value[5:] + b"\x00"
        foreign.send_raw(stray, partition=1, code="unknown_schema")
        clock.sleep_ms(HAND_OUT_MS)
        foreign.send_raw(stray, partition=1, code="unknown_schema")
        world.fold()
        world.assert_true()

    def test_with_broken_bodies_are_refused(
        self, world: FoldWorld, server: RegistryServer
    ) -> None:
        """Cut at every byte, and with more behind: a dead letter each, and the fold goes on."""
        foreign = ForeignProducer(world, server.door(), EXTENDED)
        (value,) = foreign.send(1, site="x")
        for end in range(5, len(value)):
            foreign.send_raw(value[:end], partition=0, code="undecodable")
        foreign.send_raw(value + b"\x00", partition=0, code="undecodable")
        foreign.send(5)
        world.fold()
        world.assert_true()
