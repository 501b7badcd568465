"""Commands for wallets: what a customer has, and what an admin gives, takes or gives back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

import typer

from cli.books import Tenant, send_typed
from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected
from projections.queries import wallets
from projections.queries.connection import tenant_connection
from runtime import postgres
from runtime.ids import new_id

if TYPE_CHECKING:
    from domain.canonical import Json

wallet_app = typer.Typer(help="Wallets: credits of customers.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; receipt and transaction carry it.")]


@wallet_app.command("show")
def wallet_show(customer: str, tenant: Tenant = "") -> None:
    """Show a customer's balance and the grants it is made of, those that burn first on top."""
    settings = load_settings("wallet")
    engine = postgres.new_engine(settings, role="app")
    try:
        with tenant_connection(engine, tenant=tenant or settings.tenant) as connection:
            wallet = wallets.find_wallet(connection, customer=customer)
    finally:
        engine.dispose()
    if wallet is None:
        raise Rejected(Code.NOT_FOUND, f"customer {customer!r} has no wallet")
    spent = wallet.total_spent
    typer.echo(f"available {wallet.available}, held {wallet.held}")
    typer.echo(f"spent {spent.text()} {spent.currency}")
    for grant in wallet.grants:
        end = grant.expires_at.isoformat() if grant.expires_at else "never"
        typer.echo(
            f"{grant.grant}  {grant.kind}  available {grant.available} of {grant.credits}, "
            f"held {grant.held}, priority {grant.priority}, expires {end}"
        )


@wallet_app.command("grant")
def wallet_grant(
    customer: str,
    quantity: Annotated[int, typer.Argument(metavar="CREDITS")],
    reason: Reason,
    expires_at: Annotated[str, typer.Option(help="RFC 3339; without it never.")] = "",
    tenant: Tenant = "",
) -> None:
    """Give a customer credits."""
    grant = new_id("grt")
    body: dict[str, Json] = {
        "grant": grant,
        "customer": customer,
        "credits": quantity,
        "reason": reason,
        **({"expires_at": expires_at} if expires_at else {}),
    }
    _send("GrantCredits", body, tenant=tenant)
    typer.echo(grant)


@wallet_app.command("take")
def wallet_take(
    customer: str,
    quantity: Annotated[int, typer.Argument(metavar="CREDITS")],
    reason: Reason,
    tenant: Tenant = "",
) -> None:
    """Take credits from a customer, never below 0."""
    adjustment = new_id("adj")
    body: dict[str, Json] = {
        "adjustment": adjustment,
        "customer": customer,
        "credits": quantity,
        "reason": reason,
    }
    _send("TakeCredits", body, tenant=tenant)
    typer.echo(adjustment)


@wallet_app.command("refund")
def wallet_refund(
    charge: str,
    reason: Reason,
    quantity: Annotated[
        int, typer.Option("--credits", help="How many; 0 for all that are left.")
    ] = 0,
    tenant: Tenant = "",
) -> None:
    """Give a charge's credits back."""
    body: dict[str, Json] = {
        "charge": charge,
        "reason": reason,
        **({"credits": quantity} if quantity else {}),
    }
    _send("RefundCharge", body, tenant=tenant)
    typer.echo(f"{charge} is refunded")


_send = functools.partial(send_typed, process="wallet")


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to the `tidegauge` command."""
    app.add_typer(wallet_app, name="wallet")
