"""Charges: those that wait for an approval, all others, and one with its evidence."""

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
from projections.queries import charges, wallets
from projections.queries.charges import Charge, ChargeKey
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.problems import invalid, not_found

router = new_router()
_KIND = "console-charges"
REASON_LENGTH_MAX = 500
STATES: dict[str, str] = {
    "requested": "wait",
    "approved": "wait",
    "captured": "good",
    "delivered": "good",
    "declined": "bad",
    "expired": "calm",
    "withdrawn": "calm",
    "refunded": "bad",
}
"""Status of a charge → how it is coloured; the word itself stands there, too."""


@router.get(f"{BASE_PATH}/approvals")
def list_approvals(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """Charges that wait for an approval, and those that were decided."""
    return _list(request, backend, caller, None)


@router.post(f"{BASE_PATH}/approvals/{{charge}}/approve")
async def approve(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, charge: str
) -> Response:
    """Approve a charge: its credits are deducted."""
    found = await run_in_threadpool(_find, backend, caller, charge)
    message = await act(
        backend,
        caller,
        kind="ApproveCharge",
        body={"charge": found.charge},
        done=f"Approved: {found.name} for {found.customer}.",
    )
    return await run_in_threadpool(_list, request, backend, caller, message)


@router.post(f"{BASE_PATH}/approvals/{{charge}}/decline")
async def decline(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, charge: str
) -> Response:
    """Decline a charge: nothing is deducted."""
    form = await read_form(request)
    reason = form.get("reason", "").strip() or "declined in the console"
    if len(reason) > REASON_LENGTH_MAX:
        raise invalid("reason", f"The reason has more than {REASON_LENGTH_MAX} characters")
    found = await run_in_threadpool(_find, backend, caller, charge)
    message = await act(
        backend,
        caller,
        kind="DeclineCharge",
        body={"charge": found.charge, "reason": reason},
        done=f"Declined: {found.name} for {found.customer}.",
    )
    return await run_in_threadpool(_list, request, backend, caller, message)


@router.get(f"{BASE_PATH}/charges/{{charge}}")
def get_charge(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, charge: str
) -> Response:
    """One charge: what it is for, what it rests on, and what was delivered."""
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = charges.find_charge(connection, charge=read_id(charge))
        if found is None:
            raise not_found()
        page = wallets.list_transactions(connection, limit=ROWS, after=None, charge=found.charge)
        delivered = charges.list_deliverables(connection, charge=found.charge)
    is_charged = found.status in {"captured", "delivered"}  # and not given back (S0-34)
    return render(
        request,
        "charge.html",
        caller=caller,
        place="approvals",
        charge=found,
        states=STATES,
        transactions=page.rows,
        deliverables=delivered if is_charged else (),
        is_charged=is_charged,
    )


def _find(backend: Backend, caller: Caller, charge: str) -> Charge:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = charges.find_charge(connection, charge=read_id(charge))
    if found is None:
        raise not_found()
    return found


def _list(request: Request, backend: Backend, caller: Caller, message: Message | None) -> Response:
    after = after_moment(request, _KIND)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        waiting = charges.list_charges(connection, limit=ROWS, after=None, status="requested")
        every = charges.list_charges(
            connection, limit=ROWS, after=ChargeKey(*after) if after else None
        )
    return render(
        request,
        "approvals.html",
        caller=caller,
        place="approvals",
        status=message.status if message else 200,
        message=message,
        waiting=waiting,
        charges=every.rows,
        after=next_moment(every, _KIND, lambda row: (row.requested_at, row.charge)),
        states=STATES,
    )
