"""The log of the registry when it is damaged or away: nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime import clock, kafka, schema_log
from runtime.kafka import client_config
from runtime.schema_log import SchemaLog
from runtime.settings import Settings
from schemas.registry import USAGE_EVENT
from schemas.subjects import FOREIGN_ID_MIN, ID_MARGIN_MS
from schemas.topics import SCHEMA_REGISTRATIONS, USAGE_EVENTS
from tests.support.fold_world import FoldWorld
from tests.support.registries import a_field, extended

EXTENDED = extended(USAGE_EVENT.definition, a_field("site", "string", default=""))
NOBODY = Settings(kafka="127.0.0.1:1", partitions=2)


@pytest.fixture
def log(world: FoldWorld) -> Iterator[SchemaLog]:
    log = SchemaLog(world.settings)
    yield log
    log.close()


def truncate(settings: Settings, offset: int) -> None:
    """Take the beginning of the topic away, as a wrong retention would."""
    admin = AdminClient(client_config(settings))
    place = TopicPartition(SCHEMA_REGISTRATIONS.name, 0, offset)
    for future in admin.delete_records([place]).values():
        future.result(timeout=15)


class TestSchemaLog:
    def test_whose_beginning_is_gone_is_fatal(self, world: FoldWorld, log: SchemaLog) -> None:
        """Ids would be known to those who read before, and unknown to those who start now."""
        log.register("mine", '"int"')
        log.register("mine", '"long"')
        truncate(world.settings, 1)
        fresh = SchemaLog(world.settings)
        with pytest.raises(Fatal) as refused:
            fresh.ask(lambda registry: registry.subjects())
        fresh.close()
        assert Code.LOG_TRUNCATED == refused.value.code
        assert "retention.ms" in refused.value.next_step

    def test_goes_on_from_where_it_was(self, world: FoldWorld, log: SchemaLog) -> None:
        """What another process registers is seen at the next question."""
        other = SchemaLog(world.settings)
        first = other.register("mine", '"int"')
        assert [first.schema_id] == [
            each.schema_id for each in log.ask(lambda registry: registry.versions("mine"))
        ]
        second = other.register("mine", '"long"')
        other.close()
        assert [FOREIGN_ID_MIN, FOREIGN_ID_MIN + 1] == [first.schema_id, second.schema_id]
        assert second.schema_id == log.ask(lambda registry: registry.versions("mine"))[1].schema_id

    def test_looks_again_for_records_that_came_later(
        self, world: FoldWorld, log: SchemaLog
    ) -> None:
        """A worker that refused an id keeps running: when it is registered, it counts."""
        before_ms = clock.now_ms()
        assert log.find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=before_ms) is None
        other = SchemaLog(world.settings)
        other.register("usage.events-value", EXTENDED)
        other.close()
        later_ms = clock.now_ms() + ID_MARGIN_MS
        found = log.find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=later_ms)
        assert found is not None
        assert USAGE_EVENT is found.read_as
        assert log.find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=before_ms) is None


class TestAbsentBroker:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kafka, "ADMIN_TIMEOUT_S", 1)
        monkeypatch.setattr(schema_log, "READ_TIMEOUT_MS", 1_000)

    def test_is_no_answer_about_an_id(self) -> None:
        """The record behind it waits."""
        log = SchemaLog(NOBODY)
        with pytest.raises(Retryable) as away:
            log.find(USAGE_EVENTS, FOREIGN_ID_MIN, received_at_ms=1)
        assert Code.BROKER_AWAY == away.value.code
        log.close()

    def test_is_not_asked_about_ids_that_nobody_can_have(self) -> None:
        log = SchemaLog(NOBODY)
        for schema_id in (-1, 0, USAGE_EVENT.schema_id, FOREIGN_ID_MIN - 1):
            assert log.find(USAGE_EVENTS, schema_id, received_at_ms=1) is None
        log.close()

    def test_refuses_to_register(self) -> None:
        log = SchemaLog(NOBODY)
        with pytest.raises(Retryable):
            log.register("mine", '"int"')
        log.close()
