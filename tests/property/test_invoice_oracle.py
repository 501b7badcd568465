"""Our rater against a second one, which was written from the requirements and shares no code."""

from fractions import Fraction

from domain.billing_terms import TaxMode
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import Pin, build_invoice
from domain.rating import usage_entries
from tests.support import oracle_invoice
from tests.support.random_bills import Case, random_case

CASES = 10_000
AMOUNT_MAX = 10**18
"""Units of 10^-6 that an amount may come to; both say so of one beyond it."""
TOO_LARGE = "too large"
PIN = Pin(usage_positions=(0,), account_partition=0, account_position=0, usage_digest="0" * 64)


def test_random_catalogues_and_usage_agree_to_the_minor_unit() -> None:
    differing = [seed for seed in range(CASES) if _ours(random_case(seed)) != _theirs(seed)]
    assert not differing, f"{len(differing)} of {CASES} differ: seeds {differing[:5]}"


def _theirs(seed: int) -> object:
    result = oracle_invoice.invoice(random_case(seed).bill)
    if any(
        abs(amount) > AMOUNT_MAX for amounts in dict(result.lines).values() for amount in amounts
    ):
        return TOO_LARGE
    return (
        dict(result.lines),
        dict(result.taxes),
        (result.promotion_minor, result.credit_minor),
        result.total_minor,
        result.carry_minor,
    )


def _ours(case: Case) -> object:
    catalogues = {case.catalogue.version: case.catalogue}
    try:
        content = build_invoice(
            terms=case.terms,
            usage=usage_entries(terms=case.terms, rows=case.rows, catalogues=catalogues),
            catalogues=catalogues,
            pin=PIN,
        )
    except Rejected as error:
        assert error.code == Code.AMOUNT_LIMIT  # noqa: PT017 -- any other one is a difference
        return TOO_LARGE
    totals = content.totals
    return (
        {line.line_id: (line.amount, line.net) for line in content.lines},
        {
            (tax.code, Fraction(tax.rate), tax.mode is TaxMode.INCLUSIVE): tax.amount
            for tax in totals.taxes
            if tax.code
        },
        (totals.promotion_minor, totals.credit_minor),
        totals.total_minor,
        totals.carry_minor,
    )
