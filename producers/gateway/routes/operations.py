"""/healthz, /readyz, /metrics, /docs, /openapi.json: for watchers and readers, without a key."""

from __future__ import annotations

import prometheus_client
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from producers.gateway import openapi
from producers.gateway.exchange import backend_of
from producers.gateway.log import OK

router = APIRouter(tags=["operations"], redirect_slashes=False)


@router.get("/healthz", summary="The process lives")
async def get_health() -> dict[str, str]:
    """Answers as long as the process can answer at all."""
    return {"status": OK}


@router.get("/readyz", summary="The process can take events", responses=openapi.READY_RESPONSES)
async def get_readiness(request: Request) -> Response:
    """503 while the broker does not answer or acknowledge, or a topic has the wrong shape.

    The database is no part of it: keys that were seen within a minute work without one.
    """
    state = backend_of(request).log.state()
    return JSONResponse(
        {"status": OK if state == OK else "not_ready", "parts": {"kafka": state}},
        status_code=200 if state == OK else 503,
        headers={} if state == OK else {"Retry-After": "1"},
    )


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}},
)
async def get_metrics() -> Response:
    """The metrics of this process in Prometheus' text format."""
    return Response(
        prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST
    )
