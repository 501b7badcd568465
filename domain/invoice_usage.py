"""Between windows and invoices: which windows the terms need, and the content made from them.

The builder, replay, previews and corrections all come through here; they differ only in where the
rows are from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.aggregation.kinds import SKETCHED, Aggregation
from domain.invoice import InvoiceContent, Pin, build_invoice, span_of
from domain.meter import carried_meters
from domain.period import Period
from domain.rating import meters_of, usage_entries
from domain.usage.segment_rows import Part, usage_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.catalogue import Catalogue
    from domain.invoice_terms import InvoiceTerms
    from domain.usage.segment_rows import SegmentRow

_EXTREMES = frozenset({Aggregation.MIN, Aggregation.MAX, Aggregation.LATEST})


def parts_of(terms: InvoiceTerms, *, catalogues: Mapping[int, Catalogue]) -> tuple[Part, ...]:
    """This function will say which windows each part of a billed period needs.

    Args:
        terms: Terms of the invoice.
        catalogues: At least the versions that the terms name.

    Returns:
        One part per segment, in order; of a paused one no meter is read.
    """
    parts = []
    read = meters_of(terms=terms, catalogues=catalogues)
    for segment, wanted in zip(terms.segments, read, strict=True):
        catalogue = catalogues[segment.catalogue_version]
        meters = [meter for meter in catalogue.meters if meter.key in wanted]
        parts.append(
            Part(
                span=span_of(Period(segment.start, segment.end)),
                meters=wanted,
                sketched=frozenset(each.key for each in meters if each.aggregation in SKETCHED),
                carried=carried_meters(meters),
                extreme=frozenset(each.key for each in meters if each.aggregation in _EXTREMES),
            )
        )
    return tuple(parts)


def content_of(
    *,
    terms: InvoiceTerms,
    rows: Sequence[SegmentRow],
    catalogues: Mapping[int, Catalogue],
    usage_positions: tuple[int, ...],
    account_partition: int,
    account_position: int,
    is_next: bool = False,
) -> InvoiceContent:
    """This function will make the content of an invoice from windows.

    Args:
        terms: What it is made by.
        rows: Rows of its parts (parts_of, segment_rows); all of them are pinned.
        catalogues: At least the versions that the terms name.
        usage_positions: Next source offset of usage.events per partition, as the rows stand.
        account_partition: Partition of account.commands that holds the tenant.
        account_position: Next source offset of it, as the terms stand.
        is_next: Whether it is still to be made: items that it has no room for wait then.
    """
    return build_invoice(
        terms=terms,
        usage=usage_entries(rows=rows, terms=terms, catalogues=catalogues),
        catalogues=catalogues,
        pin=Pin(
            usage_positions=usage_positions,
            account_partition=account_partition,
            account_position=account_position,
            usage_digest=usage_digest(rows),
        ),
        is_next=is_next,
    )
