"""The demo's broker: librdkafka's mock cluster, in the memory of this process.

It speaks Kafka's protocol to the workers but is no Kafka: nothing is on disk, it keeps 5 MiB per
partition, has no transactions and no append time of its own.
"""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cli.failures import CommandFailure
from schemas.topics import TOPICS

PARTITIONS = 4
"""What the mock cluster gives a topic at its first use; there is no setting for it."""
PARTITION_BYTES_MAX = 5 * 1024 * 1024
"""What it keeps of a partition; older records are dropped."""
_TIMEOUT_S = 10


class EmbeddedBroker:
    """Lives as long as this object does."""

    def __init__(self) -> None:
        self._client = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
        try:
            brokers = self._client.list_topics(timeout=_TIMEOUT_S).brokers.values()
            self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
            for topic in TOPICS:  # the first use makes a topic
                self._client.list_topics(topic.name, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise CommandFailure(
                f"librdkafka's mock broker does not answer: {error}",
                next_step="try again, or give a real one with --kafka HOST:PORT",
            ) from error
