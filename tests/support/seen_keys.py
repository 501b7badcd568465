"""Keys as the seen index sees them, and a dict that says what it should answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.usage import seen

REMEMBERED_HOURS = 35 * 24 + 1
NEW, DUPLICATE, CONFLICT = 0, 1, 2


@dataclass(frozen=True)
class Add:
    """One event as the index sees it."""

    key: int
    fingerprint: int = 0
    owner: int = 0
    hour: int = 0


class PlainIndex:
    """The index as a dict, which forgets nothing and compares hours."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def add(self, add: Add) -> int:
        fingerprint, hour = self._known.get((add.owner, add.key), (0, -(10**9)))
        if add.hour - hour > REMEMBERED_HOURS:
            self._known[add.owner, add.key] = (add.fingerprint, add.hour)
            return NEW
        return DUPLICATE if fingerprint == add.fingerprint else CONFLICT


def plain_verdicts(adds: list[Add]) -> list[int]:
    """What a dict says."""
    index = PlainIndex()
    return [index.add(add) for add in adds]


def rows_of_adds(adds: list[Add]) -> seen.Rows:
    """The same as the index takes them."""
    return seen.rows_of(
        owner=np.array([add.owner for add in adds], dtype=np.int32),
        high=np.array([add.key >> 64 for add in adds], dtype=np.uint64),
        low=np.array([add.key % 2**64 for add in adds], dtype=np.uint64),
        fingerprint=np.array([add.fingerprint for add in adds], dtype=np.uint64),
        hour=np.array([add.hour for add in adds], dtype=np.int32),
    )


def uuid7_of(made_ms: int, tail: int = 0) -> int:
    """A UUIDv7 made at this time, told apart by tail (62 bits)."""
    return (made_ms << 80) | (7 << 76) | (2 << 62) | tail
