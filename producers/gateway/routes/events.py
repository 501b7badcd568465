"""POST /api/v1/events: CloudEvents in three forms, and framed batches of the SDK."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Retryable
from producers.gateway import bodies, cloudevents, cloudevents_fast, frames, openapi
from producers.gateway.candidates import RefusedEvent
from producers.gateway.exchange import (
    Arrival,
    accepted,
    answer_post,
    backend_of,
    refuse_query,
    refused_event,
)
from producers.gateway.judging import ACCEPTED, DUPLICATE, REJECTED, Judge, Judgement, Place
from producers.gateway.log import OK, RETRY_AFTER_MS
from producers.gateway.repeats import Answer
from producers.gateway.traces import read_traceparents
from runtime import clock
from runtime.metrics import GATEWAY_EVENTS
from runtime.web.exact_json import Exact
from runtime.web.problems import invalid
from runtime.web.scopes import Scope
from schemas.topics import USAGE_EVENTS

ATOMIC_HEADER = "Tidegauge-Atomic"
BACKFILL_HEADER = "Tidegauge-Backfill"

router = APIRouter(prefix="/api/v1/events", tags=["events"], redirect_slashes=False)


@router.post(
    "",
    status_code=202,
    summary="Report usage events",
    responses=openapi.POST_RESPONSES,
    openapi_extra=openapi.EVENTS_POST,
)
async def post_events(request: Request) -> Response:
    """Takes 1 to 1,000 CloudEvents, or one framed batch; answers when the log has them."""
    if bodies.media_type(request).name == frames.MEDIA_TYPE:
        return await answer_post(
            request, _take_frame, operation="frame", bytes_max=USAGE_EVENTS.message_bytes_max
        )
    return await answer_post(request, _take_cloudevents, operation="events")


@router.get(
    "/partitions",
    summary="How many partitions customers are spread over",
    responses=openapi.GET_RESPONSES,
    openapi_extra=openapi.KEYED,
)
async def get_partitions(request: Request) -> Response:
    """For producers that make framed batches: a batch holds customers of one partition."""
    backend = backend_of(request)
    await backend.authenticator.caller_of(request)
    refuse_query(request)
    if backend.log.state() != OK:
        raise Retryable(Code.NOT_READY, "The log is not ready", retry_after_ms=RETRY_AFTER_MS)
    return JSONResponse({"topic": USAGE_EVENTS.name, "partitions": backend.log.partitions})


async def _take_frame(arrival: Arrival) -> Answer:
    backend, caller = arrival.backend, arrival.caller
    frame = frames.read_frame(
        arrival.body,
        caller=caller,
        partitions=backend.log.partitions,
        traceparents=read_traceparents(arrival.request.headers),
    )
    backend.limits.take_events(caller.key_id, frame.events)
    (offset,) = await backend.log.append([frame.record])
    GATEWAY_EVENTS.labels(status=ACCEPTED).inc(frame.events)
    return accepted({"partition": frame.record.partition, "offset": offset})


async def _take_cloudevents(arrival: Arrival) -> Answer:
    is_atomic = _flag(arrival.request, ATOMIC_HEADER)
    is_backfill = _flag(arrival.request, BACKFILL_HEADER)
    if is_backfill:
        arrival.caller.require(Scope.USAGE_BACKFILL)
    judgement = _judge(arrival)
    accepted_count = judgement.counts[ACCEPTED]
    if judgement.refused is not None and (is_atomic or not accepted_count):
        raise _nothing_taken(judgement)
    await _append(arrival, judgement, is_backfill=is_backfill)
    document: dict[str, Json] = {
        "accepted": accepted_count,
        "duplicates_in_request": judgement.counts[DUPLICATE],
        "rejected": judgement.counts[REJECTED],
        "results": judgement.results,
    }
    return accepted(document)


def _judge(arrival: Arrival) -> Judgement:
    place = Place(
        tenant=arrival.caller.tenant,
        partitions=arrival.backend.log.partitions,
        now=clock.now(),
    )
    if cloudevents.is_batch(arrival.request):
        judgement = cloudevents_fast.judge_batch(arrival.body, place)
        if judgement is not None:
            return judgement
    return judge_each(cloudevents.read_events(arrival.request, arrival.body), place)


def judge_each(events: list[Exact], place: Place) -> Judgement:
    """This function will judge events one by one, the exact way."""
    judge = Judge(place)
    for event in events:
        try:
            judge.judge(cloudevents.to_candidate(event))
        except RefusedEvent as error:
            judge.refuse(error, event.get("id") if isinstance(event, dict) else None)  # type: ignore[arg-type]  # refuse shows text only
    return judge.judgement


async def _append(arrival: Arrival, judgement: Judgement, *, is_backfill: bool) -> None:
    arrival.backend.limits.take_events(arrival.caller.key_id, judgement.counts[ACCEPTED])
    records = arrival.backend.encoder.records(
        arrival.caller.tenant,
        judgement,
        is_backfill=is_backfill,
        traceparents=read_traceparents(arrival.request.headers),
    )
    if records:
        await arrival.backend.log.append(records)
    judgement.report()


def _nothing_taken(judgement: Judgement) -> Exception:
    refused = tuple(result for result in judgement.results if result["status"] == REJECTED)
    GATEWAY_EVENTS.labels(status=REJECTED).inc(len(refused))
    return refused_event(judgement.refused or RefusedEvent("events", "none"), refused)


def _flag(request: Request, header: str) -> bool:
    value = request.headers.get(header, "false").lower()
    if value not in {"true", "false"}:
        raise invalid(header, "must be true or false")
    return value == "true"
