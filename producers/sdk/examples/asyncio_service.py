"""Record from asyncio: the loop is never held up, not even by a full buffer."""

import asyncio

from tidegauge import AsyncMeter
from tidegauge.testing import MemoryMeter

meter = MemoryMeter()  # in production: Meter("localhost:9092", tenant="acme", block_ms=500)


async def serve() -> None:
    """This function will record one event and deliver it."""
    async with AsyncMeter(meter) as usage:
        await usage.record(customer="cus_1", type="request", quantity=1)


asyncio.run(serve())
