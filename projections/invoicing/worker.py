"""The billing worker: bills what falls due, marks what is overdue, corrects what usage came late.

When there is nothing of that left to do it adds up days that are over (projections.usage_days).

It looks across tenants from time to time and goes through the same doors as the command line. A
tenant whose catalogue says auto_invoice false is left to people (C-10), one with a test clock to
its clock. Several may run: what they send takes effect once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg

from domain.aggregation.kinds import Aggregation
from domain.books.records import Command
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected, Retryable
from domain.period import time_text
from projections.invoicing.builder import Scope, bill
from projections.invoicing.corrector import correct
from projections.invoicing.held_back import HeldBack
from projections.invoicing.outcomes import await_projected
from projections.usage_days import last_day_over, roll_up
from runtime import clock
from runtime.commands import CommandSender
from runtime.logs import logger
from runtime.metrics import BILLING_HELD_BACK, BILLING_INVOICES
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from runtime.settings import Settings
    from runtime.shutdown import Shutdown

SLACK = timedelta(seconds=5)
"""How long something has to be due: our clock may run ahead of the broker's, which counts."""
OVERDUE_AFTER = timedelta(days=1)
"""An invoice is overdue from the day after its due date (X-72)."""
TENANTS_MAX = 100
"""Tenants of one look; the next goes on after the last of them."""
OVERDUE_MAX = 500
"""Invoices marked as overdue in one look."""
PROJECTED_TIMEOUT_MS = 4_000
"""How long one look waits for the projections: the worker has to end within 10 s when asked."""
ROLL_UP_MS = 2_000
"""How long one look adds up days, and one day beyond it: bills never wait longer for these."""
ACTOR = "billing"
INVOICE, CORRECTION, OVERDUE = "invoice", "correction", "overdue"
WHOLE_TENANT = ""
"""Held back instead of one subscription, customer or invoice of a tenant."""
_NO_REFUSAL = frozenset({Code.INVOICE_EXISTS, Code.INVOICE_PARKED})
"""Answers after which nothing is due: another run was first, or a person looks at it."""

_LIVE = """
    NOT EXISTS (SELECT FROM tenant_clock k WHERE k.tenant = t.tenant)
"""
# Of tenants that want it, those after the one that the last look ended with, then round again: no
# tenant waits behind others of which nothing can be billed for now.
_NEXT_TENANTS = """
    SELECT t.tenant FROM ({found}) t
    WHERE (SELECT c.content::jsonb #>> '{{billing,auto_invoice}}' FROM catalogue c
            WHERE c.tenant = t.tenant ORDER BY c.version DESC LIMIT 1) IS DISTINCT FROM 'false'
    ORDER BY t.tenant <= %(after)s, t.tenant LIMIT %(limit)s
"""
# Tenants with a meter whose last value holds on: there a day before the period counts as well
# (domain.meter.carried_meters). The first condition spares reading the other documents.
_CARRIED_TENANTS = f"""
    SELECT DISTINCT c.tenant FROM catalogue c
    WHERE CASE WHEN c.content LIKE '%%{Aggregation.TIME_WEIGHTED}%%' THEN c.content::jsonb @?
        '$.meters[*] ? (@.aggregation == "{Aggregation.TIME_WEIGHTED}")' ELSE false END
"""  # noqa: S608 -- fixed texts only
_DUE_TENANTS = _NEXT_TENANTS.format(
    found=f"""
    SELECT DISTINCT t.tenant FROM subscription t
    WHERE t.next_invoice_at <= %(as_of)s AND {_LIVE}
"""  # noqa: S608 -- fixed texts only
)
# late_usage knows nothing of usage that came in time for an invoice made ahead (corrector.py).
_LATE_TENANTS = _NEXT_TENANTS.format(
    found=f"""
    WITH carried AS MATERIALIZED ({_CARRIED_TENANTS})
    SELECT t.tenant FROM invoice t
    JOIN late_usage l ON l.tenant = t.tenant AND l.customer = t.customer
        AND l.partition = t.usage_partition AND l.last_offset >= t.pinned_offset
        AND l.day < t.period_end
        AND (l.day >= t.period_start OR t.tenant IN (SELECT tenant FROM carried))
    WHERE t.kind = 'period' AND t.status <> 'void' AND {_LIVE}
    UNION
    SELECT t.tenant FROM invoice t
    JOIN usage_series s ON s.tenant = t.tenant AND s.customer = t.customer
    JOIN usage_window w ON w.tenant = s.tenant AND w.series = s.series
        AND w.last_offset >= t.pinned_offset
        AND w.hour < t.period_end
        AND (w.hour >= t.period_start OR t.tenant IN (SELECT tenant FROM carried))
    WHERE t.kind = 'period' AND t.status <> 'void' AND {_LIVE}
        AND t.finalized_at < t.period_end AND t.period_end <= %(as_of)s
"""  # noqa: S608 -- fixed texts only
)
_OVERDUE = f"""
    SELECT t.tenant, t.invoice FROM invoice t
    WHERE t.status = 'final' AND t.due_at <= %(as_of)s AND {_LIVE}
        AND t.invoice <> ALL(%(without)s)
    ORDER BY t.due_at, t.tenant, t.invoice LIMIT %(limit)s
"""  # noqa: S608 -- fixed texts only


def run_billing(settings: Settings, shutdown: Shutdown) -> None:
    """This function will bill, correct and mark until the end is requested.

    Args:
        settings: Where broker and database are, and how often to look.
        shutdown: Asked between two steps.
    """
    worker = BillingWorker(settings, CommandSender(settings, actor=ACTOR), shutdown)
    while not shutdown.wait_ms(settings.billing_interval_ms):
        worker.look(now=clock.now())


class BillingWorker:
    """One look after the other.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        shutdown: Asked between two invoices.
    """

    def __init__(self, settings: Settings, sender: CommandSender, shutdown: Shutdown) -> None:
        self._settings = settings
        self._sender = sender
        self._shutdown = shutdown
        self._after: dict[str, str] = {}
        self._held = {kind: HeldBack() for kind in (INVOICE, CORRECTION, OVERDUE)}
        self._rolled_up: date | None = None

    def look(self, *, now: datetime) -> int:
        """Do what is due and return how many commands were answered; what fails waits."""
        as_of = now - SLACK
        done = 0
        try:
            with connect(self._settings, role="projector", autocommit=True) as connection:
                due = self._next_tenants(connection, _DUE_TENANTS, as_of)
                late = self._next_tenants(connection, _LATE_TENANTS, as_of)
                done += self._mark_overdue(connection, as_of)
            for kind, tenants in ((INVOICE, due), (CORRECTION, late)):
                held = self._held[kind].by_tenant(now=as_of)
                BILLING_HELD_BACK.labels(kind).set(len(self._held[kind]))
                for tenant in tenants:
                    keys = held.get(tenant, frozenset())
                    if WHOLE_TENANT not in keys:
                        done += self._one(tenant, as_of, kind, keys)
            self._roll_up()
        except (Retryable, psycopg.Error) as error:
            logger().warning("billing.waits", reason=str(error))
        return done

    def _next_tenants(
        self, connection: psycopg.Connection, query: str, as_of: datetime
    ) -> list[str]:
        """Return the tenants of this look: those that come after the ones of the last."""
        wanted = {"as_of": as_of, "after": self._after.get(query, ""), "limit": TENANTS_MAX}
        tenants = [tenant for (tenant,) in connection.execute(query.encode(), wanted)]
        if tenants:
            self._after[query] = tenants[-1]
        return tenants

    def _one(self, tenant: str, as_of: datetime, kind: str, held: frozenset[str]) -> int:
        """Bill or correct one tenant; a tenant that fails does not keep the others waiting.

        What the books refuse is held back: the next looks leave it out. So is a tenant whose run
        came to its limit: that is there for a person to look, and the next look is seconds away.
        """
        if self._shutdown.is_requested:
            return 0
        count = 0
        try:
            await_projected(self._settings, tenant=tenant, timeout_ms=PROJECTED_TIMEOUT_MS)
            for key, code in self._answers(tenant, as_of, kind, held):
                count += 1
                if code and code not in _NO_REFUSAL:
                    self._held[kind].add(tenant, key, now=as_of)
                    logger().warning(
                        "billing.held_back", tenant=tenant, kind=kind, of=key, code=code
                    )
                BILLING_INVOICES.labels(kind, code or "accepted").inc()
                if self._shutdown.wait_ms(0):
                    break
        except Retryable as error:
            logger().warning("billing.waits", tenant=tenant, reason=str(error))
        except Rejected as error:
            self._held[kind].add(tenant, WHOLE_TENANT, now=as_of)
            logger().error("billing.stopped", tenant=tenant, code=error.code, reason=error.reason)
        return count

    def _answers(
        self, tenant: str, as_of: datetime, kind: str, held: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield what was asked for and the code of its answer."""
        settings, sender = self._settings, self._sender
        if kind == CORRECTION:
            for corrected in correct(
                settings, sender, tenant=tenant, as_of=as_of, without=held, is_awaited=False
            ):
                yield corrected.invoice, corrected.code
            return
        scope = Scope(tenant, as_of, without=held)
        for billed in bill(settings, sender, scope, is_awaited=False):
            yield billed.key, billed.code

    def _roll_up(self) -> None:
        """Add up days that are over; once all are, nothing is looked for until the next one is."""
        last = last_day_over()
        if self._rolled_up == last or self._shutdown.is_requested:
            return
        deadline = clock.monotonic_ms() + ROLL_UP_MS
        for rolled in roll_up(self._settings, through=last, shutdown=self._shutdown):
            logger().debug(
                "usage.rolled_up", tenant=rolled.tenant, day=str(rolled.day), series=rolled.series
            )
            if self._shutdown.wait_ms(0) or clock.monotonic_ms() > deadline:
                return
        self._rolled_up = last

    def _mark_overdue(self, connection: psycopg.Connection, as_of: datetime) -> int:
        """Send MarkOverdue for invoices that nobody paid in time; the books say no to others."""
        held = self._held[OVERDUE]
        without = [key for keys in held.by_tenant(now=as_of).values() for key in keys]
        wanted = {"as_of": as_of - OVERDUE_AFTER, "limit": OVERDUE_MAX, "without": without}
        rows = connection.execute(_OVERDUE, wanted).fetchall()
        commands = [overdue_command(tenant, invoice, as_of=as_of) for tenant, invoice in rows]
        if commands:
            self._sender.send_all(commands)
        for tenant, invoice in rows:
            held.add(tenant, invoice, now=as_of)
        return len(commands)


def overdue_command(tenant: str, invoice: str, *, as_of: datetime) -> Command:
    """This function will ask the books to mark an invoice; once an hour is once for good."""
    return Command(
        tenant,
        derived_id("cmd", tenant, "MarkOverdue", invoice, f"{as_of:%Y-%m-%dT%H}"),
        "MarkOverdue",
        to_canonical_json({"invoice": invoice, "as_of": time_text(as_of)}),
    )
