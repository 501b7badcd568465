"""The `AsyncMeter`: a `Meter` for asyncio that never holds up the event loop."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Final, Self

from tidegauge import errors, limits, report
from tidegauge.arguments import EventArguments
from tidegauge.meter import Meter

_PAUSE_FIRST_S: Final = 0.001
_PAUSE_LAST_S: Final = 0.02
"""Longest pause between two looks for room, in seconds; a batch is settled in about that time."""


class AsyncMeter:
    """Wraps a meter, whatever its transport and options: `AsyncMeter(Meter("localhost:9092", …))`.

    `await record(…)` checks and keeps the event right away, in some microseconds. Only when there
    is no room does it wait, up to the meter's `block_ms`, and meanwhile the loop runs on. With
    `fsync="always"` the wait for the disk happens in a thread of the loop's default executor.

    Args:
        meter: The meter; it belongs to this object from now on.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._plan = meter.plan
        spool = meter.plan.spool
        self._must_wait_for_disk = spool is not None and spool.fsync == "always"

    async def record(
        self,
        *,
        customer: str,
        type: str,  # noqa: A002 - the public name of the field, as on the wire
        quantity: int | Decimal | str,
        occurred_at: datetime | None = None,
        dimensions: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - the public name of the field, as on the wire
        traceparent: str | None = None,
    ) -> str:
        """This function will record one event; arguments, result and errors as `Meter.record`."""
        event: EventArguments = {
            "customer": customer,
            "type": type,
            "quantity": quantity,
            "occurred_at": occurred_at,
            "dimensions": dimensions,
            "properties": properties,
            "id": id,
            "traceparent": traceparent,
        }
        if self._must_wait_for_disk:
            return await asyncio.to_thread(self._meter.record, **event)
        give_up_s = None
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                return self._meter.record_without_waiting(**event)
            except errors.BufferFull as error:
                now_s = time.monotonic()
                if give_up_s is None:
                    give_up_s = now_s + self._plan.block_s
                    event["occurred_at"] = event["occurred_at"] or self._plan.clock()
                if now_s >= give_up_s:
                    return self._meter.refuse(error)
            except Exception as error:  # noqa: BLE001 - in safe mode nothing goes through
                return self._meter.refuse(error)
            await asyncio.sleep(min(pause_s, give_up_s - now_s))
            pause_s = min(pause_s * 2, _PAUSE_LAST_S)

    async def flush(self, timeout: float = limits.CLOSE_S) -> int:  # noqa: ASYNC109 - as Meter.flush
        """This function will send everything now and await the outcomes; see `Meter.flush`."""
        return await asyncio.to_thread(self._meter.flush, timeout)

    @property
    def counters(self) -> report.Counters:
        """Totals since the meter was made, all as of one moment."""
        return self._meter.counters

    async def close(self, timeout: float = limits.CLOSE_S) -> int:  # noqa: ASYNC109 - as Meter.close
        """This function will flush, give up what is left when time is over; see `Meter.close`."""
        return await asyncio.to_thread(self._meter.close, timeout)

    async def __aenter__(self) -> Self:
        """This function will return the meter."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """This function will close the meter, also when the block raised."""
        await self.close()
