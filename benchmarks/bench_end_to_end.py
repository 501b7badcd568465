"""From the SDK to committed window rows, everything on this machine.

Claim: at least 100,000 events/s from record() to committed rows; at 10,000 events/s a window is
fresh within 0.7 s (p50) and 1.5 s (p99).
Method: one SDK process records the workload as fast as it can (throughput), then another paces
10,000 events/s (freshness); one fold worker, two projectors, broker and database share the same
cores. Before the clock starts 700,000 events of earlier hours go the same way: a broker that was
started a minute ago spends as much on compiling itself as on our records, and a database makes the
files that it uses again later. Throughput is sent events over the
time from the first record() to the commit that holds the last one. Freshness is the time from
record() to the first look at the position row that covers the
event's offset, looked at every 20 ms. Every window row is compared with the workload's truth.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import bisect
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import psycopg
from pydantic import SecretStr

from benchmarks.produce import DIMENSION_SETS, customer_name, publish_catalogue
from benchmarks.support import count_wrong, settings_of_services, write_result
from benchmarks.workload import HOUR_MS, HOURS, METERS, MODELS, REGIONS, TENANT, make
from projections.migrate import migrate
from runtime import clock
from runtime.kafka import new_consumer, partition_ends
from schemas.topics import USAGE_EVENTS, USAGE_FACTS_TOPIC
from tests.support.services import create_database, drop_database
from tests.support.topics import fresh_topics
from tidegauge import Delivery, Meter

if TYPE_CHECKING:
    from benchmarks.support import Windows
    from benchmarks.workload import Workload
    from runtime.settings import Settings

WARM_UP_EVENTS = 700_000
FRESHNESS_EVENTS_PER_S = 10_000
FRESHNESS_SECONDS = 20
LOOK_INTERVAL_S = 0.02
TIMEOUT_S = 120
_WINDOWS = """
    SELECT s.customer, s.meter, s.dimensions, extract(epoch FROM w.hour)::bigint / 3600,
        w.events, w.sum
    FROM usage_series s JOIN usage_window w USING (tenant, series)
"""


def main() -> None:
    """Run both measurements and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    base = settings_of_services()
    admin_url = base.database_url.get_secret_value()
    name = f"benchmark_{clock.now_ms()}"
    settings = base.model_copy(
        update={"database_url": SecretStr(create_database(admin_url, name))}
    )
    try:
        result = measure(settings, events=arguments.events, seed=arguments.seed)
    finally:
        drop_database(admin_url, name)
    write_result(arguments, result)
    sys.exit(1 if result["windows_wrong"] else 0)


def measure(settings: Settings, *, events: int, seed: int) -> dict[str, object]:
    """Start the pipeline on fresh topics and tables and measure it."""
    fresh_topics(settings)
    migrate(settings)
    publish_catalogue(settings)
    end_ms = clock.now_ms() // 3_600_000 * 3_600_000
    workload = make(events=events, seed=seed, end_ms=end_ms)
    before = make(events=WARM_UP_EVENTS, seed=seed + 1, end_ms=end_ms - HOURS * HOUR_MS)
    columns, columns_before = columns_of(workload), columns_of(before)
    with Pipeline(settings):
        send(settings, columns_before)
        await_committed(settings)
        started = time.perf_counter()
        send(settings, columns)
        sent = time.perf_counter()
        await_committed(settings)
        done = time.perf_counter()
        wrong = count_wrong(projected_windows(settings), workload, before)
        fresh = sorted(measure_freshness(settings, end_ms=end_ms))
    return {
        "events": events,
        "windows": len(workload.truth()),
        "events_per_s": round(events / (done - started)),
        "sdk_events_per_s": round(events / (sent - started)),
        "freshness_p50_s": round(fresh[len(fresh) // 2], 3),
        "freshness_p99_s": round(fresh[len(fresh) * 99 // 100], 3),
        "windows_wrong": wrong,
    }


class Pipeline:
    """One fold worker and two projectors, as processes of their own.

    Two, because what is left to write when the last event was sent would else keep one core.
    """

    def __init__(self, settings: Settings) -> None:
        self._state = tempfile.TemporaryDirectory(prefix="tidegauge-benchmark-")
        self._environment = {
            **os.environ,
            "TIDEGAUGE_KAFKA": settings.kafka,
            "TIDEGAUGE_DATABASE_URL": settings.database_url.get_secret_value(),
            "TIDEGAUGE_LOG_LEVEL": "warning",
            "TIDEGAUGE_WORKER_PORT": "0",
            "TIDEGAUGE_STATE_DIR": self._state.name,
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start them."""
        project = ("project", "--only", "usage")
        for command in (("stream", "usage"), project, project):
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "cli.main", *command], env=self._environment
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)
        self._state.cleanup()


def columns_of(workload: Workload) -> list[list[Any]]:
    """Return what `record` is called with, in sending order.

    Values are made in that order too: a service has them at hand, not scattered over its memory.
    """
    order = workload.order
    customers = [customer_name(number) for number in range(int(workload.customer.max()) + 1)]
    types = [f"type_{number}" for number in range(METERS)]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    dimensions = workload.region * len(MODELS) + workload.model
    return [
        [customers[number] for number in workload.customer[order].tolist()],
        [types[number] for number in workload.type_[order].tolist()],
        [Decimal(value).scaleb(-2) for value in workload.quantity[order].tolist()],
        [epoch + timedelta(milliseconds=value) for value in workload.occurred_ms[order].tolist()],
        [DIMENSION_SETS[number] for number in dimensions[order].tolist()],
        [str(UUID(bytes=key.tobytes())) for key in workload.keys[order]],
    ]


def send(settings: Settings, columns: list[list[Any]]) -> None:
    """Record events through the SDK, as fast as it takes them, and wait for all acks."""
    rows = zip(*columns, strict=True)
    with Meter(settings.kafka, tenant=TENANT, block_ms=60_000) as meter:
        for customer, type_, quantity, occurred_at, dimensions, event_id in rows:
            meter.record(
                customer=customer,
                type=type_,
                quantity=quantity,
                occurred_at=occurred_at,
                dimensions=dimensions,
                id=event_id,
            )
        if meter.flush(timeout=TIMEOUT_S):
            raise SystemExit("the broker did not acknowledge everything")


def positions(connection: psycopg.Connection) -> dict[int, int]:
    """Return the projected source position per partition."""
    query = "SELECT partition, next_offset FROM position WHERE topic = %s"
    return dict(connection.execute(query, (USAGE_FACTS_TOPIC.name,)).fetchall())


def connect(settings: Settings) -> psycopg.Connection:
    """Open a connection that sees every tenant."""
    return psycopg.connect(
        settings.database_url.get_secret_value(),
        autocommit=True,
        options=f"-c search_path={settings.database_schema}",
    )


def await_committed(settings: Settings) -> None:
    """Wait until the position rows reach the present end of usage.events."""
    reader = new_consumer(settings, group="tidegauge.benchmark.end")
    ends = {
        number: partition_ends(reader, USAGE_EVENTS.name, number)[1]
        for number in range(settings.partitions)
    }
    reader.close()
    deadline = time.monotonic() + TIMEOUT_S
    with connect(settings) as connection:
        while any(positions(connection).get(number, 0) < end for number, end in ends.items()):
            if time.monotonic() > deadline:
                raise SystemExit("the pipeline did not reach the end in time")
            time.sleep(LOOK_INTERVAL_S)


def projected_windows(settings: Settings) -> Windows:
    """Return the window rows in the truth's own form."""
    windows: Windows = {}
    with connect(settings) as connection:
        for customer, meter, dimensions, hour, events, total in connection.execute(_WINDOWS):
            key = (
                int(customer.removeprefix("customer-")),
                int(meter.removeprefix("meter_")),
                REGIONS.index(dimensions["region"]),
                MODELS.index(dimensions["model"]),
                hour,
            )
            windows[key] = (events, int(total * 100))
    return windows


class PositionLog:
    """Looks at the position rows every 20 ms, in a thread, and remembers when they moved."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self.seen: dict[int, tuple[list[int], list[float]]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with connect(self._settings) as connection:
            while not self._stop.wait(LOOK_INTERVAL_S):
                found = positions(connection)
                now = time.perf_counter()
                for number, offset in found.items():
                    offsets, times = self.seen.setdefault(number, ([], []))
                    if not offsets or offset > offsets[-1]:
                        offsets.append(offset)
                        times.append(now)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()


def measure_freshness(settings: Settings, *, end_ms: int) -> list[float]:
    """Pace events and return, per delivered batch's oldest event, the seconds until committed."""
    recorded: dict[str, float] = {}
    delivered: list[tuple[int, int, float]] = []

    def on_delivery(delivery: Delivery) -> None:
        if delivery.offset is not None:
            oldest = min(recorded.pop(item) for item in delivery.ids)
            delivered.append((delivery.partition, delivery.offset, oldest))

    log = PositionLog(settings)
    occurred = datetime.fromtimestamp(end_ms / 1000, UTC) - timedelta(hours=1)
    count = FRESHNESS_EVENTS_PER_S * FRESHNESS_SECONDS
    with Meter(settings.kafka, tenant=TENANT, on_delivery=on_delivery) as meter:
        started = time.perf_counter()
        for number in range(count):
            due = started + number / FRESHNESS_EVENTS_PER_S
            if number % 100 == 0 and (ahead := due - time.perf_counter()) > 0:
                time.sleep(ahead)
            now = time.perf_counter()
            event_id = str(UUID(int=(clock.now_ms() << 80) | (7 << 76) | (2 << 62) | number))
            recorded[event_id] = now
            meter.record(
                customer=customer_name(number % 1_000),
                type=f"type_{number % METERS}",
                quantity=1,
                occurred_at=occurred,
                dimensions=DIMENSION_SETS[number % len(DIMENSION_SETS)],
                id=event_id,
            )
        meter.flush(timeout=30)
    await_committed(settings)
    time.sleep(5 * LOOK_INTERVAL_S)
    log.stop()
    waits = []
    for partition, offset, at in delivered:
        offsets, times = log.seen[partition]
        waits.append(times[bisect.bisect_right(offsets, offset)] - at)
    return waits


if __name__ == "__main__":
    main()
