"""One contract for every way out: memory, HTTP to a gateway, Kafka."""

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sdk.far_sides import (
    PARTITIONS,
    WAIT_S,
    FarSide,
    Gateway,
    MemoryFarSide,
    MockCluster,
)
from tidegauge import Delivery, Meter
from tidegauge.testing import RecordedEvent, events_of
from tidegauge.wire import partition

KINDS: dict[str, Callable[[], Any]] = {
    "memory": MemoryFarSide,
    "http": Gateway,
    "kafka": MockCluster,
}
AWAY_CODES = {"memory": "memory_away", "http": "http_timed_out", "kafka": "kafka_msg_timed_out"}
TRACES = [f"00-{number:032x}-00000000000000aa-01" for number in range(1, 41)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def far_side(kind: str) -> Iterator[FarSide]:
    side = KINDS[kind]()
    yield side
    side.end()


def events(far_side: FarSide, batches: int) -> list[RecordedEvent]:
    return [event for one in far_side.received(batches) for event in events_of(one.value)]


def record(meter: Meter, number: int, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": f"cus_{number % 40}", "type": "requests", "quantity": 1}
    return meter.record(**(event | changes))


class TestTransport:
    def test_brings_every_event_once_and_exact(self, far_side: FarSide) -> None:
        """What was recorded is what arrived, in batches of one partition each."""
        told: list[Delivery] = []
        with far_side.meter(on_delivery=told.append) as meter:
            for number in range(2_000):
                record(
                    meter,
                    number,
                    quantity=Decimal(number) / 4,
                    id=f"order-{number}",
                    dimensions={"region": f"r{number % 3}"},
                    properties={"note": str(number)},
                )
            assert meter.flush(WAIT_S) == 0
            counters = meter.counters

        arrived = events(far_side, counters.batches)
        assert {
            f"order-{n}": (f"cus_{n % 40}", Decimal(n) / 4, f"r{n % 3}", str(n))
            for n in range(2_000)
        } == {
            one.id: (one.customer, one.quantity, one.dimensions["region"], one.properties["note"])
            for one in arrived
        }
        assert len(arrived) == 2_000
        assert (counters.acknowledged, counters.failed, counters.pending) == (2_000, 0, 0)
        for batch in far_side.received(counters.batches):
            places = {
                partition.partition_of(
                    tenant="acme", customer=one.customer, partition_count=PARTITIONS
                )
                for one in events_of(batch.value)
            }
            assert len(places) == 1
            assert batch.partition in (None, *places)
        assert all(one.error is None and one.offset is not None for one in told)

    def test_carries_distinct_traceparents_up_to_the_limit(self, far_side: FarSide) -> None:
        """A batch tells the traces of its events, each once, 32 at most, none that is wrong."""
        with far_side.meter() as meter:
            for trace in [TRACES[0], TRACES[1], TRACES[0], "nonsense", "00-" + "0" * 32 + "-1-1"]:
                record(meter, 1, traceparent=trace)
            assert meter.flush(WAIT_S) == 0
            for trace in TRACES:
                record(meter, 1, traceparent=trace)
            assert meter.flush(WAIT_S) == 0
            record(meter, 1)
            assert meter.flush(WAIT_S) == 0

        carried = [set(batch.traceparents) for batch in far_side.received(3)]
        assert carried == [set(TRACES[:2]), set(TRACES[:32]), set()]

    def test_that_gets_no_answer_fails_in_time_and_says_so(
        self, kind: str, far_side: FarSide
    ) -> None:
        """When the far side goes, batches fail with a code and with the ids to resend."""
        told: list[Delivery] = []
        with far_side.meter(on_delivery=told.append, delivery_timeout_ms=1_500) as meter:
            record(meter, 0)
            assert meter.flush(WAIT_S) == 0
            far_side.go_away()
            ids = {record(meter, number) for number in range(20)}

            assert meter.flush(WAIT_S) == 20
            counters = meter.counters
        assert (counters.acknowledged, counters.failed, counters.pending) == (1, 20, 0)
        failed = [one for one in told if one.error is not None]
        assert ids == {event_id for one in failed for event_id in one.ids}
        assert {AWAY_CODES[kind]} == {one.error for one in failed}

    def test_keeps_events_in_a_spool_while_there_is_no_answer(
        self, kind: str, far_side: FarSide, tmp_path: Path
    ) -> None:
        """With a spool nothing fails: what one meter could not deliver, the next one does."""
        options: dict[str, Any] = {"spool": tmp_path, "delivery_timeout_ms": 1_000}
        with far_side.meter(**options) as meter:
            record(meter, 0)
            assert meter.flush(WAIT_S) == 0
            far_side.go_away()
            ids = [record(meter, number) for number in range(20)]
            assert meter.close(0.3) == 20
            assert meter.counters.failed == 0

        healed = KINDS[kind]()
        with healed.meter(spool=tmp_path) as again:
            assert again.flush(WAIT_S) == 0
            batches = again.counters.batches
        assert set(ids) <= {one.id for one in events(healed, batches)}
        healed.end()

    def test_ends_in_time_when_closed_without_an_answer(self, far_side: FarSide) -> None:
        """A close with nobody at the far side gives up within its time and a little more."""
        meter = far_side.meter()
        record(meter, 0)
        assert meter.flush(WAIT_S) == 0
        far_side.go_away()
        record(meter, 1)
        started = time.monotonic()

        assert meter.close(0.2) == 1

        assert time.monotonic() - started < WAIT_S / 2
        assert threading.active_count() < 50
