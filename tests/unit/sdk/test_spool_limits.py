"""What a spool does when memory, time or its room is over."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tests.unit.sdk.spooling import (
    LONG,
    SMALL,
    WAIT_S,
    a_meter,
    files,
    is_balanced,
    quantities,
    record,
    until,
)
from tidegauge import (
    Delivery,
    Drop,
    Meter,
    MeterStopped,
    Spool,
    SpoolFull,
    limits,
)


class TestOverflow:
    def test_keeps_memory_bounded_and_order(self, tmp_path: Path) -> None:
        """Far more events than memory may hold wait on disk and arrive in order, once."""
        spool = Spool(tmp_path, segment_bytes=limits.SEGMENT_BYTES_MIN)
        way_out = MemoryTransport(partitions=1, answers=False)
        with a_meter(way_out, spool, buffer_events_max=20, batch_events_max=7) as meter:
            for n in range(2_000):
                record(meter, n)
            assert meter.counters.pending == 2_000
            assert meter._engine.buffer._in_memory <= 20  # type: ignore[attr-defined]

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
            for n in range(2_000, 2_010):
                record(meter, n)
            assert meter.flush(WAIT_S) == 0
            assert is_balanced(meter.counters)
        assert quantities(way_out) == list(range(2_010))

    def test_while_threads_record_loses_and_doubles_nothing(self, tmp_path: Path) -> None:
        """Going into overflow and out again under load is no gap and no overlap."""
        way_out = MemoryTransport(partitions=3)
        with a_meter(way_out, tmp_path, buffer_events_max=50, batch_events_max=11) as meter:

            def work(first: int) -> None:
                for n in range(first, first + 1_000):
                    record(meter, n, customer=f"c{n % 9}")

            threads = [threading.Thread(target=work, args=(k * 1_000,)) for k in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
            assert meter.flush(WAIT_S) == 0
        assert sorted(quantities(way_out)) == list(range(4_000))


class TestFailedBatch:
    def test_is_sent_again_until_it_arrives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a spool a failed batch is not failed events: it goes out again, the same."""
        monkeypatch.setattr(limits, "RETRY_FIRST_S", 0.01)
        told: list[Delivery] = []
        way_out = MemoryTransport(partitions=1)
        way_out.error = "kafka_msg_timed_out"
        with a_meter(way_out, tmp_path, on_delivery=told.append) as meter:
            record(meter, 7)
            until(lambda: meter.counters.resent >= 2)
            assert (meter.counters.failed, meter.counters.pending, told) == (0, 1, [])

            way_out.error = None
            assert meter.flush(WAIT_S) == 0
            assert meter.counters.acknowledged == 1
        batches = way_out.batches()
        assert len(batches) >= 3
        assert len({(b["keys"], b["fingerprints"]) for b in batches}) == 1
        assert [delivery.error for delivery in told] == [None]

    def test_that_can_never_be_taken_is_failed(self, tmp_path: Path) -> None:
        """An error that lies in the batch itself is told, counted, and does not block."""
        told: list[Delivery] = []
        way_out = MemoryTransport(partitions=1)
        way_out.error, way_out.is_final = "kafka_msg_size_too_large", True
        with a_meter(way_out, tmp_path, on_delivery=told.append) as meter:
            event_id = record(meter, 1)
            assert meter.flush(WAIT_S) == 1
            assert (meter.counters.failed, meter.counters.pending) == (1, 0)
        assert [(one.error, one.ids) for one in told] == [
            ("kafka_msg_size_too_large", (event_id,))
        ]
        assert files(tmp_path) == []

    def test_stays_for_the_next_meter(self, tmp_path: Path) -> None:
        """What a close could not deliver is pending, not failed, and the next meter sends it."""
        way_out = MemoryTransport(partitions=1, answers=False)
        meter = a_meter(way_out, tmp_path)
        record(meter, 3)
        assert meter.close(0.1) == 1
        assert (meter.counters.failed, meter.counters.pending) == (0, 1)

        healed = MemoryTransport(partitions=1)
        with a_meter(healed, tmp_path) as again:
            assert again.flush(WAIT_S) == 0
        assert quantities(healed) == [3]

    def test_of_a_stopped_meter_stays_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A changed partition count stops the meter; its events wait on disk, close is quick."""
        monkeypatch.setattr(limits, "PARTITION_CHECK_S", 0.0)
        way_out = MemoryTransport(partitions=4)
        meter = a_meter(way_out, tmp_path)
        record(meter, 1)
        assert meter.flush(WAIT_S) == 0
        way_out.partitions = 5
        record(meter, 2)
        with pytest.raises(MeterStopped):
            meter.flush(WAIT_S)
        started = time.monotonic()
        assert meter.close() == 1
        assert time.monotonic() - started < 5

        healed = MemoryTransport(partitions=5)
        with a_meter(healed, tmp_path) as again:
            assert again.flush(WAIT_S) == 0
        assert 2 in quantities(healed)


class TestFull:
    def spool(self, folder: Path, when_full: Any) -> Spool:
        return Spool(folder, when_full=when_full, **SMALL)  # type: ignore[arg-type]

    def fill(self, meter: Meter, events: int = 1_000) -> list[int]:
        """Record kilobytes until the spool is full; return what was not refused."""
        taken = []
        for n in range(events):
            try:
                if record(meter, n, properties=LONG):
                    taken.append(n)
            except SpoolFull:
                break
        return taken

    def test_raises(self, tmp_path: Path) -> None:
        """The policy "raise" takes nothing more, and every event taken arrives later."""
        way_out = MemoryTransport(partitions=1, answers=False)
        with a_meter(way_out, self.spool(tmp_path, "raise")) as meter:
            taken = self.fill(meter)
            assert 150 < len(taken) < 260
            assert (meter.counters.refused, meter.counters.pending) == (1, len(taken))
            assert meter.counters.spool_bytes <= SMALL["bytes_max"]

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
            record(meter, 5_000)
            assert meter.flush(WAIT_S) == 0
        assert quantities(way_out) == [*taken, 5_000]

    def test_blocks_as_long_as_it_may(self, tmp_path: Path) -> None:
        """The policy "block" waits for room that comes, and raises when none does."""
        way_out = MemoryTransport(partitions=1, answers=False)
        with a_meter(way_out, self.spool(tmp_path, "block"), block_ms=100) as meter:
            started = time.monotonic()
            taken = self.fill(meter)
            assert 0.09 < time.monotonic() - started < 5
            waiting = threading.Thread(
                target=lambda: record(meter, 9_999, properties=LONG), daemon=True
            )
            way_out.answers = True
            waiting.start()
            waiting.join(WAIT_S)
            assert meter.flush(WAIT_S) == 0
        assert sorted(quantities(way_out)) == [*taken, 9_999]

    def test_drops_the_newest(self, tmp_path: Path) -> None:
        """The policy "drop_newest" returns "", counts and tells each event it let go of."""
        drops: list[Drop] = []
        way_out = MemoryTransport(partitions=1, answers=False)
        spool = self.spool(tmp_path, "drop_newest")
        with a_meter(way_out, spool, on_drop=drops.append) as meter:
            taken = self.fill(meter, events=300)
            dropped = 300 - len(taken)
            assert dropped > 0
            assert taken == list(range(len(taken)))
            assert meter.counters.dropped == dropped == len(drops)
            assert {drop.reason for drop in drops} == {"spool_full_newest"}
            assert is_balanced(meter.counters)

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
        assert quantities(way_out) == taken

    def test_drops_the_oldest(self, tmp_path: Path) -> None:
        """The policy "drop_oldest" lets go of whole unread segments; the newest always fit."""
        drops: list[Drop] = []
        way_out = MemoryTransport(partitions=1, answers=False)
        spool = self.spool(tmp_path, "drop_oldest")
        with a_meter(
            way_out, spool, on_drop=drops.append, buffer_events_max=10, batch_events_max=5
        ) as meter:
            taken = self.fill(meter, events=600)
            assert taken == list(range(600))
            assert meter.counters.spool_bytes <= SMALL["bytes_max"]
            assert sum(drop.events for drop in drops) == meter.counters.dropped > 100
            assert is_balanced(meter.counters)

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
            counters = meter.counters
            assert is_balanced(counters)
        arrived = quantities(way_out)
        assert len(arrived) == 600 - counters.dropped
        assert arrived == sorted(set(arrived))
        assert arrived[-100:] == list(range(500, 600))
        assert {drop.reason for drop in drops} == {"spool_full_oldest"}

    def test_drops_no_event_that_is_in_memory(self, tmp_path: Path) -> None:
        """Where all events are in memory, the oldest lose their copy on disk and still arrive."""
        way_out = MemoryTransport(partitions=1, answers=False)
        with a_meter(way_out, self.spool(tmp_path, "drop_oldest")) as meter:
            taken = self.fill(meter, events=400)
            assert meter.counters.dropped == 0
            assert meter.counters.unspooled > 100

            way_out.answers = True
            assert meter.flush(WAIT_S) == 0
        assert quantities(way_out) == taken == list(range(400))

    def test_survives_a_callback_that_raises(self, tmp_path: Path) -> None:
        """What on_drop raises is counted and does not reach record."""

        def explode(drop: Drop) -> None:
            raise RuntimeError(drop.reason)

        way_out = MemoryTransport(partitions=1, answers=False)
        meter = a_meter(way_out, self.spool(tmp_path, "drop_newest"), on_drop=explode)
        self.fill(meter, events=300)
        assert meter.counters.callback_errors == meter.counters.dropped > 0
        meter.close(0)
