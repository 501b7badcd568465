"""POST /api/v1/billing/asset-snapshots, and the same under S1's address."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from producers.gateway import asset_snapshots, openapi
from producers.gateway.bodies import require_json
from producers.gateway.candidates import RefusedEvent
from producers.gateway.exchange import Arrival, accepted, answer_post, refused_event
from producers.gateway.judging import ACCEPTED, Judge, Place
from producers.gateway.repeats import Answer
from producers.gateway.traces import read_traceparents
from runtime import clock
from runtime.web import exact_json

OPERATION = "asset-snapshots"
"""One for both addresses: the same Idempotency-Key means the same wish at each."""

router = APIRouter(tags=["assets"], redirect_slashes=False)


@router.post(
    "/api/v1/billing/asset-snapshots",
    status_code=202,
    summary="Record a snapshot of assets",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.SNAPSHOT_POST,
)
async def post_snapshot(request: Request) -> Response:
    """Takes the assets of a customer, with its sites or without; the latest of a period counts."""
    require_json(request)
    return await answer_post(request, _record, operation=OPERATION)


@router.post(
    "/rest/v1/asset_snapshots",
    status_code=202,
    summary="Record a snapshot of assets, as S1 calls it",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.SNAPSHOT_POST,
)
async def post_s1_snapshot(request: Request) -> Response:
    """Takes tenant_id, asset_count, site_breakdown and captured_at; apikey is not looked at."""
    require_json(request)
    return await answer_post(request, _record, operation=OPERATION)


async def _record(arrival: Arrival) -> Answer:
    now = clock.now()
    judge = Judge(Place(arrival.caller.tenant, arrival.backend.log.partitions, now))
    try:
        candidates = asset_snapshots.to_candidates(
            exact_json.read(arrival.body),
            tenant=arrival.caller.tenant,
            idempotency_key=arrival.idempotency_key,
            now=now,
        )
        # All or none: a snapshot without one of its sites would say that the site is gone.
        for candidate in candidates:
            judge.judge(candidate)
    except RefusedEvent as error:
        judge.refuse(error, None)
        raise refused_event(error) from error
    arrival.backend.limits.take_events(arrival.caller.key_id, len(candidates))
    await arrival.backend.log.append(
        arrival.backend.encoder.records(
            arrival.caller.tenant,
            judge.judgement,
            traceparents=read_traceparents(arrival.request.headers),
        )
    )
    judge.judgement.report()
    return accepted(
        {
            "id": candidates[0].id,
            "status": ACCEPTED,
            "asset_count": int(str(candidates[0].quantity)),
            "events": len(candidates),
        }
    )
