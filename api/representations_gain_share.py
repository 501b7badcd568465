"""What baselines, measurements and gain-share runs look like in answers."""

from __future__ import annotations

from pydantic import Field

from api.representations import (
    DECIMAL,
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from api.representations_books import NULL_TIME, time_or_none
from domain.canonical import decimal_text, from_json
from domain.codes import Code
from domain.fields import Fields
from domain.gain_share import SAVINGS_MINOR_MAX, measurements_digest
from domain.gain_share_terms import KPIS_MAX
from domain.money import Money
from domain.period import time_text
from projections.queries.gain_shares import Baseline, GainShareRun, Measurement

DAY = "A calendar day, for example 2024-12-31"


class BaselineRepresentation(Representation):
    """A KPI's value before, and what a unit of improvement is worth."""

    baseline: str
    customer: str
    metric: str
    baseline_value: str = Field(description=DECIMAL)
    cost_per_unit: str = Field(description=f"{DECIMAL}, major units of the customer's currency")
    multiplier: str = Field(description=DECIMAL)
    effective_from: str = Field(description=DAY)
    recorded_by: str
    recorded_at: str = Field(description=TIME)


class MeasurementRepresentation(Representation):
    """What a KPI was on a day."""

    customer: str
    metric: str
    value: str = Field(description=DECIMAL)
    measured_on: str = Field(description=DAY)
    recorded_by: str
    recorded_at: str = Field(description=TIME)


class KpiResultRepresentation(Representation):
    """One KPI of a report: what went in, and what came out."""

    metric: str
    name: str
    unit: str
    better: str = Field(description="higher or lower")
    aggregation: str = Field(description="How the measurements became the actual value")
    formula: str
    baseline_id: str | None
    baseline: str | None = Field(description=DECIMAL)
    effective_from: str | None = Field(description=DAY)
    cost_per_unit: str | None = Field(description=DECIMAL)
    multiplier: str | None = Field(description=DECIMAL)
    actual: str | None = Field(description=DECIMAL)
    measurements: int = Field(description="Days that were measured")
    measured_from: str | None = Field(description=DAY)
    measured_to: str | None = Field(description=DAY)
    measurements_sha256: str = Field(
        description="SHA-256 of the canonical JSON [[day, value], …] by day"
    )
    improvement: str | None = Field(description=f"{DECIMAL}; above 0 when it became better")
    savings_exact: str = Field(description=f"{DECIMAL}, before it was rounded")
    savings: MoneyRepresentation
    remark: str = Field(
        description="no_baseline, no_measurements, not_better, or empty where it saved something"
    )


class GainShareRepresentation(Representation):
    """A gain-share run."""

    run: str
    customer: str
    period_start: str = Field(description=DAY)
    period_end: str = Field(description="Last day; it belongs to the period")
    share_pct: str = Field(description=f"{DECIMAL}, percent")
    savings: MoneyRepresentation
    fee: MoneyRepresentation
    status: str = Field(description="pending_approval, approved or rejected")
    breakdown: list[KpiResultRepresentation]
    report_sha256: str
    requested_by: str
    requested_at: str = Field(description=TIME)
    decided_by: str | None
    decided_at: str | None = Field(description=NULL_TIME)
    reason: str | None
    item: str | None = Field(description="The fee as it waits for its invoice; null for none")


class GainShareReportRepresentation(Representation):
    """A run as an audit record (S1-113)."""

    run: GainShareRepresentation
    report: str = Field(description="Canonical JSON, as the books decided it; its hash is above")
    measurements: list[MeasurementRepresentation] = Field(
        description="What the run was made from, as it was in force then"
    )
    is_proven: bool = Field(
        description="Whether the measurements have the hashes that the report names"
    )


def to_representation_baseline(baseline: Baseline) -> BaselineRepresentation:
    """This function will show a baseline."""
    return BaselineRepresentation(
        baseline=baseline.baseline,
        customer=baseline.customer,
        metric=baseline.metric,
        baseline_value=decimal_text(baseline.value),
        cost_per_unit=decimal_text(baseline.cost_per_unit),
        multiplier=decimal_text(baseline.multiplier),
        effective_from=baseline.effective_from.isoformat(),
        recorded_by=baseline.recorded_by,
        recorded_at=time_text(baseline.recorded_at),
    )


def to_representation_measurement(measurement: Measurement) -> MeasurementRepresentation:
    """This function will show a measurement."""
    return MeasurementRepresentation(
        customer=measurement.customer,
        metric=measurement.metric,
        value=decimal_text(measurement.value),
        measured_on=measurement.measured_on.isoformat(),
        recorded_by=measurement.recorded_by,
        recorded_at=time_text(measurement.recorded_at),
    )


def breakdown_of(run: GainShareRun) -> tuple[Fields, ...]:
    """This function will open the breakdown of a run's report, KPI by KPI."""
    report = Fields.of(from_json(run.report), place="report", code=Code.STATE_CORRUPT)
    return report.objects("breakdown", count_max=KPIS_MAX)


def savings_of(result: Fields, *, currency: str) -> Money:
    """This function will return what one KPI of a report saved."""
    minor = result.integer("savings_minor", minimum=0, maximum=SAVINGS_MINOR_MAX)
    return Money(minor, currency)


def to_representation_gain_share(run: GainShareRun) -> GainShareRepresentation:
    """This function will show a run."""
    results = [
        KpiResultRepresentation(
            savings=to_representation_money(savings_of(result, currency=run.fee.currency)),
            **{
                name: value
                for name, value in result.values.items()
                if name in KpiResultRepresentation.model_fields
            },  # type: ignore[arg-type]  # checked by the model
        )
        for result in breakdown_of(run)
    ]
    return GainShareRepresentation(
        run=run.run,
        customer=run.customer,
        period_start=run.start.isoformat(),
        period_end=run.end.isoformat(),
        share_pct=decimal_text(run.share_pct),
        savings=to_representation_money(run.savings),
        fee=to_representation_money(run.fee),
        status=run.status,
        breakdown=results,
        report_sha256=run.report_sha256,
        requested_by=run.requested_by,
        requested_at=time_text(run.requested_at),
        decided_by=run.decided_by or None,
        decided_at=time_or_none(run.decided_at),
        reason=run.reason or None,
        item=run.item or None,
    )


def to_representation_report(
    run: GainShareRun, measurements: tuple[Measurement, ...]
) -> GainShareReportRepresentation:
    """This function will show a run with what it was made from, and check the two fit."""
    results = breakdown_of(run)
    shown = {result.text("metric") for result in results}
    return GainShareReportRepresentation(
        run=to_representation_gain_share(run),
        report=run.report,
        measurements=[
            to_representation_measurement(each) for each in measurements if each.metric in shown
        ],
        is_proven=all(
            result.text("measurements_sha256")
            == measurements_digest(
                [
                    (each.measured_on, each.value)
                    for each in measurements
                    if each.metric == result.text("metric")
                ]
            )
            for result in results
        ),
    )
