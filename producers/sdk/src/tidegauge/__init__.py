"""Report usage to Tidegauge: batched, idempotent, exact decimals, one call."""

from tidegauge.asyncio_meter import AsyncMeter
from tidegauge.errors import (
    BufferFull,
    DeliveryFailed,
    InvalidEvent,
    InvalidOption,
    MeterClosed,
    MeterStopped,
    SpoolFailed,
    SpoolFull,
    TidegaugeError,
)
from tidegauge.meter import Meter
from tidegauge.report import Counters, Delivery, Drop
from tidegauge.spool.options import Spool

__all__ = [
    "AsyncMeter",
    "BufferFull",
    "Counters",
    "Delivery",
    "DeliveryFailed",
    "Drop",
    "InvalidEvent",
    "InvalidOption",
    "Meter",
    "MeterClosed",
    "MeterStopped",
    "Spool",
    "SpoolFailed",
    "SpoolFull",
    "TidegaugeError",
]
