"""The baseline book: KPI values before, and what an improvement is worth (S1-07, S1-57)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import read_id
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import Rejected
from domain.gain_share import Baseline, read_day

if TYPE_CHECKING:
    from domain.books.customer import Customer
    from domain.books.state import TenantState
    from domain.fields import Fields
    from domain.gain_share_terms import Kpi

BASELINES_MAX = 100
"""Baselines of one customer and KPI: one a year, corrections, and a lot of room."""
_NAMES = (
    *("baseline", "customer", "metric", "baseline_value"),
    *("cost_per_unit", "multiplier", "effective_from"),
)


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RecordBaseline.

    Args:
        state: Books of the tenant.
        command: {baseline: bas_…, customer, metric: KPI of the catalogue, baseline_value: decimal
            text, cost_per_unit: decimal text in major units of the customer's currency,
            multiplier: decimal text, "1" when absent (S1-R2), effective_from: day}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        BaselineRecorded. A baseline of the same day replaces the earlier one in later runs; runs
        that were made keep what they were made with.

    Raises:
        Rejected: baseline_exists, customer_unknown, kpi_unknown or measurement_limit.
    """
    fields = fields_of_command(command, names=_NAMES)
    customer = fields.text("customer")
    item = _baseline(fields)
    if item.baseline in state.gain_share.baseline_ids:
        raise Rejected(Code.BASELINE_EXISTS, f"baseline {item.baseline} was recorded before")
    require_measurable(state, customer=customer, metric=item.metric)
    if len(state.gain_share.baselines.get((customer, item.metric), ())) >= BASELINES_MAX:
        raise Rejected(
            Code.MEASUREMENT_LIMIT,
            f"{customer!r} has {BASELINES_MAX} baselines of {item.metric}, which is the most",
        )
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "BaselineRecorded",
        {
            "baseline": item.baseline,
            "customer": customer,
            "metric": item.metric,
            "baseline_value": decimal_text(item.value),
            "cost_per_unit": decimal_text(item.cost_per_unit),
            "multiplier": decimal_text(item.multiplier),
            "effective_from": item.effective_from.isoformat(),
            "recorded_by": command.actor,
            "recorded_at": decision.at,
        },
    )
    return decision.made()


def require_measurable(state: TenantState, *, customer: str, metric: str) -> Kpi:
    """This function will return a KPI of the catalogue in force, for a customer who exists.

    Raises:
        Rejected: customer_unknown or kpi_unknown.
    """
    require_customer(state, customer=customer)
    kpis = state.catalogue.kpis if state.catalogue is not None else ()
    for kpi in kpis:
        if kpi.metric == metric:
            return kpi
    known = ", ".join(kpi.metric for kpi in kpis) or "none"
    raise Rejected(Code.KPI_UNKNOWN, f"there is no KPI {metric!r}; the catalogue has {known}")


def require_customer(state: TenantState, *, customer: str) -> Customer:
    """This function will return a customer who exists (Rejected customer_unknown otherwise)."""
    found = state.customers.get(customer)
    if found is None:
        raise Rejected(Code.CUSTOMER_UNKNOWN, f"there is no customer {customer!r}")
    return found


def _baseline(fields: Fields) -> Baseline:
    return Baseline(
        baseline=read_id(fields, "baseline", prefix="bas"),
        metric=fields.text("metric"),
        value=fields.decimal("baseline_value"),
        cost_per_unit=fields.decimal("cost_per_unit"),
        multiplier=fields.decimal("multiplier", default="1"),
        effective_from=read_day(fields, "effective_from"),
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will add the baseline."""
    fields = fields_of_fact(fact)
    item = _baseline(fields)
    place = (fields.text("customer"), item.metric)
    book = state.gain_share
    book.baselines[place] = (*book.baselines.get(place, ()), item)
    book.baseline_ids[item.baseline] = place
