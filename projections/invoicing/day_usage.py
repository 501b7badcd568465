"""What is counted of a tenant, day by day, beside which invoices have it.

It goes through the customers a few at a time, and through their days as the database adds them up,
so that memory is bounded whatever the tenant's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from domain.coverage import Service
from domain.period import Interval
from domain.quantity import decimal_nanos, nanos_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    import psycopg

    from domain.pricing.price import Where

CUSTOMERS_PER_PAGE = 100
"""Customers whose invoices' parts are held at once: about 10 MB for a year."""
ROWS_AT_ONCE = 10_000
"""Days of series that one fetch brings: about 5 MB."""
_2_128 = 2**128

_CUSTOMERS = """
    (SELECT DISTINCT customer FROM usage_series WHERE customer > %(after)s
        ORDER BY customer LIMIT %(limit)s)
    UNION
    (SELECT DISTINCT customer FROM invoice WHERE customer > %(after)s
        ORDER BY customer LIMIT %(limit)s)
    ORDER BY customer LIMIT %(limit)s
"""
_DAYS = f"""
    SELECT s.customer, s.series, s.meter, s.dimensions, (w.hour AT TIME ZONE 'UTC')::date,
        sum(w.events)::bigint, sum(w.sum), sum(w.key_digest) %% {_2_128}
    FROM usage_series s JOIN usage_window w USING (tenant, series)
    WHERE s.customer = ANY(%(customers)s) AND w.hour >= %(start)s AND w.hour < %(end)s
    GROUP BY s.tenant, s.series, 5
    ORDER BY s.customer, s.series, 5
"""  # noqa: S608 -- fixed texts only
_SERVICES = """
    SELECT customer, subscription, starts_at, coalesce(trial_ends_at, starts_at), period_start,
        ends_at, interval
    FROM subscription WHERE customer = ANY(%(customers)s)
"""
# An opening has the dates of the period that it opens, and says nothing of its usage.
_SKIPPED = """
    SELECT subscription, period_start, period_end FROM skipped_invoice
    WHERE customer = ANY(%(customers)s) AND kind <> 'opening'
"""


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted of a meter on a day.

    Args:
        events: Events.
        sum_nanos: Sum of their values, billionths.
        key_digest: Sum of their keys modulo 2^128: another event with the same value shows.
    """

    events: int = 0
    sum_nanos: int = 0
    key_digest: int = 0

    def plus(self, other: Count) -> Count:
        """Add two counts of different events."""
        return Count(
            self.events + other.events,
            self.sum_nanos + other.sum_nanos,
            (self.key_digest + other.key_digest) % _2_128,
        )

    @property
    def text(self) -> str:
        """Return it for people."""
        return f"{self.events} events, sum {nanos_text(self.sum_nanos)}"


@dataclass(frozen=True, slots=True)
class SeriesDays:
    """What is counted of one series.

    Args:
        customer: Who used it.
        meter: Meter key.
        dimensions: Its dimension values, sorted.
        days: (UTC day, count), in the order of time.
    """

    customer: str
    meter: str
    dimensions: Where
    days: tuple[tuple[date, Count], ...]


def customers_of(connection: psycopg.Connection) -> Iterator[list[str]]:
    """This function will yield every customer with usage or invoices, a page at a time."""
    page: list[str] = [""]
    while page:
        wanted = {"after": page[-1], "limit": CUSTOMERS_PER_PAGE}
        page = [customer for (customer,) in connection.execute(_CUSTOMERS, wanted)]
        if page:
            yield page


def services_of(
    connection: psycopg.Connection, customers: Sequence[str]
) -> Mapping[str, list[Service]]:
    """This function will read the subscriptions of some customers."""
    skipped: dict[str, list[tuple[date, date]]] = {}
    for subscription, start, end in connection.execute(_SKIPPED, {"customers": customers}):
        skipped.setdefault(subscription, []).append((start.date(), end.date()))
    found: dict[str, list[Service]] = {customer: [] for customer in customers}
    for (
        customer,
        subscription,
        starts,
        billed_from,
        open_from,
        ends,
        interval,
    ) in connection.execute(_SERVICES, {"customers": customers}):
        found[customer].append(
            Service(
                subscription=subscription,
                start=starts.date(),
                billed_from=billed_from.date(),
                open_from=open_from.date(),
                end=None if ends is None else ends.date(),
                is_lifetime=interval == Interval.LIFETIME,
                skipped=tuple(skipped.get(subscription, ())),
            )
        )
    return found


def counted_days(
    connection: psycopg.Connection, customers: Sequence[str], *, start: datetime, end: datetime
) -> Iterator[SeriesDays]:
    """This function will yield what is counted of some customers, series by series.

    Args:
        connection: Connection inside a transaction that sees one tenant.
        customers: Whose usage.
        start: 00:00 UTC of the first day.
        end: 00:00 UTC of the day after the last.
    """
    with connection.cursor(name="counted_days") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(_DAYS, {"customers": customers, "start": start, "end": end})
        for _, rows in groupby(cursor, key=lambda row: row[1]):
            each = list(rows)
            customer, _, meter, dimensions = each[0][:4]
            yield SeriesDays(
                customer=customer,
                meter=meter,
                dimensions=tuple(sorted(dimensions.items())),
                days=tuple(
                    (day, Count(events, decimal_nanos(total), int(digest)))
                    for *_, day, events, total, digest in each
                ),
            )
