"""Corrections: final invoices whose usage grew or was amended after their pin are made again.

Periods that were skipped because they came to nothing are invoices of 0 here, without a number.

late_usage says which days of a customer were touched after they were over, and up to which source
offset; an invoice that covers such a day and was pinned before that offset is made again by its
own terms at the pin of now. The books compare line by line and say what becomes of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from domain.books.records import Command
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.invoice_reading import parse_invoice_content
from domain.meter import carried_meters
from domain.period import time_text
from projections.invoicing.outcomes import await_outcomes, await_projected
from projections.invoicing.rails import of_a_batch
from projections.invoicing.snapshot import Snapshot
from runtime import failpoints
from runtime.logs import logger
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from domain.invoice import InvoiceContent
    from runtime.commands import CommandSender
    from runtime.settings import Settings

BATCH_MAX = 100
"""Corrections of one snapshot, fewer where they are long: both contents of each are held."""
ROWS_READ_MAX = 10
"""Contents that come from the database at once: 40 MB of the largest."""
# A value that holds on reaches into later periods, so with such meters earlier days count too.
# late_usage goes by append times, and knows nothing of what came before a day was over: the
# windows themselves are asked of an invoice that was made ahead of its period's end, once that is
# over, and of a test tenant, whose time runs ahead of the log.
_WINDOWS_PAST_PIN = """
    EXISTS (
        SELECT FROM usage_series s JOIN usage_window w USING (tenant, series)
        WHERE s.tenant = i.tenant AND s.customer = i.customer
            AND w.last_offset >= i.pinned_offset AND w.hour < i.period_end
            AND (%(has_carried)s OR w.hour >= i.period_start)
    )
"""
_IS_LATE = f"""
    i.kind = 'period' AND i.invoice <> ALL(%(without)s)
        AND (%(customer)s = '' OR i.customer = %(customer)s)
        AND (EXISTS (
            SELECT FROM late_usage l
            WHERE l.tenant = i.tenant AND l.customer = i.customer
                AND l.partition = i.usage_partition AND l.last_offset >= i.pinned_offset
                AND l.day < i.period_end AND (%(has_carried)s OR l.day >= i.period_start)
        ) OR ((i.booked_at < i.period_end AND i.period_end <= %(as_of)s
            OR EXISTS (SELECT FROM tenant_clock k WHERE k.tenant = i.tenant))
            AND {_WINDOWS_PAST_PIN}))
"""  # noqa: S608 -- fixed texts only
# Of a period that was skipped there is no number; it is named by the day on which it began.
_LATE = f"""
    SELECT b.invoice, b.number,
        coalesce((SELECT c.content FROM correction c WHERE c.tenant = b.tenant
            AND c.invoice = b.invoice ORDER BY c.place DESC LIMIT 1), b.content)
    FROM (
        SELECT i.tenant, i.invoice, i.number, i.content, i.issued_at
        FROM (SELECT *, finalized_at AS booked_at FROM invoice) i
        WHERE i.status <> 'void' AND {_IS_LATE}
        UNION ALL
        SELECT i.tenant, i.invoice,
            'skipped ' || to_char(i.period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
            i.content, i.skipped_at
        FROM (SELECT *, skipped_at AS booked_at FROM skipped_invoice) i
        WHERE {_IS_LATE}
    ) b
    ORDER BY b.issued_at, b.invoice LIMIT %(limit)s
"""  # noqa: S608 -- fixed texts only


_MADE_BY_ANOTHER = frozenset({Code.CORRECTION_EXISTS, Code.PIN_OLD})
"""Another run was quicker, with the same content or a newer one: there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """What a correction changes of a line, whole units of the content's scale.

    Args:
        line: Id of the line.
        label: What it is, for people.
        before: Net amount that held so far.
        after: Net amount that holds now.
    """

    line: str
    label: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Corrected:
    """What became of one correction.

    Args:
        correction: Its id; empty when the invoice could not be made again.
        invoice, number: What it corrects.
        content: The invoice as it is now; as it was when it could not be made again.
        changes: Lines that changed; none when the late usage cost nothing.
        code: Empty when the books took it, else why not.
        reason: What was wrong, for people.
    """

    correction: str
    invoice: str
    number: str
    content: InvoiceContent
    changes: tuple[LineChange, ...]
    code: str
    reason: str


def correct(
    settings: Settings,
    sender: CommandSender,
    *,
    tenant: str,
    as_of: datetime,
    customer: str = "",
    without: Iterable[str] = (),
    is_awaited: bool = True,
) -> Iterator[Corrected]:
    """This function will correct every final invoice that later usage belongs to.

    Twice is harmless: a correction moves the pin, and its id is derived from its content.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        tenant: Who bills.
        as_of: The moment that counts as now, aware.
        customer: Only this customer; empty for all.
        without: Ids of invoices that are left out.
        is_awaited: Wait first until the projections hold all that the log holds now.

    Raises:
        Retryable: broker_away, database_away, command_timeout or not_ready.
    """
    if is_awaited:
        await_projected(settings, tenant=tenant)
    done = list(without)
    with connect(settings, role="app", autocommit=True) as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
        while True:
            with Snapshot(settings, tenant=tenant) as snapshot:
                found = _built(
                    snapshot, as_of=as_of, customer=customer, without=done, tenant=tenant
                )
            if not found:
                return
            done += [each.invoice for each in found]
            sent = [each for each in found if not each.code]  # the others could not be made
            failpoints.pass_by("builder.before_command")
            places = sender.send_fitting([_command(each, as_of=as_of) for each in sent])
            failpoints.pass_by("builder.after_command")
            offsets = [place for place in places if not isinstance(place, Rejected)]
            answers = await_outcomes(settings, connection, tenant=tenant, offsets=offsets)
            answered = (
                (place.code, place.reason) if isinstance(place, Rejected) else answers[place]
                for place in places
            )
            for each in found:
                if each.code:
                    code, reason = each.code, each.reason
                else:
                    code, reason = next(answered)
                if code in _MADE_BY_ANOTHER:
                    yield replace(each, changes=())
                    continue
                if code:
                    logger().warning(
                        "correction.refused", invoice=each.invoice, code=code, reason=reason
                    )
                yield replace(each, code=code, reason=reason)


def _built(
    snapshot: Snapshot, *, as_of: datetime, customer: str, without: list[str], tenant: str
) -> list[Corrected]:
    meters = (meter for each in snapshot.catalogues.values() for meter in each.meters)
    parameters = {
        "as_of": as_of,
        "without": without,
        "customer": customer,
        "has_carried": bool(carried_meters(meters)),
        "limit": BATCH_MAX,
    }
    with snapshot.connection.cursor(name="late") as cursor:
        cursor.itersize = ROWS_READ_MAX
        rows = list(of_a_batch(cursor.execute(_LATE, parameters), size=lambda row: len(row[2])))
    before = [parse_invoice_content(text) for _, _, text in rows]
    after = snapshot.contents([content.terms for content in before])
    return [
        _corrected(tenant, invoice, number, old, new)
        for (invoice, number, _), old, new in zip(rows, before, after, strict=True)
    ]


def _corrected(
    tenant: str, invoice: str, number: str, old: InvoiceContent, new: InvoiceContent | Rejected
) -> Corrected:
    """Return a correction as if the books had taken it, or why there is none."""
    if isinstance(new, Rejected):
        return Corrected("", invoice, number, old, (), new.code, new.reason)
    correction = derived_id("cor", tenant, invoice, new.sha256)
    return Corrected(correction, invoice, number, new, changes_of(old, new), "", "")


def changes_of(before: InvoiceContent, after: InvoiceContent) -> tuple[LineChange, ...]:
    """This function will say which lines differ in what they come to, in the order of the new."""
    old = {line.line_id: line for line in before.lines}
    new = {line.line_id: line for line in after.lines}
    found = []
    for name in dict.fromkeys((*new, *old)):
        was, now = old.get(name), new.get(name)
        nets = (0 if was is None else was.net, 0 if now is None else now.net)
        if nets[0] != nets[1]:
            label = now.label if now is not None else was.label if was is not None else name
            found.append(LineChange(name, label, *nets))
    return tuple(found)


def _command(corrected: Corrected, *, as_of: datetime) -> Command:
    content = corrected.content
    return Command(
        content.terms.tenant,
        derived_id("cmd", "correct", corrected.correction, time_text(as_of)),
        "CorrectInvoice",
        to_canonical_json(
            {
                "correction": corrected.correction,
                "invoice": corrected.invoice,
                "as_of": time_text(as_of),
                "content": content.text,
                "content_sha256": content.sha256,
            }
        ),
    )
