"""A transport that keeps what it is sent, and answers when and how a test says."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import fastavro

from tidegauge import errors, transport
from tidegauge.wire import batch

_SCHEMA = fastavro.parse_schema(json.loads(batch.SCHEMA_TEXT))


def decode(value: bytes) -> dict[str, Any]:
    """Return the UsageBatch of a framed value, and see that nothing stands behind it."""
    assert value[:5] == batch.FRAME
    body = io.BytesIO(value[5:])
    datum = fastavro.schemaless_reader(body, _SCHEMA, None)
    assert body.read() == b""
    assert isinstance(datum, dict)
    return datum


class MemoryTransport:
    """Stands for Kafka, for the SDK's own tests; every attribute may change while it runs."""

    def __init__(self, *, partitions: int | None = 4, answers: bool = True) -> None:
        self.partitions = partitions
        self.answers = answers
        self.error: str | None = None
        self.is_final = False
        self.room = 1_000_000
        self.fatal = False
        self.sent: list[tuple[int, bytes, bytes]] = []
        self.parcels: list[transport.Parcel] = []
        self.lookups = 0
        self.was_closed = False
        self.was_polled = threading.Event()
        self._waiting: list[Callable[[transport.Outcome], None]] = []

    def partition_count(self, timeout_s: float) -> int:
        self.lookups += 1
        if self.partitions is None:
            raise transport.TopicUnavailable("kafka_unknown_topic_or_part")
        return self.partitions

    def send(self, parcel: transport.Parcel, done: Callable[[transport.Outcome], None]) -> bool:
        if self.fatal:
            raise errors.MeterStopped("producer_fatal", "as the test says")
        if len(self._waiting) >= self.room:
            return False
        self.sent.append((parcel.partition, parcel.key, parcel.value))
        self.parcels.append(parcel)
        self._waiting.append(done)
        return True

    def poll(self, timeout_s: float) -> None:
        self.was_polled.set()
        if not self.answers or not self._waiting:
            threading.Event().wait(min(timeout_s, 0.005))
            return
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            offset = 7 if self.error is None else None
            done(transport.Outcome(offset, self.error, is_final=self.is_final))

    def abandon(self, timeout_s: float) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(transport.Outcome(None, "closed_outcome_unknown"))

    def close(self) -> None:
        self.was_closed = True

    def leak(self) -> None:
        pass

    def batches(self) -> list[dict[str, Any]]:
        """Return everything sent, decoded."""
        return [decode(value) for _, _, value in self.sent]
