"""GET /usage."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.dependencies import BackendDep, CallerDep
from api.parameters import BY_CUSTOMER, UsageParameters, read_period
from api.representations import (
    ListRepresentation,
    UsageRepresentation,
    to_representation_usage,
)
from api.routes.common import READ_RESPONSES, new_router
from projections.queries.connection import tenant_connection
from projections.queries.usage import list_usage
from projections.queries.usage_question import UsageQuestion
from runtime import clock
from runtime.web.problems import invalid

router = new_router("usage")


@router.get("/usage", responses=READ_RESPONSES, summary="Usage over time")
def get_usage(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[UsageParameters, Query()]
) -> ListRepresentation[UsageRepresentation]:
    """Hourly windows added up by hour, day or month of UTC, or all together, exactly.

    Both ends are full hours; a bucket that from or to cuts holds its inner part only. `value` is
    what the meter comes to by its own aggregation. A bucket without events is left out, but for
    time-weighted meters, whose values hold on up to the present. The answer is always whole: one
    that would be too long is refused with what to narrow.
    """
    question = _to_question(parameters)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        buckets = list_usage(connection, question=question)
    return ListRepresentation(
        data=[to_representation_usage(bucket) for bucket in buckets],
        has_more=False,
        next_cursor=None,
    )


def _to_question(parameters: UsageParameters) -> UsageQuestion:
    names = parameters.group_by
    if len(set(names)) != len(names):
        raise invalid("group_by", "group_by names a dimension twice")
    return UsageQuestion(
        period=read_period(parameters.start, parameters.end),
        granularity=parameters.granularity,
        customer=parameters.customer,
        meter=parameters.meter,
        by_customer=BY_CUSTOMER in names,
        dimensions=tuple(name for name in names if name != BY_CUSTOMER),
        until=clock.now(),
    )
