"""The one place that knows all aggregations; a new one is a file and a line here."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from domain.aggregation.average import Average
from domain.aggregation.count import Count
from domain.aggregation.kinds import Aggregation
from domain.aggregation.latest import Latest
from domain.aggregation.maximum import Maximum
from domain.aggregation.minimum import Minimum
from domain.aggregation.percentile import Percentile
from domain.aggregation.sum import Sum
from domain.aggregation.time_weighted import TimeWeighted
from domain.aggregation.unique import Unique

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.aggregation.measure import Measure, Measured, Span
    from domain.aggregation.window_row import WindowRow

_PLAIN: dict[Aggregation, Measure[Any]] = {
    Aggregation.SUM: Sum(),
    Aggregation.COUNT: Count(),
    Aggregation.MIN: Minimum(),
    Aggregation.MAX: Maximum(),
    Aggregation.LATEST: Latest(),
    Aggregation.AVERAGE: Average(),
    Aggregation.UNIQUE: Unique(),
    Aggregation.TIME_WEIGHTED: TimeWeighted(),
}


def measure_of(aggregation: Aggregation, *, percentile: str = "") -> Measure[Any]:
    """This function will return the rule of an aggregation.

    Args:
        aggregation: Which one.
        percentile: Decimal text of the percentile, for that aggregation alone.
    """
    if aggregation is Aggregation.PERCENTILE:
        return Percentile(Fraction(percentile))
    return _PLAIN[aggregation]


def measured(measure: Measure[Any], *, windows: Iterable[WindowRow], span: Span) -> Measured:
    """This function will turn windows of one meter, all its series, into one quantity.

    Args:
        measure: The meter's rule.
        windows: In any order; of a time-weighted meter each series' last window before the span
            too, for its value holds on.
        span: What is asked for.

    Returns:
        The quantity; 0 when there is no window, whatever the aggregation (G-08).
    """
    return measure.value(measure.merged([measure.of(row) for row in windows]), span)
