"""Laws of gain-share: what a report says adds up, whatever was measured in whatever order."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.gain_share import Baseline, Report, calculate
from domain.gain_share_formula import parse_formula
from domain.gain_share_terms import FORMULA_DEFAULT, Better, Kpi, KpiAggregation

START = date(2024, 1, 1)
END = START + timedelta(days=365)
METRICS = ("availability", "mtbf", "mttr")
values = st.decimals(min_value=0, max_value=10_000, places=3)
days = st.integers(min_value=-5, max_value=370).map(lambda number: START + timedelta(days=number))
measured = st.dictionaries(days, values, max_size=12)
shares = st.decimals(min_value=10, max_value=20, places=2)
kpis = st.tuples(
    *(
        st.builds(
            Kpi,
            metric=st.just(metric),
            name=st.just(metric),
            unit=st.just("unit"),
            better=st.sampled_from(Better),
            aggregation=st.sampled_from(KpiAggregation),
            formula=st.just(parse_formula(FORMULA_DEFAULT)),
            is_always_shown=st.booleans(),
        )
        for metric in METRICS
    )
)
baselines = st.tuples(
    *(
        st.builds(
            Baseline,
            baseline=st.just(f"bas_{metric}"),
            metric=st.just(metric),
            value=values,
            cost_per_unit=values,
            multiplier=st.integers(min_value=0, max_value=30).map(Decimal),
            effective_from=st.just(START),
        )
        for metric in METRICS
    )
)
runs = st.tuples(kpis, baselines, st.tuples(*[measured] * len(METRICS)), shares)
Run = tuple[tuple[Kpi, ...], tuple[Baseline, ...], tuple[dict[date, Decimal], ...], Decimal]


def report(run: Run) -> Report:
    """Return what a run over 2024 finds."""
    defined, before, after, share = run
    return calculate(
        kpis=defined,
        baselines={each.metric: (each,) for each in before},
        measurements=dict(zip(METRICS, after, strict=True)),
        start=START,
        end=END,
        currency="CAD",
        share_pct=share,
    )


def slow_savings(kpi: Kpi, baseline: Baseline, found: dict[date, Decimal]) -> Fraction:
    """Work a KPI out a second time, step by step and without the code under test."""
    inside = [Fraction(found[day]) for day in sorted(found) if START <= day <= END]
    if not inside:
        return Fraction(0)
    actual = {
        "mean": sum(inside) / len(inside),
        "sum": sum(inside),
        "latest": inside[-1],
    }[kpi.aggregation.value]
    gained = Fraction(actual) - Fraction(baseline.value)
    if kpi.better.value == "lower":
        gained = -gained
    if gained <= 0:
        return Fraction(0)
    return gained * Fraction(baseline.cost_per_unit) * Fraction(baseline.multiplier)


@given(runs)
def test_savings_are_what_a_second_opinion_says(run: Run) -> None:
    """To the exact fraction, KPI by KPI, and half up to the cent."""
    defined, before, after, _ = run
    for result, kpi, baseline, found in zip(
        report(run).results, defined, before, after, strict=True
    ):
        expected = slow_savings(kpi, baseline, found)
        assert expected == result.savings
        assert abs(Fraction(result.savings_minor) - expected * 100) <= Fraction(1, 2)


@given(runs)
def test_a_report_adds_up_and_the_fee_is_its_share(run: Run) -> None:
    """The total is the sum, nothing is negative, the fee is half a cent near the share."""
    found = report(run)
    assert found.savings_minor == sum(each.savings_minor for each in found.results)
    assert all(each.savings_minor >= 0 for each in found.results)
    exact = Fraction(found.savings_minor) * Fraction(found.share_pct) / 100
    assert abs(found.fee_minor - exact) <= Fraction(1, 2)
    assert 0 <= found.fee_minor <= found.savings_minor


@given(runs, st.randoms(use_true_random=False))
def test_the_order_of_measurements_does_not_matter(run: Run, chance: object) -> None:
    """They come as they come; the report and its hashes are the same."""
    defined, before, after, share = run
    shuffled = []
    for found in after:
        pairs = list(found.items())
        chance.shuffle(pairs)  # type: ignore[attr-defined]  # a random.Random
        shuffled.append(dict(pairs))
    assert report(run).document == report((defined, before, tuple(shuffled), share)).document


@given(runs, values)
def test_days_outside_the_period_change_nothing(run: Run, value: Decimal) -> None:
    """Neither the day before the first one nor the day after the last one."""
    defined, before, after, share = run
    beside = tuple(
        {**found, START - timedelta(days=1): value, END + timedelta(days=1): value}
        for found in after
    )
    assert report(run).document == report((defined, before, beside, share)).document
