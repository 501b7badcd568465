"""Suspicions: what looked like misuse, to be looked into and closed with a note."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.console.bodies import read_form
from api.console.navigation import BASE_PATH
from api.console.pages.common import ROWS, Message, act, after_moment, next_moment
from api.console.rendering import render
from api.console.routing import new_router
from api.console.session import ConsoleCallerDep
from api.dependencies import BackendDep
from api.parameters import read_id
from projections.queries import suspicions
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import not_found
from runtime.web.scopes import Scope

router = new_router()
_KIND = "console-suspicions"
NOTE_LENGTH_MAX = 500
"""Characters of a note; what is longer belongs into a case file."""


@router.get(f"{BASE_PATH}/suspicions")
def list_suspicions(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """Open suspicions, and all others; an admin's, as in the API (S0-62)."""
    caller.require(Scope.BILLING_ADMIN)
    return _list(request, backend, caller, None)


@router.post(f"{BASE_PATH}/suspicions/{{suspicion}}/close")
async def close(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, suspicion: str
) -> Response:
    """Close a suspicion; only an admin may (S0-62), and has to say why."""
    caller.require(Scope.BILLING_ADMIN)
    form = await read_form(request)
    note = form.get("note", "").strip()
    if not 1 <= len(note) <= NOTE_LENGTH_MAX:
        message = Message(
            f"A note of 1 to {NOTE_LENGTH_MAX} characters says what was found.",
            kind="bad",
            code="invalid_request",
            status=400,
        )
        return await run_in_threadpool(_list, request, backend, caller, message)
    await run_in_threadpool(_require, backend, caller, suspicion)
    message = await act(
        backend,
        caller,
        kind="CloseSuspicion",
        body={"suspicion": suspicion, "note": note},
        done="Closed.",
    )
    return await run_in_threadpool(_list, request, backend, caller, message)


def _require(backend: Backend, caller: Caller, suspicion: str) -> None:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = suspicions.find_suspicion(connection, suspicion=read_id(suspicion))
    if found is None:
        raise not_found()


def _list(request: Request, backend: Backend, caller: Caller, message: Message | None) -> Response:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        waiting = suspicions.list_suspicions(connection, limit=ROWS, after=None, is_open=True)
        closed = suspicions.list_suspicions(
            connection, limit=ROWS, after=after_moment(request, _KIND), is_open=False
        )
    return render(
        request,
        "suspicions.html",
        caller=caller,
        place="suspicions",
        status=message.status if message else 200,
        message=message,
        waiting=waiting,
        closed=closed.rows,
        after=next_moment(closed, _KIND, lambda row: (row.raised_at, row.suspicion)),
        note_length_max=NOTE_LENGTH_MAX,
    )
