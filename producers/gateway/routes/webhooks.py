"""POST /webhook/…: what S0's main system reports of nodes and pulses.

They are signed. Only those of the open tenant, on a developer's machine, may come unsigned, and
only while it has no secret (S0-R16).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from producers.gateway import node_events, openapi, webhooks
from producers.gateway.backend import Backend
from producers.gateway.bodies import WEBHOOK_BYTES_MAX, read_body, require_json
from producers.gateway.candidates import RefusedEvent
from producers.gateway.exchange import backend_of, refuse_query, refused_event
from producers.gateway.repeats import ACCEPTED_STATUS
from runtime.ids import new_id
from runtime.web import exact_json, open_tenant

router = APIRouter(prefix="/webhook", tags=["webhooks"], redirect_slashes=False)


@router.post(
    "/node-update",
    status_code=ACCEPTED_STATUS,
    summary="A node reported its state",
    responses=openapi.WEBHOOK_RESPONSES,
    openapi_extra=openapi.WEBHOOK_POST,
)
async def post_node_update(request: Request) -> Response:
    """Takes {event_type, data, time}, signed; answers when the log has it."""
    return await _take(request, "node-update")


@router.post(
    "/pulse",
    status_code=ACCEPTED_STATUS,
    summary="A pulse of the main system",
    responses=openapi.WEBHOOK_RESPONSES,
    openapi_extra=openapi.WEBHOOK_POST,
)
async def post_pulse(request: Request) -> Response:
    """Takes {event_type, data, time}, signed; answers when the log has it."""
    return await _take(request, "pulse")


@router.post(
    "/emergence",
    status_code=ACCEPTED_STATUS,
    summary="Either of the two, by its event_type",
    responses=openapi.WEBHOOK_RESPONSES,
    openapi_extra=openapi.WEBHOOK_POST,
)
async def post_emergence(request: Request) -> Response:
    """Takes {event_type, data, time}, signed; answers when the log has it."""
    return await _take(request, "emergence")


async def _take(request: Request, via: str) -> Response:
    backend = backend_of(request)
    is_unsigned = webhooks.is_unsigned(request.headers) and bool(backend.unsigned_tenant)
    stamp = None if is_unsigned else webhooks.read_stamp(request.headers)
    if is_unsigned:
        open_tenant.require_home(request)
    refuse_query(request)
    require_json(request)
    with backend.budget.open() as share:
        body = await read_body(request, share, bytes_max=WEBHOOK_BYTES_MAX)
        tenant = backend.unsigned_tenant if stamp is None else backend.verifier.tenant(stamp, body)
        backend.limits.take_request(f"webhook {tenant}")
        if stamp is None:
            return await _append(backend, body, tenant=tenant, via=via)
        backend.deliveries.begin(tenant, stamp)
        try:
            return await _append(
                backend, body, tenant=tenant, via=via, delivery_id=stamp.delivery_id
            )
        except BaseException:
            # Not known to be taken: the sender may, and should, send it again.
            backend.deliveries.forget(tenant, stamp)
            raise


async def _append(
    backend: Backend, body: bytes, *, tenant: str, via: str, delivery_id: str = ""
) -> Response:
    try:
        record = node_events.to_record(
            exact_json.read(body),
            tenant=tenant,
            delivery_id=delivery_id or new_id("dlv"),
            received_via=via,
            partitions=backend.log.partitions,
        )
    except RefusedEvent as error:
        raise refused_event(error) from error
    (offset,) = await backend.log.append([record])
    return JSONResponse(
        {"status": "accepted", "partition": record.partition, "offset": offset},
        status_code=ACCEPTED_STATUS,
    )
