"""Cutting sorted entries of many windows into one sketch each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


def cuts(window: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """This function will yield (window, start, end) of each run of equal numbers.

    Args:
        window: Window number per entry, ascending.
    """
    if not window.size:
        return
    starts = np.flatnonzero(np.concatenate(([True], window[1:] != window[:-1])))
    ends = np.append(starts[1:], window.size)
    yield from zip(window[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)
