"""Runs that share a filter, and the filters that are in memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from domain.usage.key_filter import KeyFilter
from domain.usage.runs import KeyClass

if TYPE_CHECKING:
    from collections.abc import Callable

FILTERS_RESIDENT_MAX = 16
"""Sealed filters in memory, 8 MiB each: 128 MiB per partition, good for 64 million keys that are
asked for all the time. What is beyond is read when it is asked for."""


class Run(NamedTuple):
    """Where the keys of one class of one generation lie.

    Args:
        number: Its blocks have keys that begin with this.
        rows: Keys.
        bits: It has 2^bits blocks.
        high_ms: Largest append time seen when its generation was closed.
        newest_hour: Latest arrival hour plus one; when that is forgotten the run is dropped.
    """

    number: int
    rows: int
    bits: int
    high_ms: int
    newest_hour: int


@dataclass(slots=True)
class Group:
    """Runs of one class that share a filter, the oldest first.

    Args:
        kind: Class of their keys.
        stored: Number under which the filter is stored; 0 while keys are still put into it.
        runs: The runs.
        filtered: Keys put into the filter, those of runs that were dropped since included.
    """

    kind: KeyClass
    stored: int = 0
    runs: list[Run] = field(default_factory=list)
    filtered: int = 0

    @property
    def rows(self) -> int:
        """Return how many keys are held."""
        return sum(run.rows for run in self.runs)

    @property
    def high_ms(self) -> int:
        """Return the largest append time of all its runs: they come in its order."""
        return self.runs[-1].high_ms


class ResidentFilters:
    """Sealed filters in memory, the ones asked last; the others are read when they are needed.

    Timed ones leave first: the others are asked by every key of their class.

    Args:
        read: Reads the words of a filter by its number.
        resident_max: Filters in memory.
    """

    def __init__(self, read: Callable[[int], bytes], *, resident_max: int) -> None:
        self._read = read
        self._resident_max = max(1, resident_max)
        self._filters: OrderedDict[int, tuple[KeyClass, KeyFilter]] = OrderedDict()

    def of(self, group: Group) -> KeyFilter:
        """Return the filter of a sealed group."""
        held = self._filters.get(group.stored)
        if held is None:
            words = np.frombuffer(self._read(group.stored), dtype="<u8")
            held = group.kind, KeyFilter(words.astype(np.uint64, copy=False))
            self.put(group, held[1])
        else:
            self._filters.move_to_end(group.stored)
        return held[1]

    def put(self, group: Group, words: KeyFilter) -> None:
        """Keep a filter, and let go of one when there are too many."""
        self._filters[group.stored] = group.kind, words
        if len(self._filters) > self._resident_max:
            timed = (
                number for number, (kind, _) in self._filters.items() if kind is KeyClass.TIMED
            )
            del self._filters[next(timed, next(iter(self._filters)))]

    def forget(self, number: int) -> None:
        """Let go of a filter whose runs are gone."""
        self._filters.pop(number, None)

    @property
    def nbytes(self) -> int:
        """Return their memory, bytes."""
        return sum(held.words.nbytes for _, held in self._filters.values())
