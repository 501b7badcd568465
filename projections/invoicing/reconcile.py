"""Reconciliation: what the log accepted is what the tables count, and what invoices say.

Four comparisons, each to the last unit:
1. accepted = counted: per day and meter, the deltas of usage.facts added up again against
   usage_window: events, sum and set digest of the keys.
2. counted = invoiced + unbilled: each day of each series is on exactly one invoice, or there is a
   reason why it is on none (domain.coverage). Usage on no invoice although its period was
   invoiced, and usage on two, are differences.
3. rated = invoiced: the usage of every final invoice that touches the days, and of every period
   that came to nothing and was skipped, made again from the windows as they are now, against what
   its effective content says, corrections included.
4. added up = counted: days that bills may read in place of their windows, against these.

Late usage that no correction has taken up yet is a difference of the third kind: `tidegauge
correct` closes it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from domain.codes import Code
from domain.coverage import Coverage, Unbilled, billed_parts, invoices_of
from domain.errors import Rejected
from domain.invoice_reading import parse_invoice_content
from domain.quantity import NANOS_PER_UNIT, nanos_text
from projections.invoicing.day_proof import different_days
from projections.invoicing.day_usage import Count, counted_days, customers_of, services_of
from projections.invoicing.log import usage_from_facts
from projections.invoicing.outcomes import await_projected
from projections.invoicing.snapshot import Snapshot
from runtime.metrics import RECONCILE_MISMATCHES
from schemas.topics import USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.coverage import BilledPart
    from domain.invoice import InvoiceContent
    from domain.usage.facts import UsageFacts
    from projections.invoicing.day_usage import SeriesDays
    from runtime.settings import Settings

DAYS_MAX = 400
"""Days of one call: a year and a month."""
INVOICES_PER_BATCH = 200
"""Invoices that are made again at once."""
NAMED_MAX = 1_000
"""Differences that are named; the rest is counted."""
HOURS_PER_DAY = 24
_IN_DAYS = """
    kind = 'period' AND customer = ANY(%(customers)s) AND period_start < %(end)s
        AND period_end > %(start)s AND invoice > %(after)s
"""
# A skipped period is an invoice of 0 without a number; of before 0012 it has no content.
_INVOICES = f"""
    SELECT i.invoice, i.name, i.customer, i.is_skipped,
        coalesce((SELECT c.content FROM correction c WHERE c.tenant = i.tenant
            AND c.invoice = i.invoice ORDER BY c.place DESC LIMIT 1), i.content)
    FROM (
        SELECT tenant, invoice, number AS name, customer, content, false AS is_skipped
        FROM invoice WHERE status <> 'void' AND {_IN_DAYS}
        UNION ALL
        SELECT tenant, invoice,
            concat('skipped ', (period_start AT TIME ZONE 'UTC')::date, ' of ', subscription),
            customer, content, true
        FROM skipped_invoice WHERE content <> '' AND {_IN_DAYS}
    ) i
    ORDER BY i.invoice LIMIT %(limit)s
"""  # noqa: S608 -- fixed texts only


@dataclass(frozen=True, slots=True)
class DayCount:
    """One meter on one day.

    Args:
        day: UTC day in which the events occurred.
        meter: Meter key.
        accepted: As the log's facts add up.
        counted: As the tables have it.
        invoiced: What of it is on an invoice.
        doubled: What of it is on more than one.
        unbilled: What of it is on none, with the reason, the gravest first.
    """

    day: date
    meter: str
    accepted: Count
    counted: Count
    invoiced: Count
    doubled: Count
    unbilled: tuple[tuple[Unbilled, Count], ...]

    @property
    def is_equal(self) -> bool:
        """Say whether log and tables are the same, and all that is billed is on one invoice."""
        return (
            self.accepted == self.counted
            and self.doubled == Count()
            and not any(reason is Unbilled.MISSING for reason, _ in self.unbilled)
        )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation found.

    Args:
        days: Every day and meter with usage.
        invoices: How many invoices were made again.
        differences: What is not equal, for people, at most NAMED_MAX; empty when all is.
        count: How many differences there are.
    """

    days: tuple[DayCount, ...]
    invoices: int
    differences: tuple[str, ...]
    count: int


def reconcile(settings: Settings, *, tenant: str, first: date, last: date) -> Reconciled:
    """This function will compare log, tables and invoices of some days.

    It costs one pass over the facts, two over the windows of the days, and one over the invoices
    that touch them.

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
    tally = _Tally()
    with Snapshot(settings, tenant=tenant, has_days=False) as snapshot:
        positions = snapshot.positions(USAGE_FACTS_TOPIC.name)
        for customers in customers_of(snapshot.connection):
            parts = tally.check_invoices(snapshot, customers, start=start, end=end)
            services = services_of(snapshot.connection, customers)
            covers = {name: Coverage(parts[name], services[name]) for name in customers}
            for series in counted_days(snapshot.connection, customers, start=start, end=end):
                tally.take(series, covers[series.customer])
            for difference in different_days(snapshot.connection, customers, start=start, end=end):
                tally.differ(difference)
    for partition, position in enumerate(positions):
        for facts in usage_from_facts(settings, partition=partition, end=position):
            for place, count in _accepted(facts, tenant=tenant, first=first, last=last):
                tally.accepted[place] = tally.accepted[place].plus(count)
    result = tally.result()
    RECONCILE_MISMATCHES.labels(tenant).set(result.count)
    return result


def _counts() -> defaultdict[tuple[date, str], Count]:
    return defaultdict(Count)


@dataclass(slots=True)
class _Tally:
    """What adds up, by day and meter, and what differs on the way.

    Args:
        accepted, counted, invoiced, doubled: Counts.
        unbilled: Counts by reason.
        invoices: Invoices that were made again.
        differences: The first NAMED_MAX.
        count: How many there are.
    """

    accepted: defaultdict[tuple[date, str], Count] = field(default_factory=_counts)
    counted: defaultdict[tuple[date, str], Count] = field(default_factory=_counts)
    invoiced: defaultdict[tuple[date, str], Count] = field(default_factory=_counts)
    doubled: defaultdict[tuple[date, str], Count] = field(default_factory=_counts)
    unbilled: dict[Unbilled, defaultdict[tuple[date, str], Count]] = field(default_factory=dict)
    invoices: int = 0
    differences: list[str] = field(default_factory=list)
    count: int = 0

    def differ(self, text: str) -> None:
        """Note a difference."""
        self.count += 1
        if len(self.differences) < NAMED_MAX:
            self.differences.append(text)

    def take(self, series: SeriesDays, coverage: Coverage) -> None:
        """Find each day of a series on its invoice, or say why it is on none."""
        parts = coverage.of_series(meter=series.meter, dimensions=series.dimensions)
        for day, count in series.days:
            place = day, series.meter
            what = f"{day} {series.meter} of {series.customer}: {count.text}"
            self.counted[place] = self.counted[place].plus(count)
            numbers = list(invoices_of(parts, day))
            if numbers:
                self.invoiced[place] = self.invoiced[place].plus(count)
                if len(numbers) > 1:
                    self.doubled[place] = self.doubled[place].plus(count)
                    self.differ(f"{what} are on {len(numbers)} invoices: {', '.join(numbers)}")
                continue
            reason = coverage.unbilled(day)
            counts = self.unbilled.setdefault(reason, _counts())
            counts[place] = counts[place].plus(count)
            if reason is Unbilled.MISSING:
                self.differ(f"{what} are on no invoice, although their period was invoiced")

    def check_invoices(
        self, snapshot: Snapshot, customers: Sequence[str], *, start: datetime, end: datetime
    ) -> dict[str, list[BilledPart]]:
        """Make the usage of final invoices and skipped periods again, and compare.

        Returns:
            What each customer's invoices have; of skipped periods only what a correction billed.
        """
        found: dict[str, list[BilledPart]] = {customer: [] for customer in customers}
        wanted = {"customers": list(customers), "start": start, "end": end, "after": ""}
        while rows := snapshot.connection.execute(
            _INVOICES, wanted | {"limit": INVOICES_PER_BATCH}
        ).fetchall():
            wanted["after"] = rows[-1][0]
            self.invoices += len(rows)
            contents = [parse_invoice_content(text) for *_, text in rows]
            again = snapshot.contents([content.terms for content in contents])
            for (_, name, customer, is_skipped, _), was, now in zip(
                rows, contents, again, strict=True
            ):
                if not is_skipped or any(line.net for line in was.lines):
                    found[customer] += billed_parts(
                        was.terms, invoice=name, catalogues=snapshot.catalogues
                    )
                if isinstance(now, Rejected):
                    self.differ(f"invoice {name}: cannot be made again: {now.code}, {now.reason}")
                elif difference := _difference(was, now):
                    self.differ(f"invoice {name}: {difference}")
        return found

    def result(self) -> Reconciled:
        """Compare log and tables, and return everything."""
        days = tuple(
            DayCount(
                day=place[0],
                meter=place[1],
                accepted=self.accepted.get(place, Count()),
                counted=self.counted.get(place, Count()),
                invoiced=self.invoiced.get(place, Count()),
                doubled=self.doubled.get(place, Count()),
                unbilled=tuple(
                    (reason, self.unbilled[reason][place])
                    for reason in Unbilled
                    if place in self.unbilled.get(reason, ())
                ),
            )
            for place in sorted(self.accepted.keys() | self.counted.keys())
        )
        for each in days:
            if each.accepted != each.counted:
                self.differ(
                    f"{each.day} {each.meter}: accepted {each.accepted.text}; "
                    f"counted {each.counted.text}"
                )
        return Reconciled(days, self.invoices, tuple(self.differences), self.count)


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
