"""Commands that change what is owed: void, credit, pay, refund, release, and items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.books import send
from cli.operate import load_settings
from cli.reading import reading
from domain.codes import Code
from domain.errors import Rejected
from domain.money import minor_text
from projections.queries import invoices, parked
from runtime.commands import CommandSender
from runtime.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.canonical import Json
    from projections.queries.invoices import InvoiceDocument
    from runtime.settings import Settings

item_app = typer.Typer(help="Amounts for a customer's next invoice.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


def _act(settings: Settings, tenant: str, kind: str, body: Mapping[str, Json]) -> None:
    """Send a command and wait until its effect is visible."""
    send(
        settings,
        CommandSender(settings, actor="cli"),
        tenant=tenant or settings.tenant,
        command_id=new_id("cmd"),
        kind=kind,
        body=body,
    )


def _find(settings: Settings, tenant: str, number: str) -> InvoiceDocument:
    """Return an invoice by number or id."""
    with reading(settings, tenant=tenant or settings.tenant) as connection:
        found = invoices.find_invoice(connection, invoice=number)
    if found is None:
        raise Rejected(Code.INVOICE_UNKNOWN, f"there is no invoice {number!r}")
    return found


def void(number: str, reason: Reason, tenant: Tenant = "") -> None:
    """Void an invoice that nothing was paid or credited on; its period can be billed again."""
    settings = load_settings("invoice")
    invoice = _find(settings, tenant, number).invoice.invoice
    _act(settings, tenant, "VoidInvoice", {"invoice": invoice, "reason": reason})
    typer.echo(f"{number} is void")


def credit(
    number: str,
    reason: Reason,
    line: Annotated[
        list[str], typer.Option(metavar="NUMBER=MINOR", help="Line and minor units; repeat it.")
    ],
    to: Annotated[
        Literal["account_credit", "refund"], typer.Option(help="Where what was paid goes.")
    ] = "account_credit",
    tenant: Tenant = "",
) -> None:
    """Write a credit note over lines of an invoice."""
    settings = load_settings("invoice")
    found = _find(settings, tenant, number)
    ids = {str(each.line): each.line_id for each in found.lines}
    lines: list[Json] = []
    for text in line:
        place, _, amount = text.partition("=")
        if not (place.isdecimal() and amount.isdecimal()):
            raise typer.BadParameter(f"{text!r} is no line and amount such as 2=1500")
        if place not in ids:
            raise Rejected(Code.LINE_UNKNOWN, f"invoice {number} has lines 1 to {len(ids)}")
        lines.append({"line": ids[place], "amount_minor": int(amount)})
    note = new_id("crn")
    body: dict[str, Json] = {
        "credit_note": note,
        "invoice": found.invoice.invoice,
        "lines": lines,
        "reason": reason,
        "to": to,
    }
    _act(settings, tenant, "IssueCreditNote", body)
    typer.echo(note)


def pay(
    number: str,
    amount_minor: Annotated[int, typer.Argument(min=1, help="Whole minor units.")],
    method: Annotated[str, typer.Option(help="How, for example wire.")] = "wire",
    reference: Annotated[str, typer.Option(help="What the payment is called elsewhere.")] = "",
    tenant: Tenant = "",
) -> None:
    """Record a payment of an invoice; what is too much becomes account credit."""
    settings = load_settings("invoice")
    found = _find(settings, tenant, number).invoice
    payment = new_id("pay")
    body: dict[str, Json] = {
        "payment": payment,
        "invoice": found.invoice,
        "amount_minor": amount_minor,
        "currency": found.total.currency,
        "method": method,
        "reference": reference,
    }
    _act(settings, tenant, "RecordPayment", body)
    typer.echo(payment)


def refund(
    payment: str,
    amount_minor: Annotated[int, typer.Argument(min=1, help="Whole minor units.")],
    reason: Reason,
    tenant: Tenant = "",
) -> None:
    """Record that money of a payment went back."""
    settings = load_settings("invoice")
    refund_id = new_id("rfd")
    body: dict[str, Json] = {
        "refund": refund_id,
        "payment": payment,
        "amount_minor": amount_minor,
        "reason": reason,
    }
    _act(settings, tenant, "RecordRefund", body)
    typer.echo(refund_id)


def list_parked(tenant: Tenant = "") -> None:
    """List invoices that wait for a person to look at them."""
    settings = load_settings("invoice")
    with reading(settings, tenant=tenant or settings.tenant) as connection:
        rows = parked.list_parked(connection)
    for row in rows:
        total = minor_text(amount_minor=row.total_minor, currency=row.currency)
        typer.echo(f"{row.subscription} {row.customer} {row.currency} {total}: {row.reason}")
    typer.echo(f"{len(rows)} parked; `tidegauge invoice preview`, then `invoice release`")


def release(subscription: str, tenant: Tenant = "") -> None:
    """Let a parked invoice go: the next run bills it, up to what was looked at."""
    settings = load_settings("invoice")
    _act(settings, tenant, "ReleaseInvoice", {"subscription": subscription})
    typer.echo(f"{subscription} is released")


@item_app.command("add")
def item_add(
    customer: str,
    label: str,
    amount_minor: Annotated[int, typer.Argument(min=0, help="Whole minor units, before tax.")],
    currency: str,
    subscription: Annotated[str, typer.Option(help="On this one's invoice only.")] = "",
    tax: Annotated[str, typer.Option(help="Tax category.")] = "",
    tenant: Tenant = "",
) -> None:
    """Add an amount to a customer's next invoice."""
    settings = load_settings("item")
    item = new_id("itm")
    body: dict[str, Json] = {
        "item": item,
        "customer": customer,
        "label": label,
        "amount_minor": amount_minor,
        "currency": currency,
    }
    optional = {"subscription": subscription, "tax": tax}
    body |= {name: value for name, value in optional.items() if value}
    _act(settings, tenant, "AddItem", body)
    typer.echo(item)


@item_app.command("remove")
def item_remove(item: str, reason: Reason, tenant: Tenant = "") -> None:
    """Take back an amount that is on no invoice yet."""
    settings = load_settings("item")
    _act(settings, tenant, "RemoveItem", {"item": item, "reason": reason})
    typer.echo(f"{item} is removed")


def add_to(invoice_app: typer.Typer) -> None:
    """This function will add these commands to `tidegauge invoice`."""
    invoice_app.command("void")(void)
    invoice_app.command("credit")(credit)
    invoice_app.command("pay")(pay)
    invoice_app.command("refund")(refund)
    invoice_app.command("parked")(list_parked)
    invoice_app.command("release")(release)
