"""Reconciliation: what the log accepted is what the tables count, and what invoices say.

Two comparisons, each to the last unit:
1. accepted = counted: per day and meter, the deltas of usage.facts added up again against
   usage_window: events, sum and set digest of the keys.
2. counted = rated = invoiced: the usage of every final invoice that touches the days, made again
   from the tables as they are now, against what its effective content says.

Late usage that no correction has taken up yet is a difference of the second kind: `tidegauge
correct` closes it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_reading import parse_invoice_content
from domain.quantity import NANOS_PER_UNIT, decimal_nanos, nanos_text
from projections.invoicing.log import usage_from_facts
from projections.invoicing.outcomes import await_projected
from projections.invoicing.snapshot import Snapshot
from runtime.metrics import RECONCILE_MISMATCHES
from schemas.topics import USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.invoice import InvoiceContent
    from domain.usage.facts import UsageFacts
    from runtime.settings import Settings

DAYS_MAX = 400
"""Days of one call: a year and a month."""
INVOICES_PER_BATCH = 200
"""Invoices that are made again at once."""
HOURS_PER_DAY = 24
_2_128 = 2**128
_COUNTED = f"""
    SELECT (w.hour AT TIME ZONE 'UTC')::date, s.meter, sum(w.events)::bigint, sum(w.sum),
        sum(w.key_digest) %% {_2_128}
    FROM usage_series s JOIN usage_window w USING (tenant, series)
    WHERE w.hour >= %(start)s AND w.hour < %(end)s
    GROUP BY 1, 2
"""  # noqa: S608 -- fixed texts only
_INVOICES = """
    SELECT i.invoice, i.number,
        coalesce((SELECT c.content FROM correction c WHERE c.tenant = i.tenant
            AND c.invoice = i.invoice ORDER BY c.place DESC LIMIT 1), i.content)
    FROM invoice i
    WHERE i.kind = 'period' AND i.status <> 'void' AND i.period_start < %(end)s
        AND i.period_end > %(start)s AND i.invoice > %(after)s
    ORDER BY i.invoice LIMIT %(limit)s
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
class DayCount:
    """One meter on one day.

    Args:
        day: UTC day in which the events occurred.
        meter: Meter key.
        accepted: As the log's facts add up.
        counted: As the tables have it.
    """

    day: date
    meter: str
    accepted: Count
    counted: Count

    @property
    def is_equal(self) -> bool:
        """Say whether both are the same."""
        return self.accepted == self.counted


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation found.

    Args:
        days: Every day and meter with usage.
        invoices: How many invoices were made again.
        differences: What is not equal, for people; empty when all is.
    """

    days: tuple[DayCount, ...]
    invoices: int
    differences: tuple[str, ...]


def reconcile(settings: Settings, *, tenant: str, first: date, last: date) -> Reconciled:
    """This function will compare log, tables and invoices of some days.

    Args:
        settings: Where broker and database are.
        tenant: Whose usage.
        first: First UTC day.
        last: Last UTC day, inclusive; at most DAYS_MAX after the first.

    Raises:
        Rejected: invalid_request, when the days are in the wrong order or too many.
        Fatal: facts_gap, when the log's facts do not reach what is projected.
        Retryable: broker_away, database_away or not_ready.
    """
    if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
        raise Rejected(
            Code.INVALID_REQUEST, f"from {first} to {last} are not 1 to {DAYS_MAX} days"
        )
    start = datetime.combine(first, time(), tzinfo=UTC)
    end = datetime.combine(last + timedelta(days=1), time(), tzinfo=UTC)
    await_projected(settings, tenant=tenant)
    with Snapshot(settings, tenant=tenant) as snapshot:
        positions = snapshot.positions(USAGE_FACTS_TOPIC.name)
        rows = snapshot.connection.execute(_COUNTED, {"start": start, "end": end}).fetchall()
        counted = {
            (day, meter): Count(events, decimal_nanos(total), int(digest))
            for day, meter, events, total, digest in rows
        }
        invoices, wrong = _check_invoices(snapshot, start=start, end=end)
    accepted: defaultdict[tuple[date, str], Count] = defaultdict(Count)
    for partition, position in enumerate(positions):
        for facts in usage_from_facts(settings, partition=partition, end=position):
            for place, count in _accepted(facts, tenant=tenant, first=first, last=last):
                accepted[place] = accepted[place].plus(count)
    days = tuple(
        DayCount(
            day=place[0],
            meter=place[1],
            accepted=accepted.get(place, Count()),
            counted=counted.get(place, Count()),
        )
        for place in sorted(accepted.keys() | counted.keys())
    )
    differences = [
        f"{each.day} {each.meter}: accepted {each.accepted.text}; counted {each.counted.text}"
        for each in days
        if not each.is_equal
    ]
    differences += wrong
    RECONCILE_MISMATCHES.labels(tenant).set(len(differences))
    return Reconciled(days=days, invoices=invoices, differences=tuple(differences))


def _accepted(
    facts: UsageFacts, *, tenant: str, first: date, last: date
) -> Iterator[tuple[tuple[date, str], Count]]:
    """Yield the deltas of one facts record that belong to a tenant's days."""
    series, windows = facts.series, facts.windows
    owners = [number for number, owner in enumerate(series.owners) if owner[0] == tenant]
    if not owners or not len(windows):
        return
    mine = np.flatnonzero(np.isin(series.owner, owners))
    epoch = date(1970, 1, 1)
    low = (first - epoch).days * HOURS_PER_DAY
    high = ((last - epoch).days + 1) * HOURS_PER_DAY
    hours = windows.hour
    chosen = np.flatnonzero(np.isin(windows.series, mine) & (hours >= low) & (hours < high))
    for index in chosen.tolist():
        meter = series.meters[int(series.meter[int(windows.series[index])])]
        day = epoch + timedelta(hours=int(hours[index]))
        yield (
            (day, meter),
            Count(
                events=int(windows.events[index]),
                sum_nanos=int(windows.sum_units[index]) * NANOS_PER_UNIT
                + int(windows.sum_nanos[index]),
                key_digest=(int(windows.digest_high[index]) << 64)
                | int(windows.digest_low[index]),
            ),
        )


def _check_invoices(
    snapshot: Snapshot, *, start: datetime, end: datetime
) -> tuple[int, list[str]]:
    """Make the usage of final invoices again from the tables and compare."""
    after, count = "", 0
    wrong: list[str] = []
    while True:
        rows = snapshot.connection.execute(
            _INVOICES,
            {"start": start, "end": end, "after": after, "limit": INVOICES_PER_BATCH},
        ).fetchall()
        if not rows:
            return count, wrong
        after = rows[-1][0]
        count += len(rows)
        contents = [parse_invoice_content(text) for _, _, text in rows]
        terms = [content.terms for content in contents]
        again = snapshot.contents(terms)
        for (_, number, _), was, now in zip(rows, contents, again, strict=True):
            if isinstance(now, Rejected):
                wrong.append(f"invoice {number}: cannot be made again: {now.code}, {now.reason}")
            elif difference := _difference(was, now):
                wrong.append(f"invoice {number}: {difference}")


def _difference(was: InvoiceContent, now: InvoiceContent) -> str:
    """Say where an invoice's usage differs from the tables; empty when it does not."""
    before = {(each.segment, each.meter, each.where): each for each in was.usage}
    after = {(each.segment, each.meter, each.where): each for each in now.usage}
    for place in sorted(before.keys() | after.keys()):
        old, new = before.get(place), after.get(place)
        if old != new:
            return (
                f"part {place[0]}, meter {place[1]}: invoiced "
                f"{nanos_text(old.nanos if old else 0)} of {old.events if old else 0} events, "
                f"counted {nanos_text(new.nanos if new else 0)} of {new.events if new else 0}"
            )
    if was.pin.usage_digest != now.pin.usage_digest:
        return "the billed windows are other ones, although they add up to the same"
    return ""
