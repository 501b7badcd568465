"""The SDK on brokers: the real one, and librdkafka's mock cluster where a test must end it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.sdk.far_sides import MockCluster, read_all
from tests.unit.sdk.memory_transport import decode
from tidegauge import BufferFull, Delivery, Meter, MeterClosed
from tidegauge.wire import partition

WAIT_S = 30
PARTITIONS = 4


@pytest.fixture
def mock_cluster() -> Iterator[MockCluster]:
    cluster = MockCluster()
    yield cluster
    cluster.end()


@pytest.fixture
def real_topic(kafka_bootstrap: str, topic_prefix: str) -> Iterator[str]:
    """A topic of this test's own on the real broker."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    topic = f"{topic_prefix}usage.events"
    created = admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)])
    created[topic].result(WAIT_S)
    yield topic
    admin.delete_topics([topic])[topic].result(WAIT_S)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a fact of another thread, but not for ever."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.005)


def check_delivery(bootstrap: str, topic: str) -> None:
    """Record, flush, read the topic back, and compare with what was recorded."""
    told: list[Delivery] = []
    with Meter(
        bootstrap, tenant="acme", source="test", topic=topic, on_delivery=told.append
    ) as meter:
        for number in range(3_000):
            meter.record(
                customer=f"cus_{number % 40}",
                type="requests",
                quantity=Decimal(number) / 4,
                id=f"order-{number}",
                dimensions={"region": f"r{number % 3}"},
            )
        assert meter.flush(WAIT_S) == 0
        counters = meter.counters

    records = read_all(bootstrap, topic, counters.batches)
    found: dict[str, tuple[str, Decimal, str]] = {}
    for message in records:
        assert message.key() == b"acme"
        datum: dict[str, Any] = decode(message.value() or b"")
        for item in datum["foreign_ids"]:
            at = item["index"]
            customer = datum["strings"][datum["customer"][at]]
            place = partition.partition_of(
                tenant="acme", customer=customer, partition_count=PARTITIONS
            )
            assert message.partition() == place
            region = datum["dimension_sets"][datum["dimension_set"][at] - 1]["region"]
            amount = Decimal(datum["quantity"][at]).scaleb(-datum["scale"])
            assert item["id"] not in found
            found[item["id"]] = (customer, amount, region)
    assert found == {
        f"order-{number}": (f"cus_{number % 40}", Decimal(number) / 4, f"r{number % 3}")
        for number in range(3_000)
    }
    assert (counters.acknowledged, counters.failed, counters.pending) == (3_000, 0, 0)
    assert sum(len(message.value() or b"") for message in records) == counters.bytes
    assert {(one.partition, one.offset) for one in told} == {
        (message.partition(), message.offset()) for message in records
    }


class TestDelivery:
    def test_brings_everything_to_a_real_broker(
        self, kafka_bootstrap: str, real_topic: str
    ) -> None:
        """On Apache Kafka, what was recorded is what the topic holds, at the offsets told."""
        check_delivery(kafka_bootstrap, real_topic)

    def test_brings_everything_to_the_demos_broker(self, mock_cluster: MockCluster) -> None:
        """On the mock cluster of the demo, what was recorded is what the topic holds."""
        check_delivery(mock_cluster.bootstrap, "usage.events")


class TestPartition:
    def test_is_librdkafkas_murmur2(self, mock_cluster: MockCluster) -> None:
        """librdkafka's own Java-compatible partitioner agrees about every customer."""
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": mock_cluster.bootstrap, "partitioner": "murmur2"}
        )
        placed: dict[str, int | None] = {}

        def remember(error: object, message: confluent_kafka.Message) -> None:
            placed[(message.value() or b"").decode()] = message.partition()

        customers = [f"客户-{'x' * (number % 7)}{number}" for number in range(200)]
        for customer in customers:
            key = f"größe\x1f{customer}".encode()
            producer.produce("keys", value=customer.encode(), key=key, on_delivery=remember)
        assert producer.flush(WAIT_S) == 0

        assert placed == {
            customer: partition.partition_of(
                tenant="größe", customer=customer, partition_count=PARTITIONS
            )
            for customer in customers
        }


class TestBrokerAway:
    def test_from_the_start_fills_the_buffer_and_then_refuses(self) -> None:
        """Without a broker, record keeps its limit, refuses loudly, and every event is counted."""
        meter = Meter("127.0.0.1:1", tenant="acme", buffer_events_max=100)
        for number in range(100):
            meter.record(customer=f"c{number}", type="t", quantity=1)
        for number in range(7):
            with pytest.raises(BufferFull):
                meter.record(customer=f"c{number}", type="t", quantity=1)

        assert meter.flush(0.1) == 100
        assert (meter.counters.recorded, meter.counters.refused) == (100, 7)
        assert meter.close(0.2) == 100
        assert (meter.counters.failed, meter.counters.pending) == (100, 0)
        with pytest.raises(MeterClosed):
            meter.record(customer="c", type="t", quantity=1)

    def test_later_fails_batches_by_time_and_tells_their_ids(
        self, mock_cluster: MockCluster
    ) -> None:
        """When a known broker goes, batches time out as failed, with the ids to resend."""
        told: list[Delivery] = []
        with Meter(
            mock_cluster.bootstrap,
            tenant="acme",
            delivery_timeout_ms=2_000,
            on_delivery=told.append,
        ) as meter:
            meter.record(customer="c", type="t", quantity=1)
            assert meter.flush(WAIT_S) == 0
            mock_cluster.end()
            ids = {meter.record(customer=f"c{n}", type="t", quantity=1) for n in range(20)}

            until(lambda: meter.counters.pending == 0)
            assert (meter.counters.acknowledged, meter.counters.failed) == (1, 20)
        failed = [one for one in told if one.error is not None]
        assert ids == {event_id for one in failed for event_id in one.ids}
        assert {"kafka_msg_timed_out"} == {one.error for one in failed}


class TestFork:
    def test_lets_the_child_end_in_peace(self, mock_cluster: MockCluster) -> None:
        """A child delivers with a producer of its own, and neither hangs nor crashes at exit."""
        code = (
            "import os, sys\n"
            "from tidegauge import Meter\n"
            f"meter = Meter('{mock_cluster.bootstrap}', tenant='acme')\n"
            "meter.record(customer='c', type='t', quantity=1)\n"
            "assert meter.flush(20) == 0\n"
            "child = os.fork()\n"
            "if child == 0:\n"
            "    meter.record(customer='c', type='t', quantity=1)\n"
            "    sys.exit(meter.flush(20))\n"
            "meter.record(customer='c', type='t', quantity=1)\n"
            "sys.exit(os.waitpid(child, 0)[1] or meter.close(20))\n"
        )

        ended = subprocess.run(
            [sys.executable, "-c", code, mock_cluster.bootstrap],
            timeout=60,
            check=False,
            cwd=Path(__file__).resolve().parents[3],
        )

        assert ended.returncode == 0
        assert len(read_all(mock_cluster.bootstrap, "usage.events", 3)) == 3
