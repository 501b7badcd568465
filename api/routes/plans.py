"""GET /plans: what the catalogue in force sells (S1-48)."""

from __future__ import annotations

from fastapi import Depends

from api.dependencies import BackendDep, CallerDep
from api.parameters import refuse_query
from api.representations import ListRepresentation
from api.representations_subscriptions import PlanRepresentation, to_representation_plan
from api.routes.common import READ_RESPONSES, new_router
from projections.queries import plans
from projections.queries.connection import tenant_connection

router = new_router("plans")


@router.get(
    "/plans",
    responses=READ_RESPONSES,
    summary="Plans of the catalogue in force",
    dependencies=[Depends(refuse_query)],
)
def list_plans(backend: BackendDep, caller: CallerDep) -> ListRepresentation[PlanRepresentation]:
    """All plans in the order of the catalogue, in one page: a catalogue has 200 at most."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        sold = plans.list_plans(connection)
    return ListRepresentation(
        data=[to_representation_plan(plan) for plan in sold], has_more=False, next_cursor=None
    )
