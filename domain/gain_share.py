"""Gain-share: what better KPIs saved a customer in a period, and the share that is asked for it.

Formulas (S1-42 … S1-44, S1-R2, S1-R5, S1-R6):

    actual       = mean, sum or latest of the measurements of the period's days
    improvement  = actual - baseline, or baseline - actual where lower is better
    savings      = the KPI's formula where the improvement is above 0, else 0; never below 0
    fee          = sum of the savings x share_pct / 100

Figures are exact fractions. Each KPI's savings are rounded half up to the minor unit, the total is
their sum, and the fee is rounded once more: what a report shows adds up (G-04).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from domain.canonical import decimal_text, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.gain_share_terms import PERCENT_MAX, Better, KpiAggregation
from domain.money import exact_text, minor_unit_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from domain.canonical import Json
    from domain.fields import Fields
    from domain.gain_share_terms import GainShareTerms, Kpi

PERIOD_DAYS_MAX = 366
"""Days of a run: gain-share is yearly (S1-28), and a leap year has so many."""
SAVINGS_MINOR_MAX = 10**15
"""Savings of one KPI in minor units, exclusive: far above any plant's turnover, and all KPIs
together stay below the largest amount of an invoice."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Remark(StrEnum):
    """Why a KPI has no savings; empty where it has."""

    NONE = ""
    NO_BASELINE = "no_baseline"
    NO_MEASUREMENTS = "no_measurements"
    NOT_BETTER = "not_better"


class RunStatus(StrEnum):
    """What became of a run (S1-R12)."""

    PENDING = "pending_approval"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A KPI's value before, and what a unit of improvement is worth (S1-07, S1-57).

    Args:
        baseline: Id, bas_….
        metric: KPI.
        value: The value before.
        cost_per_unit: Worth of a unit of improvement, major units of the customer's currency.
        multiplier: How many times it counts (S1-R2); 1 for once.
        effective_from: First day on which it is the one to compare with.
    """

    baseline: str
    metric: str
    value: Decimal
    cost_per_unit: Decimal
    multiplier: Decimal
    effective_from: date


@dataclass(frozen=True, slots=True)
class KpiResult:
    """One KPI of a report.

    Args:
        kpi: Its definition.
        baseline: What it was compared with; None without one.
        actual: Its value in the period; None without measurements.
        measurements: How many days were measured.
        measured_from: First of them; None without any.
        measured_to: Last of them; None without any.
        measurements_sha256: SHA-256 over the canonical JSON of [[day, value], …], by day.
        improvement: Above 0 when it became better; None when nothing can be compared.
        savings: Exact savings in major units.
        savings_minor: Savings, rounded half up to the minor unit.
        remark: Why there are none.
    """

    kpi: Kpi
    baseline: Baseline | None
    actual: Fraction | None
    measurements: int
    measured_from: date | None
    measured_to: date | None
    measurements_sha256: str
    improvement: Fraction | None
    savings: Fraction
    savings_minor: int
    remark: Remark

    @property
    def document(self) -> dict[str, Json]:
        """Return it as a report holds it; numbers are decimal text."""
        baseline = self.baseline
        return {
            "metric": self.kpi.metric,
            "name": self.kpi.name,
            "unit": self.kpi.unit,
            "better": self.kpi.better,
            "aggregation": self.kpi.aggregation,
            "formula": self.kpi.formula.text,
            "baseline_id": baseline.baseline if baseline else None,
            "baseline": f"{baseline.value:f}" if baseline else None,
            "effective_from": baseline.effective_from.isoformat() if baseline else None,
            "cost_per_unit": f"{baseline.cost_per_unit:f}" if baseline else None,
            "multiplier": f"{baseline.multiplier:f}" if baseline else None,
            "actual": _text(self.actual),
            "measurements": self.measurements,
            "measured_from": self.measured_from.isoformat() if self.measured_from else None,
            "measured_to": self.measured_to.isoformat() if self.measured_to else None,
            "measurements_sha256": self.measurements_sha256,
            "improvement": _text(self.improvement),
            "savings_exact": exact_text(self.savings),
            "savings_minor": self.savings_minor,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Args:
        start: First day of the period.
        end: Last day of the period; it belongs to it (S1-R21).
        currency: ISO 4217 code of savings and fee.
        share_pct: Share in percent.
        results: KPI by KPI, in the order of the catalogue.
        savings_minor: Sum of their savings.
        fee_minor: Share of it, rounded half up.
    """

    start: date
    end: date
    currency: str
    share_pct: Decimal
    results: tuple[KpiResult, ...]
    savings_minor: int
    fee_minor: int

    @property
    def document(self) -> dict[str, Json]:
        """Return it as the books keep it for audit (S1-113)."""
        return {
            "period_start": self.start.isoformat(),
            "period_end": self.end.isoformat(),
            "currency": self.currency,
            "share_pct": f"{self.share_pct:f}",
            "savings_minor": self.savings_minor,
            "fee_minor": self.fee_minor,
            "breakdown": [result.document for result in self.results],
        }


def read_day(fields: Fields, name: str) -> date:
    """This function will read a calendar day such as 2024-12-31.

    Raises:
        Rejected: When it is no such text or no such day.
    """
    text = fields.text(name)
    if _DATE.fullmatch(text) is None:
        raise fields.refuse(name, "must be a day such as 2024-12-31")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise fields.refuse(name, "is no day of the calendar") from error


def require_share(share_pct: Decimal, *, terms: GainShareTerms) -> None:
    """This function will refuse a share outside the catalogue's range (S1-25, X-52).

    Raises:
        Rejected: share_out_of_range.
    """
    if not terms.share_min <= share_pct <= terms.share_max:
        raise Rejected(
            Code.SHARE_OUT_OF_RANGE,
            f"a share lies from {terms.share_min:f} to {terms.share_max:f} percent, "
            f"{share_pct:f} was given",
        )


def baseline_of(baselines: Sequence[Baseline], *, start: date) -> Baseline | None:
    """This function will return the baseline that a period is compared with.

    Args:
        baselines: Baselines of one customer and metric, in the order they were recorded.
        start: First day of the period.

    Returns:
        The one that took effect last on or before that day; of two of one day the one recorded
        later, which corrects the other. None when there is none.
    """
    effective = [each for each in baselines if each.effective_from <= start]
    latest = max((each.effective_from for each in effective), default=None)
    return next((each for each in reversed(effective) if each.effective_from == latest), None)


def calculate(
    *,
    kpis: Sequence[Kpi],
    baselines: Mapping[str, Sequence[Baseline]],
    measurements: Mapping[str, Mapping[date, Decimal]],
    start: date,
    end: date,
    currency: str,
    share_pct: Decimal,
) -> Report:
    """This function will say what a customer's KPIs saved in a period and what the share is.

    Args:
        kpis: KPIs of the catalogue.
        baselines: By metric, in the order recorded.
        measurements: By metric, then by day; other days than the period's are not looked at.
        start: First day of the period.
        end: Last day, which belongs to it.
        currency: ISO 4217 code of the customer.
        share_pct: Share in percent, already in its range.

    Returns:
        The report. A KPI without baseline is in it when the catalogue always shows it (S1-R4).

    Raises:
        Rejected: formula_undefined, or command_invalid when savings are beyond SAVINGS_MINOR_MAX.
    """
    results = []
    for kpi in kpis:
        baseline = baseline_of(baselines.get(kpi.metric, ()), start=start)
        if baseline is None and not kpi.is_always_shown:
            continue
        measured = sorted(
            (day, value)
            for day, value in measurements.get(kpi.metric, {}).items()
            if start <= day <= end
        )
        results.append(_result(kpi, baseline, measured, currency=currency))
    total = sum(result.savings_minor for result in results)
    fee = Fraction(total) * Fraction(share_pct) / PERCENT_MAX
    return Report(
        start=start,
        end=end,
        currency=currency,
        share_pct=share_pct,
        results=tuple(results),
        savings_minor=total,
        fee_minor=_half_up(fee),
    )


def measurements_digest(measured: Sequence[tuple[date, Decimal]]) -> str:
    """This function will hash what was measured, so that a report proves what it was made from.

    Args:
        measured: Day and value, by day.
    """
    pairs: Json = [[day.isoformat(), decimal_text(value)] for day, value in measured]
    return sha256_hex(to_canonical_json(pairs))


def _result(
    kpi: Kpi, baseline: Baseline | None, measured: list[tuple[date, Decimal]], *, currency: str
) -> KpiResult:
    actual = _actual(kpi.aggregation, [Fraction(value) for _, value in measured])
    improvement = _improvement(kpi, baseline, actual)
    savings = _savings(kpi, baseline, actual, improvement)
    minor = _half_up(savings * 10 ** minor_unit_places(currency))
    if minor >= SAVINGS_MINOR_MAX:
        raise Rejected(
            Code.COMMAND_INVALID,
            f"{kpi.metric} would save {SAVINGS_MINOR_MAX} minor units of {currency} or more: "
            "look at its baseline",
        )
    return KpiResult(
        kpi=kpi,
        baseline=baseline,
        actual=actual,
        measurements=len(measured),
        measured_from=measured[0][0] if measured else None,
        measured_to=measured[-1][0] if measured else None,
        measurements_sha256=measurements_digest(measured),
        improvement=improvement,
        savings=savings,
        savings_minor=minor,
        remark=_remark(baseline, actual, improvement),
    )


def _actual(aggregation: KpiAggregation, values: list[Fraction]) -> Fraction | None:
    """Return one value of those of the days, which come by day; None without any."""
    if not values:
        return None
    match aggregation:
        case KpiAggregation.MEAN:
            return sum(values, Fraction()) / len(values)
        case KpiAggregation.SUM:
            return sum(values, Fraction())
        case KpiAggregation.LATEST:
            return values[-1]


def _improvement(kpi: Kpi, baseline: Baseline | None, actual: Fraction | None) -> Fraction | None:
    if baseline is None or actual is None:
        return None
    change = actual - Fraction(baseline.value)
    return change if kpi.better is Better.HIGHER else -change


def _savings(
    kpi: Kpi, baseline: Baseline | None, actual: Fraction | None, improvement: Fraction | None
) -> Fraction:
    if baseline is None or actual is None or improvement is None or improvement <= 0:
        return Fraction()
    figures = {
        "baseline": Fraction(baseline.value),
        "actual": actual,
        "improvement": improvement,
        "cost_per_unit": Fraction(baseline.cost_per_unit),
        "multiplier": Fraction(baseline.multiplier),
    }
    return max(Fraction(), kpi.formula.value(figures))


def _remark(
    baseline: Baseline | None, actual: Fraction | None, improvement: Fraction | None
) -> Remark:
    if baseline is None:
        return Remark.NO_BASELINE
    if actual is None or improvement is None:
        return Remark.NO_MEASUREMENTS
    return Remark.NONE if improvement > 0 else Remark.NOT_BETTER


def _half_up(amount: Fraction) -> int:
    """Round an amount that is not negative to a whole number, halves up."""
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def _text(value: Fraction | None) -> str | None:
    return None if value is None else exact_text(value)
