"""Gain-share: formulas, which baseline counts, and what a report says to the cent."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.gain_share import (
    Baseline,
    Remark,
    Report,
    baseline_of,
    calculate,
    measurements_digest,
    require_share,
)
from domain.gain_share_formula import parse_formula
from domain.gain_share_terms import (
    FORMULA_DEFAULT,
    Better,
    Kpi,
    KpiAggregation,
    gain_share_from_fields,
    kpi_from_fields,
    kpi_problems,
)
from domain.tokens import DEPTH_MAX, Malformed

FIGURES = {
    "baseline": Fraction(86),
    "actual": Fraction(90),
    "improvement": Fraction(4),
    "cost_per_unit": Fraction(25_000),
    "multiplier": Fraction(25),
}
YEAR = (date(2024, 1, 1), date(2024, 12, 31))


def kpi(metric: str = "availability", **changes: object) -> Kpi:
    """Return a KPI where higher is better and the formula is S1's."""
    values: dict[str, object] = {
        "metric": metric,
        "name": metric.title(),
        "unit": "%",
        "better": Better.HIGHER,
        "aggregation": KpiAggregation.MEAN,
        "formula": parse_formula(FORMULA_DEFAULT),
        "is_always_shown": False,
    }
    return Kpi(**{**values, **changes})  # type: ignore[arg-type]  # names are checked by Kpi


def baseline(metric: str = "availability", **changes: object) -> Baseline:
    """Return S1's sample: 86.0 at 25,000 a unit from 2024-01-01 on."""
    values: dict[str, object] = {
        "baseline": f"bas_{metric}",
        "metric": metric,
        "value": Decimal("86.0"),
        "cost_per_unit": Decimal(25_000),
        "multiplier": Decimal(1),
        "effective_from": date(2024, 1, 1),
    }
    return Baseline(**{**values, **changes})  # type: ignore[arg-type]  # names are checked there


def report(
    kpis: list[Kpi],
    baselines: list[Baseline],
    measured: dict[str, dict[date, str]],
    *,
    share_pct: str = "15.0",
    currency: str = "CAD",
) -> Report:
    """Return what a run over 2024 finds."""
    return calculate(
        kpis=kpis,
        baselines={each.metric: (each,) for each in baselines},
        measurements={
            metric: {day: Decimal(value) for day, value in days.items()}
            for metric, days in measured.items()
        },
        start=YEAR[0],
        end=YEAR[1],
        currency=currency,
        share_pct=Decimal(share_pct),
    )


def fields_of(**values: object) -> Fields:
    """Return a catalogue object for reading."""
    return Fields("kpis[0]", values, Code.CATALOGUE_INVALID)  # type: ignore[arg-type]


class TestAFormula:
    """A formula over a KPI's figures."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("improvement * cost_per_unit * multiplier", Fraction(2_500_000)),
            ("(actual - baseline) * 2", Fraction(8)),
            ("actual - baseline - 1", Fraction(3)),
            ("1 / 3", Fraction(1, 3)),
            ("2 + 3 * 4", Fraction(14)),
            ("(2 + 3) * 4", Fraction(20)),
            ("24 / 4 / 2", Fraction(3)),
            ("0.1 + 0.2", Fraction(3, 10)),
            (" baseline ", Fraction(86)),
        ],
    )
    def test_is_worked_out_exactly(self, text: str, expected: Fraction) -> None:
        """Signs bind as in arithmetic, from left to right, and no digit is lost."""
        assert expected == parse_formula(text).value(FIGURES)

    @pytest.mark.parametrize(
        "text",
        [
            *("", " ", "1 +", "* 2", "(1", "1)", "()", "1 2", "savings", "1e5", "1_0", "-1", "1."),
            *("__import__", "actual ** 2", "actual // 2", "Actual", "a" * 201, "1" * 19),
            "(" * (DEPTH_MAX + 1) + "1" + ")" * (DEPTH_MAX + 1),
        ],
    )
    def test_of_another_form_is_refused(self, text: str) -> None:
        """What is no formula is refused when it is read, never run."""
        with pytest.raises(Malformed):
            parse_formula(text)

    def test_names_the_character_that_is_wrong(self) -> None:
        """A person finds the mistake by its place."""
        with pytest.raises(Malformed, match="'savings' at character 10"):
            parse_formula("actual * savings")

    def test_that_divides_by_zero_is_refused_when_it_does(self) -> None:
        """The figures, not the text, make a division undefined."""
        formula = parse_formula("1 / (actual - baseline)")
        assert Fraction(1, 4) == formula.value(FIGURES)
        with pytest.raises(Rejected) as refused:
            formula.value({**FIGURES, "actual": FIGURES["baseline"]})
        assert Code.FORMULA_UNDEFINED == refused.value.code

    @given(st.text(max_size=60))
    def test_of_any_text_is_read_or_refused(self, text: str) -> None:
        """No text leads anywhere but to a formula or its refusal."""
        with contextlib.suppress(Malformed):
            parse_formula(text)

    @given(
        st.recursive(
            st.sampled_from(["1", "2.5", "actual", "baseline"]),
            lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
                lambda parts: f"({' '.join(parts)})"
            ),
            max_leaves=6,
        )
    )
    def test_means_what_fractions_say(self, text: str) -> None:
        """Python's own arithmetic over fractions is the second opinion."""
        formula = parse_formula(text)
        python = text.replace("2.5", "Fraction(5, 2)").replace("1", "Fraction(1)")
        names = {name: value for name, value in FIGURES.items() if name in text}
        expected = eval(python, {"Fraction": Fraction, **names})  # noqa: S307 -- our own text
        assert expected == formula.value(FIGURES)


class TestAShare:
    """The share that a run may ask for."""

    @pytest.mark.parametrize("share", ["9.99", "20.01", "0", "100"])
    def test_x_52_outside_the_range_is_refused(self, share: str) -> None:
        """9.99 and 20.01 percent are outside 10 to 20."""
        terms = gain_share_from_fields(fields_of())
        with pytest.raises(Rejected) as refused:
            require_share(Decimal(share), terms=terms)
        assert Code.SHARE_OUT_OF_RANGE == refused.value.code

    @pytest.mark.parametrize(("share", "fee"), [("10", 32_000_000), ("20", 64_000_000)])
    def test_x_52_at_the_bounds_is_taken(self, share: str, fee: int) -> None:
        """10 and 20 percent of 3,200,000 are 320,000.00 and 640,000.00."""
        require_share(Decimal(share), terms=gain_share_from_fields(fields_of()))
        assert fee == _sample(share).fee_minor


def _sample(share: str) -> Report:
    """Return S1's worked run: 2,500,000 of availability and 700,000 of MTBF and MTTR (X-51)."""
    return report(
        [
            kpi("availability"),
            kpi("mtbf", unit="hour"),
            kpi("mttr", unit="hour", better=Better.LOWER),
        ],
        [
            baseline("availability", multiplier=Decimal(25)),
            baseline("mtbf", value=Decimal(400), cost_per_unit=Decimal(5_000)),
            baseline("mttr", value=Decimal(8), cost_per_unit=Decimal(100_000)),
        ],
        {
            "availability": {date(2024, 3, 1): "89.0", date(2024, 9, 1): "91.0"},
            "mtbf": {date(2024, 6, 30): "500"},
            "mttr": {date(2024, 1, 1): "6", date(2024, 12, 31): "6"},
        },
        share_pct=share,
    )


class TestAReport:
    """What a run finds."""

    def test_x_49_asks_for_the_share_of_all_savings(self) -> None:
        """15.0 percent of 3,200,000.00 are 480,000.00."""
        found = _sample("15.0")
        assert (320_000_000, 48_000_000) == (found.savings_minor, found.fee_minor)

    @pytest.mark.parametrize(("multiplier", "savings"), [("1", 10_000_000), ("25", 250_000_000)])
    def test_x_50_counts_an_improvement_as_often_as_its_baseline_says(
        self, multiplier: str, savings: int
    ) -> None:
        """86.0 to 90.0 at 25,000 are 100,000.00, with multiplier 25 they are 2,500,000.00."""
        found = report(
            [kpi()],
            [baseline(multiplier=Decimal(multiplier))],
            {"availability": {date(2024, 5, 5): "90.0"}},
        )
        assert Fraction(4) == found.results[0].improvement
        assert savings == found.results[0].savings_minor

    def test_x_51_holds_every_kpi_with_its_own_savings(self) -> None:
        """MTBF and MTTR together make the 700,000.00 that availability leaves."""
        found = _sample("15.0")
        assert ["availability", "mtbf", "mttr"] == [each.kpi.metric for each in found.results]
        assert 70_000_000 == sum(each.savings_minor for each in found.results[1:])

    def test_s1_r5_counts_a_worse_kpi_as_nothing_and_shows_it(self) -> None:
        """A fall is shown below 0 and takes nothing from the savings of others."""
        worse = report(
            [kpi()], [baseline()], {"availability": {date(2024, 1, 1): "85.0"}}
        ).results[0]
        assert (Fraction(-1), 0, Remark.NOT_BETTER) == (
            worse.improvement,
            worse.savings_minor,
            worse.remark,
        )

    @pytest.mark.parametrize("actual", ["85.0", "86.0"])
    def test_s1_r5_asks_no_formula_of_what_is_not_better(self, actual: str) -> None:
        """A formula that pays for anything pays nothing for a worse or an equal KPI."""
        found = report(
            [kpi(formula=parse_formula("cost_per_unit"))],
            [baseline()],
            {"availability": {date(2024, 1, 1): actual}},
        )
        assert 0 == found.savings_minor

    def test_s1_r5_takes_a_fall_as_better_where_lower_is_better(self) -> None:
        """Eight hours to repair became six."""
        found = report(
            [kpi("mttr", better=Better.LOWER)],
            [baseline("mttr", value=Decimal(8), cost_per_unit=Decimal(10))],
            {"mttr": {date(2024, 1, 1): "6"}},
        )
        assert (Fraction(2), 2_000) == (
            found.results[0].improvement,
            found.results[0].savings_minor,
        )

    def test_s1_r4_shows_what_is_always_shown_and_others_with_a_baseline(self) -> None:
        """Without a baseline a KPI is left out, unless the catalogue always shows it."""
        found = report(
            [kpi("availability", is_always_shown=True), kpi("overtime")],
            [],
            {"overtime": {date(2024, 1, 1): "1"}},
        )
        assert [("availability", Remark.NO_BASELINE, 0)] == [
            (each.kpi.metric, each.remark, each.savings_minor) for each in found.results
        ]

    def test_says_when_nothing_was_measured(self) -> None:
        """A baseline alone saves nothing."""
        found = report([kpi()], [baseline()], {"availability": {date(2025, 1, 1): "99"}})
        assert (Remark.NO_MEASUREMENTS, 0) == (found.results[0].remark, found.savings_minor)

    def test_s1_r21_counts_both_days_of_the_period_and_none_beside_them(self) -> None:
        """The first and the last day belong to the period, the days beside them do not."""
        days = {
            YEAR[0] - timedelta(days=1): "1000",
            YEAR[0]: "88",
            YEAR[1]: "92",
            YEAR[1] + timedelta(days=1): "1000",
        }
        result = report([kpi()], [baseline()], {"availability": days}).results[0]
        assert (Fraction(90), 2, YEAR[0], YEAR[1]) == (
            result.actual,
            result.measurements,
            result.measured_from,
            result.measured_to,
        )

    @pytest.mark.parametrize(
        ("aggregation", "actual"),
        [
            (KpiAggregation.MEAN, Fraction(20)),
            (KpiAggregation.SUM, Fraction(60)),
            (KpiAggregation.LATEST, Fraction(30)),
        ],
    )
    def test_adds_measurements_up_as_the_kpi_says(
        self, aggregation: KpiAggregation, actual: Fraction
    ) -> None:
        """Ten, twenty and thirty on three days."""
        days = {date(2024, 3, 1): "30", date(2024, 1, 1): "10", date(2024, 2, 1): "20"}
        found = report(
            [kpi(aggregation=aggregation)],
            [baseline(value=Decimal(0))],
            {"availability": days},
        )
        assert actual == found.results[0].actual

    def test_rounds_each_kpi_and_then_the_fee_half_up(self) -> None:
        """A third of a cent is lost per KPI, and half a cent of fee counts whole."""
        kpis = [kpi("a", formula=parse_formula("1 / 3")), kpi("b", formula=parse_formula("0.005"))]
        found = report(
            kpis,
            [baseline("a"), baseline("b")],
            {"a": {YEAR[0]: "90"}, "b": {YEAR[0]: "90"}},
            share_pct="10",
        )
        assert [33, 1] == [each.savings_minor for each in found.results]
        assert (34, 3) == (found.savings_minor, found.fee_minor)
        assert (
            5
            == report(  # 4.5 cents
                [kpi("a", formula=parse_formula("0.45"))],
                [baseline("a")],
                {"a": {YEAR[0]: "90"}},
                share_pct="10",
            ).fee_minor
        )

    @pytest.mark.parametrize(("currency", "minor"), [("JPY", 4), ("CAD", 400), ("KWD", 4_000)])
    def test_counts_in_the_minor_unit_of_its_currency(self, currency: str, minor: int) -> None:
        """Currencies have 0, 2 or 3 decimal places."""
        found = report(
            [kpi()],
            [baseline(cost_per_unit=Decimal(1))],
            {"availability": {YEAR[0]: "90"}},
            currency=currency,
        )
        assert minor == found.savings_minor

    def test_of_impossible_savings_is_refused(self) -> None:
        """A slip of the keyboard in a baseline does not become a fee."""
        with pytest.raises(Rejected, match="look at its baseline"):
            report(
                [kpi()],
                [baseline(cost_per_unit=Decimal(10**14))],
                {"availability": {YEAR[0]: "90"}},
            )

    def test_never_has_negative_savings_whatever_the_formula_says(self) -> None:
        """A formula that falls with an improvement counts as nothing."""
        found = report(
            [kpi(formula=parse_formula("baseline - actual"))],
            [baseline()],
            {"availability": {YEAR[0]: "90"}},
        )
        assert 0 == found.savings_minor

    def test_proves_what_it_was_made_from(self) -> None:
        """The hash is that of the period's days and values, whatever their trailing zeros."""
        days = {YEAR[0]: "90.0", YEAR[1]: "91"}
        result = report([kpi()], [baseline()], {"availability": days}).results[0]
        expected = measurements_digest([(YEAR[0], Decimal(90)), (YEAR[1], Decimal("91.00"))])
        assert expected == result.measurements_sha256
        assert expected != measurements_digest([(YEAR[0], Decimal(90))])

    def test_is_written_as_decimal_text(self) -> None:
        """The document has no float and names everything that went into a figure."""
        document = _sample("15.0").document
        (first, *_) = cast("list[dict[str, str]]", document["breakdown"])
        assert ("86.0", "90", "4", "25000", "25", "2500000") == (
            *(first["baseline"], first["actual"], first["improvement"]),
            *(first["cost_per_unit"], first["multiplier"], first["savings_exact"]),
        )
        assert FORMULA_DEFAULT == first["formula"]


class TestTheBaselineOfAPeriod:
    """Which baseline a period is compared with."""

    def test_is_the_last_one_in_force_at_its_start(self) -> None:
        """Later and earlier ones do not count, and none at all before the first."""
        items = [
            baseline(baseline=f"bas_{year}", effective_from=date(year, 1, 1))
            for year in (2025, 2023, 2024)
        ]
        found = baseline_of(items, start=date(2024, 1, 1))
        assert found is not None
        assert "bas_2024" == found.baseline
        assert baseline_of(items, start=date(2022, 12, 31)) is None

    def test_is_the_later_recorded_of_one_day(self) -> None:
        """A second baseline of a day corrects the first."""
        items = [baseline(baseline="bas_first"), baseline(baseline="bas_second")]
        found = baseline_of(items, start=date(2024, 6, 1))
        assert found is not None
        assert "bas_second" == found.baseline


class TestTheCatalogue:
    """KPIs and the range of shares as catalogue data."""

    def test_s1_111_takes_a_new_kpi_with_a_formula_of_its_own(self) -> None:
        """Energy counts half of what is saved; nothing else changes."""
        energy = kpi_from_fields(
            fields_of(
                metric="energy",
                name="Energy",
                unit="MWh",
                better="lower",
                aggregation="sum",
                formula="improvement * cost_per_unit / 2",
            )
        )
        plain = report([kpi()], [baseline()], {"availability": {YEAR[0]: "90"}})
        both = report(
            [kpi(), energy],
            [baseline(), baseline("energy", value=Decimal(100), cost_per_unit=Decimal(80))],
            {"availability": {YEAR[0]: "90"}, "energy": {YEAR[0]: "40", YEAR[1]: "30"}},
        )
        assert plain.results[0] == both.results[0]
        assert 30 * 80 * 100 // 2 == both.results[1].savings_minor

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("formula", "savings * 2"),
            ("better", "more"),
            ("aggregation", "median"),
            ("metric", ""),
            ("always_shown", "yes"),
            ("colour", "red"),
        ],
    )
    def test_refuses_a_kpi_with_its_place(self, name: str, value: str) -> None:
        """The refusal names the field."""
        good = {"metric": "m", "name": "M", "unit": "%", "better": "higher"}
        with pytest.raises(Rejected) as refused:
            kpi_from_fields(fields_of(**{**good, name: value}))
        assert refused.value.reason.startswith(f"kpis[0].{name} ")

    def test_refuses_two_kpis_of_one_name(self) -> None:
        """A measurement would count for both."""
        problems = list(kpi_problems(fields_of(), (kpi(), kpi())))
        assert ["kpis[0].kpis holds 'availability' twice"] == [each.reason for each in problems]

    @pytest.mark.parametrize(
        ("low", "high"), [("0", "20"), ("21", "20"), ("10", "100.01"), ("10", "ten")]
    )
    def test_refuses_a_range_of_shares_that_is_none(self, low: str, high: str) -> None:
        """Above 0, at most 100, and the right way round."""
        with pytest.raises(Rejected):
            gain_share_from_fields(fields_of(share_min=low, share_max=high))
