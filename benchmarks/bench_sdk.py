"""What the SDK costs its host: one call of record(), and events per second into Kafka.

Claim: record() takes at most 6 µs (p50) and 50 µs (p99) with Kafka or a spool; one process brings
at least 150,000 events/s into Kafka, from the first record() to the last acknowledgement.
Method: the same events (1,000 customers, 8 types, 2 dimensions, 2 decimals, ids made by the SDK)
go through a transport that acknowledges at once (the floor: the SDK alone), to a broker on the
same machine, and with a spool, fsync "interval" and "always". Throughput: as fast as one thread
can record, best of three runs, a fresh meter each. Latency is taken in three ways, each call timed
with perf_counter_ns, whose own cost (about 0.1 µs) is left in:
"burst", which the claim is about: 500 events in a row every 10 ms, 50,000 a second;
"busy": one event every 200 µs of a thread that computes in between and never gives up the
interpreter, so that the flush thread waits for record() to do so: the worst neighbour it can have;
"rested": the first call after 10 ms of sleep, when caches and core are cold (the check of an event
alone, without meter or threads, takes 40 µs then).
Beside them stands "noise": a loop of 3 µs in the place of record(), which only the machine slows.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.support import write_result
from tests.support.services import find_kafka
from tidegauge import Meter, Spool, transport

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS: Final = 3
BURST_EVENTS: Final = 500
PACE_NS: Final = 200_000
"""One event so often while latency is taken: 5,000 a second, much for one process."""
REST_S: Final = 0.01
RESTS: Final = 300
LATENCY_EVENTS_MAX: Final = 20_000
ALWAYS_EVENTS_MAX: Final = 2_000
"""With fsync "always" one thread records as fast as the disk confirms, about 1,000 a second."""
WAIT_S: Final = 120


class Floor:
    """Acknowledges whatever it is given: what is left is the SDK's own cost."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[transport.Outcome], None]] = []

    def partition_count(self, timeout_s: float) -> int:
        return 4

    def send(self, parcel: transport.Parcel, done: Callable[[transport.Outcome], None]) -> bool:
        self._waiting.append(done)
        return True

    def poll(self, timeout_s: float) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(transport.Outcome(0, None))
        if not waiting:
            time.sleep(timeout_s)

    def abandon(self, timeout_s: float) -> None:
        self._waiting.clear()

    def close(self) -> None:
        pass

    def leak(self) -> None:
        pass


def calls_of(events: int) -> list[dict[str, Any]]:
    """Return the arguments of record(), made beforehand."""
    start = datetime.now(UTC) - timedelta(hours=1)
    return [
        {
            "customer": f"customer-{number % 1_000:04d}",
            "type": f"type_{number % 8}",
            "quantity": Decimal(number % 100_000).scaleb(-2),
            "occurred_at": start + timedelta(milliseconds=number),
            "dimensions": {
                "region": "eu" if number % 2 else "us",
                "model": "small" if number % 3 else "large",
            },
        }
        for number in range(events)
    ]


def main() -> None:
    """Run all ways and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    calls = calls_of(arguments.events)
    kafka = find_kafka()
    topic = f"bench-sdk-{uuid.uuid4().hex[:12]}"
    folder = Path(tempfile.mkdtemp(prefix="bench-sdk-"))
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, num_partitions=4)])[topic].result(WAIT_S)
    result: dict[str, object] = {"events": len(calls)}
    try:
        result |= noise()
        for name, options in ways(kafka, topic, folder).items():
            own = calls[:ALWAYS_EVENTS_MAX] if name.endswith("always") else calls
            result |= {f"{name}_{key}": value for key, value in measure(own, options).items()}
    finally:
        admin.delete_topics([topic])
        shutil.rmtree(folder)
    write_result(arguments, result)
    sys.exit(0)


def ways(kafka: str, topic: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the options of each way, by its name."""
    spool = folder / "spool"
    to_kafka = {"bootstrap": kafka, "topic": topic}
    return {
        "floor": {"bootstrap": "-", "way_out": Floor},
        "floor_spool": {"bootstrap": "-", "way_out": Floor, "spool": Spool(spool)},
        "kafka": to_kafka,
        "kafka_spool": to_kafka | {"spool": Spool(spool)},
        "kafka_spool_always": to_kafka | {"spool": Spool(spool, fsync="always")},
    }


def measure(calls: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, float]:
    """Return throughput, CPU and latency of one way."""
    runs = [throughput(calls, options) for _ in range(RUNS)]
    best = max(runs, key=lambda run: run["events_per_s"])
    return best | latency(calls[:LATENCY_EVENTS_MAX], options)


def throughput(calls: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, float]:
    """Record everything as fast as it goes, and wait until it was acknowledged."""
    with Meter(tenant="bench", block_ms=60_000, **options) as meter:
        meter.record(**calls[0])  # finds the broker, before the clock starts
        assert meter.flush(WAIT_S) == 0
        cpu_s, started_s = time.process_time(), time.perf_counter()
        record = meter.record
        for call in calls:
            record(**call)
        assert meter.flush(WAIT_S) == 0
        took_s = time.perf_counter() - started_s
        cpu_s = time.process_time() - cpu_s
        assert meter.counters.acknowledged == len(calls) + 1
    return {
        "events_per_s": round(len(calls) / took_s),
        "cpu_us_per_event": round(cpu_s / len(calls) * 1e6, 2),
    }


def latency(calls: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, float]:
    """Time each record(), in the three ways."""
    burst: list[int] = []
    busy: list[int] = []
    rested: list[int] = []
    with Meter(tenant="bench", block_ms=60_000, **options) as meter:
        meter.record(**calls[0])
        assert meter.flush(WAIT_S) == 0
        for first in range(0, len(calls), BURST_EVENTS):
            burst += [timed(meter, call) for call in calls[first : first + BURST_EVENTS]]
            time.sleep(REST_S)
        due = time.perf_counter_ns()
        for call in calls:
            due += PACE_NS
            while time.perf_counter_ns() < due:
                pass
            busy.append(timed(meter, call))
        for call in calls[:RESTS]:
            time.sleep(REST_S)
            rested.append(timed(meter, call))
        assert meter.flush(WAIT_S) == 0
    found = percentiles(burst, "burst") | percentiles(busy, "busy")
    return found | percentiles(rested, "rested")


def timed(meter: Meter, call: dict[str, Any]) -> int:
    """Return how long one record() took, in nanoseconds."""
    started = time.perf_counter_ns()
    meter.record(**call)
    return time.perf_counter_ns() - started


def noise() -> dict[str, float]:
    """Time a piece of work that nobody else can slow down but the machine."""
    clock = time.perf_counter_ns
    taken: list[int] = []
    due = clock()
    for _ in range(LATENCY_EVENTS_MAX):
        due += PACE_NS
        while clock() < due:
            pass
        started = clock()
        sum(range(400))
        taken.append(clock() - started)
    return percentiles(taken, "noise")


def percentiles(taken_ns: list[int], name: str) -> dict[str, float]:
    """Return p50, p99 and p99.9 in µs."""
    ordered = sorted(taken_ns)
    places = {"p50": 500, "p99": 990, "p999": 999}
    return {
        f"{name}_{label}_us": round(ordered[len(ordered) * place // 1_000] / 1_000, 2)
        for label, place in places.items()
    }


if __name__ == "__main__":
    main()
