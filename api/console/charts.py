"""Values of a chart: whole numbers by day, which the page's script draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from domain.canonical import Json, to_canonical_json
from domain.period import to_ms


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Args:
        label: Its name.
        values: Whole numbers by day; a day without one is 0.
    """

    label: str
    values: Mapping[date, int]


def chart(lines: Sequence[Line], *, first: date, last: date, unit: str, places: int) -> str:
    """This function will write a chart as JSON for its `data-chart`.

    Args:
        lines: Its lines.
        first: First day.
        last: Last day, which counts.
        unit: What stands before a value.
        places: Decimal places that the whole numbers are to be moved by, for the eye only.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    series: list[Json] = [
        {"label": line.label, "values": [line.values.get(day, 0) for day in days]}
        for line in lines
    ]
    return to_canonical_json(
        {"unit": unit, "places": places, "x": [_seconds(day) for day in days], "series": series}
    )


def _seconds(day: date) -> int:
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC)) // 1000
