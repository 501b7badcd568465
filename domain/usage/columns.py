"""From decoded source records to one table of judged events per micro-batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.fields import are_clean_texts, is_clean_text
from domain.quantity import SCALE, UNITS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.usage.records import EventBatch
    from domain.usage.seen import Int32s, Int64s, UInt64s

DIMENSIONS_MAX = 32
"""Dimensions of one event; bounds the size of a series."""
DIMENSION_NAME_LENGTH_MAX = 64
DIMENSION_VALUE_LENGTH_MAX = 256
STRING_LENGTH_MAX = 200
"""Characters of a customer or event type."""
OCCURRED_MS_MAX = 253_402_300_800_000
"""First millisecond of the year 10000, exclusive: datetimes end there."""
KEY_BYTES, FINGERPRINT_BYTES = 16, 8
_POWERS = 10 ** np.arange(SCALE + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class BatchColumns:
    """One batch as numpy columns; every index is within its dictionary.

    Args:
        customer, type_: Indexes into the batch's strings.
        dimension_set: 0 for none, else 1 + index of the batch's dimension sets.
        occurred_ms: Milliseconds since 1970 UTC.
        units, nanos: Quantity as whole units and billionths.
        key_high, key_low: Halves of the keys as big-endian numbers.
        fingerprint: Fingerprints as big-endian numbers.
        is_bad: Events whose own values are out of range.
    """

    customer: Int32s
    type_: Int32s
    dimension_set: Int32s
    occurred_ms: Int64s
    units: Int64s
    nanos: Int32s
    key_high: UInt64s
    key_low: UInt64s
    fingerprint: UInt64s
    is_bad: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.occurred_ms.size)


def columns_of(batch: EventBatch) -> BatchColumns | str:
    """This function will turn a batch into numpy columns.

    Returns:
        The columns, or the sentence that says why the whole batch is malformed.
    """
    count = len(batch.occurred_at_ms)
    if count == 0:
        return "a batch holds no event"
    lengths = {
        len(batch.customer),
        len(batch.type_),
        len(batch.dimension_set),
        len(batch.quantity),
    }
    if lengths != {count}:
        return "the columns differ in length"
    if (
        len(batch.keys) != KEY_BYTES * count
        or len(batch.fingerprints) != FINGERPRINT_BYTES * count
    ):
        return "keys or fingerprints do not match the number of events"
    if not (min(batch.scales) >= 0 and max(batch.scales) <= SCALE):
        return f"scale is not within 0 to {SCALE}"
    indexes = np.array((batch.customer, batch.type_, batch.dimension_set), dtype=np.int64)
    highest = (len(batch.strings) - 1, len(batch.strings) - 1, len(batch.dimension_sets))
    if indexes.min() < 0 or (indexes.max(axis=1) > highest).any():
        return "an index points outside its dictionary"
    quantity = np.asarray(batch.quantity, dtype=np.int64)
    occurred_ms = np.asarray(batch.occurred_at_ms, dtype=np.int64)
    scales = np.array(batch.scales, dtype=np.int64)
    units, rest = np.divmod(quantity, _POWERS[scales])
    keys = np.frombuffer(batch.keys, dtype=">u8").astype(np.uint64).reshape(-1, 2)
    return BatchColumns(
        customer=indexes[0].astype(np.int32),
        type_=indexes[1].astype(np.int32),
        dimension_set=indexes[2].astype(np.int32),
        occurred_ms=occurred_ms,
        units=units,
        nanos=(rest * _POWERS[SCALE - scales]).astype(np.int32),
        key_high=keys[:, 0],
        key_low=keys[:, 1],
        fingerprint=np.frombuffer(batch.fingerprints, dtype=">u8").astype(np.uint64),
        is_bad=_out_of_range(batch, indexes, units, occurred_ms),
    )


def _out_of_range(
    batch: EventBatch, indexes: np.ndarray, units: Int64s, occurred_ms: Int64s
) -> np.ndarray:
    """Mark events with a negative or huge quantity, an impossible time, or unclean texts."""
    bad = (units < 0) | (units >= UNITS_MAX) | (occurred_ms < 0) | (occurred_ms >= OCCURRED_MS_MAX)
    if not are_clean_texts(batch.strings, length_max=STRING_LENGTH_MAX):
        unclean = [
            index
            for index, text in enumerate(batch.strings)
            if not is_clean_text(text, length_max=STRING_LENGTH_MAX)
        ]
        bad |= np.isin(indexes[0], unclean) | np.isin(indexes[1], unclean)
    broken = [
        index + 1
        for index, dimensions in enumerate(batch.dimension_sets)
        if not _are_clean(dimensions)
    ]
    if broken:
        bad |= np.isin(indexes[2], broken)
    return bad


def _are_clean(dimensions: Mapping[str, str]) -> bool:
    return len(dimensions) <= DIMENSIONS_MAX and all(
        is_clean_text(name, length_max=DIMENSION_NAME_LENGTH_MAX)
        and is_clean_text(value, length_max=DIMENSION_VALUE_LENGTH_MAX)
        for name, value in dimensions.items()
    )


def bad_value_reason(batch: EventBatch, index: int) -> str:
    """This function will say for people what is wrong with one event marked bad."""
    dimension_set = batch.dimension_set[index]
    dimensions = batch.dimension_sets[dimension_set - 1] if dimension_set else {}
    for name, position in (("customer", batch.customer[index]), ("type", batch.type_[index])):
        if not is_clean_text(batch.strings[position], length_max=STRING_LENGTH_MAX):
            return f"{name} is not text of 1 to {STRING_LENGTH_MAX} printable characters"
    if not _are_clean(dimensions):
        return f"dimensions: at most {DIMENSIONS_MAX}, names and values short and printable"
    scale = batch.scales[index if len(batch.scales) > 1 else 0]
    if not 0 <= batch.quantity[index] < UNITS_MAX * 10**scale:
        return f"quantity is not within 0 and {UNITS_MAX} units"
    return "occurred_at is not within the years 1970 to 9999"
