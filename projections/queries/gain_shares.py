"""Baselines, measurements and gain-share runs of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlalchemy

from domain.gain_share import PERIOD_DAYS_MAX
from domain.gain_share_terms import KPIS_MAX
from domain.money import Money
from projections.queries.paging import Page, conditions, page_of

MEASUREMENTS_MAX = PERIOD_DAYS_MAX * KPIS_MAX
"""Measurements that one report can rest on: a day of each KPI."""
_RUN = (
    "run, customer, period_start, period_end, currency, share_pct, savings_minor, fee_minor,"
    " status, report, report_sha256, requested_by, requested_at, requested_offset, decided_by,"
    " decided_at, reason, item"
)
_BASELINE = (
    "baseline, customer, metric, baseline_value, cost_per_unit, multiplier, effective_from,"
    " recorded_by, recorded_at"
)
# Of several values of one day the one recorded last before the run was in force.
_MEASURED = """
    SELECT DISTINCT ON (metric, measured_on)
        customer, metric, measured_on, value, recorded_by, recorded_at
    FROM kpi_measurement
    WHERE customer = :customer AND measured_on BETWEEN :period_start AND :period_end
        AND recorded_offset < :before
    ORDER BY metric, measured_on, recorded_offset DESC LIMIT :row_count
"""
# In force now: no later value of the same day.
_IN_FORCE = """
    NOT EXISTS (
        SELECT FROM kpi_measurement AS later
        WHERE later.tenant = kpi_measurement.tenant AND later.customer = kpi_measurement.customer
            AND later.metric = kpi_measurement.metric
            AND later.measured_on = kpi_measurement.measured_on
            AND later.recorded_offset > kpi_measurement.recorded_offset
    )
"""


@dataclass(frozen=True, slots=True)
class GainShareRun:
    """One run with its report.

    Args:
        run: Its id, gsr_….
        customer: Whose savings.
        start: First day of its period.
        end: Last day, which belongs to it.
        share_pct: Share in percent.
        savings: What was saved.
        fee: The share of it.
        status: pending_approval, approved or rejected.
        report: Report as canonical JSON, as it was calculated.
        report_sha256: Its hash, 64 hex digits.
        requested_by: Who asked for it.
        requested_at: When, UTC.
        requested_offset: Where its command stands in account.commands: measurements before it
            could count.
        decided_by: Who decided; empty until somebody did.
        decided_at: When, UTC; None until then.
        reason: Why it was rejected; may be empty.
        item: Id under which the fee waits for its invoice; empty for none.
    """

    run: str
    customer: str
    start: date
    end: date
    share_pct: Decimal
    savings: Money
    fee: Money
    status: str
    report: str
    report_sha256: str
    requested_by: str
    requested_at: datetime
    requested_offset: int
    decided_by: str
    decided_at: datetime | None
    reason: str
    item: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """One baseline; fields as in domain.gain_share, and who recorded it when."""

    baseline: str
    customer: str
    metric: str
    value: Decimal
    cost_per_unit: Decimal
    multiplier: Decimal
    effective_from: date
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a KPI was on a day, who recorded it and when."""

    customer: str
    metric: str
    measured_on: date
    value: Decimal
    recorded_by: str
    recorded_at: datetime


def list_runs(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
    customer: str | None = None,
    status: str | None = None,
) -> Page[GainShareRun]:
    """This function will return runs, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (requested_at, run) of the last one of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        status: Only those in this status; None for all.
    """
    where = conditions(
        "(requested_at, run) < (:requested_at, :run)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "status = :status" if status is not None else "",
    )
    requested_at, run = (None, None) if after is None else after
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_RUN} FROM gain_share_run {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY requested_at DESC, run DESC LIMIT :row_count"
        ),
        {
            "requested_at": requested_at,
            "run": run,
            "customer": customer,
            "status": status,
            "row_count": limit + 1,
        },
    )
    return page_of([_run(*row) for row in rows], limit=limit)


def find_run(connection: sqlalchemy.Connection, *, run: str) -> GainShareRun | None:
    """This function will return one run, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_RUN} FROM gain_share_run WHERE run = :run"),  # noqa: S608 -- fixed texts only
        {"run": run},
    ).one_or_none()
    return None if row is None else _run(*row)


def measurements_of(
    connection: sqlalchemy.Connection, *, run: GainShareRun
) -> tuple[Measurement, ...]:
    """This function will return what a run was made from, whatever was recorded since.

    Args:
        connection: Connection of one tenant.
        run: The run.

    Returns:
        By metric and day; metrics that the report does not show may be among them.
    """
    rows = connection.execute(
        sqlalchemy.text(_MEASURED),
        {
            "customer": run.customer,
            "period_start": run.start,
            "period_end": run.end,
            "before": run.requested_offset,
            "row_count": MEASUREMENTS_MAX,
        },
    )
    return tuple(Measurement(*row) for row in rows)


def list_baselines(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: str | None,
    customer: str | None = None,
    metric: str | None = None,
) -> Page[Baseline]:
    """This function will return baselines by id.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Id of the last one of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        metric: Only those of this KPI; None for all.
    """
    where = conditions(
        "baseline > :after" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "metric = :metric" if metric is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_BASELINE} FROM kpi_baseline {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY baseline LIMIT :row_count"
        ),
        {"after": after, "customer": customer, "metric": metric, "row_count": limit + 1},
    )
    return page_of([Baseline(*row) for row in rows], limit=limit)


def find_baseline(connection: sqlalchemy.Connection, *, baseline: str) -> Baseline | None:
    """This function will return one baseline, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_BASELINE} FROM kpi_baseline WHERE baseline = :baseline"),  # noqa: S608 -- fixed texts only
        {"baseline": baseline},
    ).one_or_none()
    return None if row is None else Baseline(*row)


def list_measurements(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: tuple[str, str, date] | None,
    customer: str | None = None,
    metric: str | None = None,
) -> Page[Measurement]:
    """This function will return the measurements in force, by customer, metric and day.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: (customer, metric, day) of the last one of the page before; None for the first.
        customer: Only those of this customer; None for all.
        metric: Only those of this KPI; None for all.
    """
    where = conditions(
        "(customer, metric, measured_on) > (:after_customer, :after_metric, :after_day)"
        if after is not None
        else "",
        "customer = :customer" if customer is not None else "",
        "metric = :metric" if metric is not None else "",
        _IN_FORCE,
    )
    after_customer, after_metric, after_day = (None, None, None) if after is None else after
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT customer, metric, measured_on, value, recorded_by, recorded_at"  # noqa: S608 -- fixed texts only
            f" FROM kpi_measurement {where}"
            " ORDER BY customer, metric, measured_on LIMIT :row_count"
        ),
        {
            "after_customer": after_customer,
            "after_metric": after_metric,
            "after_day": after_day,
            "customer": customer,
            "metric": metric,
            "row_count": limit + 1,
        },
    )
    return page_of([Measurement(*row) for row in rows], limit=limit)


def find_measurement(
    connection: sqlalchemy.Connection, *, customer: str, metric: str, day: date
) -> Measurement | None:
    """This function will return the value in force of a day, or None when there is none."""
    row = connection.execute(
        sqlalchemy.text(
            "SELECT customer, metric, measured_on, value, recorded_by, recorded_at"
            " FROM kpi_measurement"
            " WHERE customer = :customer AND metric = :metric AND measured_on = :day"
            " ORDER BY recorded_offset DESC LIMIT 1"
        ),
        {"customer": customer, "metric": metric, "day": day},
    ).one_or_none()
    return None if row is None else Measurement(*row)


def _run(
    run: str,
    customer: str,
    start: date,
    end: date,
    currency: str,
    share_pct: Decimal,
    savings_minor: int,
    fee_minor: int,
    *rest: object,
) -> GainShareRun:
    return GainShareRun(
        run,
        customer,
        start,
        end,
        share_pct,
        Money(savings_minor, currency),
        Money(fee_minor, currency),
        *rest,  # type: ignore[arg-type]  # the columns of _RUN, in their order
    )
