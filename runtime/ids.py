"""Ids that are made at the edge, by chance or by the clock; derived ones are in the domain."""

from __future__ import annotations

import os
import uuid

from runtime import clock


def uuid7() -> uuid.UUID:
    """This function will make a UUID of version 7 (RFC 9562): milliseconds, then random bits."""
    value = (clock.now_ms() << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (7 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return uuid.UUID(int=value)


def new_id(prefix: str) -> str:
    """This function will make an id such as sub_0198c2f4…, unique and sortable by its time."""
    return f"{prefix}_{uuid7().hex}"


def random_bytes(count: int) -> bytes:
    """This function will draw so many bytes that nobody can foresee: keys, nonces, tokens."""
    return os.urandom(count)


def random_salt() -> tuple[int, int]:
    """This function will draw two 64-bit numbers that nobody outside can foresee."""
    return int.from_bytes(os.urandom(8), "big"), int.from_bytes(os.urandom(8), "big")
