"""Replay of many invoices in one pass: the books are read once, each usage partition once.

Invoices are made in the order of their pins: usage is folded up to a pin, all invoices of that pin
are made, and the fold goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import Fatal
from domain.invoice_usage import parts_of
from domain.routing import partition_of
from domain.usage.customer_windows import WindowsByCustomer
from domain.usage.fold import UsageFold
from domain.usage.segment_rows import segment_rows
from projections.invoicing.log import folded, source_records, usage_from_facts
from projections.invoicing.replay import every_invoice, replayed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from domain.usage.facts import UsageFacts
    from domain.usage.records import SourceRecord
    from projections.invoicing.replay import Finalized, Replayed, Source
    from runtime.settings import Settings

RECORDS_PER_SPAN = 1_000
"""Source records held at once: up to 5,000 events each."""


def replay_all(
    settings: Settings, *, tenant: str, count_max: int = 0, source: Source = "auto"
) -> Iterator[Replayed]:
    """This function will make every invoice of a tenant again from the log.

    Args:
        settings: Where the broker is.
        tenant: Who billed.
        count_max: How many at most, spread over all of them; 0 for all.
        source: As replay takes it; "auto" decides for each partition.

    Raises:
        Fatal: log_truncated or facts_gap, when the log no longer has what is needed.
        Retryable: broker_away.
    """
    found = every_invoice(settings, tenant=tenant)
    step = -(-len(found) // count_max) if count_max else 1
    by_partition: dict[int, list[Finalized]] = {}
    for each in found[:: max(1, step)]:
        terms, pin = each.content.terms, each.content.pin
        partition = partition_of(tenant, terms.customer, partitions=len(pin.usage_positions))
        by_partition.setdefault(partition, []).append(each)
    for partition, invoices in sorted(by_partition.items()):
        yield from _partition(settings, partition, invoices, source=source)


def _partition(
    settings: Settings, partition: int, invoices: Sequence[Finalized], *, source: Source
) -> Iterator[Replayed]:
    """Make the invoices of one usage partition again, in the order of their pins."""
    waiting = sorted(invoices, key=lambda each: _pin(each, partition), reverse=True)
    stops = sorted({_pin(each, partition) for each in invoices})
    tenant = invoices[0].content.terms.tenant
    windows = WindowsByCustomer(
        tenant=tenant, customers={each.content.terms.customer for each in invoices}
    )
    for facts in _usage(settings, partition, stops, source=source):
        while waiting and _pin(waiting[-1], partition) <= facts.from_offset:
            yield _made(waiting.pop(), windows)
        windows.add(facts)
    while waiting:
        yield _made(waiting.pop(), windows)


def _pin(invoice: Finalized, partition: int) -> int:
    return invoice.content.pin.usage_positions[partition]


def _made(invoice: Finalized, windows: WindowsByCustomer) -> Replayed:
    terms = invoice.content.terms
    parts = parts_of(terms, catalogues=invoice.catalogues)
    return replayed(invoice, segment_rows(windows.of(terms.customer), parts=parts))


def _usage(
    settings: Settings, partition: int, stops: Sequence[int], *, source: Source
) -> Iterator[UsageFacts]:
    """Yield usage facts up to the last stop; no record of them reaches over a stop."""
    end = stops[-1]
    if source == "facts":
        yield from usage_from_facts(settings, partition=partition, end=end)
        return
    fold = UsageFold(partition=partition, partitions=settings.partitions)
    records = source_records(settings, partition=partition, start=0, end=end)
    is_begun = False
    try:
        for span in _cut(records, stops):
            for facts in folded(fold, span):
                is_begun = True
                yield facts
    except Fatal as error:
        if source == "auto" and error.code is Code.LOG_TRUNCATED and not is_begun:
            yield from usage_from_facts(settings, partition=partition, end=end)
            return
        raise


def _cut(records: Iterable[SourceRecord], stops: Sequence[int]) -> Iterator[list[SourceRecord]]:
    """Cut records into lists that end at stops or are long enough to be folded."""
    pending: list[SourceRecord] = []
    left = list(reversed(stops))
    for record in records:
        while left and record.offset >= left[-1]:
            left.pop()
            if pending:
                yield pending
                pending = []
        pending.append(record)
        if len(pending) >= RECORDS_PER_SPAN:
            yield pending
            pending = []
    if pending:
        yield pending
