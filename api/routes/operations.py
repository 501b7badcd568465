"""/healthz, /readyz and /metrics: for machines that watch this process; they need no key."""

from __future__ import annotations

import prometheus_client
from fastapi import APIRouter, Response

from api.dependencies import BackendDep
from api.readiness import OK
from api.representations import HealthRepresentation, ReadinessRepresentation

router = APIRouter(tags=["operations"], redirect_slashes=False)


@router.get("/healthz", summary="The process lives")
async def get_health() -> HealthRepresentation:
    """Answers as long as the process can answer at all."""
    return HealthRepresentation(status=OK)


@router.get(
    "/readyz",
    summary="The process can answer",
    responses={503: {"model": ReadinessRepresentation, "description": "A part is away"}},
)
def get_readiness(backend: BackendDep, response: Response) -> ReadinessRepresentation:
    """Says for each part it needs whether it is there; 503 when one is not."""
    parts = dict(backend.readiness.parts())
    is_ready = all(state == OK for state in parts.values())
    if not is_ready:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return ReadinessRepresentation(status=OK if is_ready else "not_ready", parts=parts)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}},
)
def get_metrics() -> Response:
    """The metrics of this process in Prometheus' text format."""
    return Response(
        prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST
    )
