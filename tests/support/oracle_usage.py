"""Usage as the second rater for invoices reads it: plain rows, and what they come to.

Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

FLOWS = ("sum", "count", "time_weighted")
"""Aggregations of what adds up over time; all others are levels."""


@dataclass(frozen=True)
class Row:
    """Usage of one meter with one set of dimensions: what it came to, and in how many events."""

    meter: str
    dimensions: Mapping[str, str]
    quantity: Fraction
    events: int
    at: int = 0
    """When within its part: a later row has a larger number."""


def _total(rows: Sequence[Row]) -> Fraction:
    return sum((row.quantity for row in rows), Fraction(0))


AGGREGATIONS: Mapping[str, Callable[[Sequence[Row]], Fraction]] = {
    "sum": _total,
    "count": _total,
    "max": lambda rows: max(row.quantity for row in rows),
    "min": lambda rows: min(row.quantity for row in rows),
    "latest": lambda rows: max(rows, key=lambda row: row.at).quantity,
}
