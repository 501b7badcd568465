"""What a meter promises, on a transport that does as the test says."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import (
    BufferFull,
    Delivery,
    InvalidEvent,
    Meter,
    MeterClosed,
    MeterStopped,
    TidegaugeError,
    limits,
)
from tidegauge.wire import partition

WAIT_S = 10
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@contextmanager
def a_meter(way_out: MemoryTransport, **options: Any) -> Iterator[Meter]:
    """Make a meter, and end it quickly however the test ends."""
    settings: dict[str, Any] = {
        "tenant": "acme",
        "source": "checkout",
        "clock": lambda: NOW,
    } | options
    meter = Meter("nowhere:1", way_out=lambda: way_out, **settings)
    try:
        yield meter
    finally:
        meter.close(0)


def record(meter: Meter, number: int = 0, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": f"cus_{number % 50}", "type": "requests", "quantity": 1}
    return meter.record(**(event | changes))


def until(condition: Callable[[], bool]) -> None:
    """Wait for a fact of another thread, but not for ever."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.002)


class TestRecord:
    def test_sends_events_to_their_customers_partition(self) -> None:
        """Every event arrives once, exact, in the partition of its customer, keyed by tenant."""
        way_out = MemoryTransport(partitions=7)
        with a_meter(way_out) as meter:
            for number in range(2_000):
                record(meter, number, quantity=Decimal(number) / 8, id=f"order-{number}")
            assert meter.flush(WAIT_S) == 0

        found = {}
        for (place, key, _), batch in zip(way_out.sent, way_out.batches(), strict=True):
            assert key == b"acme"
            assert len(batch["quantity"]) <= limits.BATCH_EVENTS_MAX
            for item in batch["foreign_ids"]:
                index = item["index"]
                customer = batch["strings"][batch["customer"][index]]
                assert place == partition.partition_of(
                    tenant="acme", customer=customer, partition_count=7
                )
                found[item["id"]] = Decimal(batch["quantity"][index]).scaleb(-batch["scale"])
        assert {f"order-{number}": Decimal(number) / 8 for number in range(2_000)} == found
        assert list(range(len(way_out.sent))) == [b["sequence"] for b in way_out.batches()]

    def test_returns_the_id(self) -> None:
        """A given id comes back as it was; without one, a new UUIDv7 does."""
        with a_meter(MemoryTransport()) as meter:
            assert record(meter, id="order-1") == "order-1"
            assert len(record(meter)) == 36

    def test_counts_what_it_refuses(self) -> None:
        """A wrong event raises, is counted as refused and leaves nothing behind."""
        way_out = MemoryTransport()
        with a_meter(way_out) as meter:
            with pytest.raises(InvalidEvent):
                record(meter, quantity=1.5)
            assert meter.flush(WAIT_S) == 0

            assert (
                meter.counters.recorded,
                meter.counters.refused,
                meter.counters.pending,
            ) == (0, 1, 0)
        assert way_out.sent == []

    def test_refuses_when_the_buffer_is_full(self) -> None:
        """Unsettled events fill the buffer, then record raises; outcomes make room again."""
        way_out = MemoryTransport(answers=False)
        with a_meter(way_out, buffer_events_max=10) as meter:
            for number in range(10):
                record(meter, number)
            for number in range(3):
                with pytest.raises(BufferFull):
                    record(meter, number)
            assert (
                meter.counters.recorded,
                meter.counters.refused,
                meter.counters.pending,
            ) == (10, 3, 10)

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
            record(meter)
            assert meter.counters.recorded == 11

    def test_waits_for_room_as_long_as_it_may(self) -> None:
        """With block_ms, record waits, and goes on when an outcome makes room."""
        way_out = MemoryTransport(answers=False)
        with a_meter(way_out, buffer_events_max=1, block_ms=WAIT_S * 1_000) as meter:
            record(meter)
            waiting = threading.Thread(target=record, args=(meter,))
            waiting.start()
            way_out.answers = True
            waiting.join(WAIT_S)

            assert meter.counters.recorded == 2
            assert meter.counters.refused == 0

    def test_is_safe_for_threads(self) -> None:
        """Eight threads lose nothing, double nothing, and the counters add up."""
        way_out = MemoryTransport(partitions=3)
        ids: list[list[str]] = [[] for _ in range(8)]
        with a_meter(way_out, block_ms=WAIT_S * 1_000, buffer_events_max=1_000) as meter:

            def work(mine: list[str]) -> None:
                mine.extend(record(meter, number) for number in range(1_000))

            threads = [threading.Thread(target=work, args=(mine,)) for mine in ids]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
            assert meter.flush(WAIT_S) == 0
            counters = meter.counters

        assert (counters.recorded, counters.acknowledged, counters.failed) == (8_000, 8_000, 0)
        expected = sorted(bytes.fromhex(one.replace("-", "")) for mine in ids for one in mine)
        keys = b"".join(batch["keys"] for batch in way_out.batches())
        assert expected == sorted(keys[at : at + 16] for at in range(0, len(keys), 16))


class TestBatches:
    def test_go_out_by_age(self) -> None:
        """A lonely event leaves after the linger time without anybody flushing."""
        with a_meter(MemoryTransport(), linger_ms=10) as meter:
            record(meter)

            until(lambda: meter.counters.acknowledged == 1)

    def test_keep_their_limit_of_bytes(self) -> None:
        """Large events make more and smaller batches, none above the limit."""
        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, batch_bytes_max=limits.BATCH_BYTES_MIN) as meter:
            for number in range(100):
                record(meter, number, properties={f"p{n}": "v" * 1_000 for n in range(10)})
            assert meter.flush(WAIT_S) == 0

        assert sum(len(batch["quantity"]) for batch in way_out.batches()) == 100
        assert max(len(value) for _, _, value in way_out.sent) <= limits.BATCH_BYTES_MIN
        assert list(range(len(way_out.sent))) == [b["sequence"] for b in way_out.batches()]

    def test_keep_their_limit_of_events(self) -> None:
        """No batch has more events than the option says."""
        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, batch_events_max=7) as meter:
            for number in range(50):
                record(meter, number)
            assert meter.flush(WAIT_S) == 0

        assert max(len(batch["quantity"]) for batch in way_out.batches()) <= 7

    def test_wait_while_the_transport_is_full(self) -> None:
        """A full transport is polled until it has room; nothing is lost."""
        way_out = MemoryTransport(partitions=1)
        way_out.room = 1
        with a_meter(way_out, batch_events_max=1) as meter:
            for number in range(20):
                record(meter, number)

            assert meter.flush(WAIT_S) == 0
            assert meter.counters.acknowledged == 20

    def test_that_fail_are_told_with_their_ids(self) -> None:
        """A failed batch is counted as failed, and on_delivery gets ids and code."""
        told: list[Delivery] = []
        way_out = MemoryTransport(partitions=1)
        way_out.error = "kafka_msg_timed_out"
        with a_meter(way_out, on_delivery=told.append) as meter:
            ids = tuple(record(meter, number) for number in range(5))

            assert meter.flush(WAIT_S) == 5
            assert (
                meter.counters.acknowledged,
                meter.counters.failed,
                meter.counters.pending,
            ) == (0, 5, 0)
        assert ids == tuple(one for delivery in told for one in delivery.ids)
        assert {"kafka_msg_timed_out"} == {delivery.error for delivery in told}
        assert {None} == {delivery.offset for delivery in told}

    def test_survive_a_callback_that_raises(self) -> None:
        """An exception of on_delivery is counted, and the thread goes on."""

        def explode(delivery: Delivery) -> None:
            raise RuntimeError(delivery.sequence)

        with a_meter(MemoryTransport(partitions=1), on_delivery=explode) as meter:
            for _ in range(2):
                record(meter)
                assert meter.flush(WAIT_S) == 0

            assert (meter.counters.acknowledged, meter.counters.callback_errors) == (2, 2)

    def test_may_be_recorded_from_the_callback(self) -> None:
        """on_delivery may record, and is not deadlocked by flush or close."""
        codes: list[str] = []
        flushed: list[int] = []

        def again(delivery: Delivery) -> None:
            if delivery.sequence > 0:
                return
            record(meter, id="again")
            flushed.append(meter.flush(WAIT_S))
            try:
                meter.close()
            except TidegaugeError as error:
                codes.append(error.code)

        with a_meter(MemoryTransport(partitions=1), on_delivery=again) as meter:
            record(meter)
            until(lambda: meter.counters.acknowledged == 2)

        assert codes == ["close_in_callback"]
        assert flushed == [2]


class TestTopic:
    def test_that_is_missing_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        """Events wait unsent, flush says how many, one warning is logged; then all go out."""
        way_out = MemoryTransport(partitions=None)
        with a_meter(way_out) as meter:
            for number in range(5):
                record(meter, number)
            assert meter.flush(0.05) == 5
            until(lambda: way_out.lookups >= 3)
            assert meter.counters.pending == 5
            warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
            assert [one.name for one in warnings] == ["tidegauge"]
            assert way_out.sent == []

            way_out.partitions = 4
            assert meter.flush(WAIT_S) == 0
            assert meter.counters.acknowledged == 5

    def test_whose_partition_count_changes_stops_the_meter(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a change, nothing more is sent; record and flush raise, and events are told."""
        monkeypatch.setattr(limits, "PARTITION_CHECK_S", 0.0)
        told: list[Delivery] = []
        way_out = MemoryTransport(partitions=4)
        with a_meter(way_out, on_delivery=told.append) as meter:
            record(meter)
            assert meter.flush(WAIT_S) == 0
            way_out.partitions = 5
            lost = record(meter)

            with pytest.raises(MeterStopped) as caught:
                meter.flush(WAIT_S)
            assert caught.value.code == "partition_count_changed"
            with pytest.raises(MeterStopped):
                record(meter)
            assert (
                meter.counters.recorded,
                meter.counters.acknowledged,
                meter.counters.failed,
                meter.counters.refused,
                meter.counters.pending,
            ) == (2, 1, 1, 1, 0)
        assert ((lost,), "partition_count_changed") == (told[-1].ids, told[-1].error)
        assert len(way_out.sent) == 1

    def test_is_asked_for_again_only_now_and_then(self) -> None:
        """Many batches cost one look-up of the partition count."""
        way_out = MemoryTransport()
        with a_meter(way_out) as meter:
            for _ in range(5):
                record(meter)
                assert meter.flush(WAIT_S) == 0

        assert way_out.lookups == 1


class TestStop:
    def test_follows_a_fatal_producer(self) -> None:
        """When the producer is fatally broken, events fail and record says so."""
        way_out = MemoryTransport()
        way_out.fatal = True
        with a_meter(way_out) as meter:
            record(meter)

            with pytest.raises(MeterStopped) as caught:
                meter.flush(WAIT_S)
            assert caught.value.code == "producer_fatal"
            assert (meter.counters.failed, meter.counters.pending) == (1, 0)

    def test_follows_a_dead_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even a defect of the SDK is not silent: callers are told, nothing stays pending."""
        way_out = MemoryTransport()

        def explode(timeout_s: float) -> int:
            raise ZeroDivisionError

        monkeypatch.setattr(way_out, "partition_count", explode)
        with a_meter(way_out) as meter:
            record(meter)

            until(lambda: meter.counters.failed == 1)
            with pytest.raises(MeterStopped) as caught:
                record(meter)
        assert caught.value.code == "flush_thread_died"
        assert way_out.was_closed


class TestClose:
    def test_flushes(self) -> None:
        """Leaving the with block sends everything, and lets go of the transport."""
        way_out = MemoryTransport()
        with Meter("nowhere:1", tenant="acme", way_out=lambda: way_out) as meter:
            for number in range(10):
                record(meter, number)

        assert (meter.counters.acknowledged, meter.counters.pending) == (10, 0)
        assert way_out.was_closed

    def test_can_be_repeated_and_ends_recording(self) -> None:
        """A second close does nothing; record raises MeterClosed and is counted."""
        with a_meter(MemoryTransport()) as meter:
            assert meter.close(WAIT_S) == 0
            assert meter.close(WAIT_S) == 0
            with pytest.raises(MeterClosed) as caught:
                record(meter)

        assert caught.value.code == "meter_closed"
        assert meter.counters.refused == 1

    @pytest.mark.parametrize(
        ("partitions", "code"), [(4, "closed_outcome_unknown"), (None, "closed_before_sent")]
    )
    def test_gives_up_in_time_and_tells_what(self, partitions: int | None, code: str) -> None:
        """What has no outcome in time is failed with a code that says whether it was sent."""
        told: list[Delivery] = []
        way_out = MemoryTransport(partitions=partitions, answers=False)
        with a_meter(way_out, on_delivery=told.append, linger_ms=0) as meter:
            ids = {record(meter, number) for number in range(20)}
            if partitions:
                until(lambda: sum(len(b["quantity"]) for b in way_out.batches()) == 20)

            assert meter.close(0.05) == 20
            assert meter.close(0.05) == 20
            assert (meter.counters.failed, meter.counters.pending) == (20, 0)
        assert ids == {one for delivery in told for one in delivery.ids}
        assert {code} == {delivery.error for delivery in told}

    def test_wakes_a_record_that_waits_for_room(self) -> None:
        """A thread blocked in record learns at once that the meter was closed."""
        caught: list[TidegaugeError] = []
        entered = threading.Event()
        with a_meter(
            MemoryTransport(answers=False), buffer_events_max=1, block_ms=60_000
        ) as meter:
            record(meter)

            def work() -> None:
                entered.set()
                try:
                    record(meter)
                except TidegaugeError as error:
                    caught.append(error)

            waiting = threading.Thread(target=work)
            waiting.start()
            assert entered.wait(WAIT_S)
            meter.close(0)
            waiting.join(WAIT_S)

        assert [error.code for error in caught] == ["meter_closed"]

    def test_happens_at_exit(self) -> None:
        """A process that ends without close still sends what it recorded."""
        code = (
            "from tidegauge import Meter\n"
            "from tests.unit.sdk.memory_transport import MemoryTransport\n"
            "class Loud(MemoryTransport):\n"
            "    def close(self):\n"
            "        print(len(self.sent), flush=True)\n"
            "meter = Meter('nowhere:1', tenant='acme', way_out=Loud)\n"
            "meter.record(customer='c', type='t', quantity=1)\n"
        )

        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=Path(__file__).resolve().parents[3],
        )

        assert ended.stdout == "1\n"
