"""What a run of the cold tier is made of: keys of one class, sorted by hash, cut into blocks.

A key that is a UUIDv7 says when it was made. That need not be true, and some hash-made keys look
like one by chance, but equal keys always say the same, and nothing else is used: a key goes into a
timed run exactly when its claim, less KEY_AHEAD_MS, is not beyond the run's high_ms, and a look-up
asks a timed run by exactly the same comparison. A key whose claim lies beyond goes into a run of
keys ahead, and those are asked every time. So a false claim costs its sender's look-ups a few
blocks more, and no claim can hide a key. What it gains: a fresh key asks the runs of the last
minutes only.
"""

from __future__ import annotations

import itertools
from enum import IntEnum

import numpy as np

from domain.usage.seen import ROW_BYTES, Bools, Int8s, Int64s, Rows, UInt64s

KEY_AHEAD_MS = 5 * 60 * 1000
"""How far a key's claim may lie ahead of its receipt without being a key ahead: clocks differ.
It decides where a key is kept and looked for: changing it asks for a new STATE_VERSION."""
_HALF = np.uint64(32)
_VERSION, _VARIANT = np.uint64(7), np.uint64(2)
_VERSION_SHIFT, _VARIANT_SHIFT, _TIME_SHIFT = (np.uint64(value) for value in (12, 62, 16))
_NIBBLE = np.uint64(0xF)
_KEY_BYTES = 16
_OWNER_AT = slice(28, 32)


class KeyClass(IntEnum):
    """Where a key is kept and looked for."""

    TIMED = 0
    AHEAD = 1
    UNTIMED = 2


def made_ms_of(rows: Rows) -> Int64s:
    """This function will read when keys claim to be made, ms since 1970; -1 where they do not."""
    high, low = rows[:, 0], rows[:, 1]
    is_v7 = ((high >> _VERSION_SHIFT) & _NIBBLE == _VERSION) & (low >> _VARIANT_SHIFT == _VARIANT)
    return np.where(is_v7, (high >> _TIME_SHIFT).astype(np.int64), np.int64(-1))


def classes_of(made_ms: Int64s, *, high_ms: int) -> Int8s:
    """This function will say in which class of a run closed at high_ms each key belongs."""
    classes = np.full(made_ms.size, KeyClass.UNTIMED, dtype=np.int8)
    classes[made_ms >= 0] = KeyClass.AHEAD
    classes[(made_ms >= 0) & (made_ms - KEY_AHEAD_MS <= high_ms)] = KeyClass.TIMED
    return classes


def may_be_in(kind: KeyClass, made_ms: Int64s, *, high_ms: int) -> Bools:
    """This function will say which keys a run of this class, closed at high_ms, can hold."""
    if kind is KeyClass.UNTIMED:
        return made_ms < 0
    if kind is KeyClass.AHEAD:
        return made_ms >= 0
    return (made_ms >= 0) & (made_ms - KEY_AHEAD_MS <= high_ms)


def block_bits_of(rows: int, *, block_rows: int) -> int:
    """This function will return how many high bits of a hash number the blocks of a run.

    Blocks hold block_rows at most on average, and more than half of that.
    """
    return ((max(rows, 1) - 1) // block_rows).bit_length()


def high_bits_of(hashes: UInt64s, bits: int) -> Int64s:
    """This function will return the highest bits of hashes, 0 to 32 of them."""
    return ((hashes >> _HALF) >> np.uint64(32 - bits)).astype(np.int64)


def blocks_of(rows: Rows, hashes: UInt64s, *, bits: int) -> list[bytes]:
    """This function will cut rows in the order of their hashes into 2^bits blocks, some empty."""
    wanted = np.arange((1 << bits) + 1, dtype=np.int64)
    ends = (np.searchsorted(high_bits_of(hashes, bits), wanted) * ROW_BYTES).tolist()
    data = rows.astype("<u8", copy=False).tobytes()
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def rows_in(data: bytes) -> Rows:
    """This function will read blocks back (ValueError when they are torn)."""
    rows: Rows = np.frombuffer(data, dtype="<u8").astype(np.uint64, copy=False).reshape(-1, 4)
    return rows


def row_in(block: bytes, wanted: bytes) -> bytes | None:
    """This function will find the row of one key and owner in a block; both as 32 bytes."""
    key, owner = wanted[:_KEY_BYTES], wanted[_OWNER_AT]
    at = block.find(key)
    while at >= 0:
        row = block[at : at + ROW_BYTES]
        if at % ROW_BYTES == 0 and row[_OWNER_AT] == owner:
            return row
        at = block.find(key, at + 1)
    return None
