"""Customers, their wallets, and their receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from api import receipt_pdf
from api.backend import Backend
from api.console.navigation import BASE_PATH
from api.console.pages.approvals import STATES
from api.console.pages.common import ROWS
from api.console.rendering import render
from api.console.routing import new_router
from api.console.security import HEADERS
from api.console.session import ConsoleCallerDep
from api.cursors import CursorPart, from_cursor, integer, text, to_cursor
from api.dependencies import BackendDep
from api.parameters import read_id
from domain.canonical import from_json
from projections.queries import (
    analytics,
    charges,
    customers,
    emergence,
    receipts,
    wallets,
)
from projections.queries.analytics_values import CustomerKey
from projections.queries.connection import tenant_connection
from projections.queries.receipts import Receipt
from runtime.web.authentication import Caller
from runtime.web.problems import not_found

router = new_router()
_KIND = "console-customers"


@router.get(f"{BASE_PATH}/customers")
def list_customers(request: Request, backend: BackendDep, caller: ConsoleCallerDep) -> Response:
    """Customers by lifetime value."""
    cursor = request.query_params.get("after")
    after = from_cursor(cursor, kind=_KIND, make=_to_key)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        page = analytics.customer_figures(connection, limit=ROWS, after=after)
    last = page.rows[-1] if page.has_more else None
    return render(
        request,
        "customers.html",
        caller=caller,
        place="customers",
        customers=page.rows,
        after=to_cursor(_KIND, last.currency, last.spent_minor, last.customer) if last else None,
    )


@router.get(f"{BASE_PATH}/customers/one")
def get_customer(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, customer: str
) -> Response:
    """One customer: its wallet, and everything that moved it. The newest rows of each list."""
    name = read_id(customer)
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = customers.find_customer(connection, customer=name)
        if found is None:
            raise not_found()
        figures = analytics.customer_figures(connection, limit=1, customer=name)
        values: dict[str, Any] = {
            "wallet": wallets.find_wallet(connection, customer=name),
            "postings": wallets.list_postings(
                connection, customer=name, limit=ROWS, after=None
            ).rows,
            "transactions": wallets.list_transactions(
                connection, limit=ROWS, after=None, customer=name
            ).rows,
            "charges": charges.list_charges(
                connection, limit=ROWS, after=None, customer=name
            ).rows,
            "receipts": receipts.list_receipts(
                connection, limit=ROWS, after=None, customer=name
            ).rows,
            "projects": emergence.list_projects(
                connection, limit=ROWS, after=None, customer=name
            ).rows,
            "preferences": analytics.preferences(connection, customer=name),
        }
    return render(
        request,
        "customer.html",
        caller=caller,
        place="customers",
        customer=found,
        figures=figures.rows[0],
        states=STATES,
        **values,
    )


@router.get(f"{BASE_PATH}/receipts/{{number}}")
def get_receipt(
    request: Request, backend: BackendDep, caller: ConsoleCallerDep, number: str
) -> Response:
    """One receipt, as the books wrote it."""
    found = _receipt(backend, caller, number)
    content = from_json(found.content)
    return render(
        request,
        "receipt.html",
        caller=caller,
        place="customers",
        receipt=found,
        content=content if isinstance(content, Mapping) else {},
    )


@router.get(f"{BASE_PATH}/receipts/{{number}}/pdf")
def get_receipt_pdf(backend: BackendDep, caller: ConsoleCallerDep, number: str) -> Response:
    """The same receipt as a page to print and to keep."""
    found = _receipt(backend, caller, number)
    return Response(
        receipt_pdf.render(found),
        media_type="application/pdf",
        headers={
            **HEADERS,
            "Content-Disposition": f'attachment; filename="{found.receipt}.pdf"',
        },
    )


def _receipt(backend: Backend, caller: Caller, number: str) -> Receipt:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = receipts.find_receipt(connection, receipt=read_id(number))
    if found is None:
        raise not_found()
    return found


def _to_key(parts: Sequence[CursorPart]) -> CustomerKey:
    currency, spent, customer = parts
    return CustomerKey(
        currency=text(currency), spent_minor=integer(spent), customer=text(customer)
    )
