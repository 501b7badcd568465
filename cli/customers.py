"""Commands for customers: who pays, on which terms, and at which prices of their own."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.books import Tenant, customer_app, send, send_typed
from cli.files import read_text
from cli.operate import load_settings
from domain.canonical import from_json, to_canonical_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from projections.queries import customers, ledger
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.commands import CommandSender

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy

    from domain.books.customer import Customer
    from domain.canonical import Json
    from projections.queries.ledger import AccountCredit

CATALOGUE = "catalogue"
"""What an option says to take a term back: the catalogue's counts again."""

Seller = Annotated[str, typer.Option(help="Legal entity that bills, by its key.")]
Treatment = Annotated[str, typer.Option(help="standard, exempt or reverse_charge.")]
Region = Annotated[str, typer.Option(help="Region as the catalogue's taxes name it: DE, CA-QC.")]
DueDays = Annotated[str, typer.Option(help="Days to pay.")]
GraceHours = Annotated[str, typer.Option(help="Hours that invoices wait for late usage.")]


@customer_app.command("create")
def customer_create(
    customer: str,
    currency: Annotated[
        str, typer.Argument(help="ISO 4217; without it the catalogue's default_currency.")
    ] = "",
    *,
    seller: Seller = "",
    tax_treatment: Treatment = "",
    tax_region: Region = "",
    due_days: DueDays = "",
    grace_hours: GraceHours = "",
    tenant: Tenant = "",
) -> None:
    """Create a customer who pays in a currency."""
    settings = load_settings("customer")
    tenant = tenant or settings.tenant
    body: dict[str, Json] = {"customer": customer, **({"currency": currency} if currency else {})}
    body |= _terms(seller, tax_treatment, tax_region, due_days, grace_hours)
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant,
        command_id=derived_id("cmd", "customer", tenant, to_canonical_json(body)),
        kind="CreateCustomer",
        body=body,
    )
    typer.echo(f"customer {customer} pays in {_found(customer, tenant=tenant).currency}")


@customer_app.command("change")
def customer_change(
    customer: str,
    *,
    seller: Seller = "",
    tax_treatment: Treatment = "",
    tax_region: Region = "",
    due_days: DueDays = "",
    grace_hours: GraceHours = "",
    tenant: Tenant = "",
) -> None:
    """Change the terms that are named; the word `catalogue` takes one back to the catalogue's.

    Tax is one term: name treatment and region together where both differ from the default.
    """
    body = {"customer": customer} | _terms(
        seller, tax_treatment, tax_region, due_days, grace_hours
    )
    if len(body) == 1:
        raise typer.BadParameter("name at least one term to change")
    _send("ChangeCustomer", body, tenant=tenant)
    typer.echo(_lines(_found(customer, tenant=tenant)))


@customer_app.command("show")
def customer_show(customer: str, tenant: Tenant = "") -> None:
    """Show a customer's terms, own prices and account credit."""
    typer.echo(_lines(_found(customer, tenant=tenant)))
    with _reading(tenant) as connection:
        credit = ledger.find_account_credit(connection, customer=customer)
    if credit is not None:
        typer.echo(credit_line(credit))


@customer_app.command("override")
def customer_override(
    customer: str,
    plan: str,
    price: Annotated[str, typer.Argument(help="Key of the price that is replaced.")],
    document: Annotated[
        Path | None,
        typer.Argument(help="JSON file with the price as a catalogue has it; - reads stdin."),
    ] = None,
    *,
    add_on: Annotated[bool, typer.Option(help="PLAN is the code of an add-on.")] = False,
    remove: Annotated[bool, typer.Option(help="Take it back to the catalogue's price.")] = False,
    tenant: Tenant = "",
) -> None:
    """Give a customer a price of their own, from the open period of each subscription on."""
    if remove == (document is not None):
        raise typer.BadParameter("give a file with the price, or --remove")
    text = None
    if document is not None:
        text = to_canonical_json(from_json(read_text(document)))
    body: dict[str, Json] = {
        "customer": customer,
        "add_on" if add_on else "plan": plan,
        "price": price,
        "document": text,
    }
    _send("SetPriceOverride", body, tenant=tenant)
    typer.echo(_lines(_found(customer, tenant=tenant)))


def _terms(
    seller: str, treatment: str, region: str, due_days: str, grace_hours: str
) -> dict[str, Json]:
    """Return the terms that options name, null for those that go back to the catalogue's."""
    terms: dict[str, Json] = {}
    if seller:
        terms["seller"] = None if seller == CATALOGUE else seller
    if treatment or region:
        is_back = CATALOGUE in (treatment, region)
        named = {"treatment": treatment or "standard", **({"region": region} if region else {})}
        terms["tax"] = None if is_back else named
    for name, value in (("due_days", due_days), ("grace_hours", grace_hours)):
        if value == CATALOGUE:
            terms[name] = None
        elif value:
            if not (value.isascii() and value.isdigit()):
                raise typer.BadParameter(f"{name} is a whole number or {CATALOGUE}")
            terms[name] = int(value)
    return terms


def _lines(customer: Customer) -> str:
    lines = [
        f"customer {customer.customer} pays in {customer.currency}",
        f"seller {customer.seller or CATALOGUE}",
        f"tax {customer.tax.treatment}, region {customer.tax.region or 'default'}",
        f"due days {_or_catalogue(customer.due_days)}",
        f"grace hours {_or_catalogue(customer.grace_hours)}",
    ]
    lines += [f"{each.name}: {each.document}" for each in customer.overrides]
    return "\n".join(lines)


def _or_catalogue(value: int | None) -> str:
    return CATALOGUE if value is None else str(value)


def credit_line(credit: AccountCredit) -> str:
    """This function will say what a customer has here, and what of it a refund may pay out."""
    balance, promotion, money = (
        each.text() for each in (credit.balance, credit.promotion, credit.money)
    )
    return f"account credit {balance}: promotions {promotion}, money {money}"


@contextmanager
def _reading(tenant: str) -> Iterator[sqlalchemy.Connection]:
    """Give a connection of one tenant."""
    settings = load_settings("customer")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            yield connection
    finally:
        engine.dispose()


def _found(customer: str, *, tenant: str) -> Customer:
    with _reading(tenant) as connection:
        found = customers.find_customer(connection, customer=customer)
    if found is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    return found


_send = functools.partial(send_typed, process="customer")


def add_to(app: typer.Typer) -> None:
    """This function will add the command group to the `tidegauge` command."""
    app.add_typer(customer_app, name="customer")
