"""Playing a test tenant's time: from what happens next to what happens next, up to a moment.

A step goes: 1. the earliest thing to come is looked up: an invoice, an end of a trial or of a
subscription, an invoice that nobody paid; 2. the clock moves there; 3. what is due then is billed
and marked. Nothing here decides: the books do, by the clock. So the same script gives the same
invoices, and a run that was killed goes on where the clock stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.money import minor_text
from domain.period import time_text
from projections.invoicing.builder import Scope, bill
from projections.invoicing.outcomes import await_outcome, await_projected
from projections.invoicing.worker import OVERDUE_AFTER, overdue_command
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import psycopg

    from domain.canonical import Json
    from runtime.commands import CommandSender
    from runtime.settings import Settings

STEPS_MAX = 10_000
"""Moments of one advance: 20 subscriptions that are billed monthly for forty years."""
OVERDUE_MAX = 500
"""Invoices marked overdue at one moment."""

_CLOCK = "SELECT now_at FROM tenant_clock"
_NEXT = """
    SELECT least(
        (SELECT min(next_invoice_at) FROM subscription),
        (SELECT min(trial_ends_at) FROM subscription WHERE trial_ends_at > %(now)s),
        (SELECT min(ends_at) FROM subscription WHERE ends_at > %(now)s),
        (SELECT min(due_at) + %(after)s FROM invoice WHERE status = 'final')
    )
"""
_ENDS = """
    SELECT subscription, 'trial_ended' FROM subscription WHERE trial_ends_at = %(now)s
    UNION ALL
    SELECT subscription, 'subscription_ended' FROM subscription WHERE ends_at = %(now)s
    ORDER BY 1, 2
"""
_OVERDUE = """
    SELECT invoice, number FROM invoice
    WHERE status = 'final' AND due_at <= %(until)s ORDER BY due_at, invoice LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Played:
    """One thing that happened while time went by.

    Args:
        at: The tenant's time.
        kind: invoice, overdue, trial_ended, subscription_ended or clock.
        what: Id of what it happened to; empty for the clock.
        note: The same for people.
    """

    at: datetime
    kind: str
    what: str
    note: str


def advance_clock(
    settings: Settings, sender: CommandSender, *, tenant: str, to: datetime
) -> Iterator[Played]:
    """This function will play a test tenant up to a moment.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        tenant: A tenant with a test clock.
        to: Where its clock shall stand, not before where it stands.

    Yields:
        What happened, in the order of the tenant's time.

    Raises:
        Rejected: clock_missing, clock_backwards, not_ready when more happens than one call plays,
            or why an invoice was refused.
        Retryable: broker_away, database_away or command_timeout. Run the same again.
    """
    await_projected(settings, tenant=tenant)
    if to < _now(settings, tenant):
        raise Rejected(Code.CLOCK_BACKWARDS, f"the test clock is past {time_text(to)}")
    for _ in range(STEPS_MAX):
        now = _now(settings, tenant)
        coming = _next(settings, tenant, now=now)
        if coming is None or coming > to:
            _advance(settings, sender, tenant=tenant, to=to)
            yield Played(to, "clock", "", "the clock stands here")
            return
        moment = max(now, coming)
        _advance(settings, sender, tenant=tenant, to=moment)
        yield from _happened(settings, sender, tenant=tenant, now=moment)
    raise Rejected(
        Code.NOT_READY, f"more than {STEPS_MAX} moments lie ahead; advance in smaller steps"
    )


def _happened(
    settings: Settings, sender: CommandSender, *, tenant: str, now: datetime
) -> Iterator[Played]:
    """Do and tell what is due at a moment."""
    with _tenant(settings, tenant) as connection:
        for subscription, kind in connection.execute(_ENDS, {"now": now}).fetchall():
            yield Played(now, kind, subscription, kind.replace("_", " "))
    for billed in bill(settings, sender, Scope(tenant, now), is_awaited=False):
        if billed.code:
            raise Rejected(Code(billed.code), f"{billed.subscription}: {billed.reason}")
        content = billed.content
        total = minor_text(
            amount_minor=content.totals.total_minor, currency=content.terms.currency
        )
        note = f"{billed.subscription} {content.terms.kind} {total} {content.terms.currency}"
        yield Played(now, "invoice", billed.invoice, note)
    with _tenant(settings, tenant) as connection:
        overdue = connection.execute(
            _OVERDUE, {"until": now - OVERDUE_AFTER, "limit": OVERDUE_MAX}
        ).fetchall()
    for invoice, number in overdue:
        command = overdue_command(tenant, invoice, as_of=now)
        offset = sender.send_all([command])[0]
        _require_taken(settings, tenant=tenant, offset=offset)
        yield Played(now, "overdue", invoice, f"{number} is overdue")


def _next(settings: Settings, tenant: str, *, now: datetime) -> datetime | None:
    with _tenant(settings, tenant) as connection:
        row = connection.execute(
            _NEXT, {"now": now, "after": timedelta(days=OVERDUE_AFTER.days)}
        ).fetchone()
    coming: datetime | None = None if row is None else row[0]
    return coming


def _now(settings: Settings, tenant: str) -> datetime:
    with _tenant(settings, tenant) as connection:
        row = connection.execute(_CLOCK).fetchone()
    if row is None:
        raise Rejected(Code.CLOCK_MISSING, f"tenant {tenant!r} has no test clock")
    now: datetime = row[0]
    return now


def _advance(settings: Settings, sender: CommandSender, *, tenant: str, to: datetime) -> None:
    body: dict[str, Json] = {"as_of": time_text(to)}
    offset = sender.send(
        tenant=tenant,
        command_id=derived_id("cmd", tenant, "AdvanceClock", time_text(to)),
        kind="AdvanceClock",
        body=body,
    )
    _require_taken(settings, tenant=tenant, offset=offset)


def _require_taken(settings: Settings, *, tenant: str, offset: int) -> None:
    code, reason = await_outcome(settings, tenant=tenant, source_offset=offset)
    if code:
        raise Rejected(Code(code), reason)


def _tenant(settings: Settings, tenant: str) -> psycopg.Connection:
    """Return a connection that sees the tenant; leaving it closes it."""
    connection = connect(settings, role="app", autocommit=True)
    connection.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
    return connection
