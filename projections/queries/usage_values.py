"""What sketches come to: the quantities that cannot be had by adding up columns in SQL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy

from domain.aggregation.measure import Measured, Span
from domain.aggregation.time_weighted import measured_spans, steps_of
from domain.codes import Code
from domain.errors import Rejected
from domain.meter import carried_meters
from domain.period import HOUR_MS, from_ms
from projections.queries.usage_question import USAGE_ROWS_MAX, too_many_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.meter import Meter
    from projections.queries.usage_question import UsageQuestion

SKETCH_BYTES_MAX = 64 * 1024 * 1024
"""Sketches of one answer, bytes: a month of 2,700 full hours of unique values."""

SKETCH_OVERHEAD_BYTES = 300
"""What a sketch costs beside its content while it is looked at."""

Group: TypeAlias = tuple[str, str | None, tuple[str | None, ...]]
"""Meter, customer if asked for, value of each dimension asked for."""
Values: TypeAlias = "dict[tuple[datetime, Group], Measured]"


@dataclass(frozen=True, slots=True)
class _Sketch:
    """One window's sketch.

    Args:
        series: Id of the series.
        hour: Hours since 1970 UTC.
        state: The sketch.
    """

    series: UUID
    hour: int
    state: bytes


def sketched_values(
    connection: sqlalchemy.Connection,
    *,
    question: UsageQuestion,
    meters: Mapping[str, Meter],
    named: str,
    parameters: Mapping[str, Any],
) -> Values:
    """This function will measure the meters whose windows have sketches.

    Args:
        connection: Connection of one tenant.
        question: What is asked.
        meters: Sketched meters by key.
        named: Common table expression `named` of the series asked for, with customer and values.
        parameters: What the statement binds.

    Returns:
        Quantities by start of the bucket and group. A time-weighted value holds on, so that meter
        has buckets without events too.

    Raises:
        Rejected: invalid_request, when the sketches are more than SKETCH_BYTES_MAX.
    """
    groups: dict[Group, list[_Sketch]] = defaultdict(list)
    bytes_read = 0
    carried = carried_meters(meters.values())
    statement = sqlalchemy.text(_statement(named)).execution_options(stream_results=True)
    asked = {**parameters, "meters": list(meters), "carried": list(carried)}
    with connection.execute(statement, asked) as rows:
        for row in rows:
            bytes_read += len(row.sketch) + SKETCH_OVERHEAD_BYTES
            if bytes_read > SKETCH_BYTES_MAX:
                raise Rejected(
                    Code.INVALID_REQUEST,
                    f"the answer rests on more than {SKETCH_BYTES_MAX // 1024**2} MiB of sketches",
                    next_step="Ask for a shorter period, one customer or one meter",
                    param="from",
                )
            group = row.meter, row.customer, tuple(row.dimension_values)
            groups[group].append(_Sketch(row.series, row.hour_number, bytes(row.sketch)))
    _require_few_rows(groups, question=question, carried=carried)
    values: Values = {}
    for group, items in groups.items():
        meter = meters[group[0]]
        buckets = (
            _carried_values(items, question)
            if group[0] in carried
            else _merged_values(meter, items, question)
        )
        for start, value in buckets:
            values[start, group] = value
    return values


def _require_few_rows(
    groups: Collection[Group], *, question: UsageQuestion, carried: Collection[str]
) -> None:
    """Refuse an answer that is too long before it is worked out.

    A time-weighted value may hold on into every bucket of the period.
    """
    rows = sum(group[0] in carried for group in groups) * sum(1 for _ in question.buckets())
    if rows > USAGE_ROWS_MAX:
        raise too_many_rows()


def _statement(named: str) -> str:
    return f"""
        WITH named AS ({named})
        SELECT named.meter, named.customer, named.dimension_values, named.series,
            extract(epoch FROM k.hour)::bigint / 3600 AS hour_number, k.sketch
        FROM named JOIN usage_sketch AS k
            ON k.tenant = named.tenant AND k.series = named.series
        WHERE named.meter = ANY(:meters) AND k.hour >= :start AND k.hour < :end
        UNION ALL
        SELECT named.meter, named.customer, named.dimension_values, named.series,
            extract(epoch FROM k.hour)::bigint / 3600, k.sketch
        FROM named CROSS JOIN LATERAL (
            SELECT hour, sketch FROM usage_sketch AS w
            WHERE w.tenant = named.tenant AND w.series = named.series AND w.hour < :start
            ORDER BY hour DESC LIMIT 1
        ) AS k
        WHERE named.meter = ANY(:carried)"""  # noqa: S608 -- fixed texts only


def _merged_values(
    meter: Meter, found: Sequence[_Sketch], question: UsageQuestion
) -> Iterator[tuple[datetime, Measured]]:
    buckets: dict[datetime, list[bytes]] = defaultdict(list)
    for item in found:
        buckets[question.bucket_of(from_ms(item.hour * HOUR_MS))].append(item.state)
    nowhere = Span(0, 0)
    for start, states in buckets.items():
        yield start, meter.measure.value(meter.measure.merged(states), nowhere)


def _carried_values(
    found: Sequence[_Sketch], question: UsageQuestion
) -> Iterator[tuple[datetime, Measured]]:
    """Yield a value for each bucket from the first step on, up to the question's until."""
    steps = steps_of((item.series, item.hour, item.state) for item in found)
    starts = [start for start, _ in question.buckets()]
    spans = (span for _, span in question.buckets())
    for start, value in zip(starts, measured_spans(steps, spans), strict=True):
        if value is not None:
            yield start, value
