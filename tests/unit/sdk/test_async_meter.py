"""The meter for asyncio: the same promises, and a loop that runs on."""

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tidegauge import AsyncMeter, BufferFull, InvalidEvent, Meter, MeterClosed, Spool

WAIT_S = 10


def a_meter(way_out: MemoryTransport, **options: Any) -> AsyncMeter:
    return AsyncMeter(Meter("x", tenant="acme", way_out=lambda: way_out, **options))


async def record(meter: AsyncMeter, number: int = 1, **changes: Any) -> str:
    event: dict[str, Any] = {"customer": "c", "type": "t", "quantity": number}
    return await meter.record(**(event | changes))


class TestAsyncMeter:
    def test_delivers_what_was_recorded(self) -> None:
        """Many tasks record; flush and close deliver it all."""
        way_out = MemoryTransport()

        async def work() -> None:
            async with a_meter(way_out) as meter:
                ids = await asyncio.gather(*(record(meter, n) for n in range(500)))
                assert len(set(ids)) == 500
                assert await record(meter, id="order-1") == "order-1"
                assert await meter.flush(WAIT_S) == 0
                assert meter.counters.acknowledged == 501

        asyncio.run(work())
        assert way_out.was_closed

    def test_awaits_room_while_the_loop_runs(self) -> None:
        """A full buffer makes the task wait and nobody else; room lets it go on."""
        way_out = MemoryTransport(answers=False)

        async def work() -> None:
            async with a_meter(way_out, buffer_events_max=1, block_ms=WAIT_S * 1_000) as meter:
                await record(meter)
                waiting = asyncio.create_task(record(meter, id="second"))
                for _ in range(100):
                    await asyncio.sleep(0)
                await asyncio.sleep(0.01)
                # Had it kept the loop waiting, its time would be over and it would be done.
                assert not waiting.done()

                way_out.answers = True
                assert await asyncio.wait_for(waiting, WAIT_S) == "second"
                assert meter.counters.refused == 0

        asyncio.run(work())

    def test_gives_up_waiting_in_time(self) -> None:
        """Without room within block_ms, BufferFull is raised and counted once."""

        async def work() -> None:
            meter = a_meter(MemoryTransport(answers=False), buffer_events_max=1, block_ms=50)
            await record(meter)
            started = time.monotonic()
            with pytest.raises(BufferFull):
                await record(meter)
            assert 0.04 < time.monotonic() - started < WAIT_S
            assert meter.counters.refused == 1
            await meter.close(0)
            with pytest.raises(MeterClosed):
                await record(meter)

        asyncio.run(work())

    def test_refuses_and_is_safe_as_a_meter(self) -> None:
        """A wrong event raises and counts; in safe mode it only counts."""

        async def work() -> None:
            async with a_meter(MemoryTransport()) as meter:
                with pytest.raises(InvalidEvent):
                    await record(meter, quantity=1.5)
                assert meter.counters.refused == 1
            async with a_meter(MemoryTransport(), safe=True) as meter:
                assert await record(meter, quantity=1.5) == ""
                assert meter.counters.refused == 1

        asyncio.run(work())

    def test_waits_for_the_disk_in_a_thread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With fsync="always" and a slow disk, the loop goes on."""

        syncing, may_end = threading.Event(), threading.Event()

        def slow(file: int) -> None:
            syncing.set()
            may_end.wait(WAIT_S)

        async def work() -> None:
            meter = a_meter(MemoryTransport(), spool=Spool(tmp_path, fsync="always"))
            monkeypatch.setattr(os, "fdatasync", slow)
            task = asyncio.create_task(record(meter))
            turns = 0
            while not syncing.is_set() or turns < 10:
                await asyncio.sleep(0.005)
                turns += 1
            # Had the loop waited for the disk, the task would be done by now.
            assert not task.done()
            may_end.set()
            assert await task != ""
            await meter.close()

        asyncio.run(work())
