"""Bad input is counted and set aside; a missing part makes its process wait or stop loudly."""

from __future__ import annotations

import math
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

import tidegauge
from tests.faults import pipeline
from tests.faults.verdict import SCHEMA
from tests.faults.world import PARTITIONS, Stage
from tests.support import poison, workload
from tests.support.kafka_hash import partition_of
from tests.support.oracle_log import read_topic, topic_ends
from tests.support.oracle_tables import Tables
from tests.support.processes import run_command

NOTICE_TIMEOUT_S = 40
"""A process that must stop has so long to notice."""
CUSTOMERS = {
    partition_of("acme", f"customer-{number}", partitions=PARTITIONS): f"customer-{number}"
    for number in range(40)
}
"""A customer for every partition."""


class Sender:
    """Puts raw records on usage.events and knows where they lie."""

    def __init__(self, stage: Stage) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": stage.settings["kafka"],
                "enable.idempotence": True,
                "message.max.bytes": 2 * 1024 * 1024,
            }
        )
        self.random = random.Random(11)

    def place(self, partition: int) -> poison.Place:
        """A customer of a partition, now."""
        now_ms = time.time_ns() // 1_000_000
        return poison.Place(
            "acme", CUSTOMERS[partition], partition, PARTITIONS, now_ms, self.random
        )

    def send(self, partition: int, value: bytes | None) -> int:
        """Send one record and return its offset."""
        offsets: list[int] = []
        self._producer.produce(
            "usage.events",
            value,
            b"acme",
            partition=partition,
            on_delivery=lambda _, message: offsets.append(message.offset() or 0),
        )
        assert self._producer.flush(30) == 0
        return offsets[0]

    def send_good(self) -> None:
        """Send one good event to every partition."""
        for partition in range(PARTITIONS):
            self.send(partition, self.good(partition))

    def good(self, partition: int) -> bytes:
        """One event that counts."""
        return poison.single(self.place(partition), key=self.random.randbytes(16))


def _counted(stage: Stage) -> int:
    rows = Tables(stage.database_url, SCHEMA).rows("SELECT sum(accepted)::int FROM intake_count")
    return int(rows[0][0] or 0)


def test_every_poison_is_counted_once_set_aside_and_blocks_nothing(stage: Stage) -> None:
    stage.publish_catalogue()
    sender = Sender(stage)
    pipeline.start(stage, "usage", "project")
    sent: dict[tuple[int, int], poison.Poison] = {}
    for number, kind in enumerate(poison.KINDS):
        made = poison.make(kind, sender.place(number % PARTITIONS))
        sent[made.partition, sender.send(made.partition, made.value)] = made
    sender.send_good()
    pipeline.await_level(stage)

    rows = Tables(stage.database_url, SCHEMA).rows(
        "SELECT partition, source_offset, code, events FROM reject ORDER BY 1, 2"
    )
    expected = sorted((*place, made.code, made.events) for place, made in sent.items())
    assert rows == expected
    assert _counted(stage) == PARTITIONS
    letters = {}
    for letter in read_topic(stage.settings["kafka"], "usage.dead"):
        headers = letter.headers
        place = (int(headers["partition"]), int(headers["offset"]))
        assert place not in letters
        letters[place] = (headers["topic"], headers["code"], letter.value, letter.key)
        assert headers["reason"]
    assert letters == {
        place: ("usage.events", made.code, made.value, b"acme") for place, made in sent.items()
    }


def test_a_used_id_with_another_payload_is_a_conflict_and_a_repeat_is_none(stage: Stage) -> None:
    stage.publish_catalogue()
    sender = Sender(stage)
    pipeline.start(stage, "usage", "project")
    place, key = sender.place(0), b"0123456789abcdef"
    for fingerprint in (b"original", b"original", b"otherone"):
        sender.send(0, poison.single(place, key=key, fingerprint=fingerprint))
    pipeline.await_level(stage)

    tables = Tables(stage.database_url, SCHEMA)
    counts = tables.rows("SELECT received, accepted, duplicates, conflicts FROM intake_count")
    assert counts == [(3, 1, 1, 1)]
    assert tables.rows("SELECT source_offset, code, events FROM reject") == [(4, "conflict", 1)]


_GOOD: dict[str, Any] = {"customer": "c", "type": "request", "quantity": 1}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": 1.5}, "quantity_float"),
        ({"quantity": math.nan}, "quantity_float"),
        ({"quantity": "NaN"}, "quantity_not_finite"),
        ({"quantity": -1}, "quantity_negative"),
        ({"quantity": "0.0000000001"}, "quantity_too_precise"),
        ({"quantity": 10**40}, "quantity_too_large"),
        ({"occurred_at": datetime(2026, 1, 1)}, "time_naive"),  # noqa: DTZ001 -- is the subject
        ({"customer": ""}, "customer_empty"),
        ({"customer": "nul\0"}, "text_control_character"),
        ({"customer": "\ud800"}, "text_surrogate"),
        ({"customer": "x" * 2_000_000}, "text_too_long"),
        ({"dimensions": {f"n{number}": "x" for number in range(300)}}, "dimensions_too_many"),
        ({"properties": {"note": "x" * 2_000_000}}, "text_too_long"),
    ],
)
def test_the_sdk_refuses_what_no_fold_would_count(changes: dict[str, Any], code: str) -> None:
    meter = tidegauge.Meter("127.0.0.1:1", tenant="acme")
    try:
        with pytest.raises(tidegauge.InvalidEvent) as refused:
            meter.record(**{**_GOOD, **changes})
        assert refused.value.code == code
        assert meter.counters.refused == 1
        assert meter.counters.recorded == 0
    finally:
        meter.close(0)


def test_without_a_broker_the_sdk_keeps_up_to_its_limit_and_then_refuses() -> None:
    meter = tidegauge.Meter("127.0.0.1:1", tenant="acme", buffer_events_max=3)
    for _ in range(3):
        meter.record(**_GOOD, occurred_at=datetime.now(UTC))
    with pytest.raises(tidegauge.BufferFull):
        meter.record(**_GOOD)
    assert (meter.counters.pending, meter.counters.refused) == (3, 1)
    assert meter.close(0.2) == 3
    assert meter.counters.failed == 3


def test_without_a_database_positions_stand_and_work_resumes(stage: Stage) -> None:
    stage.publish_catalogue()
    sender = Sender(stage)
    pipeline.start(stage, "usage", "project")
    sender.send_good()
    pipeline.await_level(stage)

    with stage.services.control.away("postgres"):
        sender.send_good()
        _await_folded(stage)
        ended = {name: child.exit_code for name, child in stage.fleet.children.items()}
    pipeline.await_level(stage)

    # Had the projector moved on without its commit, the second events would be missing now.
    assert ended == dict.fromkeys(stage.fleet.children)
    assert _counted(stage) == 2 * PARTITIONS
    assert all(child.is_running for child in stage.fleet.children.values())


def _await_folded(stage: Stage) -> None:
    """Wait until the fold has written facts of every partition beyond the first two."""
    give_up_s = time.monotonic() + NOTICE_TIMEOUT_S
    while min(topic_ends(stage.settings["kafka"], "usage.facts").values()) < 2:
        assert time.monotonic() < give_up_s, "the fold stands still"
        time.sleep(0.2)


def test_without_a_broker_workers_wait_and_resume(stage: Stage) -> None:
    stage.publish_catalogue()
    sender = Sender(stage)
    pipeline.start(stage, "usage", "books", "project")
    sender.send_good()
    pipeline.await_level(stage)

    with stage.services.control.away("kafka"):
        time.sleep(3)
        # One more is started in vain: it waits for the broker too.
        stage.fleet.add("late-usage", pipeline.PROGRAMS["usage"])
        time.sleep(4)
        ended = {name: child.exit_code for name, child in stage.fleet.children.items()}
    sender.send_good()
    pipeline.await_level(stage)

    assert ended == dict.fromkeys(stage.fleet.children)
    assert all(child.is_running for child in stage.fleet.children.values())
    assert _counted(stage) == 2 * PARTITIONS


class TestAProcessStopsAndSaysWhatToDo:
    """Fatal: exit status 1 and the operator's next step, instead of wrong figures."""

    def stops(self, stage: Stage, *arguments: str, code: str, step: str, **settings: str) -> None:
        """Run a process that must end by itself."""
        done = run_command(
            arguments,
            {**stage.settings, **settings},
            cwd=stage.folder,
            timeout_s=NOTICE_TIMEOUT_S,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 1, said[-2000:]
        assert code in said
        assert step in said

    def test_when_the_partition_count_differs(self, stage: Stage) -> None:
        step = "TIDEGAUGE_PARTITIONS"
        for arguments in (["stream", "usage"], ["project"]):
            self.stops(stage, *arguments, code="topic_mismatch", step=step, partitions="5")
        admin = AdminClient({"bootstrap.servers": stage.settings["kafka"]})
        admin.create_partitions([NewPartitions("usage.events", 5)])["usage.events"].result(15)
        _await_partitions(admin, "usage.events", 5)
        self.stops(stage, "stream", "usage", code="topic_mismatch", step=step)

    def test_when_a_topic_is_missing(self, stage: Stage) -> None:
        admin = AdminClient({"bootstrap.servers": stage.settings["kafka"]})
        admin.delete_topics(["usage.dead"])["usage.dead"].result(15)
        _await_partitions(admin, "usage.dead", 0)
        for arguments in (["stream", "usage"], ["project"], ["topics", "check"]):
            self.stops(stage, *arguments, code="topic_missing", step="tidegauge topics create")

    def test_when_source_records_are_missing(self, stage: Stage) -> None:
        stage.publish_catalogue()
        sender = Sender(stage)
        pipeline.start(stage, "usage", "project")
        pipeline.await_level(stage)
        assert stage.fleet.end("usage") == 0
        for _ in range(5):
            sender.send_good()
        _delete_before(stage, "usage.events", 0, offset=5)

        self.stops(stage, "stream", "usage", code="source_gap", step="restore")

    def test_when_facts_are_missing(self, stage: Stage) -> None:
        stage.publish_catalogue()
        sender = Sender(stage)
        pipeline.start(stage, "usage", "project", checkpoint_interval_ms="0")
        for _ in range(3):
            sender.send_good()
            pipeline.await_level(stage)
        assert stage.fleet.end("usage") == 0
        _delete_before(stage, "usage.facts", 0, offset=2)

        self.stops(
            stage, "stream", "usage", code="facts_gap", step="backup", checkpoint_interval_ms="0"
        )
        stage.tidegauge("migrate", database_schema="other")
        self.stops(stage, "project", code="facts_gap", step="backup", database_schema="other")


def _await_partitions(admin: AdminClient, topic: str, count: int) -> None:
    """Wait until the broker says that a topic has so many partitions; 0 when it is gone."""
    give_up_s = time.monotonic() + NOTICE_TIMEOUT_S
    while True:
        found = admin.list_topics(timeout=15).topics.get(topic)
        if (len(found.partitions) if found is not None else 0) == count:
            return
        assert time.monotonic() < give_up_s, f"{topic} does not change"
        time.sleep(0.1)


def _delete_before(stage: Stage, topic: str, partition: int, *, offset: int) -> None:
    """Let a topic forget its beginning, as a wrong retention would."""
    admin = AdminClient({"bootstrap.servers": stage.settings["kafka"]})
    where = TopicPartition(topic, partition, offset)
    for future in admin.delete_records([where]).values():
        future.result(15)


def test_the_load_knows_a_customer_for_every_partition() -> None:
    assert set(CUSTOMERS) == set(range(PARTITIONS))
    assert len(workload.METERS) == 8
