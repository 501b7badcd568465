"""What sketches come to: the quantities that cannot be had by adding up columns in SQL."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy

from domain.aggregation import sketches
from domain.aggregation.kinds import Aggregation
from domain.aggregation.measure import Measured, Span
from domain.aggregation.time_weighted import TimeWeighted
from domain.codes import Code
from domain.errors import Rejected
from domain.period import HOUR_MS, from_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from domain.catalogue import Meter
    from projections.queries.usage_question import UsageQuestion

SKETCH_BYTES_MAX = 64 * 1024 * 1024
"""Sketches of one answer, bytes: a month of 2,700 full hours of unique values."""

Group: TypeAlias = tuple[str, str | None, tuple[str | None, ...]]
"""Meter, customer if asked for, value of each dimension asked for."""
Values: TypeAlias = "dict[tuple[datetime, Group], Measured]"


@dataclass(frozen=True, slots=True)
class _Sketch:
    """One window's sketch.

    Args:
        series: Id of the series, in the place of its dimensions.
        hour: Hours since 1970 UTC.
        state: The sketch.
    """

    series: tuple[tuple[str, str], ...]
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
    carried = [key for key, meter in meters.items() if _is_carried(meter)]
    statement = sqlalchemy.text(_statement(named)).execution_options(stream_results=True)
    asked = {**parameters, "meters": list(meters), "carried": carried}
    with connection.execute(statement, asked) as rows:
        for row in rows:
            bytes_read += len(row.sketch)
            if bytes_read > SKETCH_BYTES_MAX:
                raise Rejected(
                    Code.INVALID_REQUEST,
                    f"the answer rests on more than {SKETCH_BYTES_MAX // 1024**2} MiB of sketches",
                    next_step="Ask for a shorter period, one customer or one meter",
                    param="from",
                )
            group = row.meter, row.customer, tuple(row.dimension_values)
            series = (("series", str(row.series)),)
            groups[group].append(_Sketch(series, row.hour_number, bytes(row.sketch)))
    values: Values = {}
    for group, found in groups.items():
        meter = meters[group[0]]
        buckets = _carried_values if _is_carried(meter) else _merged_values
        for start, value in buckets(meter, found, question):
            values[start, group] = value
    return values


def _is_carried(meter: Meter) -> bool:
    return meter.aggregation is Aggregation.TIME_WEIGHTED


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
        yield start, meter.measure.value(sketches.merged_sketch(states), nowhere)


def _carried_values(
    meter: Meter, found: Sequence[_Sketch], question: UsageQuestion
) -> Iterator[tuple[datetime, Measured]]:
    """Yield a value for each bucket from the first step on, up to the question's until.

    Each bucket is measured with its own steps and the last one of each series before it, so the
    work grows with the steps and not with steps times buckets.
    """
    del meter
    measure = TimeWeighted()
    waiting = sorted(found, key=lambda item: item.hour)
    held: dict[tuple[tuple[str, str], ...], _Sketch] = {}
    place = 0
    for start, span in question.buckets():
        own = []
        while place < len(waiting) and waiting[place].hour * HOUR_MS < span.end_ms:
            own.append(waiting[place])
            place += 1
        if not held and not own:
            continue
        state = {(item.series, item.hour): item.state for item in (*held.values(), *own)}
        yield start, measure.value(state, span)
        held |= {item.series: item for item in own}
