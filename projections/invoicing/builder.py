"""Billing: asks the books to finalise one invoice for each period that is over.

A run goes round by round: 1. a snapshot, and the batch that is due in it; 2. contents, their
windows read in one statement; 3. one append for the whole batch; 4. while the books answer, the
next batch is built. What the books answer decides; a run that is killed or started twice makes
nothing twice.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from domain.books.records import Command
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Rejected
from domain.months import month_of
from domain.period import time_text
from projections.invoicing.outcomes import await_outcomes, await_projected
from projections.invoicing.rails import RunLimits, of_a_batch, outlier_reason, sold_minor_of
from projections.invoicing.snapshot import BATCH_MAX, Snapshot, start_text
from runtime import failpoints
from runtime.logs import logger
from runtime.postgres import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import psycopg

    from domain.invoice import InvoiceContent
    from domain.invoice_terms import InvoiceTerms
    from projections.invoicing.snapshot import Draft
    from runtime.commands import CommandSender
    from runtime.settings import Settings

BUILDER = "builder"
"""Who sends, when a run of billing or corrections does."""
PERIODS_MAX = 24
"""Periods of one subscription billed in one call: two years of catching up, then people look."""
ATTEMPTS_MAX = 20
"""Times that one invoice is built in a run while the books move on beneath it."""
BATCHES_ON_THE_WAY_MAX = 2
"""Batches that the books have not answered yet: one being answered, one being built."""

_BUILD_AGAIN = frozenset(
    {Code.TERMS_DIFFER, Code.CATALOGUE_DIFFERS, Code.INVOICE_EXISTS, Code.PERIOD_NOT_CURRENT}
)
"""Answers that say that the books moved on: another builder was first, or somebody changed what is
billed. A look at the new state says whether anything is left to do."""


@dataclass(frozen=True, slots=True)
class Billed:
    """What became of one invoice.

    Args:
        invoice: Invoice id.
        terms: What it is made by.
        built: What the invoice says; None when it could not be made.
        code: Empty when it was finalised, else why not; invoice_exists when another run was
            first, which is no failure.
        reason: What was wrong, for people.
        items_left: Items that wait and do not fit on it: they come with the next one.
    """

    invoice: str
    terms: InvoiceTerms
    built: InvoiceContent | None
    code: str
    reason: str
    items_left: int = 0

    @property
    def subscription(self) -> str:
        """Return the subscription that was billed; empty for items alone."""
        return self.terms.subscription

    @property
    def key(self) -> str:
        """Return the subscription; of items alone the customer."""
        return self.terms.subscription or self.terms.customer

    @property
    def content(self) -> InvoiceContent:
        """Return what the invoice says (ValueError when it could not be made)."""
        if self.built is None:
            raise ValueError(f"{self.invoice} was not made: {self.reason}")
        return self.built

    @property
    def is_refused(self) -> bool:
        """Say whether somebody has to look: neither this run nor another made the invoice."""
        return self.code not in {"", Code.INVOICE_EXISTS}


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run bills.

    Args:
        tenant: Who bills.
        as_of: The moment that counts as now, aware.
        month: Only periods that start in this month, for example "2026-11"; empty for all.
        customer: Only this customer; empty for all.
        has_items: Whether items without a subscription to come get an invoice of their own.
        without: Subscriptions, and customers of items alone, that are left out.
    """

    tenant: str
    as_of: datetime
    month: str = ""
    customer: str = ""
    has_items: bool = True
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what is no month (Rejected invalid_request)."""
        if self.month:
            month_of(self.month)


def bill(
    settings: Settings, sender: CommandSender, scope: Scope, *, is_awaited: bool = True
) -> Iterator[Billed]:
    """This function will bill everything that is due, the longest due first.

    Run twice, in parallel or killed in between it makes each invoice once: the books take one
    invoice for a period, and only one that is made from what they hold.

    Args:
        settings: Where broker and database are, and how much one run may do.
        sender: Appends the commands.
        scope: What to bill.
        is_awaited: Wait first until the projections hold all that the log holds now.

    Yields:
        What became of each invoice, as the books answer.

    Raises:
        Rejected: billing_limit, when the run would go beyond what it may; what was sent is
            answered before.
        Retryable: broker_away, database_away, command_timeout, or not_ready when the projections
            do not follow. Run the same again.
    """
    if is_awaited:
        await_projected(settings, tenant=scope.tenant)
    yield from _Run(settings, sender, scope).results()


def items_draft(
    settings: Settings, *, tenant: str, customer: str, as_of: datetime, invoice: str = ""
) -> Command:
    """This function will make the command that bills a customer's items now, on their own.

    The invoice gets the id that is given; an empty one is replaced by that of a billing run.

    Raises:
        Rejected: item_unknown, when nothing waits.
        Retryable: not_ready, when the projections do not follow; broker_away, database_away.
    """
    await_projected(settings, tenant=tenant, timeout_ms=settings.command_timeout_ms)
    with Snapshot(settings, tenant=tenant) as snapshot:
        drafts = snapshot.items_due(as_of=as_of, customer=customer, is_forced=True)
        if not drafts:
            raise Rejected(Code.ITEM_UNKNOWN, f"nothing waits for an invoice of {customer!r}")
        content = snapshot.next_content(drafts[0].terms)
    name = invoice or _invoice_id(drafts[0])
    return finalize_command(name, content, key=drafts[0].key, as_of=as_of)


def subscription_draft(
    settings: Settings, *, tenant: str, subscription: str, as_of: datetime
) -> Command:
    """This function will make the command that bills one subscription's open period (S1-53).

    Whether the period is over is for the books to say; all usage that the log holds now counts.

    Raises:
        Rejected: subscription_unknown, period_not_current when nothing is left to invoice, or
            invoice_parked when a person should look first.
        Retryable: not_ready, when the projections do not follow; broker_away, database_away.
    """
    await_projected(settings, tenant=tenant, timeout_ms=settings.command_timeout_ms)
    with Snapshot(settings, tenant=tenant) as snapshot:
        draft = snapshot.draft(subscription)
        if draft is None:
            raise Rejected(Code.SUBSCRIPTION_UNKNOWN, f"there is no subscription {subscription!r}")
        content = snapshot.next_content(draft.terms)
    if reason := _outlier(settings, draft, content):
        raise Rejected(Code.INVOICE_PARKED, f"{reason}; `tidegauge bill` parks it for release")
    return finalize_command(_invoice_id(draft), content, key=draft.key, as_of=as_of)


def finalize_command(
    invoice: str, content: InvoiceContent, *, key: str, as_of: datetime
) -> Command:
    """This function will ask the books to finalise a content; the same twice is one command.

    Args:
        invoice: Id that the invoice gets.
        content: What it says.
        key: Subscription, or customer of items alone.
        as_of: The moment that counts as now.
    """
    moment = time_text(as_of)
    identity = (invoice, key, start_text(content.terms), content.sha256, moment)
    return Command(
        content.terms.tenant,
        derived_id("cmd", "finalize", *identity),
        "FinalizeInvoice",
        to_canonical_json(
            {
                "invoice": invoice,
                "as_of": moment,
                "content": content.text,
                "content_sha256": content.sha256,
            }
        ),
    )


def preview(settings: Settings, *, tenant: str, subscription: str) -> InvoiceContent:
    """This function will make the next invoice of a subscription as it would be now.

    It is provisional: more usage may come, and nothing is sent. Usage counts as far as it is
    projected.

    Raises:
        Rejected: subscription_unknown, or period_not_current when nothing is left to invoice.
        Retryable: database_away.
    """
    with Snapshot(settings, tenant=tenant) as snapshot:
        draft = snapshot.draft(subscription)
        if draft is None:
            raise Rejected(Code.SUBSCRIPTION_UNKNOWN, f"there is no subscription {subscription!r}")
        return snapshot.next_content(draft.terms)


@dataclass(frozen=True, slots=True)
class Built:
    """A draft with its content, or with what keeps it from being made."""

    draft: Draft
    made: InvoiceContent | Rejected

    def characters(self) -> int:
        """Return the length of its text."""
        return 0 if isinstance(self.made, Rejected) else len(self.made.text)

    @property
    def billed(self) -> Billed:
        """Return it as if the books had answered."""
        invoice, made = _invoice_id(self.draft), self.made
        if isinstance(made, Rejected):
            return Billed(invoice, self.draft.terms, None, made.code, made.reason)
        return Billed(invoice, made.terms, made, "", "", self.draft.left_by(made))


@dataclass(frozen=True, slots=True)
class _Sent:
    """An invoice whose command is on its way."""

    draft: Draft
    content: InvoiceContent
    invoice: str
    parked: str


class _Run:
    """One billing run.

    Args:
        settings: Where broker and database are.
        sender: Appends the commands.
        scope: What to bill.
    """

    def __init__(self, settings: Settings, sender: CommandSender, scope: Scope) -> None:
        self._settings = settings
        self._sender = sender
        self._scope = scope
        self._limits = RunLimits(settings)
        self._on_the_way: deque[dict[int, _Sent]] = deque()
        self._left_out: dict[str, None] = dict.fromkeys(scope.without)
        self._tries: Counter[str] = Counter()
        self._billed: Counter[str] = Counter()
        self._is_idle = False
        self._stopped: Rejected | None = None

    def results(self) -> Iterator[Billed]:
        """Yield what became of each invoice."""
        with connect(self._settings, role="app", autocommit=True) as connection:
            connection.execute(
                "SELECT set_config('tidegauge.tenant', %s, false)", (self._scope.tenant,)
            )
            while True:
                try:
                    yield from self._send_next()
                except Rejected as error:
                    self._stopped = error
                if self._stopped is not None:  # what was sent is answered first
                    while self._on_the_way:
                        yield from self._answered(connection)
                    raise self._stopped
                is_waiting = bool(self._on_the_way)
                if self._is_idle and not is_waiting:
                    return
                if self._is_idle or len(self._on_the_way) >= BATCHES_ON_THE_WAY_MAX:
                    yield from self._answered(connection)

    def _send_next(self) -> list[Billed]:
        """Build and send the next batch; what cannot even be sent is returned.

        Where the run would bill more than it may, what comes before is sent all the same, and the
        next run goes on behind it. An invoice that no run may make alone is left out.
        """
        with Snapshot(self._settings, tenant=self._scope.tenant) as snapshot:
            drafts = self._drafts(snapshot)
            self._is_idle = not drafts
            built = list(of_a_batch(built_of(snapshot, drafts), size=Built.characters))
        sent: list[_Sent] = []
        refused: list[Billed] = []
        for each in built:
            draft, content = each.draft, each.made
            if isinstance(content, Rejected):
                refused.append(self._leave_out(each.billed, content))
                continue
            one = _Sent(draft, content, _invoice_id(draft), self._parked(draft, content))
            try:
                if not one.parked:
                    self._limits.take(content)
            except Rejected as error:
                if self._limits.has_taken:
                    self._stopped = error
                    break
                refused.append(self._leave_out(each.billed, error))
                continue
            sent.append(one)
        return refused + self._send(sent)

    def _send(self, batch: list[_Sent]) -> list[Billed]:
        """Send a batch; what is too large for a command is left out and returned."""
        if not batch:
            return []
        failpoints.pass_by("builder.before_command")
        answers = self._sender.send_fitting([self._command(one) for one in batch])
        failpoints.pass_by("builder.after_command")
        flying: dict[int, _Sent] = {}
        refused: list[Billed] = []
        for one, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Rejected):
                refused.append(self._leave_out(_billed(one, "", ""), answer))
            else:
                flying[answer] = one
        if flying:
            self._on_the_way.append(flying)
        return refused

    def _leave_out(self, billed: Billed, why: Rejected) -> Billed:
        """Give up an invoice in this run: the others are made all the same."""
        self._left_out[billed.key] = None
        logger().warning(
            "invoice.not_sent", invoice=billed.invoice, code=why.code, reason=why.reason
        )
        return replace(billed, code=why.code, reason=why.reason)

    def _drafts(self, snapshot: Snapshot) -> list[Draft]:
        """Return what is due and neither on its way nor given up, items last.

        Of a customer whose invoices draw on the same items or credit one goes at a time.
        """
        scope = self._scope
        busy = {each.draft.terms.customer for batch in self._on_the_way for each in batch.values()}
        flying = [each.draft.key for batch in self._on_the_way for each in batch.values()]
        found = snapshot.due(
            as_of=scope.as_of,
            customer=scope.customer,
            month=scope.month,
            without=[*self._left_out, *flying],
            limit=BATCH_MAX,
        )
        if not found and not self._on_the_way and scope.has_items and not scope.month:
            found = snapshot.items_due(
                as_of=scope.as_of, customer=scope.customer, without=[*self._left_out]
            )
        chosen: list[Draft] = []
        for draft in found:
            customer = draft.terms.customer
            if draft.needs_shared and customer in busy:
                continue
            busy.add(customer)
            chosen.append(draft)
        return chosen

    def _parked(self, draft: Draft, content: InvoiceContent) -> str:
        if not draft.terms.subscription:
            return ""
        return _outlier(self._settings, draft, content)

    def _command(self, sent: _Sent) -> Command:
        content, as_of = sent.content, time_text(self._scope.as_of)
        identity = (sent.draft.key, start_text(content.terms), content.sha256, as_of)
        if sent.parked:
            return Command(
                content.terms.tenant,
                derived_id("cmd", "park", *identity),
                "ParkInvoice",
                to_canonical_json(
                    {
                        "subscription": content.terms.subscription,
                        "period_index": content.terms.period_index,
                        "reason": sent.parked,
                        "total_minor": sold_minor_of(content),
                    }
                ),
            )
        return finalize_command(sent.invoice, content, key=sent.draft.key, as_of=self._scope.as_of)

    def _answered(self, connection: psycopg.Connection) -> Iterator[Billed]:
        """Wait for the oldest batch on its way, and say what became of it."""
        batch = self._on_the_way.popleft()
        answers = await_outcomes(
            self._settings, connection, tenant=self._scope.tenant, offsets=batch
        )
        for offset, sent in batch.items():
            code, reason = answers[offset]
            key = sent.draft.key
            if code in _BUILD_AGAIN:
                self._tries[key] += 1
                if self._tries[key] < ATTEMPTS_MAX:
                    if code == Code.INVOICE_EXISTS:
                        yield _billed(sent, code, reason)
                    continue
            if sent.parked and not code:
                code, reason = Code.INVOICE_PARKED, sent.parked
            self._billed[key] += 1
            if code or self._billed[key] >= PERIODS_MAX:
                self._left_out[key] = None
            if code:
                logger().warning("invoice.refused", invoice=sent.invoice, code=code, reason=reason)
            yield _billed(sent, code, reason)
        logger().info("billing.answered", invoices=len(batch))


def built_of(snapshot: Snapshot, drafts: Sequence[Draft]) -> Iterator[Built]:
    """This function will make the contents of drafts one by one, in their order."""
    terms = [draft.terms for draft in drafts]
    return map(Built, drafts, snapshot.contents(terms, is_next=True))


def _outlier(settings: Settings, draft: Draft, content: InvoiceContent) -> str:
    return outlier_reason(
        sold_minor=sold_minor_of(content),
        earlier=draft.earlier,
        released_minor=draft.released_minor,
        times=settings.billing_outlier_times,
        currency=content.terms.currency,
    )


def _billed(sent: _Sent, code: str, reason: str) -> Billed:
    content = sent.content
    return Billed(sent.invoice, content.terms, content, code, reason, sent.draft.left_by(content))


def _invoice_id(draft: Draft) -> str:
    """Return the id of an invoice; one that replaces a void one has another."""
    terms = draft.terms
    return derived_id(
        "inv", terms.tenant, draft.key, terms.kind, start_text(terms), str(draft.attempt)
    )
