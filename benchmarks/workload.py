"""The job all benchmarks share, made from a seed, and its truth, computed without our code.

1,000 customers, 8 meters, 2 dimensions, 72 hours, 10 % resends: the job that the engines in
ARCHITECTURE.md's table were measured with. Column arrays, so that making it costs little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CUSTOMERS, METERS, HOURS = 1_000, 8, 72
REGIONS, MODELS = ("eu", "us"), ("small", "large")
RESEND_SHARE = 10
"""One of so many events is sent a second time."""
HOUR_MS = 3_600_000
TENANT = "bench"


def catalogue() -> dict[str, object]:
    """Return the catalogue document: one sum meter per event type, grouped by both dimensions."""
    return {
        "version": 1,
        "meters": [
            {
                "key": f"meter_{number}",
                "event_type": f"type_{number}",
                "aggregation": "sum",
                "unit": "unit",
                "group_by": ["region", "model"],
            }
            for number in range(METERS)
        ],
        "plans": [],
    }


@dataclass(frozen=True)
class Workload:
    """Events in sending order; resends repeat an earlier index.

    Args:
        events: Number of different events.
        order: Index of the event sent at each place.
        customer, type_, region, model: Small numbers per event.
        occurred_ms: Milliseconds since 1970 UTC.
        quantity: Hundredths of a unit.
        keys: 16 bytes per event, UUIDs of version 7.
        fingerprints: 8 bytes per event.
    """

    events: int
    order: np.ndarray
    customer: np.ndarray
    type_: np.ndarray
    region: np.ndarray
    model: np.ndarray
    occurred_ms: np.ndarray
    quantity: np.ndarray
    keys: np.ndarray
    fingerprints: np.ndarray

    @property
    def sent(self) -> int:
        """Return how many events are sent, resends included."""
        return int(self.order.size)

    def truth(self) -> dict[tuple[int, int, int, int, int], tuple[int, int]]:
        """Return per (customer, meter, region, model, hour) the events and hundredths of units."""
        columns = (self.customer, self.type_, self.region, self.model, self.occurred_ms // HOUR_MS)
        table = np.column_stack(columns)
        rows, inverse = np.unique(table, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        events = np.bincount(inverse, minlength=len(rows))
        total = np.zeros(len(rows), dtype=np.int64)
        np.add.at(total, inverse, self.quantity)
        return {
            tuple(row): (count, amount)
            for row, count, amount in zip(
                rows.tolist(), events.tolist(), total.tolist(), strict=True
            )
        }


def make(*, events: int, seed: int, end_ms: int) -> Workload:
    """Return a workload whose `events` sent events end at end_ms.

    Args:
        events: Events to send, resends included.
        seed: Same seed, same workload.
        end_ms: The last hour's end, milliseconds since 1970 UTC.
    """
    random = np.random.default_rng(seed)
    different = events - events // RESEND_SHARE
    resent = random.integers(0, different, size=events - different)
    order = np.concatenate([np.arange(different), resent])
    order = order[random.permutation(order.size)]
    key_ms = np.full(different, end_ms - 1000, dtype=np.int64)
    keys = random.integers(0, 256, size=(different, 16), dtype=np.uint8)
    for byte in range(6):
        keys[:, byte] = (key_ms >> (8 * (5 - byte))) & 0xFF
    keys[:, 6] = 0x70 | (keys[:, 6] & 0x0F)
    keys[:, 8] = 0x80 | (keys[:, 8] & 0x3F)
    return Workload(
        events=different,
        order=order,
        customer=random.integers(0, CUSTOMERS, size=different),
        type_=random.integers(0, METERS, size=different),
        region=random.integers(0, len(REGIONS), size=different),
        model=random.integers(0, len(MODELS), size=different),
        occurred_ms=end_ms - 1 - random.integers(0, HOURS * HOUR_MS, size=different),
        quantity=random.integers(0, 100_000, size=different),
        keys=keys,
        fingerprints=random.integers(0, 256, size=(different, 8), dtype=np.uint8),
    )
