"""Sketches as bytes: which aggregation one belongs to, and how those of one window merge.

The first byte names the aggregation and the second the version of its state, so that bytes on the
log say for ever how they are read. Equal content is equal bytes: a rebuild gives the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.aggregation import percentile, time_weighted, unique
from domain.aggregation.kinds import Aggregation
from domain.codes import Code
from domain.errors import invariant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MERGES: dict[bytes, Callable[[Sequence[bytes]], bytes]] = {
    unique.HEADER: unique.merged_bytes,
    time_weighted.HEADER: time_weighted.merged_bytes,
    percentile.HEADER: percentile.merged_bytes,
}
_FORMS: dict[Aggregation, tuple[bytes, int, int]] = {
    Aggregation.UNIQUE: (unique.HEADER, unique.BODY, unique.HASH.itemsize),
    Aggregation.TIME_WEIGHTED: (
        time_weighted.HEADER,
        len(time_weighted.HEADER),
        time_weighted.ENTRY.itemsize,
    ),
    Aggregation.PERCENTILE: (
        percentile.HEADER,
        len(percentile.HEADER),
        percentile.ENTRY.itemsize,
    ),
}
"""How the sketches of each aggregation begin, where their entries do, and bytes of an entry."""


def is_sketch_of(aggregation: Aggregation, sketch: bytes) -> bool:
    """This function will say whether bytes from outside can be read as a sketch; empty is none."""
    if aggregation not in _FORMS or not sketch:
        return not sketch
    header, start, entry_bytes = _FORMS[aggregation]
    return (
        sketch.startswith(header)
        and len(sketch) > start
        and not (len(sketch) - start) % entry_bytes
    )


def merged_sketch(sketches: Sequence[bytes]) -> bytes:
    """This function will merge sketches of one series and hour.

    Args:
        sketches: In any order, of one aggregation.

    Returns:
        One sketch; empty bytes for none.

    Raises:
        Fatal: state_corrupt, when they are of different aggregations or of an unknown version.
    """
    if len(sketches) < 2:  # noqa: PLR2004 -- one is merged already
        return sketches[0] if sketches else b""
    headers = {sketch[:2] for sketch in sketches}
    invariant(
        len(headers) == 1 and headers <= _MERGES.keys(),
        Code.STATE_CORRUPT,
        "sketches of a window differ in kind or version",
    )
    return _MERGES[headers.pop()](sketches)
