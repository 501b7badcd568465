"""kpi_baseline, kpi_measurement, gain_share_run: what savings were measured and shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import own_json
from domain.gain_share import RunStatus, read_day
from projections.books.rows import AMOUNT_MINOR_MAX, text_of

if TYPE_CHECKING:
    import psycopg

    from projections.books.rows import Booking

_BASELINE = """
    INSERT INTO kpi_baseline (tenant, baseline, customer, metric, baseline_value, cost_per_unit,
        multiplier, effective_from, recorded_by, recorded_at, recorded_offset)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_MEASUREMENT = """
    INSERT INTO kpi_measurement (tenant, customer, metric, measured_on, recorded_offset, value,
        recorded_by, recorded_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_RUN = """
    INSERT INTO gain_share_run (tenant, run, customer, period_start, period_end, currency,
        share_pct, savings_minor, fee_minor, status, report, report_sha256, requested_by,
        requested_at, requested_offset, decided_by, reason, item)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', '', '')
"""
_DECIDE = """
    UPDATE gain_share_run SET status = %s, decided_by = %s, decided_at = %s, reason = %s, item = %s
    WHERE tenant = %s AND run = %s
"""


def project_baseline(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a baseline."""
    fields = booking.fields
    connection.execute(
        _BASELINE,
        (
            booking.tenant,
            *(fields.text(name) for name in ("baseline", "customer", "metric")),
            *(fields.decimal(name) for name in ("baseline_value", "cost_per_unit", "multiplier")),
            *(read_day(fields, "effective_from"), text_of(fields, "recorded_by")),
            *(fields.time("recorded_at"), booking.source_offset),
        ),
    )


def project_measurement(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a measurement; one of the same day stays as it was."""
    fields = booking.fields
    connection.execute(
        _MEASUREMENT,
        (
            *(booking.tenant, fields.text("customer"), fields.text("metric")),
            *(read_day(fields, "measured_on"), booking.source_offset, fields.decimal("value")),
            *(text_of(fields, "recorded_by"), fields.time("recorded_at")),
        ),
    )


def project_calculated(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will insert a run, pending approval."""
    text = booking.fields.document("report")
    report = own_json.opened(text, place="report")
    connection.execute(
        _RUN,
        (
            *(booking.tenant, report.text("run"), report.text("customer")),
            *(read_day(report, "period_start"), read_day(report, "period_end")),
            *(report.text("currency"), report.decimal("share_pct")),
            *(
                report.integer(name, minimum=0, maximum=AMOUNT_MINOR_MAX)
                for name in ("savings_minor", "fee_minor")
            ),
            *(RunStatus.PENDING, text, booking.fields.text("report_sha256")),
            *(text_of(report, "requested_by"), report.time("requested_at")),
            booking.source_offset,
        ),
    )


def project_approved(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will close a run as approved, with the id of its fee."""
    item = text_of(booking.fields, "item")
    _decide(connection, booking, RunStatus.APPROVED, reason="", item=item)


def project_rejected(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will close a run as rejected."""
    reason = text_of(booking.fields, "reason")
    _decide(connection, booking, RunStatus.REJECTED, reason=reason, item="")


def _decide(
    connection: psycopg.Connection,
    booking: Booking,
    status: RunStatus,
    *,
    reason: str,
    item: str,
) -> None:
    fields = booking.fields
    decided = (status, text_of(fields, "decided_by"), fields.time("decided_at"), reason, item)
    connection.execute(_DECIDE, (*decided, booking.tenant, fields.text("run")))
