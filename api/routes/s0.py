"""The addresses of system S0 in its own shapes (S0-37 … S0-40): small aliases of what is above.

Amounts are JSON numbers with two decimals, as S0 writes numbers (`"fit_score": 0.95`) and declares
amounts (DECIMAL(10,2)). They are written digit by digit from whole minor units and read as
decimals: no float is made here, and a client that reads them as decimals loses nothing.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field, WithJsonSchema

from api.backend import Backend
from api.bodies import read_form_or_object, read_json_bytes
from api.checks import Checked, check_node, read_report
from api.dependencies import (
    BackendDep,
    CallerDep,
    OptionalKeyDep,
    ReporterDep,
    get_caller,
    get_reporter,
)
from api.parameters import read_id, refuse_query
from api.representations import Representation
from api.routes.common import (
    COMMAND_RESPONSES,
    COUNT_MAX,
    FIND_RESPONSES,
    act,
    calling,
    count_field,
    object_body,
    text_field,
)
from api.routes.emergence import CHECK_BODY, CHECK_RESPONSES
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.emergence.check import Offer
from domain.fields import is_clean_text
from domain.money import Money, minor_unit_places
from projections.queries import charges, wallets
from projections.queries.catalogues import catalogue_in_force
from projections.queries.charges import Charge
from projections.queries.connection import tenant_connection
from projections.queries.wallets import Wallet
from runtime import clock
from runtime.ids import new_id
from runtime.web import exact_json
from runtime.web.authentication import Caller
from runtime.web.exact_json import Exact
from runtime.web.openapi import problem_response
from runtime.web.problems import Problem, ProblemError, invalid, not_found

router = APIRouter(tags=["s0"], dependencies=[Depends(get_caller)], redirect_slashes=False)
reports = APIRouter(tags=["s0"], dependencies=[Depends(get_reporter)], redirect_slashes=False)

FRESH_MS = 5_000
"""How long /billing/process waits for the charge of an event that was detected a moment ago, ms:
from the report's acknowledgement to the charge in the tables it takes well below one second."""
LOOK_MS = 50

Amount = Annotated[
    Decimal, WithJsonSchema({"type": "number", "description": "Two decimals, exact"})
]


class S0OfferRepresentation(Representation):
    """A tier or bundle that is offered."""

    emergence_type: str
    credits_required: int
    fiat_equivalent: Amount
    emergence_event_id: str | None


class S0CheckRepresentation(Representation):
    """Whether the node's state triggers billing (S0-R5)."""

    emergence_detected: bool
    emergence_type: str | None = Field(description="Code of the tier; null when nothing emerged")
    credits_required: int | None
    fiat_equivalent: Amount | None
    emergence_event_id: str | None = Field(
        description="For /billing/process; null while the project names no customer"
    )
    offers: list[S0OfferRepresentation] = Field(description="All of them, the first one above")
    failed_gates: list[str] = Field(description="fit_too_low, not_finalized, not_ready, …")
    reason: str | None = Field(
        description="Why nothing emerged: the first failed gate, incomplete, charged, declined or "
        "no_rules"
    )


class S0ProcessRepresentation(Representation):
    """What a charge has come to (S0-R6)."""

    transaction_id: str
    credits_charged: int
    fiat_equivalent: Amount
    new_balance: int
    status: str


class S0BalanceRepresentation(Representation):
    """A customer's credits."""

    customer_id: str
    credit_balance: int
    credits_held: int
    total_spent: Amount
    currency: str


class S0TopUpRepresentation(Representation):
    """A purchase of credits."""

    transaction_id: str
    credits_added: int
    amount_paid: Amount
    price_per_credit: Amount
    saved_percent: Amount
    new_balance: int
    receipt: str | None
    status: str


@reports.post(
    "/emergence/check",
    response_model=S0CheckRepresentation,
    responses=CHECK_RESPONSES,
    summary="S0: does this node state trigger billing?",
    dependencies=[Depends(refuse_query)],
    openapi_extra=CHECK_BODY,
)
async def post_check(
    request: Request, backend: BackendDep, caller: ReporterDep, key: OptionalKeyDep
) -> Response:
    """Deducts nothing; appends the report, so that the detection is on record."""
    report = read_report(await read_json_bytes(request), tenant=caller.tenant)
    delivery_id = derived_id("dlv", caller.tenant, key) if key else new_id("dlv")
    return _answer(_check(await check_node(backend, caller, report, delivery_id=delivery_id)))


def _check(checked: Checked) -> dict[str, Exact]:
    offers = [_offer(offer) for offer in checked.check.offers]
    nothing: dict[str, Exact] = dict.fromkeys(S0OfferRepresentation.model_fields)
    return {
        "emergence_detected": bool(offers),
        **(offers[0] if offers else nothing),
        "offers": list(offers),
        "failed_gates": list(checked.check.judgement.failed_gates),
        "reason": checked.reason or None,
    }


def _offer(offer: Offer) -> dict[str, Exact]:
    return {
        "emergence_type": offer.terms.code,
        "credits_required": offer.terms.credits,
        "fiat_equivalent": _amount(offer.terms.price),
        "emergence_event_id": offer.detection or None,
    }


@router.post(
    "/billing/process",
    response_model=S0ProcessRepresentation,
    responses={
        **COMMAND_RESPONSES,
        402: problem_response("Not approved, or the wallet does not hold enough credits"),
    },
    summary="S0: charge for an emergence event",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "customer_id": text_field("Who pays"),
            "emergence_event_id": text_field("What the check answered"),
            "approved": {"type": "boolean", "description": "The customer's approval (S0-32)"},
        },
        required=("customer_id", "emergence_event_id", "approved"),
        example={
            "customer_id": "test-customer",
            "emergence_event_id": "emg_00000000000000000000000000000000",
            "approved": True,
        },
    ),
)
async def process_billing(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep
) -> Response:
    """Approves and deducts in one step; an event detected a moment ago is waited for."""
    body = await read_form_or_object(request)
    _only(body, ("customer_id", "emergence_event_id", "approved"))
    customer, charge = _text(body, "customer_id"), _text(body, "emergence_event_id")
    if not _boolean(body, "approved"):
        raise ProblemError(
            Problem(
                402,
                Code.NOT_APPROVED,
                "Nothing was deducted. To end the offer, decline the charge",
                param="approved",
            )
        )
    await _await_charge(backend, caller, charge)
    with calling({"charge": "emergence_event_id", "customer": "customer_id"}):
        await act(
            backend,
            caller,
            operation="POST /billing/process",
            # Without a key each request is a wish of its own: repeated, it is refused as billed.
            idempotency_key=key or new_id("key"),
            kind="ApproveCharge",
            body={"charge": charge, "customer": customer, "capture": True},
        )
    return _answer(await run_in_threadpool(_processed, backend, caller, charge, customer))


async def _await_charge(backend: Backend, caller: Caller, charge: str) -> None:
    """Wait until the charge of a fresh event is in the tables; 404 when it does not come."""
    deadline_ms = clock.monotonic_ms() + FRESH_MS
    while await run_in_threadpool(_find_charge, backend, caller, charge) is None:
        if not charge.startswith("emg_") or clock.monotonic_ms() > deadline_ms:
            raise ProblemError(
                Problem(
                    404,
                    Code.CHARGE_UNKNOWN,
                    "There is no such emergence event with a charge",
                    param="emergence_event_id",
                )
            )
        await asyncio.sleep(LOOK_MS / 1000)


def _find_charge(backend: Backend, caller: Caller, charge: str) -> Charge | None:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        return charges.find_charge(connection, charge=charge)


def _processed(backend: Backend, caller: Caller, charge: str, customer: str) -> dict[str, Exact]:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = charges.find_charge(connection, charge=charge)
        wallet = wallets.find_wallet(connection, customer=customer)
        deal = (
            None
            if found is None
            else wallets.find_transaction(connection, transaction=found.transaction)
        )
    if found is None or wallet is None or deal is None:
        raise not_found()
    return {
        "transaction_id": deal.transaction,
        "credits_charged": found.credits,
        "fiat_equivalent": _amount(found.price),
        "new_balance": wallet.available,
        "status": deal.status,
    }


@router.get(
    "/customers/{customer}/balance",
    response_model=S0BalanceRepresentation,
    responses=FIND_RESPONSES,
    summary="S0: a customer's credit balance",
    dependencies=[Depends(refuse_query)],
)
def get_balance(backend: BackendDep, caller: CallerDep, customer: str) -> Response:
    """Credits that can be spent, and what was spent so far."""
    wallet = _wallet(backend, caller, read_id(customer))
    return _answer(
        {
            "customer_id": wallet.customer,
            "credit_balance": wallet.available,
            "credits_held": wallet.held,
            "total_spent": _amount(wallet.total_spent),
            "currency": wallet.total_spent.currency,
        }
    )


@router.post(
    "/customers/{customer}/topup",
    response_model=S0TopUpRepresentation,
    responses=COMMAND_RESPONSES,
    summary="S0: buy credits",
    dependencies=[Depends(refuse_query)],
    openapi_extra=object_body(
        {
            "credits": count_field("How many"),
            "amount_paid": {"type": "number", "description": "The listed price, exactly (S0-R10)"},
        },
        required=("credits", "amount_paid"),
        example={"credits": 100, "amount_paid": 1000},
        form=True,
    ),
)
async def create_top_up(
    request: Request, backend: BackendDep, caller: CallerDep, key: OptionalKeyDep, customer: str
) -> Response:
    """Takes a form, as S0's sample sends it, or JSON.

    Without an Idempotency-Key each request is a purchase of its own (S0 knows no such header).
    """
    body = await read_form_or_object(request)
    _only(body, ("credits", "amount_paid"))
    customer = read_id(customer)
    wallet = await run_in_threadpool(_wallet, backend, caller, customer)
    quantity = _count(body, "credits")
    paid = _money(body, "amount_paid", currency=wallet.total_spent.currency)
    key = key or new_id("key")
    operation = "POST /customers/topup"
    top_up = derived_id("top", caller.tenant, operation, key)
    with calling({"amount_minor": "amount_paid", "currency": ""}):
        await act(
            backend,
            caller,
            operation=operation,
            idempotency_key=key,
            kind="TopUp",
            body={
                "top_up": top_up,
                "customer": customer,
                "credits": quantity,
                "amount_minor": paid.amount_minor,
                "currency": paid.currency,
            },
        )
    return _answer(
        await run_in_threadpool(_topped_up, backend, caller, customer, top_up, quantity, paid)
    )


def _topped_up(
    backend: Backend, caller: Caller, customer: str, top_up: str, quantity: int, paid: Money
) -> dict[str, Exact]:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        wallet = wallets.find_wallet(connection, customer=customer)
        deal = wallets.find_transaction(
            connection, transaction=derived_id("txn", caller.tenant, top_up)
        )
        catalogue = catalogue_in_force(connection)
    if wallet is None or deal is None:
        raise not_found()
    terms = None if catalogue is None else catalogue.wallet
    listed = paid.amount_minor if terms is None else terms.credit_price.amount_minor * quantity
    return {
        "transaction_id": deal.transaction,
        "credits_added": quantity,
        "amount_paid": _amount(paid),
        "price_per_credit": _ratio(
            paid.amount_minor, quantity * 10 ** minor_unit_places(paid.currency)
        ),
        "saved_percent": _ratio((listed - paid.amount_minor) * 100, listed),
        "new_balance": wallet.available,
        "receipt": deal.receipt or None,
        "status": deal.status,
    }


def _ratio(part: int, whole: int) -> Decimal:
    """Divide, rounded half up to two decimals, for people; nothing is charged by it."""
    hundredths = (200 * part + whole) // (2 * whole) if whole else 0
    return Decimal(hundredths).scaleb(-2)


def _wallet(backend: Backend, caller: Caller, customer: str) -> Wallet:
    with tenant_connection(backend.engine, tenant=caller.tenant) as connection:
        found = wallets.find_wallet(connection, customer=customer)
    if found is None:
        raise not_found()
    return found


def _answer(document: dict[str, Exact]) -> Response:
    return Response(exact_json.write(document), media_type="application/json")


def _amount(money: Money) -> Decimal:
    return Decimal(money.text())


def _only(body: dict[str, Exact], names: tuple[str, ...]) -> None:
    for name in body:
        if name not in names:
            raise invalid(name, f"{name[:50]} is no known field")


def _text(body: dict[str, Exact], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not is_clean_text(value):
        raise invalid(name, f"{name} must be text of 1 to 200 printable characters")
    return value


def _boolean(body: dict[str, Exact], name: str) -> bool:
    value = body.get(name)
    if value in ("true", "false"):  # as a form has it
        return value == "true"
    if not isinstance(value, bool):
        raise invalid(name, f"{name} must be true or false")
    return value


def _count(body: dict[str, Exact], name: str) -> int:
    value = body.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:  # noqa: PLR2004 -- COUNT_MAX is shorter
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= COUNT_MAX:
        raise invalid(name, f"{name} must be a whole number from 1 to {COUNT_MAX}")
    return value


def _money(body: dict[str, Exact], name: str, *, currency: str) -> Money:
    """Read an amount written as a number or as text, such as 1000, 1000.00 or "1000.50"."""
    value = body.get(name)
    text = str(value) if isinstance(value, int | Decimal | str) else ""
    places = minor_unit_places(currency)
    whole, point, fraction = text.partition(".")
    is_plain = (
        not isinstance(value, bool)
        and text.isascii()
        and whole.isdigit()
        and len(whole) <= 15  # noqa: PLR2004 -- digits of any sum that is paid for credits
        and (fraction.isdigit() or not point)
        and not fraction[places:].strip("0")
    )
    if not is_plain:
        raise invalid(
            name, f"{name} must be an amount of {currency} with at most {places} decimals"
        )
    return Money(int(whole + fraction[:places].ljust(places, "0")), currency)
