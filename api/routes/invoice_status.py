"""PUT /invoices/{invoice}: what becomes of an invoice, said as the status it shall have (S4-30).

Of a final invoice nothing changes but that: paid records the payment of what is open, void takes
it back. What it says stays byte for byte.
"""

from __future__ import annotations

from enum import StrEnum

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import read_id, refuse_query
from api.representations_invoices import InvoiceDocumentRepresentation
from api.routes.common import COMMAND_RESPONSES, calling, new_router, object_body, text_field
from api.routes.invoices import ask_for_void, find
from api.routes.payments import ask_for_payment
from domain.canonical import Json
from domain.codes import Code
from domain.fields import Fields
from runtime.web.authentication import Caller
from runtime.web.problems import ProblemError

router = new_router("invoices")


class Settled(StrEnum):
    """The statuses that somebody can give an invoice; the others come by themselves."""

    PAID = "paid"
    VOID = "void"


@router.put(
    "/invoices/{invoice}",
    responses=COMMAND_RESPONSES,
    summary="Say that an invoice is paid, or void it (billing:admin)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "status": {"type": "string", "enum": list(Settled)},
            "method": text_field("How the money came; manual when absent"),
            "reason": text_field("Why it is void, for the record"),
        },
        required=("status",),
        example={"status": "paid", "method": "wire"},
    ),
)
async def put_invoice(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    invoice: str,
    idempotency_key: IdempotencyKeyDep,
) -> InvoiceDocumentRepresentation:
    """As POST …/payments of all that is open, or POST …/void; paid twice changes nothing."""
    fields = await read_object(request)
    fields.only(("status", "method", "reason"))
    return await settle(
        backend,
        caller,
        idempotency_key,
        invoice=read_id(invoice),
        status=Settled(fields.choice("status", Settled)),
        method=fields.text("method", default="manual"),
        reason=fields.text("reason", default="voided"),
    )


async def settle(
    backend: Backend,
    caller: Caller,
    idempotency_key: str,
    *,
    invoice: str,
    status: Settled,
    method: str,
    reason: str,
) -> InvoiceDocumentRepresentation:
    """This function will have an invoice paid in full, or voided.

    Args:
        backend: Where commands go.
        caller: Who asks; voiding needs an admin.
        idempotency_key: Of this wish.
        invoice: Id or number.
        status: Which of the two.
        method: How the money came.
        reason: Why it is void.
    """
    if status is Settled.VOID:
        return await ask_for_void(backend, caller, idempotency_key, invoice=invoice, reason=reason)
    found = await run_in_threadpool(find, backend, caller, invoice)
    if found.status == Settled.PAID:
        return found
    wished: dict[str, Json] = {"amount_minor": found.open.amount_minor, "method": method}
    try:
        with calling({"amount_minor": "status"}):
            await ask_for_payment(
                backend,
                caller,
                idempotency_key,
                invoice=invoice,
                wished=Fields("body", wished, Code.INVALID_REQUEST),
                is_exact=True,
            )
    except ProblemError:
        # Somebody said the same at the same time: paid twice is paid once.
        found = await run_in_threadpool(find, backend, caller, invoice)
        if found.status != Settled.PAID:
            raise
        return found
    return await run_in_threadpool(find, backend, caller, invoice)
