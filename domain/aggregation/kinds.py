"""The names of the aggregations, and which of them keep more than a window's sums."""

from __future__ import annotations

from enum import StrEnum


class Aggregation(StrEnum):
    """How a meter turns the hours of a period into one quantity."""

    SUM = "sum"
    COUNT = "count"
    MIN = "min"
    MAX = "max"
    LATEST = "latest"
    AVERAGE = "average"
    UNIQUE = "unique"
    TIME_WEIGHTED = "time_weighted"
    PERCENTILE = "percentile"


SKETCHED = frozenset({Aggregation.UNIQUE, Aggregation.TIME_WEIGHTED, Aggregation.PERCENTILE})
"""Aggregations whose windows have a sketch: their quantity cannot be had from sums."""
ADDED = frozenset({Aggregation.SUM, Aggregation.COUNT})
"""Aggregations by which one more use adds the same whatever came before."""
REPORTED = frozenset({Aggregation.LATEST, Aggregation.MAX})
"""Aggregations of a count that is reported whole."""
