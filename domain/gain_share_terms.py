"""What a catalogue says of gain-share: KPIs with their formulas, and the shares allowed.

A KPI is data (S1-111): how its measurements become one value, which way is better, and what an
improvement is worth. S1 names five; a catalogue may have others, and an old report never changes,
for it holds what it was made with.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.document_shape import (
    Field,
    Kind,
    Shape,
    boolean_field,
    decimal_field,
    list_field,
    object_field,
)
from domain.gain_share_formula import FORMULA_LENGTH_MAX, Formula, parse_formula
from domain.tokens import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.errors import Rejected
    from domain.fields import Fields

KPIS_MAX = 20
"""KPIs of one catalogue: a report shows them all, and S1 has five."""
FORMULA_DEFAULT = "improvement * cost_per_unit * multiplier"
"""Savings of S1-43 with the factor of S1-R2."""
SHARE_MIN_DEFAULT = "10"
SHARE_MAX_DEFAULT = "20"
"""Percent of savings that may be asked for, both bounds allowed (S1-25, X-52)."""
PERCENT_MAX = 100
TAX_DEFAULT = "standard"
"""Tax category of a fee, as of prices that name none."""


class Better(StrEnum):
    """Which way of a KPI is an improvement (S1-R5)."""

    HIGHER = "higher"
    LOWER = "lower"


class KpiAggregation(StrEnum):
    """How the measurements of a period become the actual value."""

    MEAN = "mean"
    SUM = "sum"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Kpi:
    """One measured figure that savings can rest on.

    Args:
        metric: Its name in baselines and measurements.
        name: Name for people.
        unit: What one unit of it is, for people.
        better: Which way is an improvement.
        aggregation: How measurements become the actual value.
        formula: Savings of an improvement, in major units of the customer's currency.
        is_always_shown: Whether a report shows it without a baseline too, with savings 0 (S1-R4).
    """

    metric: str
    name: str
    unit: str
    better: Better
    aggregation: KpiAggregation
    formula: Formula
    is_always_shown: bool


@dataclass(frozen=True, slots=True)
class GainShareTerms:
    """The part `gain_share` of a catalogue version.

    Args:
        share_min: Smallest share in percent, inclusive.
        share_max: Largest share in percent, inclusive.
        tax: Tax category of the fee.
    """

    share_min: Decimal
    share_max: Decimal
    tax: str


_FORMULA_RULE = (
    "baseline, actual, improvement, cost_per_unit, multiplier and decimals with + - * / ( ), "
    f"at most {FORMULA_LENGTH_MAX} characters"
)
_KPI = Shape(
    "kpi",
    "A measured figure that savings can rest on.",
    (
        Field("metric", Kind.TEXT, "Its name in baselines and measurements."),
        Field("name", Kind.TEXT, "Name for people."),
        Field("unit", Kind.TEXT, "What one unit of it is, for people."),
        Field("better", Kind.CHOICE, "Which way is an improvement.", choices=tuple(Better)),
        Field(
            "aggregation",
            Kind.CHOICE,
            "How the measurements of a period become one value.",
            is_required=False,
            choices=tuple(KpiAggregation),
            default=KpiAggregation.MEAN,
        ),
        Field(
            "formula",
            Kind.TEXT,
            "Savings of an improvement, in major units of the customer's currency.",
            is_required=False,
            rule=_FORMULA_RULE,
            default=FORMULA_DEFAULT,
        ),
        boolean_field(
            "always_shown",
            "Whether a report shows it without a baseline too, with savings 0.",
            default=False,
        ),
    ),
)
_GAIN_SHARE = Shape(
    "gain_share",
    "Which share of savings may be asked for.",
    (
        decimal_field("share_min", "Smallest share, percent, inclusive.", default="10"),
        decimal_field("share_max", "Largest share, percent, inclusive.", default="20"),
        Field(
            "tax",
            Kind.TEXT,
            "Tax category of the fee.",
            is_required=False,
            default=TAX_DEFAULT,
        ),
    ),
)
KPIS_FIELD = list_field("kpis", "Figures that savings can rest on.", KPIS_MAX, _KPI)
GAIN_SHARE_FIELD = object_field(
    "gain_share", "Which share of savings may be asked for.", _GAIN_SHARE
)


def kpi_from_fields(fields: Fields) -> Kpi:
    """This function will read one KPI of a catalogue.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(tuple(field.name for field in _KPI.fields))
    text = fields.text("formula", default=FORMULA_DEFAULT)
    try:
        formula = parse_formula(text)
    except Malformed as error:
        raise fields.refuse("formula", str(error)) from error
    return Kpi(
        metric=fields.text("metric"),
        name=fields.text("name"),
        unit=fields.text("unit"),
        better=Better(fields.choice("better", tuple(Better))),
        aggregation=KpiAggregation(
            fields.choice("aggregation", tuple(KpiAggregation), default=KpiAggregation.MEAN)
        ),
        formula=formula,
        is_always_shown=fields.boolean("always_shown", default=False),
    )


def gain_share_from_fields(fields: Fields) -> GainShareTerms:
    """This function will read the part `gain_share` of a catalogue.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(tuple(field.name for field in _GAIN_SHARE.fields))
    share_min = fields.decimal("share_min", default=SHARE_MIN_DEFAULT)
    share_max = fields.decimal("share_max", default=SHARE_MAX_DEFAULT)
    if not 0 < share_min <= share_max <= PERCENT_MAX:
        raise fields.refuse("share_max", "must be 100 at most and share_min above 0, not above it")
    return GainShareTerms(share_min, share_max, fields.text("tax", default=TAX_DEFAULT))


def kpi_problems(fields: Fields, kpis: tuple[Kpi, ...]) -> Iterator[Rejected]:
    """This function will refuse KPIs of a catalogue that have one name.

    Args:
        fields: The catalogue.
        kpis: Its KPIs.
    """
    for metric, count in Counter(kpi.metric for kpi in kpis).items():
        if count > 1:
            yield fields.refuse("kpis", f"holds {metric!r} twice")
