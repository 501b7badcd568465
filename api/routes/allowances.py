"""/subscriptions/{subscription}/allowances and /asset-snapshots: what is used, what is left."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy
from fastapi import Query
from pydantic import Field

from api.cursors import from_cursor, moment_and_text, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.parameters import CustomerParameters, Parameters, Text, Time, read_id
from api.representations import ListRepresentation
from api.representations_allowances import (
    AllowancesRepresentation,
    AssetSnapshotRepresentation,
    CheckRepresentation,
    to_representation_allowances,
    to_representation_check,
    to_representation_snapshot,
)
from api.routes.common import FIND_RESPONSES, READ_RESPONSES, new_router
from domain.allowances import Allowance, after_burn, burn_of, counts, is_allowed
from domain.codes import Code
from domain.errors import Rejected
from domain.period import HOUR_MS, from_ms, time_text, to_ms
from domain.quantity import parse_nanos
from projections.queries import allowances, assets, catalogues
from projections.queries.allowances import State
from projections.queries.clocks import tenant_now
from projections.queries.connection import tenant_connection
from runtime.web.problems import invalid, not_found

router = new_router("allowances")
_SNAPSHOTS = "asset-snapshots"
AHEAD_DAYS_MAX = 731
"""Days that a question may lie ahead: two years. Periods are counted one by one up to it, and what
will hold then is a guess."""


class MomentParameters(Parameters):
    """Parameters of what holds at a moment."""

    at: Time | None = Field(
        None, description="The moment; now when it is left out, or where a test clock stands"
    )


class CheckParameters(MomentParameters):
    """Parameters of a check."""

    event_type: Text = Field(description="Type of the use, or an alias of it")
    quantity: Text = Field("1", description="Decimal text")


@router.get(
    "/subscriptions/{subscription}/allowances",
    responses=FIND_RESPONSES,
    summary="What a subscription has used and has left",
)
def get_allowances(
    backend: BackendDep,
    caller: CallerDep,
    subscription: str,
    parameters: Annotated[MomentParameters, Query()],
) -> AllowancesRepresentation:
    """Live from the windows; 404 also when the subscription does not run at that moment."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        moment = moment_of(connection, parameters.at)
        state = _state(connection, caller.tenant, read_id(subscription), moment)
    return to_representation_allowances(state, at=time_text(moment))


@router.get(
    "/subscriptions/{subscription}/allowances/check",
    responses=FIND_RESPONSES,
    summary="May this be used?",
)
def check_allowances(
    backend: BackendDep,
    caller: CallerDep,
    subscription: str,
    parameters: Annotated[CheckParameters, Query()],
) -> CheckRepresentation:
    """Says what the plan's policies say (C-04), and holds nothing: uses beside it may come first.

    Only a price or a limit with overflow refuse ever says no (S3-R10).
    """
    try:
        nanos = parse_nanos(parameters.quantity)
    except Rejected as error:
        raise invalid("quantity", error.reason) from error
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        moment = moment_of(connection, parameters.at)
        state = _state(connection, caller.tenant, read_id(subscription), moment)
    return _check(state, event_type=parameters.event_type, nanos=nanos)


def moment_of(connection: sqlalchemy.Connection, at: datetime | None) -> datetime:
    """This function will return the moment that is asked for, else the tenant's now.

    Now is a display's, or what a caller says as of; nothing here decides by it.

    Raises:
        ProblemError: invalid_request with param at, for more than AHEAD_DAYS_MAX from now on.
    """
    now = tenant_now(connection)
    if at is None:
        return now
    if at - now > timedelta(days=AHEAD_DAYS_MAX):
        raise invalid("at", f"at must lie at most {AHEAD_DAYS_MAX} days ahead")
    return at


def _state(
    connection: sqlalchemy.Connection, tenant: str, subscription: str, moment: datetime
) -> State:
    states = allowances.find_states(
        connection,
        tenant=tenant,
        moment=moment,
        published=catalogues.read_published(connection),
        subscription=subscription,
    )
    if not states:
        raise not_found()
    return states[0]


def _check(state: State, *, event_type: str, nanos: int) -> CheckRepresentation:
    catalogue = state.standing.catalogue
    refused: tuple[Code, str] | None = None
    burned = None
    after: list[Allowance] = []
    for allowance in state.allowances:
        if not counts(allowance, event_type=event_type, catalogue=catalogue):
            continue
        taken = burn_of(allowance, event_type=event_type, nanos=nanos, catalogue=catalogue)
        burned = taken if burned is None else burned
        if refused is None and not is_allowed(allowance, burned=taken):
            refused = Code.ALLOWANCE_EXCEEDED, allowance.name
        after.append(
            after_burn(
                allowance,
                burned=taken,
                warning_percent=catalogue.billing.usage_warning_percent,
            )
        )
    for limit in state.limits:
        if refused is None and limit.refuses(
            event_type=event_type, nanos=nanos, catalogue=catalogue
        ):
            refused = Code.LIMIT_EXCEEDED, limit.key
    return to_representation_check(refused=refused, burned=burned, allowances=tuple(after))


@router.get(
    "/asset-snapshots", responses=READ_RESPONSES, summary="Asset snapshots, newest hour first"
)
def list_snapshots(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[CustomerParameters, Query()]
) -> ListRepresentation[AssetSnapshotRepresentation]:
    """The last snapshot of each hour; the gateway takes them (POST)."""
    after = from_cursor(parameters.cursor, kind=_SNAPSHOTS, make=moment_and_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        newest = catalogues.catalogue_in_force(connection)
        if newest is None:
            return ListRepresentation(data=[], has_more=False, next_cursor=None)
        page = assets.list_snapshots(
            connection,
            meters=assets.meters_of(newest),
            limit=parameters.limit,
            after=after,
            customer=parameters.customer,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_snapshot(each) for each in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_SNAPSHOTS, _hour_text(last.captured_at), last.customer)
        if last
        else None,
    )


def _hour_text(moment: datetime) -> str:
    """Return the hour that a moment lies in: snapshots are listed by it."""
    return time_text(from_ms(to_ms(moment) // HOUR_MS * HOUR_MS))
