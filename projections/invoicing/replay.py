"""Replay: an invoice made again from the log alone must be the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from domain.books.facts import fields_of_fact
from domain.catalogue import Catalogue, carried_meters, parse_catalogue
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.invoice import InvoiceContent, build_invoice, parse_invoice_content, span_of
from domain.routing import partition_of
from domain.usage.customer_windows import CustomerWindows
from projections.invoicing.log import book_facts, usage_from_events, usage_from_facts

if TYPE_CHECKING:
    from runtime.settings import Settings

Source = Literal["auto", "events", "facts"]


@dataclass(frozen=True, slots=True)
class Finalized:
    """An invoice as the log has it.

    Args:
        invoice: Invoice id.
        number: Its number.
        content: Its parsed content.
        text: Its canonical JSON.
        sha256: Its content hash.
        catalogue: The catalogue version it was rated with.
    """

    invoice: str
    number: str
    content: InvoiceContent
    text: str
    sha256: str
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class Replayed:
    """An invoice made again.

    Args:
        original: As the log has it.
        content: As made again, from the log.
    """

    original: Finalized
    content: InvoiceContent

    @property
    def is_equal(self) -> bool:
        """Say whether both are the same bytes."""
        return self.content.text == self.original.text


def find_invoice(settings: Settings, *, tenant: str, name: str) -> Finalized:
    """This function will find a finalised invoice in the log, by number or id.

    Raises:
        Rejected: invoice_unknown.
        Fatal: state_corrupt, when the log does not hold its catalogue.
        Retryable: broker_away.
    """
    catalogues: dict[str, str] = {}
    for fact in book_facts(settings, tenant=tenant):
        fields = fields_of_fact(fact)
        if fact.kind == "CataloguePublished":
            catalogue = parse_catalogue(fields.document("content"))
            catalogues[catalogue.sha256] = catalogue.content
        if fact.kind == "InvoiceFinalized" and name in {
            fields.text("number"),
            fields.text("invoice"),
        }:
            text = fields.document("content")
            content = parse_invoice_content(text)
            if content.pin.catalogue_sha256 not in catalogues:
                break
            return Finalized(
                invoice=fields.text("invoice"),
                number=fields.text("number"),
                content=content,
                text=text,
                sha256=fields.text("content_sha256"),
                catalogue=parse_catalogue(catalogues[content.pin.catalogue_sha256]),
            )
    else:
        raise Rejected(Code.INVOICE_UNKNOWN, f"tenant {tenant!r} has no invoice {name!r}")
    raise Fatal(
        Code.STATE_CORRUPT,
        f"the log does not hold the catalogue that invoice {name} pins",
        next_step="Is this the broker that the invoice was made on?",
    )


def replay(settings: Settings, *, tenant: str, name: str, source: Source = "auto") -> Replayed:
    """This function will make an invoice again from the log, up to its pin, with no database.

    Args:
        settings: Where the broker is.
        tenant: Who billed.
        name: Number or id of the invoice.
        source: "events" folds the raw events anew; "facts" adds up what the folds wrote; "auto"
            takes the events as long as their topic reaches back to its start, else the facts.

    Raises:
        Rejected: invoice_unknown.
        Fatal: log_truncated or facts_gap, when the log no longer has what is needed.
        Retryable: broker_away.
    """
    original = find_invoice(settings, tenant=tenant, name=name)
    content = original.content
    pin = content.pin
    partition = partition_of(content.tenant, content.customer, partitions=len(pin.usage_positions))
    windows = _windows(
        settings, content, partition=partition, end=pin.usage_positions[partition], source=source
    )
    again = build_invoice(
        tenant=content.tenant,
        subscription=content.subscription,
        customer=content.customer,
        plan=content.plan,
        catalogue=original.catalogue,
        period=content.period,
        rows=windows.rows(
            span_of(content.period), carried=carried_meters(original.catalogue.meters)
        ),
        usage_positions=pin.usage_positions,
        account_partition=pin.account_partition,
        account_position=pin.account_position,
    )
    return Replayed(original=original, content=again)


def _windows(
    settings: Settings, content: InvoiceContent, *, partition: int, end: int, source: Source
) -> CustomerWindows:
    """Collect the customer's windows from the log, up to the pinned position."""
    reader = usage_from_facts if source == "facts" else usage_from_events
    windows = CustomerWindows(tenant=content.tenant, customer=content.customer)
    try:
        for facts in reader(settings, partition=partition, end=end):
            windows.add(facts)
    except Fatal as error:
        if source != "auto" or error.code is not Code.LOG_TRUNCATED:
            raise
        return _windows(settings, content, partition=partition, end=end, source="facts")
    return windows
