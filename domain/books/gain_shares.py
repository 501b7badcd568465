"""The gain-share book: what better KPIs saved, the share asked for it, the customer's decision.

A run is calculated, then approved or rejected once. The decision that approves it adds the fee as
an item for the customer's next invoice, in the same facts, so a fee is asked for exactly once
however often a request is repeated; a void invoice gives its items back by itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from domain import own_json
from domain.books import items
from domain.books.baselines import require_customer
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.canonical import sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields, is_clean_text
from domain.gain_share import (
    PERIOD_DAYS_MAX,
    SAVINGS_MINOR_MAX,
    RunStatus,
    calculate,
    read_day,
    require_share,
)
from domain.gain_share_state import GainShareRun
from domain.gain_share_terms import KPIS_MAX
from domain.invoice_terms import Item, ItemKind
from domain.money import minor_text
from domain.period import parse_time

if TYPE_CHECKING:
    from datetime import date

    from domain.books.state import TenantState
    from domain.canonical import Json
    from domain.catalogue import Catalogue
    from domain.gain_share_terms import GainShareTerms

REASON_LENGTH_MAX = 1_000
"""Characters of why a run is rejected."""
_LIVE_STATUSES = frozenset({"trialing", "active", "paused"})
_TOTAL_MINOR_MAX = SAVINGS_MINOR_MAX * KPIS_MAX


def decide_run(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RunGainShare.

    Args:
        state: Books of the tenant.
        command: {run: gsr_…, customer, period_start: day, period_end: day, both belong to the
            period (S1-R21), share_pct: decimal text, percent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        GainShareCalculated {report: canonical JSON, report_sha256}, pending approval.

    Raises:
        Rejected: gain_share_exists, customer_unknown, gain_share_not_offered (S1-R13),
            share_out_of_range (S1-25), gain_share_overlaps or formula_undefined.
    """
    fields = fields_of_command(
        command, names=("run", "customer", "period_start", "period_end", "share_pct")
    )
    run, customer_id = read_id(fields, "run", prefix="gsr"), fields.text("customer")
    start, end = _period(fields)
    share_pct = fields.decimal("share_pct")
    if run in state.gain_share.runs:
        raise Rejected(Code.GAIN_SHARE_EXISTS, f"gain-share run {run} was made before")
    customer = require_customer(state, customer=customer_id)
    decision = Decision(state, command, received_at_ms)
    catalogue, terms = _offered(state, customer=customer_id, moment=parse_time(decision.at))
    require_share(share_pct, terms=terms)
    places = [(kpi.metric, (customer_id, kpi.metric)) for kpi in catalogue.kpis]
    book = state.gain_share
    report = calculate(
        kpis=catalogue.kpis,
        baselines={metric: book.baselines.get(place, ()) for metric, place in places},
        measurements={metric: book.measurements.get(place, {}) for metric, place in places},
        start=start,
        end=end,
        currency=customer.currency,
        share_pct=share_pct,
    )
    document: dict[str, Json] = {
        **report.document,
        "run": run,
        "customer": customer_id,
        "tax": terms.tax,
        "catalogue_version": catalogue.version,
        "catalogue_sha256": catalogue.sha256,
        "requested_by": command.actor,
        "requested_at": decision.at,
    }
    text = to_canonical_json(document)
    _require_free(state, _run_of(text))
    decision.add("GainShareCalculated", {"report": text, "report_sha256": sha256_hex(text)})
    return decision.made()


def _period(fields: Fields) -> tuple[date, date]:
    start, end = read_day(fields, "period_start"), read_day(fields, "period_end")
    days = (end - start).days + 1
    if not 1 <= days <= PERIOD_DAYS_MAX:
        raise fields.refuse(
            "period_end", f"must make a period of 1 to {PERIOD_DAYS_MAX} days, both days in it"
        )
    return start, end


def _offered(
    state: TenantState, *, customer: str, moment: datetime
) -> tuple[Catalogue, GainShareTerms]:
    """Return the catalogue in force, once a plan of the customer has gain-share (S1-R13)."""
    catalogue = state.catalogue
    if catalogue is None or catalogue.gain_share is None:
        raise Rejected(Code.GAIN_SHARE_NOT_OFFERED, "the catalogue in force has no gain_share")
    for subscription in state.subscriptions.values():
        if (
            subscription.customer != customer
            or subscription.status_at(moment) not in _LIVE_STATUSES
        ):
            continue
        # Billed ahead of the clock, the open period begins after now: what it holds by counts.
        phase = subscription.phase_at(max(moment, subscription.period.start))
        plan = state.catalogues[phase.catalogue_version].plan(phase.plan)
        if plan.has_gain_share:
            return catalogue, catalogue.gain_share
    raise Rejected(
        Code.GAIN_SHARE_NOT_OFFERED,
        f"{customer!r} has no live subscription to a plan with has_gain_share",
    )


def _require_free(state: TenantState, run: GainShareRun) -> None:
    """Refuse a period whose savings, or a part of them, were approved before."""
    book = state.gain_share
    for other in book.approved.get(run.customer, ()):
        if book.runs[other].overlaps(run):
            raise Rejected(
                Code.GAIN_SHARE_OVERLAPS,
                f"run {other} over {book.runs[other].start} to {book.runs[other].end} "
                "was approved",
            )


def decide_approve(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer ApproveGainShare: the customer agrees to the fee (S1-46).

    Args:
        state: Books of the tenant.
        command: {run: gsr_…}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        GainShareApproved, and ItemAdded with the fee; none where the fee is 0.

    Raises:
        Rejected: gain_share_unknown, gain_share_decided, or gain_share_overlaps when another run
            over some of the days was approved meanwhile.
    """
    run = _pending(state, fields_of_command(command, names=("run",)))
    _require_free(state, run)
    decision = Decision(state, command, received_at_ms)
    item = _item(run, decision) if run.fee_minor else None
    decision.add(
        "GainShareApproved",
        {
            "run": run.run,
            "customer": run.customer,
            "fee_minor": run.fee_minor,
            "item": item.item if item else "",
            "decided_by": command.actor,
            "decided_at": decision.at,
        },
    )
    if item is not None:
        items.add_item(decision, item)
    return decision.made()


def _item(run: GainShareRun, decision: Decision) -> Item:
    """Return the fee of a run; its id follows from the run, so there can be no second one."""
    savings = minor_text(amount_minor=run.savings_minor, currency=run.currency)
    return Item(
        item=decision.id_of("itm", run.run),
        customer=run.customer,
        subscription="",
        kind=ItemKind.GAIN_SHARE,
        label=f"Gain-share {run.start} to {run.end}: {run.share_pct} % of {savings}",
        amount_minor=run.fee_minor,
        tax=run.tax,
        start=datetime.combine(run.start, time(), UTC),
        end=datetime.combine(run.end, time(), UTC) + timedelta(days=1),
        added_at=parse_time(decision.at),
    )


def decide_reject(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RejectGainShare: the customer does not agree; nothing is billed.

    Args:
        state: Books of the tenant.
        command: {run: gsr_…, reason: text, may be absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        GainShareRejected.

    Raises:
        Rejected: gain_share_unknown or gain_share_decided.
    """
    fields = fields_of_command(command, names=("run", "reason"))
    reason = fields.document("reason") if "reason" in fields.values else ""
    if reason and not is_clean_text(reason, length_max=REASON_LENGTH_MAX):
        raise fields.refuse(
            "reason", f"must be text of at most {REASON_LENGTH_MAX} printable characters"
        )
    run = _pending(state, fields)
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "GainShareRejected",
        {
            "run": run.run,
            "customer": run.customer,
            "reason": reason,
            "decided_by": command.actor,
            "decided_at": decision.at,
        },
    )
    return decision.made()


def _pending(state: TenantState, fields: Fields) -> GainShareRun:
    run = state.gain_share.runs.get(fields.text("run"))
    if run is None:
        raise Rejected(
            Code.GAIN_SHARE_UNKNOWN, f"there is no gain-share run {fields.text('run')!r}"
        )
    if run.status is not RunStatus.PENDING:
        raise Rejected(Code.GAIN_SHARE_DECIDED, f"gain-share run {run.run} is {run.status}")
    return run


def _run_of(report: str) -> GainShareRun:
    """Read what the books keep of a report they wrote."""
    fields = own_json.opened(report, place="report")
    return GainShareRun(
        run=fields.text("run"),
        customer=fields.text("customer"),
        start=read_day(fields, "period_start"),
        end=read_day(fields, "period_end"),
        currency=fields.text("currency"),
        share_pct=fields.text("share_pct"),
        savings_minor=fields.integer("savings_minor", minimum=0, maximum=_TOTAL_MINOR_MAX),
        fee_minor=fields.integer("fee_minor", minimum=0, maximum=_TOTAL_MINOR_MAX),
        tax=fields.text("tax"),
        status=RunStatus.PENDING,
    )


def apply_calculated(*, state: TenantState, fact: Fact) -> None:
    """This function will add the run, pending approval."""
    run = _run_of(fields_of_fact(fact).document("report"))
    state.gain_share.runs[run.run] = run


def apply_approved(*, state: TenantState, fact: Fact) -> None:
    """This function will close the run and remember its days."""
    run = _decided(state, fact, RunStatus.APPROVED)
    book = state.gain_share
    book.approved[run.customer] = (*book.approved.get(run.customer, ()), run.run)


def apply_rejected(*, state: TenantState, fact: Fact) -> None:
    """This function will close the run."""
    _decided(state, fact, RunStatus.REJECTED)


def _decided(state: TenantState, fact: Fact, status: RunStatus) -> GainShareRun:
    fields = fields_of_fact(fact)
    run = state.gain_share.runs.get(fields.text("run"))
    if run is None:
        raise fields.refuse("run", "was never made")
    state.gain_share.runs[run.run] = replace(run, status=status)
    return run
