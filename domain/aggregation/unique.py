"""Unique: how many different values there were; exact to a bound, then a flagged estimate.

A sketch keeps the smallest 64-bit hashes of the values (BLAKE2b). As long as all fit it is a set;
beyond that it is a k-minimum-values sketch: (k - 1) / (k-th smallest hash as a fraction) is the
unbiased estimate of Beyer, Haas, Reinwald, Sismanis, Gemulla, "On Synopses for Distinct-Value
Estimation Under Multiset Operations", SIGMOD 2007, with a relative standard error of about
1 / sqrt(k - 2), here 1.6 %.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from domain.aggregation.groups import cuts
from domain.aggregation.measure import Measured
from domain.quantity import NANOS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.aggregation.measure import Span
    from domain.aggregation.window_row import WindowRow

STATE_VERSION = 1
EXACT_MAX = 4_096
"""Different values that are counted exactly; 32 KiB. Two of so many hashes are equal with a
probability below 10^-12."""
HEADER = bytes((1, STATE_VERSION))
_WHOLE, _CUT = b"\0", b"\1"
BODY = len(HEADER) + 1
HASH = np.dtype(">u8")


def hash_of(text: str) -> int:
    """This function will return the 64-bit hash that stands for a value."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def sketches_of(window: np.ndarray, hashes: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """This function will make one sketch per window.

    Args:
        window: Window number per event, int64.
        hashes: hash_of of each event's value, uint64.

    Yields:
        Window number and sketch, by window.
    """
    order = np.lexsort((hashes, window))
    window, hashes = window[order], hashes[order]
    for number, start, end in cuts(window):
        yield number, _sketch(_distinct(hashes[start:end]), is_cut=False)


def merged_bytes(sketches: Sequence[bytes]) -> bytes:
    """This function will merge sketches: the smallest hashes of all."""
    parts = [np.frombuffer(sketch, dtype=HASH, offset=BODY) for sketch in sketches]
    hashes = np.sort(np.concatenate(parts).astype(np.uint64))
    return _sketch(_distinct(hashes), is_cut=any(_is_cut(sketch) for sketch in sketches))


def _distinct(ordered: np.ndarray) -> np.ndarray:
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def _sketch(hashes: np.ndarray, *, is_cut: bool) -> bytes:
    """Write different hashes in ascending order; a cut one holds EXACT_MAX of them."""
    is_cut = is_cut or hashes.size > EXACT_MAX
    return HEADER + (_CUT if is_cut else _WHOLE) + hashes[:EXACT_MAX].astype(HASH).tobytes()


def _is_cut(sketch: bytes) -> bool:
    return sketch[len(HEADER) : BODY] == _CUT


class Unique:
    """State: one sketch; empty bytes without events."""

    state_version = STATE_VERSION

    def of(self, row: WindowRow) -> bytes:
        """Return the window's sketch."""
        return row.sketch

    def merged(self, states: Sequence[bytes]) -> bytes:
        """Merge the sketches."""
        found = [state for state in states if state]
        return merged_bytes(found) if found else b""

    def value(self, state: bytes, span: Span) -> Measured:
        """Return the number of different values."""
        del span
        count = max(0, len(state) - BODY) // HASH.itemsize
        if not _is_cut(state):
            return Measured(count * NANOS_PER_UNIT)
        largest = max(1, int.from_bytes(state[-HASH.itemsize :], "big"))
        # At least one more than fits: one more user never makes fewer.
        estimate = max(EXACT_MAX + 1, ((count - 1) << 64) // largest)
        return Measured(estimate * NANOS_PER_UNIT, is_estimate=True)
