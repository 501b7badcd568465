"""Rating: an invoice of 10 lines from windows to priced lines.

Claim: rating one invoice of 10 metered lines takes at most 2 ms of CPU, from the rows that the
builder's SQL merges per part of the period and series; from 720 hourly windows a line, unmerged,
it takes a multiple of that.
Method: one plan of 10 prices (two each of per_unit, graduated, volume, package and a matrix over
two models), each over a meter of its own with 720 hours of January. Measured is the process's CPU
of usage_entries and rate together, the best and the middle of the rounds; then of usage_entries
alone over the hourly rows; then of a plan changed within the month, which is rated in two parts.
Merged and hourly rows must give the same lines, or the run fails. The floor is adding up the same
720 numbers per line as plain integers.
Run: ./dev bench rating
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.support import write_result
from domain.catalogue import Catalogue, parse_catalogue
from domain.invoice_usage import parts_of
from domain.period import HOUR_MS, Period, to_ms
from domain.rating import rate, usage_entries
from domain.usage.segment_rows import SegmentRow, segment_rows
from tests.support import billing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.aggregation.window_row import WindowRow
    from domain.canonical import Json
    from domain.invoice_terms import InvoiceTerms

LINES = 10
HOURS = 720
ROUNDS = 200
LIMIT_MS = 2.0
JANUARY = billing.period("2025-01-01", "2025-01-31")
FORMS: tuple[dict[str, Json], ...] = (
    {"form": "per_unit", "rate": "0.0020", "included": "1000"},
    {"form": "graduated", "included": "100", "tiers": billing.tiers(("1000", "0.5"), ("", "0.1"))},
    {"form": "volume", "tiers": billing.tiers(("1000", "0.5"), ("100000", "0.2"), ("", "0.1"))},
    {"form": "package", "amount": "99", "included": "500", "rate": "0.01", "per": "1000"},
    {
        "form": "matrix",
        "dimensions": ["model"],
        "rates": [{"where": {"model": "a"}, "rate": "1.5"}],
        "rate": "0.5",
    },
)


def catalogue() -> Catalogue:
    """Ten meters and a plan that prices each of them."""
    meters: list[Json] = [
        {
            "key": f"m{number}",
            "event_type": f"m{number}",
            "aggregation": "sum",
            "group_by": ["model"],
            "unit": "unit",
        }
        for number in range(LINES)
    ]
    prices: list[Json] = [
        {"key": f"p{number}", "meter": f"m{number}", **FORMS[number % len(FORMS)]}
        for number in range(LINES)
    ]
    plans = [{"code": code, "name": code, "currency": "USD", "prices": prices} for code in "pq"]
    return parse_catalogue(json.dumps({"version": 1, "meters": meters, "plans": plans}))


def windows() -> list[WindowRow]:
    """720 hours of each meter, in turn of two models."""
    first = to_ms(JANUARY.start) // HOUR_MS
    return [
        billing.window(
            f"m{number}",
            hour=first + hour,
            value=f"{hour % 97}.{number}",
            dimensions={"model": "ab"[hour % 2]},
            offset=hour,
        )
        for number in range(LINES)
        for hour in range(HOURS)
    ]


def two_parts(prices: Catalogue) -> InvoiceTerms:
    """The same month on two plans, changed after 10 days."""
    edge = billing.moment("2025-01-11")
    between = ((JANUARY.start, edge, "p"), (edge, JANUARY.end, "q"))
    return billing.terms_of(
        *(
            billing.segment(prices=prices, billed=Period(start, end), plan_code=code, of_days=30)
            for start, end, code in between
        ),
        prices=prices,
    )


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the best and the middle milliseconds of CPU of one call."""
    found = []
    for _ in range(rounds):
        start_ns = time.process_time_ns()
        work()
        found.append((time.process_time_ns() - start_ns) / 1e6)
    return min(found), statistics.median(found)


def rated(terms: InvoiceTerms, rows: Sequence[SegmentRow], prices: Catalogue) -> object:
    """Rate once, from rows to lines."""
    catalogues = {prices.version: prices}
    usage = usage_entries(terms=terms, rows=rows, catalogues=catalogues)
    return rate(terms=terms, usage=usage, catalogues=catalogues)


def main() -> int:
    """Measure, print, and fail when the limit or the sameness is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    prices, hourly = catalogue(), windows()
    whole = billing.terms_of(
        billing.segment(prices=prices, billed=JANUARY, plan_code="p"), prices=prices
    )
    split = two_parts(prices)
    rows = {
        name: segment_rows(hourly, parts=parts_of(terms, catalogues={1: prices}))
        for name, terms in (("whole", whole), ("split", split))
    }
    unmerged = [(0, row) for row in hourly]
    is_same = rated(whole, rows["whole"], prices) == rated(whole, unmerged, prices)
    best, middle = timed(lambda: rated(whole, rows["whole"], prices), arguments.rounds)
    _, middle_split = timed(lambda: rated(split, rows["split"], prices), arguments.rounds)
    few = max(1, arguments.rounds // 10)
    _, middle_hourly = timed(lambda: rated(whole, unmerged, prices), few)
    numbers = [
        [row.sum_nanos for row in hourly[n * HOURS : (n + 1) * HOURS]] for n in range(LINES)
    ]
    _, floor = timed(lambda: [sum(each) for each in numbers], arguments.rounds)
    write_result(
        arguments,
        {
            "lines": LINES,
            "windows_per_line": HOURS,
            "merged_rows": len(rows["whole"]),
            "merged_best_ms": round(best, 3),
            "merged_median_ms": round(middle, 3),
            "merged_two_parts_median_ms": round(middle_split, 3),
            "hourly_median_ms": round(middle_hourly, 3),
            "floor_adding_numbers_ms": round(floor, 3),
            "limit_ms": LIMIT_MS,
            "same_lines": is_same,
        },
    )
    return 0 if is_same and middle <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
