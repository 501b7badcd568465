"""Puts a workload on usage.events, as UsageBatch or UsageEvent records, without the SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.workload import METERS, MODELS, REGIONS, TENANT, Workload, catalogue
from domain.canonical import to_canonical_json
from domain.routing import partition_of
from runtime.commands import CommandSender
from runtime.kafka import new_producer
from schemas.codec import encode
from schemas.registry import USAGE_BATCH, USAGE_EVENT
from schemas.topics import USAGE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.settings import Settings

EVENTS_PER_BATCH = 500
DIMENSION_SETS = [{"region": region, "model": model} for region in REGIONS for model in MODELS]


def customer_name(number: int) -> str:
    """Return the customer's identifier."""
    return f"customer-{number:04d}"


def publish_catalogue(settings: Settings) -> None:
    """Put the workload's catalogue on every partition."""
    content = to_canonical_json(json.loads(json.dumps(catalogue())))
    sender = CommandSender(settings, actor="benchmark")
    sender.publish_catalogue(tenant=TENANT, version=1, content=content)


def partitions_of(settings: Settings, workload: Workload) -> np.ndarray:
    """Return the partition of every sent event."""
    customers = int(workload.customer.max()) + 1
    table = np.array(
        [
            partition_of(TENANT, customer_name(number), partitions=settings.partitions)
            for number in range(customers)
        ]
    )
    partitions: np.ndarray = table[workload.customer[workload.order]]
    return partitions


def batches(settings: Settings, workload: Workload) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, UsageBatch record) in a round over the partitions."""
    of_partition = partitions_of(settings, workload)
    queues = [workload.order[of_partition == number] for number in range(settings.partitions)]
    longest = max(queue.size for queue in queues)
    for start in range(0, longest, EVENTS_PER_BATCH):
        for partition, queue in enumerate(queues):
            rows = queue[start : start + EVENTS_PER_BATCH]
            if rows.size:
                yield partition, _batch(workload, rows, start)


def _batch(workload: Workload, rows: np.ndarray, sequence: int) -> bytes:
    customers, customer = np.unique(workload.customer[rows], return_inverse=True)
    strings = [customer_name(number) for number in customers.tolist()]
    types = [f"type_{number}" for number in range(METERS)]
    dimension_set = 1 + workload.region[rows] * len(MODELS) + workload.model[rows]
    return encode(
        USAGE_BATCH,
        {
            "tenant": TENANT,
            "source": "",
            "producer_id": bytes(16),
            "sequence": sequence,
            "sent_at_ms": 0,
            "backfill": False,
            "strings": strings + types,
            "dimension_sets": DIMENSION_SETS,
            "keys": workload.keys[rows].tobytes(),
            "fingerprints": workload.fingerprints[rows].tobytes(),
            "customer": customer.tolist(),
            "type": (workload.type_[rows] + len(strings)).tolist(),
            "dimension_set": dimension_set.tolist(),
            "occurred_at_ms": workload.occurred_ms[rows].tolist(),
            "scale": 2,
            "quantity": workload.quantity[rows].tolist(),
            "foreign_ids": [],
            "properties": [],
        },
    )


def singles(settings: Settings, workload: Workload) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, UsageEvent record) in sending order."""
    of_partition = partitions_of(settings, workload).tolist()
    for partition, row in zip(of_partition, workload.order.tolist(), strict=True):
        record = {
            "tenant": TENANT,
            "source": "",
            "key": workload.keys[row].tobytes(),
            "fingerprint": workload.fingerprints[row].tobytes(),
            "id": "",
            "customer": customer_name(workload.customer[row]),
            "type": f"type_{workload.type_[row]}",
            "occurred_at_ms": int(workload.occurred_ms[row]),
            "quantity": int(workload.quantity[row]),
            "scale": 2,
            "dimensions": DIMENSION_SETS[
                int(workload.region[row]) * len(MODELS) + int(workload.model[row])
            ],
            "properties": {},
            "backfill": False,
        }
        yield partition, encode(USAGE_EVENT, record)


def send(settings: Settings, records: Iterator[tuple[int, bytes]]) -> int:
    """Produce records and wait for every acknowledgement; return how many there were."""
    producer = new_producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 500_000})
    count = 0
    for partition, value in records:
        while True:
            try:
                producer.produce(USAGE_EVENTS.name, value, TENANT.encode(), partition=partition)
                break
            except BufferError:
                producer.poll(0.05)
        count += 1
        if count % 1_000 == 0:
            producer.poll(0)
    if producer.flush(60):
        raise SystemExit("the broker did not take the workload within 60 s")
    return count
