"""Report usage to Tidegauge: batched, idempotent, exact decimals, one call."""

from tidegauge.errors import (
    BufferFull,
    DeliveryFailed,
    InvalidEvent,
    InvalidOption,
    MeterClosed,
    MeterStopped,
    TidegaugeError,
)
from tidegauge.meter import Meter
from tidegauge.report import Counters, Delivery

__all__ = [
    "BufferFull",
    "Counters",
    "Delivery",
    "DeliveryFailed",
    "InvalidEvent",
    "InvalidOption",
    "Meter",
    "MeterClosed",
    "MeterStopped",
    "TidegaugeError",
]
