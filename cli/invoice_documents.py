"""Commands that write documents: an invoice or credit note as PDF or XML, a month as CSV."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.counting import counted
from cli.files import written
from cli.operate import load_settings
from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.invoice_document import CreditNoteDocument, InvoiceDocument
    from api.invoice_documents import Documents
    from runtime.settings import Settings

Tenant = Annotated[str, typer.Option(help="Tenant; default is TIDEGAUGE_TENANT.")]
Number = Annotated[str, typer.Argument(help="Number or id of an invoice or credit note.")]
Output = Annotated[
    str, typer.Option("--output", "-o", help='File to write; "-" is the standard output.')
]
Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Show the customer's id instead of the name.")
]


@contextmanager
def _documents(settings: Settings, *, tenant: str, is_personal: bool) -> Iterator[Documents]:
    from api.invoice_documents import Documents
    from runtime import postgres
    from runtime.vault.vault import vault_of

    engine = postgres.new_engine(settings, role="app")
    vault = vault_of(settings) if is_personal else None
    try:
        yield Documents(engine, vault, tenant=tenant or settings.tenant, is_personal=is_personal)
    finally:
        engine.dispose()
        if vault is not None:
            vault.close()


def _found(documents: Documents, number: str) -> InvoiceDocument | CreditNoteDocument:
    found = documents.find_invoice(number) or documents.find_credit_note(number)
    if found is None:
        raise Rejected(Code.INVOICE_UNKNOWN, f"there is no invoice or credit note {number!r}")
    return found


def _write(output: str, data: bytes) -> None:
    with written(output) as file:
        file.write(data)


def pdf(
    number: Number,
    output: Output = "",
    locale: Annotated[
        str, typer.Option(help="For example de-CH; default is TIDEGAUGE_DOCUMENT_LOCALE.")
    ] = "",
    einvoice: Annotated[
        Literal["auto", "never", "required"],
        typer.Option(help="Put the electronic invoice inside (Factur-X): where it is complete."),
    ] = "auto",
    anonymous: Anonymous = False,
    tenant: Tenant = "",
) -> None:
    """Write an invoice or a credit note as PDF."""
    from api import invoice_hybrid, invoice_pdf
    from api.einvoice import cii
    from api.invoice_words import language

    settings = load_settings("invoice")
    with _documents(settings, tenant=tenant, is_personal=not anonymous) as documents:
        found = _found(documents, number)
    page = invoice_pdf.to_page(found, language(locale or settings.document_locale))
    xml = ""
    if einvoice != "never":
        xml = cii.to_cii_or_nothing(found, is_required=einvoice == "required")
    if xml:
        made = invoice_hybrid.to_hybrid(page, xml, at=found.issued_at)
    else:
        made = invoice_pdf.to_pdf(page, at=found.issued_at)
    _write(output or f"{found.number}.pdf", made)


def preview_pdf(
    subscription: Annotated[str, typer.Argument(help="Subscription.")],
    output: Output = "",
    locale: Annotated[
        str, typer.Option(help="For example de-CH; default is TIDEGAUGE_DOCUMENT_LOCALE.")
    ] = "",
    anonymous: Anonymous = False,
    tenant: Tenant = "",
) -> None:
    """Write the next invoice of a subscription as it would be now, marked as provisional."""
    from api import invoice_pdf
    from api.invoice_document import DocumentStatus, InvoiceDocument
    from api.invoice_words import language
    from projections.invoicing.builder import preview
    from runtime import clock

    settings = load_settings("invoice")
    name = tenant or settings.tenant
    content = preview(settings, tenant=name, subscription=subscription)
    with _documents(settings, tenant=tenant, is_personal=not anonymous) as documents:
        seller = documents.seller(content)
        buyer = documents.buyer(content.terms.customer, at=None)
    now = clock.now().replace(microsecond=0)
    document = InvoiceDocument(
        invoice="",
        number="",
        status=DocumentStatus.DRAFT,
        issued_at=now,
        due_at=now,
        content=content,
        seller=seller,
        buyer=buyer,
    )
    page = invoice_pdf.to_page(document, language(locale or settings.document_locale))
    _write(output or f"preview-{subscription}.pdf", invoice_pdf.to_pdf(page, at=now))


def xml(number: Number, output: Output = "-", tenant: Tenant = "") -> None:
    """Write an invoice or a credit note as electronic invoice, EN 16931 CII."""
    from api.einvoice.cii import to_cii

    settings = load_settings("invoice")
    with _documents(settings, tenant=tenant, is_personal=True) as documents:
        found = _found(documents, number)
    _write(output, to_cii(found).encode())


def export(
    month: Annotated[str, typer.Argument(help="Month of issue in UTC, for example 2026-11.")],
    output: Output = "-",
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    form: Annotated[
        Literal["csv", "json"], typer.Option(help="json: one invoice a line (JSON Lines).")
    ] = "csv",
    tenant: Tenant = "",
) -> None:
    """Write the invoices of a month, as CSV a row for each line of theirs."""
    from api import invoice_export
    from domain.months import month_of

    settings = load_settings("invoice")
    start, end = month_of(month)
    count = 0
    with (
        _documents(settings, tenant=tenant, is_personal=False) as documents,
        written(output) as file,
    ):
        pages = documents.pages(start=start, end=end, customer=customer or None)
        for number, page in enumerate(pages):
            if form == "csv":
                file.write(invoice_export.csv_text(page, has_header=number == 0).encode())
            else:
                file.writelines(f"{invoice_export.json_text(each)}\n".encode() for each in page)
            count += len(page)
    typer.echo(counted(count, "invoice"), err=True)


def add_to(app: typer.Typer) -> None:
    """This function will add these commands to `tidegauge invoice`."""
    app.command()(pdf)
    app.command("preview-pdf")(preview_pdf)
    app.command()(xml)
    app.command()(export)
