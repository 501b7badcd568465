"""/charges: what waits for approval, its approval, and what was delivered for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.cursors import CursorPart, from_cursor, moment_and_text, to_cursor
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep, get_admin
from api.parameters import ChargeParameters, read_id, refuse_query
from api.representations import ListRepresentation
from api.representations_books import (
    ChargeRepresentation,
    DeliverableRepresentation,
    to_representation_charge,
    to_representation_deliverable,
)
from api.routes.common import (
    COMMAND_RESPONSES,
    COUNT_MAX,
    FIND_RESPONSES,
    READ_RESPONSES,
    act,
    count_field,
    new_router,
    object_body,
    optional_text,
    present,
    text_field,
)
from domain.canonical import Json
from domain.codes import Code
from domain.fields import Fields
from domain.period import time_text
from projections.queries import charges
from projections.queries.charges import Charge, ChargeKey
from projections.queries.connection import tenant_connection
from runtime.web.authentication import Caller
from runtime.web.openapi import problem_response
from runtime.web.problems import Problem, ProblemError, not_found

router = new_router("charges")
_KIND = "charges"
_CHARGED = frozenset({"captured", "delivered"})
"""Statuses in which the deliverables may be read (S0-34): paid for, and not given back."""
_ACTION_RESPONSES = {
    **COMMAND_RESPONSES,
    402: problem_response("The wallet does not hold enough credits"),
}
SIZE_BYTES_MAX = 2**53
"""Largest deliverable: what a number of JSON holds exactly everywhere."""
_REASON = {"reason": text_field("Why, for people; the customer may read it")}


class ChargeCall:
    """A call about one charge; FastAPI makes it of a request.

    Args:
        request: The request; its body is read by `fields`.
        backend: Where commands go.
        caller: Who asks.
        idempotency_key: Their key of this call.
        charge: Id of the charge.
    """

    def __init__(
        self,
        request: Request,
        backend: BackendDep,
        caller: CallerDep,
        idempotency_key: IdempotencyKeyDep,
        charge: str,
    ) -> None:
        self._request = request
        self._backend = backend
        self._caller = caller
        self._idempotency_key = idempotency_key
        self._charge = charge

    async def fields(self, *names: str) -> Fields:
        """Return the body, which may have these fields."""
        fields = await read_object(self._request)
        fields.only(names)
        return fields

    async def send(self, action: str, kind: str, body: Mapping[str, Json]) -> ChargeRepresentation:
        """Send the command and return the charge as it is then.

        Args:
            action: Last word of the address.
            kind: Command name.
            body: Its fields beside the charge.

        Raises:
            ProblemError: The books' refusal, or command_timeout.
        """
        charge = read_id(self._charge)
        await act(
            self._backend,
            self._caller,
            operation=f"POST /charges/{action}",
            idempotency_key=self._idempotency_key,
            kind=kind,
            body={"charge": charge, **body},
        )
        found = await run_in_threadpool(_find, self._backend, self._caller, charge)
        return to_representation_charge(found)

    async def send_with_reason(self, action: str, kind: str) -> ChargeRepresentation:
        """Send a command that takes nothing but a reason."""
        fields = await self.fields("reason")
        return await self.send(action, kind, {"reason": fields.text("reason")})


CallDep = Annotated[ChargeCall, Depends()]


@router.get("/charges", responses=READ_RESPONSES, summary="Charges, the newest first")
def list_charges(
    backend: BackendDep, caller: CallerDep, parameters: Annotated[ChargeParameters, Query()]
) -> ListRepresentation[ChargeRepresentation]:
    """All charges of the tenant; `status=requested` are those that wait for approval."""
    after = from_cursor(parameters.cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = charges.list_charges(
            connection,
            limit=parameters.limit,
            after=after,
            status=parameters.status.value if parameters.status else None,
            customer=parameters.customer,
            project=parameters.project,
        )
    last = page.rows[-1] if page.has_more else None
    return ListRepresentation(
        data=[to_representation_charge(charge) for charge in page.rows],
        has_more=page.has_more,
        next_cursor=to_cursor(_KIND, time_text(last.requested_at), last.charge) if last else None,
    )


@router.get(
    "/charges/{charge}",
    responses=FIND_RESPONSES,
    summary="One charge",
    dependencies=[Depends(refuse_query)],
)
def get_charge(backend: BackendDep, caller: CallerDep, charge: str) -> ChargeRepresentation:
    """One charge with its evidence."""
    return to_representation_charge(_find(backend, caller, read_id(charge)))


@router.get(
    "/charges/{charge}/deliverables",
    responses={**FIND_RESPONSES, 409: problem_response("It is not charged (S0-34)")},
    summary="What was delivered for a charge",
    dependencies=[Depends(refuse_query)],
)
def list_deliverables(
    backend: BackendDep, caller: CallerDep, charge: str
) -> ListRepresentation[DeliverableRepresentation]:
    """References to the deliverables, once the credits are deducted and not given back."""
    found = _find(backend, caller, read_id(charge))
    if found.status not in _CHARGED:
        raise ProblemError(
            Problem(
                409,
                Code.NOT_CHARGED,
                f"The charge is {found.status}; what it delivers is there after the capture",
                param="charge",
            )
        )
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        rows = charges.list_deliverables(connection, charge=found.charge)
    return ListRepresentation(
        data=[to_representation_deliverable(row) for row in rows], has_more=False, next_cursor=None
    )


@router.post(
    "/charges/{charge}/approve",
    responses=_ACTION_RESPONSES,
    summary="Approve a charge",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer": text_field("Refuse, if the charge is another customer's"),
            "capture": {
                "type": "boolean",
                "description": "Whether the credits are deducted at once; false only holds them",
            },
        },
        example={"customer": "customer-1"},
    ),
)
async def approve_charge(call: CallDep) -> ChargeRepresentation:
    """Holds the credits and, unless `capture` is false, deducts them and issues the receipt."""
    fields = await call.fields("customer", "capture")
    body = present(
        customer=optional_text(fields, "customer"),
        capture=fields.boolean("capture", default=True),
    )
    return await call.send("approve", "ApproveCharge", body)


@router.post(
    "/charges/{charge}/decline",
    responses=COMMAND_RESPONSES,
    summary="Decline a charge",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"customer": text_field("Refuse, if the charge is another customer's"), **_REASON},
        example={"reason": "not needed"},
    ),
)
async def decline_charge(call: CallDep) -> ChargeRepresentation:
    """The customer does not want it; held credits are free again."""
    fields = await call.fields("customer", "reason")
    body = present(
        customer=optional_text(fields, "customer"), reason=optional_text(fields, "reason")
    )
    return await call.send("decline", "DeclineCharge", body)


@router.post(
    "/charges/{charge}/capture",
    responses=_ACTION_RESPONSES,
    summary="Deduct the held credits of an approved charge",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body({}, example={}),
)
async def capture_charge(call: CallDep) -> ChargeRepresentation:
    """The second step after an approval with `capture: false`."""
    await call.fields()
    return await call.send("capture", "CaptureCharge", {})


@router.post(
    "/charges/{charge}/release",
    responses=COMMAND_RESPONSES,
    summary="Give back the held credits of an approved charge",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(_REASON, required=("reason",), example={"reason": "out of stock"}),
)
async def release_charge(call: CallDep) -> ChargeRepresentation:
    """The work is not charged after all; what was not captured costs nothing."""
    return await call.send_with_reason("release", "ReleaseCharge")


@router.post(
    "/charges/{charge}/refund",
    responses=COMMAND_RESPONSES,
    summary="Refund a charge, whole or in part (billing:admin)",
    dependencies=[Depends(refuse_query), Depends(get_admin)],
    openapi_extra=object_body(
        {"credits": count_field("How many; all that is left, when not given"), **_REASON},
        required=("reason",),
        example={"credits": 10, "reason": "goodwill"},
    ),
)
async def refund_charge(call: CallDep) -> ChargeRepresentation:
    """Gives credits back and issues a receipt; never more than was charged (S0-R18)."""
    fields = await call.fields("credits", "reason")
    body = present(
        credits=fields.integer("credits", minimum=1, maximum=COUNT_MAX)
        if "credits" in fields.values
        else None,
        reason=fields.text("reason"),
    )
    return await call.send("refund", "RefundCharge", body)


@router.post(
    "/charges/{charge}/deliverables",
    responses=COMMAND_RESPONSES,
    summary="Register a deliverable",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "name": text_field("Its name within the charge"),
            "kind": text_field("What it is, for example DXF"),
            "uri": {"type": "string", "description": "Where it is"},
            "sha256": text_field("SHA-256 of its bytes, 64 hex digits"),
            "bytes": count_field("How long it is", minimum=0),
        },
        required=("name", "kind", "uri", "sha256", "bytes"),
        example={
            "name": "plan.dxf",
            "kind": "DXF",
            "uri": "https://files.example/plan.dxf",
            "sha256": "0" * 64,
            "bytes": 1024,
        },
    ),
)
async def register_deliverable(call: CallDep) -> ChargeRepresentation:
    """Notes where a deliverable is and its hash; the customer reads it after the charge."""
    fields = await call.fields("name", "kind", "uri", "sha256", "bytes")
    body: dict[str, Json] = {
        "deliverable": {
            "name": fields.text("name"),
            "kind": fields.text("kind"),
            "uri": fields.document("uri"),
            "sha256": fields.text("sha256"),
            "bytes": fields.integer("bytes", minimum=0, maximum=SIZE_BYTES_MAX),
        }
    }
    return await call.send("deliverables", "RegisterDeliverable", body)


@router.post(
    "/charges/{charge}/deliver",
    responses=COMMAND_RESPONSES,
    summary="Say that everything was delivered",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body({}, example={}),
)
async def deliver_charge(call: CallDep) -> ChargeRepresentation:
    """The end of a charge that went well; it needs to be captured."""
    await call.fields()
    return await call.send("deliver", "MarkDelivered", {})


@router.post(
    "/charges/{charge}/fail",
    responses=COMMAND_RESPONSES,
    summary="Say that the output could not be made; refunds by itself",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(_REASON, required=("reason",), example={"reason": "render failed"}),
)
async def fail_charge(call: CallDep) -> ChargeRepresentation:
    """Gives all credits back without anybody's asking (S0-66, S0-R18)."""
    return await call.send_with_reason("fail", "FailDelivery")


def _find(backend: Backend, caller: Caller, charge: str) -> Charge:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = charges.find_charge(connection, charge=charge)
    if found is None:
        raise not_found()
    return found


def _to_key(parts: Sequence[CursorPart]) -> ChargeKey:
    requested_at, charge = moment_and_text(parts)
    return ChargeKey(requested_at=requested_at, charge=charge)
