"""Laws of levels: a change of no price changes no bill, and no level is forgotten."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation.kinds import Aggregation
from domain.aggregation.window_row import WindowRow
from domain.canonical import Json
from domain.catalogue import Catalogue
from domain.invoice_terms import InvoiceTerms
from domain.period import Period
from tests.support import billing
from tests.support.rating import JANUARY, METER, catalogue_of

LEVELS = sorted({*Aggregation} - {Aggregation.SUM, Aggregation.COUNT, Aggregation.TIME_WEIGHTED})
SKETCHED = {Aggregation.UNIQUE, Aggregation.PERCENTILE}
CUTS = st.lists(st.integers(1, 30), max_size=5, unique=True).map(sorted)
USED = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 500)), max_size=6)
"""(day, value)."""
TIERS: list[Json] = [{"up_to": "100", "rate": "3"}, {"rate": "1"}]


def catalogue(aggregation: str) -> Catalogue:
    """Plan "p" and "same" price the level alike, "dear" does not."""
    meter: dict[str, Json] = {**METER, "key": "level", "event_type": "level"}
    price: dict[str, Json] = {"key": "level", "meter": "level", "form": "graduated"}
    plans: list[Json] = [
        {
            "code": code,
            "name": code,
            "currency": "CAD",
            "prices": [
                {**price, "tiers": tiers, "included": "10"},
                {"key": "fee", "form": "flat", "amount": fee},
            ],
        }
        for code, fee, tiers in (
            ("p", "1", TIERS),
            ("same", "7", TIERS),
            ("dear", "1", [{"rate": "9"}]),
        )
    ]
    return catalogue_of(plans=plans, meters=[{**meter, "aggregation": aggregation}])


def terms_of(
    prices: Catalogue, cuts: list[int], codes: list[str], *, paused: frozenset[int] = frozenset()
) -> InvoiceTerms:
    """January, cut before each of the days, on one plan after the other."""
    edges = [
        JANUARY.start,
        *(billing.moment(f"2025-01-{day + 1:02}") for day in cuts),
        JANUARY.end,
    ]
    parts = [
        replace(
            billing.segment(
                prices=prices,
                billed=Period(start, end),
                plan_code=codes[number % len(codes)],
                of_days=31,
                seats=number,
            ),
            is_paused=number in paused,
        )
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]
    return billing.terms_of(*parts, prices=prices)


def rows_of(used: list[tuple[int, int]]) -> list[WindowRow]:
    """One window for each, in its day; the later of a day in a later hour."""
    return [
        billing.window("level", value=str(value), hours=24 * day + place, offset=place)
        for place, (day, value) in enumerate(used)
    ]


def charged(terms: InvoiceTerms, prices: Catalogue, rows: list[WindowRow]) -> Fraction:
    lines = billing.rated(terms, prices=prices, rows=rows)
    return sum((line.amount_exact for line in lines if line.kind == "usage"), Fraction(0))


@given(
    aggregation=st.sampled_from([each for each in LEVELS if each not in SKETCHED]),
    cuts=CUTS,
    codes=st.lists(st.sampled_from(["p", "same"]), min_size=1, max_size=3),
    used=USED,
)
def test_a_change_of_no_price_changes_no_bill(
    aggregation: str, cuts: list[int], codes: list[str], used: list[tuple[int, int]]
) -> None:
    """Seats, fees and plans of the same price: the level costs what it costs without them."""
    prices, rows = catalogue(aggregation), rows_of(used)
    whole = charged(terms_of(prices, [], ["p"]), prices, rows)
    assert charged(terms_of(prices, cuts, codes), prices, rows) == whole


@given(
    aggregation=st.sampled_from([each for each in LEVELS if each not in SKETCHED]),
    cuts=CUTS.filter(lambda cuts: len(cuts) > 1),
    used=USED,
)
def test_a_pause_takes_its_days_and_no_level(
    aggregation: str, cuts: list[int], used: list[tuple[int, int]]
) -> None:
    """What was reported before and after is measured together; the days between are free."""
    prices = catalogue(aggregation)
    days = range(cuts[0], cuts[1])
    rows = rows_of([(day, value) for day, value in used if day not in days])
    whole = charged(terms_of(prices, [], ["p"]), prices, rows)
    paused = terms_of(prices, cuts, ["p"], paused=frozenset({1}))
    assert charged(paused, prices, rows) == whole * Fraction(31 - len(days), 31)


@given(
    cuts=st.lists(st.integers(1, 30), min_size=1, max_size=5, unique=True).map(sorted),
    codes=st.lists(st.sampled_from(["p", "dear"]), min_size=2, max_size=3),
    used=USED.filter(bool),
)
def test_a_largest_value_is_never_below_what_stands(
    cuts: list[int], codes: list[str], used: list[tuple[int, int]]
) -> None:
    """Of each part: at least the level reported last before it, and all that lies within it."""
    prices, rows = catalogue("max"), rows_of(used)
    terms = terms_of(prices, cuts, codes)
    lines = [
        line for line in billing.rated(terms, prices=prices, rows=rows) if line.kind == "usage"
    ]
    for segment, line in zip(terms.segments, lines, strict=True):
        start = (segment.start - JANUARY.start).days * 24
        end = (segment.end - JANUARY.start).days * 24
        first = rows_of([(0, 0)])[0].hour
        before = [row for row in rows if row.hour - first < start]
        within = [row.max_nanos for row in rows if start <= row.hour - first < end]
        if before:
            within.append(max(before, key=lambda row: row.latest_occurred_ms).latest_nanos)
        assert Fraction(line.quantity) * billing.NANOS >= max(within, default=0)
