"""POST /api/v1/billing/usage, and the same under the addresses of S1 and S4."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from domain.canonical import Json
from domain.codes import DESCRIPTIONS, Code
from producers.gateway import openapi, plain_usage
from producers.gateway.balances import Balance, Use
from producers.gateway.bodies import require_json
from producers.gateway.candidates import Candidate, RefusedEvent
from producers.gateway.exchange import Arrival, accepted, answer_post, refused_event
from producers.gateway.judging import ACCEPTED, Judge, Place
from producers.gateway.repeats import Answer
from producers.gateway.traces import read_traceparents
from runtime import clock
from runtime.web import exact_json
from runtime.web.problems import not_found
from tidegauge.wire import batch

OPERATION = "usage"
"""One for all three addresses: the same Idempotency-Key means the same wish at each."""
S4_ACTION = "log_usage"

router = APIRouter(tags=["usage"], redirect_slashes=False)


@router.post(
    "/api/v1/billing/usage",
    status_code=202,
    summary="Record one use",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.USAGE_POST,
)
async def post_usage(request: Request) -> Response:
    """Takes one event in plain JSON; without a quantity it counts 1."""
    require_json(request)
    return await answer_post(request, _record, operation=OPERATION)


@router.post(
    "/functions/v1/billing-api/usage/track",
    status_code=202,
    summary="Record one use, as S1 calls it",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.USAGE_POST,
)
async def post_usage_track(request: Request) -> Response:
    """Takes tenant_id, subscription_id, event_type, units and meta; says what is left of credits.

    Null where nobody knows: no subscription counts the type, or the database is away.
    """
    require_json(request)
    return await answer_post(request, _track, operation=OPERATION)


@router.post(
    "/admin-api.php",
    status_code=202,
    summary="Log usage, as S4 calls it: ?action=log_usage",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.S4_POST,
)
async def post_admin_action(request: Request) -> Response:
    """Takes tenant_id, resource_type, quantity and metadata; other actions are not served here."""
    if request.query_params.getlist("action") != [S4_ACTION]:
        raise not_found()
    require_json(request)
    return await answer_post(
        request, _record, operation=OPERATION, parameters=frozenset({"action"})
    )


async def _record(arrival: Arrival) -> Answer:
    use = await _taken(arrival)
    return accepted({"id": use.id, "status": ACCEPTED})


async def _track(arrival: Arrival) -> Answer:
    taken = await _taken(arrival, is_type_checked=True)
    balance: Balance = await arrival.backend.balances.after(taken.use)
    document: dict[str, Json] = {"ok": True, "id": taken.id, **balance._asdict()}
    return accepted(document)


class _Taken(NamedTuple):
    """An event that the log has.

    Args:
        id: Its id.
        use: What of it matters for balances.
    """

    id: str
    use: Use


async def _taken(arrival: Arrival, *, is_type_checked: bool = False) -> _Taken:
    """Return the event of a request when the log has it.

    Args:
        arrival: The request.
        is_type_checked: Refuse a type that the catalogue in force does not count (S1-24). Else the
            log takes it and the fold refuses it, so that it can be driven again.
    """
    place = Place(arrival.caller.tenant, arrival.backend.log.partitions, clock.now())
    judge = Judge(place)
    try:
        candidate = plain_usage.to_candidate(
            exact_json.read(arrival.body),
            tenant=arrival.caller.tenant,
            idempotency_key=arrival.idempotency_key,
        )
        if is_type_checked:
            await _require_known(arrival, candidate)
        judge.judge(candidate)
    except RefusedEvent as error:
        judge.refuse(error, None)
        judge.judgement.report()
        raise refused_event(error, tuple(judge.judgement.results)) from error
    arrival.backend.limits.take_events(arrival.caller.key_id, 1)
    # One event was judged, and a refusal raises: there is one row.
    (((partition, _), (row,)),) = judge.judgement.rows.items()
    (offset,) = await arrival.backend.log.append(
        arrival.backend.encoder.records(
            arrival.caller.tenant,
            judge.judgement,
            traceparents=read_traceparents(arrival.request.headers),
        )
    )
    judge.judgement.report()
    use = Use(
        tenant=arrival.caller.tenant,
        customer=row[batch.ROW_CUSTOMER],
        subscription=_subscription_of(candidate),
        event_type=str(candidate.type_),
        nanos=row[batch.ROW_BILLIONTHS],
        occurred_at=candidate.occurred_at or place.now,
        partition=partition,
        offset=offset,
    )
    return _Taken(candidate.id, use)


async def _require_known(arrival: Arrival, candidate: Candidate) -> None:
    """Refuse a type that nobody counts; what is no text at all the judge refuses."""
    type_ = candidate.type_
    tenant = arrival.caller.tenant
    if isinstance(type_, str) and not await arrival.backend.balances.is_known(
        tenant=tenant, event_type=type_
    ):
        raise RefusedEvent("event_type", DESCRIPTIONS[Code.UNKNOWN_TYPE], Code.UNKNOWN_TYPE)


def _subscription_of(candidate: Candidate) -> str:
    properties = candidate.properties
    found = properties.get("subscription_id") if isinstance(properties, dict) else None
    return found if isinstance(found, str) else ""
