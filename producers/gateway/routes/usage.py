"""POST /api/v1/billing/usage, and the same under the addresses of S1 and S4."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from domain.canonical import Json
from producers.gateway import openapi, plain_usage
from producers.gateway.balances import Balance
from producers.gateway.bodies import require_json
from producers.gateway.candidates import Candidate, RefusedEvent
from producers.gateway.exchange import Arrival, accepted, answer_post, refused_event
from producers.gateway.judging import ACCEPTED, Judge, Place
from producers.gateway.repeats import Answer
from producers.gateway.traces import read_traceparents
from runtime import clock
from runtime.web import exact_json
from runtime.web.problems import not_found

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
    """Takes tenant_id, subscription_id, event_type, units and meta; credits are null for now."""
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
    candidate = await _taken(arrival)
    return accepted({"id": candidate.id, "status": ACCEPTED})


async def _track(arrival: Arrival) -> Answer:
    candidate = await _taken(arrival)
    # Both are text by now: the judge took them.
    balance: Balance = await arrival.backend.balances.after(
        tenant=arrival.caller.tenant,
        customer=str(candidate.customer),
        event_type=str(candidate.type_),
    )
    document: dict[str, Json] = {"ok": True, "id": candidate.id, **balance._asdict()}
    return accepted(document)


async def _taken(arrival: Arrival) -> Candidate:
    """Return the event of a request when the log has it."""
    place = Place(arrival.caller.tenant, arrival.backend.log.partitions, clock.now())
    judge = Judge(place)
    try:
        candidate = plain_usage.to_candidate(
            exact_json.read(arrival.body),
            tenant=arrival.caller.tenant,
            idempotency_key=arrival.idempotency_key,
        )
        judge.judge(candidate)
    except RefusedEvent as error:
        judge.refuse(error, None)
        judge.judgement.report()
        raise refused_event(error, tuple(judge.judgement.results)) from error
    arrival.backend.limits.take_events(arrival.caller.key_id, 1)
    await arrival.backend.log.append(
        arrival.backend.encoder.records(
            arrival.caller.tenant,
            judge.judgement,
            traceparents=read_traceparents(arrival.request.headers),
        )
    )
    judge.judgement.report()
    return candidate
