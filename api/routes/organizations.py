"""S3's canonical addresses of what we call customers and payments (S3-48 … S3-50, S3-57, C-02).

An organisation is a customer: one account, one id, one command behind either address. Bodies have
the entity's fields in snake_case (S3-R17).
"""

from __future__ import annotations

from fastapi import Depends, Request, Response

from api.bodies import read_object
from api.dependencies import BackendDep, CallerDep, IdempotencyKeyDep
from api.parameters import read_id, refuse_query
from api.representations_invoices import PaymentRepresentation
from api.representations_subscriptions import (
    OrganizationRepresentation,
    to_representation_organization,
)
from api.routes.common import (
    BASE_PATH,
    COMMAND_RESPONSES,
    FIND_RESPONSES,
    calling,
    new_router,
    object_body,
    text_field,
)
from api.routes.customers import TERMS, ask_for_customer, ask_for_terms, find
from api.routes.payments import PAYMENT, ask_for_payment
from domain.derived_ids import derived_id
from domain.fields import Fields

router = new_router("organizations")


@router.post(
    "/organizations",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Create an organisation: a customer (S3-48)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "id": text_field("Its id, as events name it; no personal data. Made when absent"),
            "currency": text_field("ISO 4217 code; without it the catalogue's"),
            **TERMS,
        },
        example={"id": "org-1", "currency": "USD"},
    ),
)
async def create_organization(
    request: Request,
    response: Response,
    backend: BackendDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyDep,
) -> OrganizationRepresentation:
    """As POST /customers, of which it is another name."""
    fields = await read_object(request)
    fields.only(("id", "currency", *TERMS))
    if "id" in fields.values:
        organization = fields.text("id")
    else:
        organization = derived_id("org", caller.tenant, "POST /organizations", idempotency_key)
    with calling({"customer": "id"}):
        made = await ask_for_customer(
            backend, caller, idempotency_key, customer=organization, wished=fields
        )
    response.headers["Location"] = f"{BASE_PATH}/organizations/{organization}"
    return to_representation_organization(made)


@router.get(
    "/organizations/{organization}",
    responses=FIND_RESPONSES,
    summary="One organisation (S3-49)",
    dependencies=[Depends(refuse_query)],
)
def get_organization(
    backend: BackendDep, caller: CallerDep, organization: str
) -> OrganizationRepresentation:
    """As GET /customers/{customer}."""
    return to_representation_organization(find(backend, caller, read_id(organization)))


@router.put(
    "/organizations/{organization}",
    responses=COMMAND_RESPONSES,
    summary="Change an organisation (S3-50)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(TERMS, example={"due_days": 14, "grace_hours": None}),
)
async def put_organization(
    request: Request,
    backend: BackendDep,
    caller: CallerDep,
    organization: str,
    idempotency_key: IdempotencyKeyDep,
) -> OrganizationRepresentation:
    """As POST /customers/{customer}/terms: what is not named stays, the currency for good."""
    fields = await read_object(request)
    fields.only(TERMS)
    with calling({"customer": "organization"}):
        changed = await ask_for_terms(
            backend, caller, idempotency_key, customer=read_id(organization), wished=fields
        )
    return to_representation_organization(changed)


@router.post(
    "/payments",
    status_code=201,
    responses=COMMAND_RESPONSES,
    summary="Pay an invoice: record its payment (S3-57)",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {"invoice": text_field("Id or number of the invoice"), **PAYMENT},
        required=("invoice", "amount_minor", "method"),
        example={"invoice": "INV-2026-000001", "amount_minor": 10_890, "method": "wire"},
    ),
)
async def create_payment(
    request: Request, backend: BackendDep, caller: CallerDep, idempotency_key: IdempotencyKeyDep
) -> PaymentRepresentation:
    """As POST /invoices/{invoice}/payments, with the invoice in the body."""
    fields = await read_object(request)
    fields.only(("invoice", *PAYMENT))
    given = {name: value for name, value in fields.values.items() if name != "invoice"}
    return await ask_for_payment(
        backend,
        caller,
        idempotency_key,
        invoice=fields.text("invoice"),
        wished=Fields(fields.place, given, fields.code),
    )
