"""GET and POST /customers/{customer}/details: personal data, for keys with billing:personal."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.backend import Backend
from api.bodies import read_object
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import read_id, refuse_query
from api.personal import find_opened, has_customer
from api.representations_personal import DetailsRepresentation, to_representation_details
from api.routes.common import (
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    Responses,
    act,
    new_router,
    object_body,
    present,
)
from domain.codes import Code
from domain.derived_ids import derived_id
from runtime.vault.details import (
    LENGTH_MAX,
    LINE_LENGTH_MAX,
    LINES_MAX,
    PLACE_LENGTH_MAX,
    POSTAL_CODE_LENGTH_MAX,
    PersonalDetails,
    read_details,
)
from runtime.vault.vault import Sealed, require_vault
from runtime.web.authentication import Caller
from runtime.web.openapi import problem_response
from runtime.web.problems import Problem, ProblemError, not_found
from runtime.web.scopes import Scope

router = new_router("customers")
_OPERATION = "POST /customers/details"
_VAULT_RESPONSES: Responses = {
    410: problem_response("The customer was erased"),
    501: problem_response("This installation takes no personal data"),
}


def get_insider(caller: CallerDep) -> Caller:
    """This function will return the caller, if it may see personal data.

    Raises:
        ProblemError: unauthenticated, or scope_missing.
    """
    caller.require(Scope.BILLING_PERSONAL)
    return caller


InsiderDep = Annotated[Caller, Depends(get_insider)]


def _text(length_max: int, description: str) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": length_max,
        "description": description,
    }


_ADDRESS = {
    "type": "object",
    "required": ["lines", "city", "country"],
    "additionalProperties": False,
    "properties": {
        "lines": {
            "type": "array",
            "minItems": 1,
            "maxItems": LINES_MAX,
            "items": _text(LINE_LENGTH_MAX, "Street and the like"),
        },
        "city": _text(PLACE_LENGTH_MAX, "City"),
        "region": {"type": "string", "maxLength": PLACE_LENGTH_MAX},
        "postal_code": {"type": "string", "maxLength": POSTAL_CODE_LENGTH_MAX},
        "country": {"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166-1"},
    },
}


@router.get(
    "/customers/{customer}/details",
    responses=FIND_RESPONSES,
    summary="Personal details of a customer",
    dependencies=[Depends(refuse_query)],
)
def get_details(
    response: Response, backend: BackendDep, caller: InsiderDep, customer: str
) -> DetailsRepresentation:
    """What is known of the person, or that it was erased. Needs billing:personal.

    This is also the export of their data: nothing else about the person is kept.
    """
    response.headers["Cache-Control"] = "no-store"
    return _shown(backend, caller, read_id(customer))


@router.post(
    "/customers/{customer}/details",
    responses=COMMAND_RESPONSES | _VAULT_RESPONSES,
    summary="Set a customer's personal details",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "name": _text(LENGTH_MAX["name"], "Name of a person or a firm"),
            "email": _text(LENGTH_MAX["email"], "E-mail address; one customer each"),
            "phone": _text(LENGTH_MAX["phone"], "Phone number"),
            "tax_id": _text(LENGTH_MAX["tax_id"], "VAT or other tax number"),
            "address": _ADDRESS,
        },
        example={"name": "Ada Lovelace", "email": "ada@example.com"},
    ),
)
async def set_details(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: InsiderDep,
    idempotency_key: IdempotencyKeyDep,
    customer: str,
) -> DetailsRepresentation:
    """Says all that is known from now on; a field that is left out is not known any more.

    Values are sealed before they leave this process, with a key of this customer alone. Needs
    billing:personal beside billing:write.
    """
    customer = read_id(customer)
    details = read_details(await read_object(request))
    sealed = await run_in_threadpool(_sealed, backend, caller, customer, details, idempotency_key)
    await act(
        backend,
        caller,
        operation=_OPERATION,
        idempotency_key=idempotency_key,
        kind="SetCustomerDetails",
        body=present(
            customer=customer,
            sealed=dict(sealed.texts),
            email_digest=sealed.email_digest or None,
        ),
    )
    response.headers["Cache-Control"] = "no-store"
    return await run_in_threadpool(_shown, backend, caller, customer)


def _sealed(
    backend: Backend, caller: Caller, customer: str, details: PersonalDetails, key: str
) -> Sealed:
    """Seal for a customer who is there: a key for somebody else's typing error is never made."""
    vault = require_vault(backend.vault)
    if not has_customer(backend.engine, tenant=caller.tenant, customer=customer):
        raise ProblemError(
            Problem(
                404, Code.CUSTOMER_UNKNOWN, "The tenant has no such customer", param="customer"
            )
        )
    # The same command seals to the same texts, so that a repeated request is a repeat.
    context = derived_id("cmd", caller.tenant, _OPERATION, key)
    return vault.seal(tenant=caller.tenant, customer=customer, details=details, context=context)


def _shown(backend: Backend, caller: Caller, customer: str) -> DetailsRepresentation:
    opened = find_opened(backend.engine, backend.vault, tenant=caller.tenant, customer=customer)
    if opened is None:
        raise not_found()
    return to_representation_details(customer, opened)
