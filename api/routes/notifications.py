"""/notifications: what customers are told, as a list and as it happens (S0-50, S0-69)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.backend import Backend
from api.cursors import from_cursor, moment_and_text, to_cursor
from api.dependencies import BackendDep, CallerDep
from api.live import Listener
from api.parameters import CustomerParameters, StreamParameters
from api.representations import ListRepresentation
from api.representations_books import NotificationRepresentation, to_representation_notification
from api.routes.common import READ_RESPONSES, new_router
from domain.errors import Retryable
from domain.period import time_text
from projections.queries import notifications
from projections.queries.connection import tenant_connection
from projections.queries.notifications import Notification
from projections.queries.paging import PAGE_ROWS_MAX
from runtime import clock
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError
from runtime.web.scopes import Scope

router = new_router("notifications")
_KIND = "notifications"
HEARTBEAT_S = 15
"""Time between two signs of life, seconds: below the idle time-out of any proxy."""
STREAM_S_MAX = 3600
"""How long one stream lasts, seconds: then the client comes again. Its key is asked for
before each look, as for a new request."""
EVENT_STREAM = "text/event-stream"
Place = tuple[datetime, str]
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@router.get("/notifications", responses=READ_RESPONSES, summary="Notices, the newest first")
def list_notifications(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[CustomerParameters, Query()]
) -> ListRepresentation[NotificationRepresentation]:
    """All notices of the tenant, or to one customer."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=moment_and_text)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = notifications.list_notifications(
            connection, limit=parameters.limit, after=after, customer=parameters.customer
        )
    return ListRepresentation(
        data=[to_representation_notification(notice) for notice in page.rows],
        has_more=page.has_more,
        next_cursor=_to_cursor(page.rows[-1]) if page.has_more else None,
    )


@router.get(
    "/notifications/stream",
    response_class=StreamingResponse,
    responses={
        **READ_RESPONSES,
        200: {
            "description": "Server-sent events, `event: notification`, until the client leaves",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
    },
    summary="Notices as they come",
)
async def stream_notifications(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    parameters: Annotated[StreamParameters, Query()],
) -> StreamingResponse:
    """Server-sent events; `Last-Event-ID` goes on where an earlier stream has ended."""
    last_id = request.headers.get("last-event-id", "")
    since = from_cursor(last_id, kind=_KIND, make=moment_and_text)
    if since is None:
        since = await run_in_threadpool(_newest, backend, caller.tenant, parameters.customer)
    # Before the answer begins: a place that is not free is a 503 and no broken stream.
    listener = backend.live.listen(caller.tenant)
    stream = NoticeStream(
        listener,
        look=partial(_look, backend, caller.tenant, parameters.customer),
        ask_again=lambda: backend.authenticator.caller_of(request),
    )
    return StreamingResponse(stream.events(since), media_type=EVENT_STREAM)


class NoticeStream:
    """One client's stream; looks as its own tenant whenever something was projected.

    Args:
        listener: Wakes it.
        look: Returns notices after a place, at most PAGE_ROWS_MAX; blocks, so it runs in a thread.
        ask_again: Whom the request speaks for now; a revoked key ends the stream.
    """

    def __init__(
        self,
        listener: Listener,
        *,
        look: Callable[[Place], tuple[Notification, ...]],
        ask_again: Callable[[], Awaitable[Caller]],
    ) -> None:
        self._listener = listener
        self._look = look
        self._ask_again = ask_again
        self._shown: set[str] = set()
        """Notices of the last moment that were sent: another of that moment may be projected
        later, and its id, by which notices of one moment go, may be smaller."""

    async def events(self, place: Place) -> AsyncIterator[str]:
        """Yield what comes after a place, and a comment now and then as a sign of life."""
        begun_ms = said_ms = clock.monotonic_ms()
        with self._listener as listener:
            yield "retry: 2000\n\n"
            while (now_ms := clock.monotonic_ms()) - begun_ms < STREAM_S_MAX * 1000:
                if not await self._may_go_on():
                    return
                rows = await self._rows(place)
                for notice in rows:
                    if notice.notification not in self._shown:
                        place = self._after(place, notice)
                        said_ms = now_ms
                        yield _to_event(notice)
                # Others' news wake a stream, too: without a look at the time a quiet one in a busy
                # system would be silent for good.
                if now_ms - said_ms >= HEARTBEAT_S * 1000:
                    said_ms = now_ms
                    yield ": still here\n\n"
                if len(rows) < PAGE_ROWS_MAX:
                    await listener.changed(HEARTBEAT_S)

    async def _rows(self, place: Place) -> tuple[Notification, ...]:
        # More of one moment than a page holds are paged by their ids alone.
        since = (place[0], "") if 0 < len(self._shown) < PAGE_ROWS_MAX else place
        try:
            return await run_in_threadpool(self._look, since)
        except Retryable:
            return ()  # the database is away for now; the stream need not be

    def _after(self, place: Place, notice: Notification) -> Place:
        if notice.booked_at != place[0]:
            self._shown = set()
        self._shown.add(notice.notification)
        return notice.booked_at, max(notice.notification, *self._shown)

    async def _may_go_on(self) -> bool:
        try:
            (await self._ask_again()).require(Scope.BILLING_READ)
        except ProblemError:
            return False
        except Retryable:
            return True  # nobody can be asked, and nothing can be read, either
        return True


def _newest(backend: Backend, tenant: str, customer: str | None) -> Place:
    """Return the place of the newest notice.

    A stream begins there and not at a time: notices bear the broker's time, not ours, and those
    of a moment ago may not be projected yet.
    """
    with tenant_connection(backend.engine, tenant=tenant) as connection:
        rows = notifications.list_notifications(
            connection, limit=1, after=None, customer=customer
        ).rows
    return (rows[0].booked_at, rows[0].notification) if rows else (_BEGINNING, "")


def _look(
    backend: Backend, tenant: str, customer: str | None, place: Place
) -> tuple[Notification, ...]:
    with tenant_connection(backend.engine, tenant=tenant) as connection:
        return notifications.list_notifications_since(
            connection, limit=PAGE_ROWS_MAX, since=place, customer=customer
        ).rows


def _to_cursor(notice: Notification) -> str:
    return to_cursor(_KIND, time_text(notice.booked_at), notice.notification)


def _to_event(notice: Notification) -> str:
    # JSON without line breaks, so one data line holds it.
    data = to_representation_notification(notice).model_dump_json()
    return f"id: {_to_cursor(notice)}\nevent: notification\ndata: {data}\n\n"
