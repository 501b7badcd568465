"""Documents put together from the tables, the catalogue and, for who may see it, the vault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import sqlalchemy

from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    CreditNoteLine,
    DocumentStatus,
    InvoiceDocument,
)
from api.personal import find_buyer
from domain.billing_terms import BillingTerms, Seller
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import InvoiceContent
from domain.invoice_reading import parse_invoice_content
from domain.sellers import seller_named
from projections.queries import invoice_documents
from projections.queries.catalogues import catalogue_of_version, read_published
from projections.queries.connection import tenant_connection
from projections.queries.invoice_documents import InvoiceHead
from projections.queries.invoices import InvoiceKey
from projections.queries.paging import PAGE_ROWS_MAX
from runtime.vault.vault import Vault

EXPORT_INVOICES_MAX = 100_000
"""Invoices of one export: a month of a large tenant; more than that is two exports."""


class Documents:
    """Finds and puts together the documents of one tenant; every method blocks.

    Args:
        engine: Connections of the role app.
        vault: Opens the buyer's details; None where there is no vault.
        tenant: Whose documents.
        is_personal: Whether the buyer's details may be shown; else the customer's id stands there.
    """

    def __init__(
        self,
        engine: sqlalchemy.Engine,
        vault: Vault | None,
        *,
        tenant: str,
        is_personal: bool,
    ) -> None:
        self._engine = engine
        self._vault = vault
        self._tenant = tenant
        self._is_personal = is_personal

    def find_invoice(self, name: str) -> InvoiceDocument | None:
        """Return an invoice by id or number; None when the tenant has no such one."""
        with tenant_connection(self._engine, tenant=self._tenant) as connection:
            head = invoice_documents.find_invoice_head(connection, name=name)
            if head is None:
                return None
            document = self._document(connection, head)
        return self._with_buyer(document, head.finalized_at)

    def find_credit_note(self, name: str) -> CreditNoteDocument | None:
        """Return a credit note by id or number; None when the tenant has no such one."""
        with tenant_connection(self._engine, tenant=self._tenant) as connection:
            head = invoice_documents.find_credit_note_head(connection, name=name)
            if head is None:
                return None
            about = invoice_documents.find_invoice_head(connection, name=head.invoice)
            if about is None:
                return None
            document = self._document(connection, about)
        return CreditNoteDocument(
            credit_note=head.credit_note,
            number=head.number,
            issued_at=head.issued_at,
            reason=head.reason,
            lines=tuple(CreditNoteLine(*line) for line in head.lines),
            net_minor=head.net_minor,
            tax_minor=head.tax_minor,
            promotion_minor=head.promotion_minor,
            total_minor=head.total_minor,
            to_receivable_minor=head.to_receivable_minor,
            to_credit_minor=head.to_credit_minor,
            invoice=self._with_buyer(document, about.finalized_at),
        )

    def pages(
        self, *, start: datetime, end: datetime, customer: str | None
    ) -> Iterator[list[InvoiceDocument]]:
        """Yield the invoices issued in a time, the oldest first, page by page, without buyers.

        Each page is a transaction of its own, so a long export holds no connection.

        Raises:
            Rejected: invalid_request, after EXPORT_INVOICES_MAX of more: a cut file that looks
                whole would be booked.
        """
        after: InvoiceKey | None = None
        for _ in range(EXPORT_INVOICES_MAX // PAGE_ROWS_MAX):
            with tenant_connection(self._engine, tenant=self._tenant) as connection:
                page = invoice_documents.list_invoice_heads(
                    connection,
                    start=start,
                    end=end,
                    customer=customer,
                    after=after,
                    limit=PAGE_ROWS_MAX,
                )
                documents = [self._document(connection, head) for head in page.rows]
            yield documents
            if not page.has_more:
                return
            after = InvoiceKey(issued_at=page.rows[-1].issued_at, invoice=page.rows[-1].invoice)
        raise Rejected(
            Code.INVALID_REQUEST,
            f"the export stops after {EXPORT_INVOICES_MAX} invoices and is not whole; "
            "export customer by customer",
        )

    def _document(self, connection: sqlalchemy.Connection, head: InvoiceHead) -> InvoiceDocument:
        content = parse_invoice_content(head.content)
        referred = {line.refers[0] for line in content.lines if line.refers[0]}
        return InvoiceDocument(
            invoice=head.invoice,
            number=head.number,
            status=DocumentStatus(head.status),
            issued_at=head.issued_at,
            due_at=head.due_at,
            content=content,
            seller=seller_of(connection, content),
            buyer=BuyerDetails(customer=head.customer),
            paid_minor=head.paid_minor,
            credited_minor=head.credited_minor,
            open_minor=head.open_minor,
            void_reason=head.void_reason,
            numbers=(
                invoice_documents.find_numbers(connection, invoices=referred) if referred else {}
            ),
        )

    def _with_buyer(self, document: InvoiceDocument, at: datetime) -> InvoiceDocument:
        """Return the document with its buyer as known when the books took the invoice."""
        buyer = self.buyer(document.content.terms.customer, at=at)
        return replace(document, buyer=buyer)

    def seller(self, content: InvoiceContent) -> Seller:
        """Return who bills by a content that is in no table, for example of a preview."""
        with tenant_connection(self._engine, tenant=self._tenant) as connection:
            return seller_of(connection, content)

    def buyer(self, customer: str, *, at: datetime | None) -> BuyerDetails:
        """Return a customer's details as of a moment; None for now."""
        if not self._is_personal:
            return BuyerDetails(customer=customer)
        opened = find_buyer(
            self._engine, self._vault, tenant=self._tenant, customer=customer, at=at
        )
        details, address = opened.details, opened.details.address
        if opened.status != "open":
            return BuyerDetails(customer=customer)
        return BuyerDetails(
            customer=customer,
            name=details.name,
            address=address.lines if address is not None else (),
            city=address.city if address is not None else "",
            region=address.region if address is not None else "",
            postal_code=address.postal_code if address is not None else "",
            country=address.country if address is not None else "",
            tax_id=details.tax_id,
            email=details.email,
        )


def seller_of(connection: sqlalchemy.Connection, content: InvoiceContent) -> Seller:
    """This function will return who bills, as the catalogue version of the invoice says it.

    An invoice of items alone names no version, and a customer may have come to a seller that a
    later version brought: then the newest version that has the seller says it.
    """
    return seller_named(content.terms.seller, newest_first=_billing_terms(connection, content))


def _billing_terms(
    connection: sqlalchemy.Connection, content: InvoiceContent
) -> Iterator[BillingTerms]:
    segments = (*content.terms.segments, *content.terms.fees)
    if segments:
        version = max(segment.catalogue_version for segment in segments)
        catalogue = catalogue_of_version(connection, version=version)
        if catalogue is not None:
            yield catalogue.billing
    catalogues = read_published(connection).catalogues
    yield from (catalogues[version].billing for version in sorted(catalogues, reverse=True))
