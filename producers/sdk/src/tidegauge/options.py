"""Checks the options of `Meter`, so that a wrong one fails at start and by name."""

from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import Final

from tidegauge import errors, intake, limits, text

DELIVERY_TIMEOUT_MS_MIN: Final = 1_000
"""Shortest delivery timeout in ms; a new idempotent producer may need 500 ms to get its id."""

RANGES: Final = MappingProxyType(
    {
        "linger_ms": (0, limits.LINGER_MS_MAX),
        "batch_events_max": (1, limits.BATCH_EVENTS_MAX),
        "batch_bytes_max": (limits.BATCH_BYTES_MIN, limits.BATCH_BYTES_MAX),
        "buffer_events_max": (1, limits.BUFFER_EVENTS_CEILING),
        "block_ms": (0, limits.WAIT_MS_MAX),
        "delivery_timeout_ms": (DELIVERY_TIMEOUT_MS_MIN, limits.WAIT_MS_MAX),
        "schema_id": (1, 2**31 - 1),
        "fsync_interval_ms": (1, limits.SYNC_INTERVAL_MS_MAX),
        "segment_bytes": (limits.SEGMENT_BYTES_MIN, limits.SEGMENT_BYTES_MAX),
        "bytes_max": (
            limits.SPOOL_SEGMENTS_MIN * limits.SEGMENT_BYTES_MIN,
            limits.SPOOL_BYTES_CEILING,
        ),
    }
)
"""Smallest and largest value of every option that is a number."""


def check_numbers(**numbers: object) -> None:
    """This function will check the options that are whole numbers.

    Args:
        numbers: Values by the names in `RANGES`.

    Raises:
        InvalidOption: A value is no int or out of its range.
    """
    for name, value in numbers.items():
        low, high = RANGES[name]
        if not (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
            detail = f"{name} is not an int from {low} to {high}"
            raise errors.InvalidOption("option_invalid", detail)


def check_texts(**texts: object) -> None:
    """This function will check the options that are texts; only `source` may be empty.

    Args:
        texts: Values by their names, each of at most 200 characters.

    Raises:
        InvalidOption: One is no text, is empty, or must not stand on the wire.
    """
    for name, value in texts.items():
        if not isinstance(value, str):
            raise errors.InvalidOption("option_invalid", f"{name} is not a str")
        if not value and name != "source":
            raise errors.InvalidOption("option_invalid", f"{name} is empty")
        code = text.fault_in(value, characters_max=limits.NAME_CHARACTERS_MAX)
        if code is not None:
            raise errors.InvalidOption("option_invalid", f"{name}: {code}")


def check_clock(clock: Callable[[], datetime]) -> None:
    """This function will ask the clock once, because later only the flush thread would see.

    Args:
        clock: Says the time of events that come without one.

    Raises:
        InvalidOption: It is naive, out of range, or says no time.
    """
    try:
        intake.milliseconds(clock())
    except errors.InvalidEvent as error:
        raise errors.InvalidOption("option_invalid", f"clock: {error.code}") from error
