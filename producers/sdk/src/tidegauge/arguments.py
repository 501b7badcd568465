"""The arguments that meters share, as types, so that each is declared once."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypedDict

from tidegauge import report
from tidegauge.spool.options import Spool


class MeterOptions(TypedDict, total=False):
    """The options that every `Meter` has, whatever its transport; see there."""

    source: str
    linger_ms: int
    batch_events_max: int
    batch_bytes_max: int
    buffer_events_max: int
    block_ms: int
    delivery_timeout_ms: int
    on_delivery: Callable[[report.Delivery], None] | None
    on_drop: Callable[[report.Drop], None] | None
    backfill: bool
    schema_id: int
    spool: Spool | str | os.PathLike[str] | None
    safe: bool
    traceparent: Callable[[], str | None] | None
    clock: Callable[[], datetime]


class EventArguments(TypedDict):
    """The arguments of `Meter.record`, all of them."""

    customer: str
    type: str
    quantity: int | Decimal | str
    occurred_at: datetime | None
    dimensions: Mapping[str, str] | None
    properties: Mapping[str, str] | None
    id: str | None
    traceparent: str | None
