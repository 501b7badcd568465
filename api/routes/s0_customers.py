"""GET /customers/{customer}: a row of S0's table `customers`, the e-mail address with it (S0-01).

The view of that name in SQL cannot show the address: it lies sealed, and the database has no key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field, WithJsonSchema

from api.dependencies import BackendDep, CallerDep, get_caller
from api.parameters import read_id, refuse_query
from api.personal import find_opened
from api.representations import TIME, Representation
from api.routes.common import FIND_RESPONSES
from domain.period import time_text
from projections.queries import customers, wallets
from projections.queries.connection import tenant_connection
from runtime.web import exact_json
from runtime.web.problems import not_found
from runtime.web.scopes import Scope, allows

router = APIRouter(tags=["s0"], dependencies=[Depends(get_caller)], redirect_slashes=False)

Amount = Annotated[
    Decimal, WithJsonSchema({"type": "number", "description": "Two decimals, exact"})
]


class S0CustomerRepresentation(Representation):
    """A row of S0's customers."""

    id: str
    email: str | None = Field(
        description="Null when nobody told it, the customer was erased, or the key lacks "
        "billing:personal"
    )
    credit_balance: int
    total_spent: Amount
    created_at: str = Field(description=TIME)
    currency: str


@router.get(
    "/customers/{customer}",
    response_model=S0CustomerRepresentation,
    responses=FIND_RESPONSES,
    summary="S0: a customer",
    dependencies=[Depends(refuse_query)],
)
def get_customer(backend: BackendDep, caller: CallerDep, customer: str) -> Response:
    """The fields of S0's table, and the currency; the address for keys with billing:personal."""
    customer = read_id(customer)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = customers.find_customer(connection, customer=customer)
        wallet = wallets.find_wallet(connection, customer=customer)
    if found is None:
        raise not_found()
    opened = (
        find_opened(backend.engine, backend.vault, tenant=caller.tenant, customer=customer)
        if allows(caller.scopes, Scope.BILLING_PERSONAL)
        else None
    )
    spent = None if wallet is None else wallet.total_spent
    document: dict[str, exact_json.Exact] = {
        "id": customer,
        "email": (opened.details.email or None) if opened is not None else None,
        "credit_balance": 0 if wallet is None else wallet.available,
        "total_spent": Decimal("0.00") if spent is None else Decimal(spent.text()),
        "created_at": time_text(found.created_at),
        "currency": found.currency if spent is None else spent.currency,
    }
    return Response(
        exact_json.write(document),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
