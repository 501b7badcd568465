"""Topics against their catalogue and partitions read to their end, on the real broker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from domain.codes import Code
from domain.errors import Fatal, Retryable
from runtime import clock
from runtime.commands import CommandSender
from runtime.kafka import (
    JUMP_RECORDS_MIN,
    READ_STALL_MS,
    check_topics,
    client_config,
    ensure_topics,
    new_producer,
    offset_of,
    read_offsets,
    read_partition,
    received_at_ms,
)
from runtime.settings import Settings
from schemas.topics import ACCOUNT_COMMANDS, TOPICS, USAGE_EVENTS
from tests.support.topics import fresh_topics

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def settings(kafka_bootstrap: str) -> Iterator[Settings]:
    """Fresh topics of two partitions."""
    settings = Settings(kafka=kafka_bootstrap, partitions=2)
    fresh_topics(settings)
    yield settings
    fresh_topics(settings)


def set_config(settings: Settings, topic: str, name: str, value: str) -> None:
    admin = AdminClient(client_config(settings))
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(timeout=15)


def mismatch_of(settings: Settings) -> Fatal:
    with pytest.raises(Fatal) as caught:
        check_topics(settings)
    assert caught.value.next_step
    return caught.value


class TestTopics:
    def test_are_created_once_and_as_the_catalogue_says(self, settings: Settings) -> None:
        """Creating again changes nothing."""
        ensure_topics(settings)
        admin = AdminClient(client_config(settings))
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in TOPICS]
        found = {
            resource.name: future.result(timeout=15)
            for resource, future in admin.describe_configs(resources).items()
        }
        for topic in TOPICS:
            config = found[topic.name]
            assert str(topic.retention_ms) == config["retention.ms"].value
            assert topic.message_bytes_max < int(config["max.message.bytes"].value)
            assert "LogAppendTime" == config["message.timestamp.type"].value

    def test_with_another_partition_count_are_fatal(self, settings: Settings) -> None:
        """A customer would change partition and be counted twice."""
        error = mismatch_of(settings.model_copy(update={"partitions": 3}))
        assert Code.TOPIC_MISMATCH == error.code
        assert "partitions 2" in error.reason

    @pytest.mark.parametrize(
        ("name", "wrong", "right"),
        [
            ("message.timestamp.type", "CreateTime", "LogAppendTime"),
            ("cleanup.policy", "compact", "delete"),
        ],
    )
    def test_with_another_shape_are_fatal(
        self, settings: Settings, name: str, wrong: str, right: str
    ) -> None:
        """Received is the broker's time, and no record may vanish from between others."""
        set_config(settings, USAGE_EVENTS.name, name, wrong)
        try:
            error = mismatch_of(settings)
        finally:
            set_config(settings, USAGE_EVENTS.name, name, right)
        assert Code.TOPIC_MISMATCH == error.code
        assert name in error.reason

    def test_that_are_missing_are_fatal(self, settings: Settings) -> None:
        """And the next step makes them."""
        admin = AdminClient(client_config(settings))
        for future in admin.delete_topics(["usage.dead"]).values():
            future.result(timeout=15)
        error = mismatch_of(settings)
        ensure_topics(settings)
        assert Code.TOPIC_MISSING == error.code
        assert "topics create" in error.next_step
        check_topics(settings)

    def test_of_a_broker_that_is_away_can_be_tried_again(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is wrong with them."""
        monkeypatch.setattr("runtime.kafka.ADMIN_TIMEOUT_S", 1)
        with pytest.raises(Retryable) as caught:
            check_topics(settings.model_copy(update={"kafka": NOBODY}))
        assert Code.BROKER_AWAY == caught.value.code


@pytest.fixture(scope="module")
def written(settings: Settings) -> Settings:
    """3,000 numbers on partition 0, nothing on partition 1."""
    producer = new_producer(settings)
    for number in range(3_000):
        producer.produce(USAGE_EVENTS.name, b"%d" % number, partition=0)
    assert producer.flush(30) == 0
    return settings


def forget(settings: Settings, *, before: int) -> None:
    """Delete the first of the numbers, as retention does."""
    admin = AdminClient(client_config(settings))
    for future in admin.delete_records([TopicPartition(USAGE_EVENTS.name, 0, before)]).values():
        future.result(timeout=15)


class TestReadPartition:
    def read(self, settings: Settings, start: int = 0, end: int | None = None) -> list[int]:
        return [
            int(message.value() or b"-1")
            for message in read_partition(settings, USAGE_EVENTS, 0, start=start, end=end)
        ]

    @pytest.mark.parametrize(
        ("first", "last", "start", "end"),
        [
            (0, 3_000, 0, None),
            (2_990, 3_000, 2_990, None),
            (10, 11, 10, 11),
            (2_999, 3_000, 2_999, 9_000),
            (0, 0, 0, 0),
            (0, 0, 3_000, None),
            (0, 0, 9_000, 9_001),
        ],
    )
    def test_gives_what_lies_between_two_offsets(
        self, written: Settings, first: int, last: int, start: int, end: int | None
    ) -> None:
        """In order, each once, and then it ends, whatever else is on the way."""
        assert list(range(first, last)) == self.read(written, start, end)

    def test_of_an_empty_partition_gives_nothing(self, written: Settings) -> None:
        """The end is where it starts."""
        assert [] == list(read_partition(written, USAGE_EVENTS, 1))

    def test_can_be_left_in_the_middle(self, written: Settings) -> None:
        """The client goes with the iterator."""
        messages = read_partition(written, USAGE_EVENTS, 0)
        assert [0, 1, 2] == [offset_of(message) for message in islice(messages, 3)]
        messages.close()  # type: ignore[attr-defined]

    def test_tells_the_brokers_time(self, written: Settings) -> None:
        """Received is never zero and never falls here."""
        times = [received_at_ms(each) for each in read_partition(written, USAGE_EVENTS, 0, end=9)]
        assert sorted(times) == times
        assert times[0] > 1_700_000_000_000

    def test_of_a_log_whose_beginning_is_gone_is_fatal(self, written: Settings) -> None:
        """Nothing is skipped in silence; what is still there can be read."""
        forget(written, before=100)
        with pytest.raises(Fatal) as caught:
            self.read(written, start=99)
        assert Code.LOG_TRUNCATED == caught.value.code
        assert [100, 101] == self.read(written, start=100, end=102)
        assert [] == self.read(written, start=0, end=0)

    def test_of_a_broker_that_is_away_can_be_tried_again(
        self, written: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It raises instead of ending early."""
        monkeypatch.setattr("runtime.kafka.ADMIN_TIMEOUT_S", 1)
        with pytest.raises(Retryable):
            self.read(written.model_copy(update={"kafka": NOBODY}))


class TestReadOffsets:
    def read(self, settings: Settings, *offsets: int) -> list[int]:
        found = read_offsets(settings, USAGE_EVENTS, 0, offsets)
        return [int(message.value() or b"-1") for message in found]

    @pytest.mark.parametrize(
        "offsets",
        [
            (),
            (2_999,),
            (500, 501, 502),
            (500, 502, 2_999),
            tuple(range(200, 3_000, 7)),
            tuple(range(200, 3_000, JUMP_RECORDS_MIN)),
            tuple(range(200, 3_000, JUMP_RECORDS_MIN + 1)),
            tuple(range(200, 3_000, JUMP_RECORDS_MIN + 2)),
        ],
    )
    def test_gives_those_and_no_others(self, written: Settings, offsets: tuple[int, ...]) -> None:
        """Close together and far apart, passed over and jumped to."""
        assert list(offsets) == self.read(written, *offsets)

    def test_of_what_is_gone_is_fatal_and_of_what_never_came_can_be_tried_again(
        self, written: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It never gives fewer."""
        forget(written, before=100)
        monkeypatch.setattr("runtime.kafka.READ_STALL_MS", 300)
        with pytest.raises(Fatal, match="log_truncated"):
            self.read(written, 99, 2_000)
        with pytest.raises(Retryable, match="stopped at 3000"):
            self.read(written, 2_999, 3_000)


@pytest.mark.parametrize("is_jumping", [False, True], ids=["read_partition", "read_offsets"])
def test_a_reader_that_takes_its_time_reads_on(
    written: Settings, monkeypatch: pytest.MonkeyPatch, *, is_jumping: bool
) -> None:
    """What it does with a record may take minutes; the broker is not away for that."""
    now_ms = 0
    monkeypatch.setattr(clock, "monotonic_ms", lambda: now_ms)
    place = written, USAGE_EVENTS, 0
    start, end = 1_000, 1_010
    messages = (
        read_offsets(*place, range(start, end))
        if is_jumping
        else read_partition(*place, start=start, end=end)
    )
    found = []
    for message in messages:
        found.append(offset_of(message))
        now_ms += 10 * READ_STALL_MS
    assert list(range(start, end)) == found


class TestCommandSender:
    def test_returns_the_offset_of_its_command(self, settings: Settings) -> None:
        """All commands of a tenant lie on one partition, in order."""
        sender = CommandSender(settings, actor="test")
        offsets = [
            sender.send(tenant="acme", command_id=f"c{number}", kind="K", body={"n": number})
            for number in range(3)
        ]
        assert [offsets[0], offsets[0] + 1, offsets[0] + 2] == offsets
        found = [
            len(list(read_partition(settings, ACCOUNT_COMMANDS, number))) for number in (0, 1)
        ]
        assert [0, offsets[-1] + 1] == sorted(found)

    def test_publishes_a_catalogue_to_every_partition(self, settings: Settings) -> None:
        """In band, where the events are."""
        sender = CommandSender(settings, actor="test")
        assert 2 == len(sender.publish_catalogue(tenant="acme", version=1, content="{}"))
