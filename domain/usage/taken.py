"""Batches on their way through a micro-batch: what each event feeds, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from domain.aggregation.kinds import Aggregation
from domain.codes import Code

if TYPE_CHECKING:
    import numpy as np

    from domain.meter import Meter
    from domain.usage.amendments import EventAmended
    from domain.usage.columns import BatchColumns
    from domain.usage.records import EventBatch
    from domain.usage.seen import Int32s, Int64s, UInt64s

COUNTED, DUPLICATE = 0, 1
CODE_NUMBERS: dict[Code, int] = {
    Code.BAD_VALUE: 2,
    Code.UNKNOWN_TYPE: 3,
    Code.TOO_LATE: 4,
    Code.FUTURE: 5,
    Code.MISROUTED: 6,
    Code.CONFLICT: 7,
    Code.AMENDMENT_UNKNOWN: 8,
}
"""Fate of an event: counted, duplicate, or the number of its code; lower codes take precedence."""


@dataclass(frozen=True, eq=False)
class TypePlan:
    """The meters that one event type feeds; compared by identity, made once per catalogue.

    Args:
        tenant: Whose catalogue it is.
        meters: The meters.
    """

    tenant: str
    meters: tuple[Meter, ...]

    @cached_property
    def decimals(self) -> frozenset[str]:
        """Return the properties that are read as decimals."""
        return frozenset(
            meter.value_property
            for meter in self.meters
            if meter.value_property and meter.aggregation is not Aggregation.UNIQUE
        )

    @cached_property
    def texts(self) -> frozenset[str]:
        """Return the properties whose different texts are counted."""
        return frozenset(
            meter.value_property
            for meter in self.meters
            if meter.aggregation is Aggregation.UNIQUE
        )


@dataclass(frozen=True, slots=True)
class Amending:
    """What makes a batch of one event a part of an amendment.

    Args:
        amended: The control record.
        offset: Its source offset.
        received_ms: Its append time, milliseconds since 1970 UTC.
        is_void: Whether this part takes the original away; else it counts the replacement.
    """

    amended: EventAmended
    offset: int
    received_ms: int
    is_void: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """One taken batch: its columns, and per event where it came from, its owner, plan and fate.

    Args:
        batch: The events; from one record, or from one record each.
        columns: The same as numpy columns.
        offset: Source offset per event.
        received_ms: Append time per event.
        arrival_hour: Hour the seen index remembers them by.
        owner: Owner number per event, negative when it belongs elsewhere.
        plan: Number of the type's plan per event, negative for unknown types.
        fate: COUNTED, DUPLICATE or the number of a code per event; filled in as judged.
        values: Values read from properties, by property name.
        hashes: Hashes of texts read from properties, by property name.
        amending: Of which amendment it is a part; None for events that came themselves.
    """

    batch: EventBatch
    columns: BatchColumns
    offset: Int64s
    received_ms: Int64s
    arrival_hour: int
    owner: Int32s
    plan: Int32s
    fate: np.ndarray
    values: dict[str, tuple[Int64s, Int32s]]
    hashes: dict[str, UInt64s]
    amending: Amending | None = None

    def place_of(self, position: int) -> tuple[int, int]:
        """Return the source offset of an event and its place within that record."""
        is_row_each = len(self.offset) > 1 and self.offset[0] != self.offset[-1]
        return int(self.offset[position]), 0 if is_row_each else position
