"""Replay: an invoice made again from the log alone must be the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from domain.books.facts import Fact, fields_of_fact, read_fact
from domain.canonical import sha256_hex
from domain.catalogue import Catalogue, parse_catalogue
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.invoice import InvoiceContent, usage_to_json
from domain.invoice_reading import parse_invoice_content
from domain.invoice_taxes import text_or_none
from domain.invoice_terms import Item, ItemKind
from domain.invoice_usage import content_of, parts_of
from domain.routing import partition_of
from domain.usage.customer_windows import CustomerWindows
from domain.usage.facts import UsageFacts
from domain.usage.segment_rows import segment_rows
from projections.invoicing.log import book_facts, usage_from_events, usage_from_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.fields import Fields
    from domain.rating import UsageEntry
    from domain.usage.segment_rows import SegmentRow
    from runtime.settings import Settings

Source = Literal["auto", "events", "facts"]
ReadUsage = Callable[..., Iterator[UsageFacts]]
"""(settings, partition=, end=): yields the usage facts of source offsets [0, end) of a partition;
raises Fatal when it does not reach back that far."""
READERS: dict[str, ReadUsage] = {"events": usage_from_events, "facts": usage_from_facts}
"""Where usage may come from; what keeps the log elsewhere adds itself here."""
_MADE = frozenset({"InvoiceFinalized", "InvoiceSkipped"})
"""Facts with a content of its own: a period that was skipped has one too, and no number."""
DIFFERENCES_MAX = 20
"""Differences that are named; after so many it is plain that all is different."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the item of a correction corrects, as the log has it.

    Args:
        correction: Id of the correction that added the item.
        number: Number of the corrected invoice; the id of a period that was skipped.
        before: Source offset up to which the customer's usage was counted before; None in a log
            of before it was kept.
        after: Source offset up to which it was counted for the correction.
        partition: The customer's partition of usage.events.
    """

    correction: str
    number: str
    before: int | None
    after: int
    partition: int


@dataclass(frozen=True, slots=True)
class Finalized:
    """An invoice as the log has it, or a correction of one.

    Args:
        invoice: Invoice id.
        number: Its number; empty for a period that was skipped.
        correction: Id of the correction that this is; empty for the invoice itself.
        content: Its parsed content.
        text: Its canonical JSON.
        sha256: Its content hash.
        issued_at: Its issue date, or the as_of of the correction.
        catalogues: Every catalogue version of the tenant, by version.
        corrected: What its items of corrections correct, by item.
        pin_before: Of a correction, the positions of usage.events that held before it.
    """

    invoice: str
    number: str
    correction: str
    content: InvoiceContent
    text: str
    sha256: str
    issued_at: datetime
    catalogues: Mapping[int, Catalogue]
    corrected: Mapping[str, Corrected]
    pin_before: tuple[int, ...]


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

    @property
    def differences(self) -> tuple[str, ...]:
        """Say where they differ, for people: the usage first, for it is what lines come from."""
        return tuple(_differences(self.original.content, self.content))[:DIFFERENCES_MAX]


def find_invoice(settings: Settings, *, tenant: str, name: str) -> Finalized:
    """This function will find a finalised invoice in the log.

    Args:
        settings: Where the broker is.
        tenant: Who billed.
        name: Number or id of the invoice, or id of a correction.

    Raises:
        Rejected: invoice_unknown.
        Fatal: state_corrupt, when a catalogue or a content is not what its hash says.
        Retryable: broker_away.
    """
    books = _Books()
    found: tuple[Fact, Fields] | None = None
    for fact, fields in books.read(settings, tenant=tenant):
        if fact.kind in _MADE:
            names = {fields.values["number"], fields.text("invoice")}
        else:
            names = {fields.text("correction")}
        if name in names:
            found = fact, fields
    if found is None:
        raise Rejected(Code.INVOICE_UNKNOWN, f"tenant {tenant!r} has no invoice {name!r}")
    return _finalized(*found, books=books)


def every_invoice(settings: Settings, *, tenant: str) -> list[Finalized]:
    """This function will return every invoice and correction of a tenant, in the log's order.

    Raises:
        Fatal: state_corrupt, when a catalogue or a content is not what its hash says.
        Retryable: broker_away.
    """
    books = _Books()
    found = list(books.read(settings, tenant=tenant))
    return [_finalized(fact, fields, books=books) for fact, fields in found]


class _Positions(Struct):
    positions: tuple[int, ...]


class _Correction(Struct):
    correction: str
    invoice: str
    kept: _Positions
    pin_before: tuple[int, ...] = ()


class _Added(Struct):
    document: str


@dataclass(slots=True)
class _Books:
    """What invoices need of the books: catalogue versions, numbers, and what items correct."""

    catalogues: dict[int, Catalogue] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    corrected: dict[str, Corrected] = field(default_factory=dict)
    _corrections: dict[str, _Correction] = field(default_factory=dict)

    def read(self, settings: Settings, *, tenant: str) -> Iterator[tuple[Fact, Fields]]:
        """Yield the facts of invoices and corrections; catalogues and numbers are kept."""
        for fact in book_facts(settings, tenant=tenant):
            if fact.kind == "CataloguePublished":
                catalogue = _catalogue(fields_of_fact(fact))
                self.catalogues[catalogue.version] = catalogue
            elif fact.kind in _MADE or fact.kind == "InvoiceCorrected":
                fields = fields_of_fact(fact)
                if fact.kind in _MADE:
                    self.numbers[fields.text("invoice")] = text_or_none(fields, "number")
                else:
                    made = read_fact(_Correction, fact)
                    self._corrections[made.invoice] = made
                yield fact, fields
            elif fact.kind == "ItemAdded":
                self._note(Item.from_document(read_fact(_Added, fact).document), tenant=tenant)

    def _note(self, item: Item, *, tenant: str) -> None:
        """Note what an item corrects: its correction is the newest one when it is added."""
        made = self._corrections.get(item.refers[0])
        if item.kind is not ItemKind.CORRECTION or made is None:
            return
        after = made.kept.positions
        partition = partition_of(tenant, item.customer, partitions=len(after))
        self.corrected[item.item] = Corrected(
            correction=made.correction,
            number=self.numbers[made.invoice] or made.invoice,
            before=made.pin_before[partition] if made.pin_before else None,
            after=after[partition],
            partition=partition,
        )


def _catalogue(fields: Fields) -> Catalogue:
    """Read a published catalogue, and check that its bytes are those that were published."""
    content = fields.document("content")
    if sha256_hex(content) != fields.text("content_sha256"):
        raise _damaged(f"catalogue version {fields.values.get('version')}", fields, content)
    return parse_catalogue(content)


def _finalized(fact: Fact, fields: Fields, *, books: _Books) -> Finalized:
    invoice, text = fields.text("invoice"), fields.document("content")
    sha256 = fields.text("content_sha256")
    is_correction = fact.kind == "InvoiceCorrected"
    if sha256_hex(text) != sha256:
        raise _damaged(f"invoice {books.numbers[invoice]}", fields, text)
    return Finalized(
        invoice=invoice,
        number=books.numbers[invoice],
        correction=fields.text("correction") if is_correction else "",
        content=parse_invoice_content(text),
        text=text,
        sha256=sha256,
        issued_at=fields.time("as_of" if is_correction else "issued_at"),
        catalogues=books.catalogues,
        corrected=books.corrected,
        pin_before=read_fact(_Correction, fact).pin_before if is_correction else (),
    )


def _damaged(what: str, fields: Fields, content: str) -> Fatal:
    return Fatal(
        Code.STATE_CORRUPT,
        f"the content of {what} in account.facts hashes to {sha256_hex(content)}, "
        f"its fact says {fields.values.get('content_sha256')}",
        next_step="The topic was altered after it was written: restore it from a copy",
    )


def replay(settings: Settings, *, tenant: str, name: str, source: Source = "auto") -> Replayed:
    """This function will make an invoice again from the log, up to its pin, with no database.

    Args:
        settings: Where the broker is.
        tenant: Who billed.
        name: Number or id of the invoice, or id of a correction.
        source: "events" folds the raw events anew; "facts" adds up what the folds wrote; "auto"
            takes the events as long as their topic reaches back to its start, else the facts.

    Raises:
        Rejected: invoice_unknown, or catalogue_differs when the log lacks a version it names.
        Fatal: log_truncated or facts_gap, when the log no longer has what is needed.
        Retryable: broker_away.
    """
    original = find_invoice(settings, tenant=tenant, name=name)
    return replayed(original, usage_rows(settings, original, source=source))


def replayed(original: Finalized, rows: tuple[SegmentRow, ...]) -> Replayed:
    """This function will make an invoice again from rows that were folded again."""
    pin = original.content.pin
    again = content_of(
        terms=original.content.terms,
        rows=rows,
        catalogues=original.catalogues,
        usage_positions=pin.usage_positions,
        account_partition=pin.account_partition,
        account_position=pin.account_position,
    )
    return Replayed(original=original, content=again)


def usage_rows(
    settings: Settings, original: Finalized, *, source: Source
) -> tuple[SegmentRow, ...]:
    """This function will collect the customer's windows from the log, up to the pin."""
    terms, pin = original.content.terms, original.content.pin
    parts = parts_of(terms, catalogues=original.catalogues)
    if not any(part.meters for part in parts):
        return ()
    partition = partition_of(terms.tenant, terms.customer, partitions=len(pin.usage_positions))
    end = pin.usage_positions[partition]
    windows = CustomerWindows(tenant=terms.tenant, customer=terms.customer)
    reader = READERS["events" if source == "auto" else source]
    try:
        for facts in reader(settings, partition=partition, end=end):
            windows.add(facts)
    except Fatal as error:
        if source != "auto" or error.code not in {Code.LOG_TRUNCATED, Code.ARCHIVE_GAP}:
            raise
        return usage_rows(settings, original, source="facts")
    return segment_rows(windows.every(), parts=parts)


def _differences(original: InvoiceContent, again: InvoiceContent) -> Iterator[str]:
    before = {_place(entry): entry for entry in original.usage}
    after = {_place(entry): entry for entry in again.usage}
    for place in sorted(before.keys() | after.keys()):
        if before.get(place) != after.get(place):
            was, now = (
                "nothing" if entry is None else str(usage_to_json(entry))
                for entry in (before.get(place), after.get(place))
            )
            yield f"usage of part {place[0]}, meter {place[1]!r} was {was}, is {now}"
    if original.pin.usage_digest != again.pin.usage_digest:
        yield (
            f"the billed windows hashed to {original.pin.usage_digest}, now to "
            f"{again.pin.usage_digest}: an event was changed, lost or added before the pin"
        )
    lines = {line.line_id: line for line in again.lines}
    for line in original.lines:
        now_line = lines.pop(line.line_id, None)
        if now_line != line:
            amount = "gone" if now_line is None else now_line.amount_unrounded
            yield f"line {line.line_id!r} came to {line.amount_unrounded}, now {amount}"
    yield from (f"line {name!r} is new" for name in lines)


def _place(entry: UsageEntry) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    return entry.segment, entry.meter, entry.where
