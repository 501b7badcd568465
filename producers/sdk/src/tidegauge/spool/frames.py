"""What stands in a segment: frames of length, CRC32C and body, one per event.

Frame: length of the body (u32, little-endian) · CRC32C of the body (u32) · body. The first frame
of a segment says whose it is: a mark with the format's number, tenant and source. Every other body
is one event: its key (16 bytes), its canonical payload, and, when its id is no UUID, 0x1d and the
id. Texts of an event have no characters below 0x20, so nothing in it can be taken for a separator;
the fingerprint is a function of the payload, so a resent event has the same one.
"""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import crc32c

from tidegauge import limits
from tidegauge.wire import identity
from tidegauge.wire.batch import ROW_ID, ROW_IS_FOREIGN, ROW_KEY, EventRow

HEAD_BYTES: Final = 8
"""Bytes in front of every body."""

BODY_BYTES_MAX: Final = limits.EVENT_BYTES_MAX + 4 * limits.NAME_CHARACTERS_MAX + 32
"""Longest body, in bytes: payload, key, separator and an id; more is no length of ours."""

_MARK: Final = "tidegauge-spool-1"
_ID: Final = b"\x1d"
_KEY_BYTES: Final = 16
_HEAD: Final = struct.Struct("<II")
_pack: Final = _HEAD.pack
_unpack_from: Final = _HEAD.unpack_from
_checksum: Final = crc32c.crc32c


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the lengths in a segment found.

    Attributes:
        frames: Complete frames, the first one included.
        end: Where the last of them ends, in bytes.
        is_torn: Something stands behind it that is no frame.
        is_damaged: And it is not what a write leaves that was cut short, nor the zeros of a file
            system that a power cut met.
    """

    frames: int
    end: int
    is_torn: bool
    is_damaged: bool


def header(*, tenant: str, source: str) -> bytes:
    """This function will make the first frame of a segment.

    Args:
        tenant: Tenant of every event in it.
        source: Where its foreign ids are unique.

    Returns:
        The frame.
    """
    return _frame(f"{_MARK}{identity.FIELD}{tenant}{identity.FIELD}{source}".encode())


def event(row: EventRow, payload: bytes) -> bytes:
    """This function will make the frame of one event.

    Args:
        row: The event.
        payload: Its canonical payload.

    Returns:
        The frame.
    """
    body = row[ROW_KEY] + payload
    if row[ROW_IS_FOREIGN]:
        body += _ID + row[ROW_ID].encode()
    return _pack(len(body), _checksum(body)) + body


def _frame(body: bytes) -> bytes:
    return _pack(len(body), _checksum(body)) + body


def scan(data: bytes) -> Scan:
    """This function will walk over the lengths of a segment, without reading the bodies.

    Args:
        data: The whole segment.

    Returns:
        How many complete frames it has, and where they end.
    """
    frames, at, end = 0, 0, len(data)
    while at + HEAD_BYTES <= end:
        length = _unpack_from(data, at)[0]
        if not 0 < length <= BODY_BYTES_MAX or at + HEAD_BYTES + length > end:
            break
        at += HEAD_BYTES + length
        frames += 1
    is_cut_short = at + HEAD_BYTES > end or 0 < _unpack_from(data, at)[0] <= BODY_BYTES_MAX
    is_damaged = not is_cut_short and any(data[at:])
    return Scan(frames, at, is_torn=at < end, is_damaged=is_damaged)


def bodies(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """This function will read complete frames.

    Args:
        data: Bytes that begin with a frame; the last one may be cut off.

    Yields:
        Where the next frame begins, and the body, or None when its checksum is wrong.
    """
    at, end = 0, len(data)
    while at + HEAD_BYTES <= end:
        length, checksum = _unpack_from(data, at)
        start = at + HEAD_BYTES
        at = start + length
        if at > end:
            return
        body = data[start:at]
        yield at, body if _checksum(body) == checksum else None


def row_of(body: bytes) -> EventRow:
    """This function will read an event back; its checksum was right, so it is what was written.

    Args:
        body: The body of its frame.

    Returns:
        The row as `record` made it; a UUID in lower case.
    """
    key = body[:_KEY_BYTES]
    payload, mark, foreign = body[_KEY_BYTES:].partition(_ID)
    head, properties_mark, properties = payload.decode().partition(
        f"{identity.FIELD}{identity.PROPERTIES}"
    )
    customer, event_type, occurred_at_ms, billionths, *dimensions = head.split(identity.FIELD, 4)
    return (
        foreign.decode() if mark else str(uuid.UUID(bytes=key)),
        key,
        identity.fingerprint(payload),
        customer,
        event_type,
        f"{identity.FIELD}{dimensions[0]}" if dimensions else "",
        int(occurred_at_ms),
        int(billionths),
        bool(mark),
        f"{properties_mark}{properties}",
    )
