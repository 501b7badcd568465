"""Usage over time: hourly windows added up into hours, days or months of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy

from domain.aggregation.average import average_of
from domain.aggregation.kinds import SKETCHED, Aggregation
from domain.aggregation.measure import Measured
from domain.meter import carried_meters
from domain.quantity import NANOS_PER_UNIT, decimal_nanos
from projections.queries.catalogues import catalogue_in_force
from projections.queries.paging import conditions
from projections.queries.usage_question import (
    USAGE_ROWS_MAX,
    Granularity,
    UsageQuestion,
    too_many_rows,
)
from projections.queries.usage_values import Group, Values, sketched_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.meter import Meter


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """One meter's usage of one bucket and group.

    Args:
        start: Start of the bucket, UTC.
        meter: Meter key.
        customer: Set when the question splits by customer, or asks for one.
        group: Value of each dimension asked for; None where the events had none.
        sum: Over the events, exact, as what follows.
        minimum, maximum: Among the events; None without events.
        latest: Value of the event that occurred last; of equal ones, the last one received.
        events: Events counted; 0 where a time-weighted value only holds on.
        late_events: Of them, those that arrived after their hour.
        aggregation: How the meter adds up; None when the catalogue is not projected yet.
        value: What the meter comes to by its aggregation; None as that.
    """

    start: datetime
    meter: str
    customer: str | None
    group: tuple[tuple[str, str | None], ...]
    sum: Decimal
    minimum: Decimal | None
    maximum: Decimal | None
    latest: Decimal | None
    events: int
    late_events: int
    aggregation: Aggregation | None
    value: Measured | None


def list_usage(
    connection: sqlalchemy.Connection, *, question: UsageQuestion
) -> tuple[UsageBucket, ...]:
    """This function will add up the windows of a period.

    Args:
        connection: Connection of one tenant.
        question: What is asked.

    Returns:
        Buckets by start, meter, customer and group: those that hold events, and of time-weighted
        meters those that a value holds on into.

    Raises:
        Rejected: invalid_request, when the answer would have more than USAGE_ROWS_MAX rows, or
            rests on too many sketches.
    """
    meters = _meters(connection)
    named = _named(question)
    parameters = {
        "start": question.period.start,
        "end": question.period.end,
        "customer": question.customer,
        "meter": question.meter,
        "dimensions": list(question.dimensions),
    }
    rows = connection.execute(
        sqlalchemy.text(_statement(named, question)),
        {
            **parameters,
            "granularity": question.granularity.value,
            "row_count": USAGE_ROWS_MAX + 1,
        },
    ).all()
    sketched = {key: meter for key, meter in meters.items() if meter.aggregation in SKETCHED}
    values: Values = {}
    if question.meter in sketched or (question.meter is None and sketched):
        values = sketched_values(
            connection, question=question, meters=sketched, named=named, parameters=parameters
        )
    buckets = [_from_row(row, question=question, meters=meters, values=values) for row in rows]
    carried = carried_meters(meters.values())
    held = {(bucket.start, _group_of(bucket)) for bucket in buckets}
    buckets += [
        _held_on(start, group, value, question=question, meters=meters)
        for (start, group), value in values.items()
        if group[0] in carried and (start, _shown(group, question)) not in held
    ]
    if len(buckets) > USAGE_ROWS_MAX:
        raise too_many_rows()
    return tuple(sorted(buckets, key=_order)) if len(buckets) > len(rows) else tuple(buckets)


def _group_of(bucket: UsageBucket) -> Group:
    return bucket.meter, bucket.customer, tuple(value for _, value in bucket.group)


def _shown(group: Group, question: UsageQuestion) -> Group:
    """Return a group with the customer that an answer names: the one asked for, or its own."""
    meter, customer, values = group
    return meter, customer if question.by_customer else question.customer, values


def _order(bucket: UsageBucket) -> tuple[datetime, str, str, tuple[tuple[bool, str], ...]]:
    return (
        bucket.start,
        bucket.meter,
        bucket.customer or "",
        # As PostgreSQL sorts: what has no value comes last.
        tuple((value is None, value or "") for _, value in bucket.group),
    )


def _meters(connection: sqlalchemy.Connection) -> Mapping[str, Meter]:
    """Return the meters of the newest catalogue; it has every meter that ever was."""
    catalogue = catalogue_in_force(connection)
    return {} if catalogue is None else {meter.key: meter for meter in catalogue.meters}


def _named(question: UsageQuestion) -> str:
    """Return the query of the series asked for: fixed texts only, every value is bound."""
    where = conditions(
        "customer = :customer" if question.customer is not None else "",
        "meter = :meter" if question.meter is not None else "",
    )
    customer = "customer" if question.by_customer else "CAST(NULL AS text)"
    # A series has at most one value per dimension; unnest keeps the order that was asked for.
    group = (
        "ARRAY(SELECT usage_series.dimensions ->> asked.name"
        " FROM unnest(CAST(:dimensions AS text[])) WITH ORDINALITY AS asked (name, place)"
        " ORDER BY asked.place)"
        if question.dimensions
        else "CAST(ARRAY[] AS text[])"
    )
    return f"""
        SELECT tenant, series, meter, {customer} AS customer, {group} AS dimension_values
        FROM usage_series {where}"""  # noqa: S608 -- fixed texts only


def _statement(named: str, question: UsageQuestion) -> str:
    """Return the statement that adds windows up.

    Each series gets the number of its group once, so that windows are grouped by a time and a
    number; and the latest value is the largest array of (occurred, offset, value), which needs no
    sort: on 480,000 windows together 3 to 4 times as fast as grouping the plain join by texts.
    """
    bucket = (
        "CAST(:start AS timestamptz)"
        if question.granularity is Granularity.PERIOD
        else "date_trunc(:granularity, w.hour, 'UTC')"
    )
    return f"""
        WITH named AS ({named}
        ), numbered AS MATERIALIZED (
            SELECT named.*,
                dense_rank() OVER (ORDER BY meter, customer, dimension_values) AS number
            FROM named
        ), groups AS (
            SELECT DISTINCT number, meter, customer, dimension_values FROM numbered
        ), buckets AS (
            SELECT {bucket} AS start,
                numbered.number,
                sum(w.sum) AS sum, min(w.min) AS minimum, max(w.max) AS maximum,
                (max(ARRAY[w.latest_occurred_ms, w.latest_offset, w.latest]))[3] AS latest,
                sum(w.events) AS events, sum(w.late) AS late_events
            FROM usage_window AS w
            JOIN numbered ON numbered.tenant = w.tenant AND numbered.series = w.series
            WHERE w.hour >= :start AND w.hour < :end AND w.events > 0
            GROUP BY 1, 2
            ORDER BY 1, 2
            LIMIT :row_count
        )
        SELECT buckets.*, groups.meter, groups.customer, groups.dimension_values
        FROM buckets JOIN groups USING (number)
        ORDER BY start, number"""  # noqa: S608 -- fixed texts only


def _from_row(
    row: sqlalchemy.Row[Any],
    *,
    question: UsageQuestion,
    meters: Mapping[str, Meter],
    values: Values,
) -> UsageBucket:
    meter = meters.get(row.meter)
    values_of_group = tuple(row.dimension_values)
    if meter is None:
        value = None
    elif meter.aggregation in SKETCHED:
        value = values.get((row.start, (row.meter, row.customer, values_of_group)), Measured(0))
    else:
        value = _plain_value(row, meter.aggregation)
    return UsageBucket(
        start=row.start,
        meter=row.meter,
        customer=row.customer if question.by_customer else question.customer,
        group=tuple(zip(question.dimensions, values_of_group, strict=True)),
        sum=row.sum,
        minimum=row.minimum,
        maximum=row.maximum,
        latest=row.latest,
        events=int(row.events),
        late_events=int(row.late_events),
        aggregation=None if meter is None else meter.aggregation,
        value=value,
    )


def _plain_value(row: sqlalchemy.Row[Any], aggregation: Aggregation) -> Measured:
    """Return what SQL has added up already."""
    match aggregation:
        case Aggregation.COUNT:
            return Measured(int(row.events) * NANOS_PER_UNIT)
        case Aggregation.AVERAGE:
            return average_of(decimal_nanos(row.sum), int(row.events))
        case Aggregation.MIN:
            return Measured(decimal_nanos(row.minimum))
        case Aggregation.MAX:
            return Measured(decimal_nanos(row.maximum))
        case Aggregation.LATEST:
            return Measured(decimal_nanos(row.latest))
        case _:
            return Measured(decimal_nanos(row.sum))


def _held_on(
    start: datetime,
    group: Group,
    value: Measured,
    *,
    question: UsageQuestion,
    meters: Mapping[str, Meter],
) -> UsageBucket:
    """Return a bucket without events, into which a value holds on."""
    meter, customer, values = _shown(group, question)
    return UsageBucket(
        start=start,
        meter=meter,
        customer=customer,
        group=tuple(zip(question.dimensions, values, strict=True)),
        sum=Decimal(0),
        minimum=None,
        maximum=None,
        latest=None,
        events=0,
        late_events=0,
        aggregation=meters[meter].aggregation,
        value=value,
    )
