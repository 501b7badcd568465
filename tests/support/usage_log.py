"""A random usage log: facts as the fold makes them, and the windows that a plain count gives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from confluent_kafka import Producer

from domain.routing import partition_of
from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from domain.usage.records import CataloguePublished, EventBatch, SourceRecord
from runtime.kafka import new_producer
from runtime.settings import Settings
from schemas.usage_wire import to_wire_usage_facts

HOUR_MS = 3_600_000
NOW_MS = 1_773_000_000_000
TENANTS = ("acme", "globex")
MODELS = ("small", "large", 'back\\slash "é"')
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": "tokens", "event_type": "llm", "aggregation": "sum", "unit": "token",
         "group_by": ["model"]},
        {"key": "tokens_total", "event_type": "llm", "aggregation": "max", "unit": "token",
         "group_by": []},
        {"key": "calls", "event_type": "call", "aggregation": "latest", "unit": "call",
         "group_by": []},
    ],
    "plans": [],
}  # fmt: skip
METERS = {"llm": (("tokens", ("model",)), ("tokens_total", ())), "call": (("calls", ()),)}

SeriesKey = tuple[str, str, str, str]
"""Tenant, customer, meter, dimensions as sorted JSON."""


@dataclass
class Window:
    """What is counted of one series and hour, in whole billionths."""

    events: int = 0
    late: int = 0
    sum: int = 0
    min: int = 10**40
    max: int = -1
    latest: int = 0
    latest_at: tuple[int, int] = (-1, -1)
    first_offset: int = 10**18
    last_offset: int = -1
    key_digest: int = 0

    def count(self, *, value: int, occurred_ms: int, offset: int, key: int, is_late: bool) -> None:
        self.events += 1
        self.late += is_late
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        if (occurred_ms, offset) >= self.latest_at:
            self.latest, self.latest_at = value, (occurred_ms, offset)
        self.first_offset = min(self.first_offset, offset)
        self.last_offset = max(self.last_offset, offset)
        self.key_digest = (self.key_digest + key) % 2**128

    def row(self) -> tuple[object, ...]:
        """The window as the table shows it."""
        values = (Decimal(each).scaleb(-9) for each in (self.sum, self.min, self.max, self.latest))
        return (
            *(self.events, self.late, *values, *self.latest_at),
            *(self.first_offset, self.last_offset, Decimal(self.key_digest)),
        )


@dataclass
class UsageLog:
    """Facts by partition, and the truth about the same events.

    Args:
        partitions: Partition count.
        seed: Everything follows from it.
    """

    partitions: int
    seed: int = 1
    facts: dict[int, list[UsageFacts]] = field(default_factory=dict)
    windows: dict[tuple[SeriesKey, int], Window] = field(default_factory=dict)
    intake: dict[str, int] = field(default_factory=dict)
    refused: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._folds = {
            number: UsageFold(partition=number, partitions=self.partitions)
            for number in range(self.partitions)
        }
        self._offsets = dict.fromkeys(range(self.partitions), 0)
        self._customers: dict[int, list[tuple[str, str]]] = {}
        for tenant in TENANTS:
            for number in range(12 * self.partitions):
                name = f"customer-{number}"
                at = partition_of(tenant, name, partitions=self.partitions)
                self._customers.setdefault(at, []).append((tenant, name))
        for number in range(self.partitions):
            self.facts[number] = []
            self._fold(number, [CataloguePublished(each, 1, json.dumps(CATALOGUE))
                                for each in TENANTS])  # fmt: skip

    def grow(self, *, records: int, batches: int = 3, events: int = 40) -> None:
        """Append facts records, each of a few source batches, to every partition."""
        for _ in range(records):
            for partition in range(self.partitions):
                bodies = [self._batch(partition, events, index) for index in range(batches)]
                self._fold(partition, list(bodies))

    def _fold(self, partition: int, bodies: list[CataloguePublished | EventBatch]) -> None:
        start = self._offsets[partition]
        records = [SourceRecord(start + index, NOW_MS, body) for index, body in enumerate(bodies)]
        end = self._offsets[partition] = start + len(records)
        facts = self._folds[partition].step(records, from_offset=start, to_offset=end)
        self.facts[partition].append(facts)

    def _batch(self, partition: int, events: int, index: int) -> EventBatch:
        """Make a batch and count its events the plain way; one event in ten comes twice."""
        draw = self._random
        tenant = draw.choice(TENANTS)
        customers = [name for owner, name in self._customers[partition] if owner == tenant]
        strings = [*customers, "llm", "call", "unheard-of"]
        offset = self._offsets[partition] + index
        keys, columns = [], []
        for _ in range(events):
            customer, key = draw.choice(customers), draw.getrandbits(128)
            kind = draw.choices(("llm", "call", "unheard-of"), (6, 3, 1))[0]
            occurred_ms = NOW_MS - draw.randrange(20 * HOUR_MS)
            nanos = draw.choice((0, 10**9, draw.randrange(10**6), draw.randrange(10**23)))
            nanos = min(nanos, 2**63 - 1)
            model = draw.randrange(len(MODELS))
            copies = 2 if draw.random() < 0.1 else 1
            for copy in range(copies):
                keys.append(key)
                columns.append((strings.index(customer), strings.index(kind), model, occurred_ms,
                                nanos))  # fmt: skip
                self._count_intake("received")
                if kind == "unheard-of":
                    self._count_intake("rejected")
                elif copy:
                    self._count_intake("duplicates")
                else:
                    self._count_intake("accepted")
                    self._count(tenant, customer, kind, model, occurred_ms, nanos, offset, key)
            self.refused += copies * (kind == "unheard-of")
        return EventBatch(
            tenant=tenant,
            backfill=False,
            strings=strings,
            dimension_sets=[{"model": name, "unused": "x"} for name in MODELS],
            keys=b"".join(key.to_bytes(16, "big") for key in keys),
            fingerprints=b"".join((key >> 64).to_bytes(8, "big") for key in keys),
            customer=[row[0] for row in columns],
            type_=[row[1] for row in columns],
            dimension_set=[row[2] + 1 for row in columns],
            occurred_at_ms=[row[3] for row in columns],
            scales=[9],
            quantity=[row[4] for row in columns],
            properties=[],
        )

    def _count_intake(self, name: str) -> None:
        self.intake[name] = self.intake.get(name, 0) + 1

    def _count(self, tenant: str, customer: str, kind: str, model: int, occurred_ms: int,
               value: int, offset: int, key: int) -> None:  # fmt: skip
        hour = occurred_ms // HOUR_MS
        is_late = NOW_MS - (hour + 1) * HOUR_MS > HOUR_MS
        for meter, group_by in METERS[kind]:
            dimensions = json.dumps(dict.fromkeys(group_by, MODELS[model]))
            series = (tenant, customer, meter, dimensions)
            self.windows.setdefault((series, hour), Window()).count(
                value=value, occurred_ms=occurred_ms, offset=offset, key=key, is_late=is_late
            )

    def wires(self, partition: int) -> Iterator[bytes]:
        """The facts records of a partition as they lie in the topic."""
        for facts in self.facts[partition]:
            yield to_wire_usage_facts(facts, writer="test")

    def send(self, settings: Settings, *, start: int = 0, times: int = 1) -> None:
        """Append the facts from a record number on to usage.facts, each so many times."""
        producer: Producer = new_producer(settings)
        for partition in self.facts:
            for wire in list(self.wires(partition))[start:]:
                for _ in range(times):
                    producer.produce("usage.facts", wire, partition=partition)
        assert producer.flush(30) == 0
