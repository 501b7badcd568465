"""The first page: what happens now, and what waits."""

from __future__ import annotations

from fastapi import Request, Response

from api.console.navigation import BASE_PATH
from api.console.pages.approvals import STATES
from api.console.rendering import render
from api.console.routing import new_router
from api.console.session import ConsoleCallerDep
from api.dependencies import BackendDep
from projections.queries import charges
from projections.queries.analytics_summary import summary
from projections.queries.analytics_values import ACTIVE_DAYS_DEFAULT
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection

router = new_router()
NEWEST = 10
"""Charges on the first page; a screen of them."""


@router.get(BASE_PATH)
def get_overview(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """Where the tenant stands."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        now = tenant_now(connection)
        figures = summary(connection, as_of=now, active_days=ACTIVE_DAYS_DEFAULT)
        newest = charges.list_charges(connection, limit=NEWEST, after=None)
    return render(
        request,
        "overview.html",
        caller=caller,
        place="overview",
        figures=figures,
        charges=newest.rows,
        states=STATES,
    )
