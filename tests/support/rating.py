"""Small catalogues and terms for tests of rating: a plan "p" in January."""

import json
from dataclasses import replace
from fractions import Fraction

from domain.canonical import Json
from domain.catalogue import Catalogue, parse_catalogue
from domain.invoice_terms import InvoiceTerms
from domain.period import Period
from domain.rating import (
    RatedLine,
)
from tests.support import billing

JANUARY = billing.period("2025-01-01", "2025-02-01")


def catalogue_of(*prices: Json, **more: Json) -> Catalogue:
    """A catalogue with a plan "p" in CAD; `plan` gives it more fields, others the catalogue."""
    plan = billing.plan("p", currency="CAD", prices=prices)
    assert isinstance(plan, dict)
    extra = more.pop("plan", {})
    assert isinstance(extra, dict)
    meters = more.pop(
        "meters",
        [
            {**METER, "key": "calls", "event_type": "call", "group_by": ["model", "region"]},
            {**METER, "key": "assets", "event_type": "asset", "aggregation": "latest"},
            {**METER, "key": "other", "event_type": "other"},
        ],
    )
    document = {"version": 1, "meters": meters, "plans": [plan | extra], **more}
    return parse_catalogue(json.dumps(document))


METER: dict[str, Json] = {"aggregation": "sum", "unit": "unit"}
CALLS: dict[str, Json] = {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "1"}
ASSETS: dict[str, Json] = {"key": "assets", "form": "per_unit", "meter": "assets", "rate": "1"}
FEE: dict[str, Json] = {"key": "fee", "form": "flat", "amount": "31"}


def whole(prices: Catalogue, **changes: object) -> InvoiceTerms:
    """Terms of January on one plan."""
    part = billing.segment(prices=prices, billed=JANUARY, plan_code="p")
    return replace(billing.terms_of(part, prices=prices), **changes)  # type: ignore[arg-type]


def halves(
    prices: Catalogue, *, days: int = 10, codes: tuple[str, str] = ("p", "p")
) -> InvoiceTerms:
    """Terms of January in two parts, the first of so many days."""
    edge = billing.moment(f"2025-01-{days + 1:02}")
    parts = (
        billing.segment(
            prices=prices,
            billed=Period(JANUARY.start, edge),
            plan_code=codes[0],
            of_days=31,
        ),
        billing.segment(
            prices=prices,
            billed=Period(edge, JANUARY.end),
            plan_code=codes[1],
            of_days=31,
        ),
    )
    return billing.terms_of(*parts, prices=prices)


def by_id(lines: tuple[RatedLine, ...]) -> dict[str, Fraction]:
    return {line.line_id: line.amount_exact for line in lines}
