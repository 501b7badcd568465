"""O9: how far the database is behind the log, sampled all the time, and how long faults hurt."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

SAMPLE_S = 0.1
FRESH_S = 1.0
"""Lag below this counts as recovered, seconds."""
BROKER_TIMEOUT_S = 0.5
TOPIC, FACTS = "usage.events", "usage.facts"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: lag in seconds, None when broker or database did not answer."""

    at_s: float
    lag_s: float | None

    @property
    def is_fresh(self) -> bool:
        """Say whether everything that was in the log a second ago is in the database."""
        return self.lag_s is not None and self.lag_s < FRESH_S


@dataclass(slots=True)
class LagMeter:
    """Samples in a thread.

    The lag is the age of the newest moment whose source ends the database has reached: with p the
    positions in the database now and e(t) the ends seen at time t, now - max{t: e(t) ≤ p}.
    An idle log has no lag. While broker or database do not answer there is no sample that counts.

    Args:
        bootstrap: The broker.
        database_url, schema: Where the positions are.
        partitions: Partition count of the source.
    """

    bootstrap: str
    database_url: str
    schema: str
    partitions: int
    samples: list[Sample] = field(default_factory=list)
    _seen: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def is_fresh_for(self, seconds: float) -> bool:
        """Say whether the lag was small in every sample of the last seconds."""
        since = time.monotonic() - seconds
        recent = [sample for sample in self.samples[-200:] if sample.at_s >= since]
        return len(recent) > 1 and all(sample.is_fresh for sample in recent)

    @property
    def is_level(self) -> bool:
        """Say whether the database had reached the very end of the log at the last look."""
        return bool(self.samples) and self.samples[-1].lag_s == 0

    def state(self) -> str:
        """Say how far the database is, for a message."""
        last = self.samples[-1] if self.samples else None
        return f"{len(self.samples)} samples, the last {last}, ends {self._seen[-1:]}"

    def recovery_s(self, fault_s: float, until_s: float) -> float:
        """Return the time from a fault to the last sample that was not fresh, seconds.

        0 when the fault never let the lag reach a second.
        """
        stale = [
            sample.at_s
            for sample in self.samples
            if fault_s <= sample.at_s < until_s and not sample.is_fresh
        ]
        return max(stale) + SAMPLE_S - fault_s if stale else 0.0

    def _run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "tests.lag",
                "log_level": 0,
                "reconnect.backoff.max.ms": 500,
            }
        )
        connection: psycopg.Connection | None = None
        while not self._ending.wait(SAMPLE_S):
            lag_s: float | None = None
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(
                        self.database_url, autocommit=True, connect_timeout=2
                    )
                self._see(consumer)
                lag_s = self._lag_s(connection)
            except (KafkaException, psycopg.Error):
                if connection is not None:
                    connection.close()
                    connection = None
            self.samples.append(Sample(time.monotonic(), lag_s))
        consumer.close()
        if connection is not None:
            connection.close()

    def _see(self, consumer: Consumer) -> None:
        ends = tuple(
            consumer.get_watermark_offsets(
                TopicPartition(TOPIC, partition), timeout=BROKER_TIMEOUT_S
            )[1]
            for partition in range(self.partitions)
        )
        if not self._seen or self._seen[-1][1] != ends:
            self._seen.append((time.monotonic(), ends))

    def _lag_s(self, connection: psycopg.Connection) -> float:
        rows = connection.execute(
            f"SELECT partition, next_offset FROM {self.schema}.position WHERE topic = %s".encode(),
            [FACTS],
        ).fetchall()
        positions: dict[int, int] = dict(rows)
        reached = [positions.get(partition, 0) for partition in range(self.partitions)]
        now_s = time.monotonic()
        # The first ends that were not reached yet were seen at the moment the lag counts from.
        missing_since = now_s
        if all(end <= at for end, at in zip(self._seen[-1][1], reached, strict=True)):
            return 0.0
        for at_s, ends in reversed(self._seen):
            if all(end <= position for end, position in zip(ends, reached, strict=True)):
                break
            missing_since = at_s
        del self._seen[:-5_000]
        return now_s - missing_since
