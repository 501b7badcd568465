"""The measurement book: what a customer's KPIs were on each day (S1-R6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.baselines import require_measurable
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.canonical import decimal_text
from domain.codes import Code
from domain.errors import Rejected
from domain.gain_share import read_day

if TYPE_CHECKING:
    from domain.books.state import TenantState

MEASURED_DAYS_MAX = 4_000
"""Days of one customer and KPI: more than ten years of days, about 200 bytes each."""


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer RecordMeasurement.

    Args:
        state: Books of the tenant.
        command: {customer, metric: KPI of the catalogue, value: decimal text, measured_on: day}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        MeasurementRecorded; nothing when the day has this value. Another value replaces it in
        later runs, and the replaced one stays on the log and in its table.

    Raises:
        Rejected: customer_unknown, kpi_unknown or measurement_limit.
    """
    fields = fields_of_command(command, names=("customer", "metric", "value", "measured_on"))
    customer, metric = fields.text("customer"), fields.text("metric")
    value, day = fields.decimal("value"), read_day(fields, "measured_on")
    require_measurable(state, customer=customer, metric=metric)
    measured = state.gain_share.measurements.get((customer, metric), {})
    if measured.get(day) == value:
        return ()
    if day not in measured and len(measured) >= MEASURED_DAYS_MAX:
        raise Rejected(
            Code.MEASUREMENT_LIMIT,
            f"{customer!r} has {MEASURED_DAYS_MAX} days of {metric}, which is the most",
        )
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "MeasurementRecorded",
        {
            "customer": customer,
            "metric": metric,
            "value": decimal_text(value),
            "measured_on": day.isoformat(),
            "recorded_by": command.actor,
            "recorded_at": decision.at,
        },
    )
    return decision.made()


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will keep the value of the day."""
    fields = fields_of_fact(fact)
    place = (fields.text("customer"), fields.text("metric"))
    days = {read_day(fields, "measured_on"): fields.decimal("value")}
    measured = state.gain_share.measurements
    measured[place] = {**measured.get(place, {}), **days}
