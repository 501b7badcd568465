"""Which invoices have a day's usage of a series, and why none has it where none does.

Parts of periods are whole UTC days, so a day of a series lies on an invoice whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.rating import selections

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from domain.catalogue import Catalogue
    from domain.invoice_terms import InvoiceTerms
    from domain.pricing.price import Where


class Unbilled(StrEnum):
    """Why usage stands on no invoice; the first that applies of the customer's subscriptions."""

    MISSING = "missing"
    """A period that was invoiced covers it, and no invoice of it is there: a defect."""
    OPEN = "open"
    """Its period is not invoiced yet: it runs, waits for its grace, or is parked."""
    UNPRICED = "unpriced"
    """The invoice of its period has no price that reads it."""
    PAUSED = "paused"
    SKIPPED = "skipped"
    """The invoice of its period was left out, because it came to nothing."""
    TRIAL = "trial"
    LIFETIME = "lifetime"
    """A lifetime is billed once, its usage never (S4-R19)."""
    NO_SUBSCRIPTION = "no_subscription"


@dataclass(frozen=True, slots=True)
class BilledPart:
    """A part of a period that is on an invoice.

    Args:
        invoice: Number of the invoice.
        subscription: Whose period it is.
        start: First UTC day.
        end: Day after the last.
        reads: (meter, dimension values that its windows must have) of each price.
        is_paused: Whether nothing is charged for it.
    """

    invoice: str
    subscription: str
    start: date
    end: date
    reads: tuple[tuple[str, Where], ...]
    is_paused: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A subscription, as far as it says what is to be billed.

    Args:
        subscription: Its id.
        start: First UTC day of service.
        billed_from: First day of its first period: where a trial ends.
        open_from: First day that is not invoiced yet.
        end: Day after the last day of service; None while it is not cancelled.
        is_lifetime: Whether the open period is a lifetime.
        skipped: (first day, day after the last) of each period whose invoice was left out.
    """

    subscription: str
    start: date
    billed_from: date
    open_from: date
    end: date | None
    is_lifetime: bool
    skipped: tuple[tuple[date, date], ...] = ()


def billed_parts(
    terms: InvoiceTerms, *, invoice: str, catalogues: Mapping[int, Catalogue]
) -> tuple[BilledPart, ...]:
    """This function will say which usage an invoice has.

    Args:
        terms: What it was made by.
        invoice: Its number.
        catalogues: At least the versions that the terms name.
    """
    reads: list[list[tuple[str, Where]]] = [[] for _ in terms.segments]
    for each in selections(terms=terms, catalogues=catalogues):
        reads[each.segment].append((each.meter, (*each.where, *terms.dimensions)))
    return tuple(
        BilledPart(
            invoice=invoice,
            subscription=terms.subscription,
            start=segment.start.date(),
            end=segment.end.date(),
            reads=tuple(read),
            is_paused=segment.is_paused,
        )
        for segment, read in zip(terms.segments, reads, strict=True)
    )


class Coverage:
    """What of a customer's usage is on invoices.

    Args:
        parts: Parts of periods of its invoices.
        services: Its subscriptions.
    """

    def __init__(self, parts: Iterable[BilledPart], services: Sequence[Service]) -> None:
        self._parts = tuple(parts)
        self._services = services

    def of_series(self, *, meter: str, dimensions: Where) -> tuple[BilledPart, ...]:
        """Return the parts that read a series, whatever their days."""
        has = set(dimensions)
        return tuple(
            part
            for part in self._parts
            if any(meter == name and has.issuperset(where) for name, where in part.reads)
        )

    def unbilled(self, day: date) -> Unbilled:
        """Say why a day's usage that no part reads is on no invoice."""
        found = {self._reason(service, day) for service in self._services}
        return next((each for each in Unbilled if each in found), Unbilled.NO_SUBSCRIPTION)

    def _reason(self, service: Service, day: date) -> Unbilled:
        if day < service.start or (service.end is not None and day >= service.end):
            return Unbilled.NO_SUBSCRIPTION
        if day < service.billed_from:
            return Unbilled.TRIAL
        if day >= service.open_from:
            return Unbilled.LIFETIME if service.is_lifetime else Unbilled.OPEN
        if any(start <= day < end for start, end in service.skipped):
            return Unbilled.SKIPPED
        for part in self._parts:
            if part.subscription == service.subscription and part.start <= day < part.end:
                return Unbilled.PAUSED if part.is_paused else Unbilled.UNPRICED
        return Unbilled.MISSING


def invoices_of(parts: Iterable[BilledPart], day: date) -> Iterator[str]:
    """This function will yield the numbers of the invoices that have a day, each once."""
    yield from dict.fromkeys(part.invoice for part in parts if part.start <= day < part.end)
