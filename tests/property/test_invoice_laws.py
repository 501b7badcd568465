"""Laws of invoices: amounts that always add up, and corrections that end where they should."""

from __future__ import annotations

import functools
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.billing_terms import (
    Credits,
    DiscountKind,
    Rounding,
    TaxMode,
    TaxRounding,
    TaxTreatment,
)
from domain.books.billing_state import unpacked
from domain.catalogue import Catalogue, parse_catalogue
from domain.credit_balance import CreditBalance
from domain.invoice import InvoiceContent, build_invoice
from domain.invoice_amounts import shares, spread
from domain.invoice_reading import parse_invoice_content
from domain.invoice_taxes import CategoryTax, LineTax, TaxTerms
from domain.invoice_terms import GrantedDiscount, InvoiceTerms, Item, ItemKind
from domain.money import minor_unit_places, round_half_up
from domain.rated import UsageEntry
from tests.support import billing
from tests.support.billing import bodies
from tests.support.invoices import (
    BillingBooks,
    catalogue_text,
    flat,
    per_call,
    pin_at,
    plan,
    tax,
)

JANUARY = billing.period("2025-01-01", "2025-02-01")
CURRENCIES = ("JPY", "USD", "KWD")
OLD_TAX = LineTax("t_standard", "", Decimal(21), TaxMode.EXCLUSIVE, TaxTreatment.STANDARD)
"""What an invoice was taxed with that a correction belongs to."""
weights = st.lists(st.integers(0, 10**9), max_size=8)
amounts = st.integers(0, 10**7)
minor_units = st.integers(0, 30_000)


class TestSpread:
    @given(weights, st.integers(0, 10**12))
    def test_parts_add_up_and_none_is_more_than_its_weight(
        self, over: list[int], amount: int
    ) -> None:
        """Of an amount that is not more than all weights."""
        amount = min(amount, sum(over))
        parts = spread(amount, over=over)
        assert sum(parts) == amount
        assert all(0 <= part <= weight for part, weight in zip(parts, over, strict=True))

    @given(weights, st.integers(0, 10**12))
    def test_no_part_is_a_unit_from_its_share(self, over: list[int], amount: int) -> None:
        """Largest remainder: each part is its share, rounded down or up."""
        if not sum(over):
            return
        for part, weight in zip(spread(amount, over=over), over, strict=True):
            assert abs(part - Fraction(amount * weight, sum(over))) < 1

    @given(
        st.lists(st.integers(-(10**9), 10**9), max_size=8),
        st.fractions(0, 1, max_denominator=10_000),
        st.integers(-2, 2),
    )
    def test_shares_add_up_and_each_is_its_own(
        self, values: list[int], part: Fraction, away: int
    ) -> None:
        """However near to nothing their sum is: none is more than the rounding from its part."""
        amount = round_half_up(sum(values) * part, places=0) + away
        found = shares(amount, of=values, part=part)
        assert sum(found) == (amount if any(values) else 0)
        assert all(
            abs(share - value * part) <= 1 + abs(away)
            for share, value in zip(found, values, strict=True)
        )


@functools.cache
def catalogue(currency: str, minimum: str, maximum: str, of: str) -> Catalogue:
    bounds: dict[str, Any] = {}
    if minimum:
        bounds["minimum"] = {"amount": minimum, "of": "usage"}
    if maximum:
        bounds["maximum"] = {"amount": maximum, "of": of}
    prices = (flat("base", "9.99"), flat("extra", "20", tax="books"), per_call("calls", "0.00333"))
    rates = [tax("1"), tax("2", code="books", category="books")]  # the terms have others
    offered = plan(*prices, currency=currency, **bounds)
    return parse_catalogue(catalogue_text(plans=[offered], taxes=rates))


@st.composite
def discounts(draw: st.DrawFn) -> GrantedDiscount:
    kind = draw(st.sampled_from(list(DiscountKind)))
    most = 100 if kind is DiscountKind.PERCENT else 40
    places = draw(st.integers(0, 3))
    value = Decimal(draw(st.integers(1, most * 10**places))).scaleb(-places)
    prices = draw(st.sampled_from([(), ("base",), ("calls", "extra")]))
    if kind is DiscountKind.FREE_UNITS:
        prices = ("calls",)
    return GrantedDiscount("d", "D", kind, value, prices)


@st.composite
def items(draw: st.DrawFn, number: int) -> Item:
    amount = draw(st.integers(-40_000, 40_000))
    moment = JANUARY.start
    return Item(
        item=f"itm_{number}",
        customer="acme",
        subscription="",
        kind=ItemKind.CORRECTION if amount < 0 else ItemKind.ONE_OFF,
        label="item",
        amount_minor=amount,
        start=moment,
        end=moment,
        added_at=moment,
        tax=draw(st.sampled_from(["standard", "books", "other"])),
        taxed=draw(st.sampled_from([None, OLD_TAX])) if amount < 0 else None,
    )


@st.composite
def taxes(draw: st.DrawFn) -> TaxTerms:
    rates = st.integers(0, 10_000).map(lambda rate: Decimal(rate).scaleb(-2))
    modes = st.sampled_from(list(TaxMode))
    categories = draw(st.sampled_from([(), ("standard",), ("books", "standard")]))
    return TaxTerms(
        treatment=draw(st.sampled_from(list(TaxTreatment))),
        categories=tuple(
            CategoryTax(category, f"t_{category}", category, draw(rates), draw(modes))
            for category in categories
        ),
    )


@st.composite
def contents(draw: st.DrawFn) -> InvoiceContent:
    """An invoice with whatever may be on one."""
    prices = catalogue(
        draw(st.sampled_from(CURRENCIES)),
        draw(st.sampled_from(["", "25"])),
        draw(st.sampled_from(["", "30"])),
        draw(st.sampled_from(["usage", "all"])),
    )
    terms: InvoiceTerms = billing.terms_of(
        billing.segment(prices=prices, billed=JANUARY, plan_code="BASIC"), prices=prices
    )
    count = draw(st.integers(0, 3))
    terms = replace(
        terms,
        discounts=tuple(draw(st.lists(discounts(), max_size=3))),
        items=tuple(draw(items(number)) for number in range(count)),
        taxes=draw(taxes()),
        credit=CreditBalance(
            draw(st.one_of(st.just(0), minor_units)), draw(st.one_of(st.just(0), minor_units))
        ),
        rounding=draw(st.sampled_from(list(Rounding))),
        credits=draw(st.sampled_from(list(Credits))),
        tax_rounding=draw(st.sampled_from(list(TaxRounding))),
    )
    nanos = draw(st.integers(0, 20_000 * 10**9))
    return build_invoice(
        terms=terms,
        usage=(UsageEntry(0, "calls", (), nanos, 1),),
        catalogues={prices.version: prices},
        pin=pin_at(),
    )


class TestAmounts:
    @given(contents())
    def test_lines_discounts_credit_and_tax_are_the_total(self, content: InvoiceContent) -> None:
        """Everything on the paper adds up, in every policy."""
        totals, terms = content.totals, content.terms
        unit = 10 ** (content.scale - minor_unit_places(terms.currency))
        for line in content.lines:
            assert line.net == line.amount - sum(amount for _, amount in line.discounts)
            assert all(amount > 0 for _, amount in line.discounts)
        assert totals.subtotal == sum(line.net for line in content.lines)
        assert totals.discount == sum(line.amount - line.net for line in content.lines)
        added = sum(each.amount for each in totals.taxes if each.mode is TaxMode.EXCLUSIVE)
        assert totals.total == totals.subtotal + added - totals.credit_minor * unit
        rounded = round_half_up(Fraction(totals.total, unit), places=0)
        assert rounded == totals.total_minor - totals.carry_minor
        assert 0 in (totals.total_minor, totals.carry_minor)

    @given(contents())
    def test_discounts_leave_nothing_below_zero(self, content: InvoiceContent) -> None:
        """And what is below 0 is a correction."""
        for line in content.lines:
            if line.form == ItemKind.CORRECTION:
                assert line.net == line.amount <= 0
            else:
                assert 0 <= line.net <= line.amount

    @given(contents())
    def test_credit_is_neither_more_than_there_is_nor_than_is_to_pay(
        self, content: InvoiceContent
    ) -> None:
        """It makes no total negative, and a total of something keeps none of it unused."""
        totals, terms = content.totals, content.terms
        money = totals.credit_minor - totals.promotion_minor
        assert 0 <= totals.promotion_minor <= terms.credit.promotion_minor
        assert 0 <= money <= terms.credit.money_minor
        if terms.credits is Credits.NOT_APPLIED:  # S3-46
            assert totals.credit_minor == 0
            return
        if totals.credit_minor:
            assert totals.carry_minor == 0
        if money < terms.credit.money_minor:
            assert totals.total_minor == 0
        if totals.promotion_minor < terms.credit.promotion_minor:
            # A promotion never becomes money: with a tax given back the last unit may not fit.
            unit = 10 ** (content.scale - minor_unit_places(terms.currency))
            before_tax = terms.credits is Credits.BEFORE_TAX
            left = totals.subtotal - totals.promotion_minor * unit if before_tax else 0
            assert left < unit or totals.total_minor + money <= 10

    @given(contents())
    def test_taxes_are_those_of_their_lines(self, content: InvoiceContent) -> None:
        """Each row is the tax of its base, rounded once, and its lines bear all of it."""
        totals, terms = content.totals, content.terms
        unit = 10 ** (content.scale - minor_unit_places(terms.currency))
        credit = totals.promotion_minor * unit if terms.credits is Credits.BEFORE_TAX else 0
        inside = sum(each.amount for each in totals.taxes if each.mode is TaxMode.INCLUSIVE)
        assert sum(each.base for each in totals.taxes) + inside == totals.subtotal - credit
        for row, group in enumerate(totals.taxes):
            lines = [line for line in content.lines if line.tax_row == row]
            assert group.amount == sum(line.tax_amount for line in lines)
            off = abs(group.amount - group.base * Fraction(group.rate) / 100)
            many = len(lines) if terms.tax_rounding is TaxRounding.LINE else 1
            assert off <= many  # half a unit a rounding; with tax inside the base moves as much
            if group.treatment is not TaxTreatment.STANDARD:
                assert group.amount == 0

    @given(contents())
    def test_a_maximum_holds_after_discounts(self, content: InvoiceContent) -> None:
        """Usage, or usage and fees, of a capped plan cost 30 at most."""
        if any(code == "maximum" for line in content.lines for code, _ in line.discounts):
            capped = sum(
                line.net
                for line in content.lines
                if any(code == "maximum" for code, _ in line.discounts)
            )
            assert capped <= 30 * 10**content.scale

    @given(contents())
    def test_is_read_back_as_it_was_written(self, content: InvoiceContent) -> None:
        """Replay and documents read what the books took."""
        assert parse_invoice_content(content.text) == content


calls = st.integers(0, 60)


class TestCorrections:
    @given(st.lists(calls, min_size=2, max_size=5), st.sampled_from(["line", "invoice"]))
    def test_original_and_corrections_are_a_fresh_invoice(
        self, counted: list[int], rounding: str
    ) -> None:
        """Whatever came late, in whatever steps, with tiers, an amount off and a commitment."""
        books = BillingBooks()
        tiers = [
            {"up_to": "20", "rate": "0.333"},
            {"up_to": "40", "rate": "0.1115"},
            {"rate": "0.05"},
        ]
        books.agreed(
            flat("base", "10"),
            {"key": "calls", "form": "graduated", "meter": "calls", "tiers": tiers},
            discounts=[{"code": "off", "name": "Off", "kind": "amount", "value": "3.335"}],
            plan_parts={"discounts": ["off"], "minimum": {"amount": "5", "of": "usage"}},
            billing={"rounding": rounding},
        )
        first = books.billed(usage={"calls": str(counted[0])})
        for number, count in enumerate(counted[1:], start=1):
            content = books.content(
                terms=first.terms, usage={"calls": str(count)}, positions=(10 + number, 20)
            )
            outcome = books.correct(content, correction=f"cor_{number}")
            assert outcome.code == "", outcome.reason
            (_, body), *_ = bodies(outcome)
            same = count == counted[number - 1]
            assert (body["differences"] == []) >= same
        entry = books.invoice()
        fresh = books.content(terms=first.terms, usage={"calls": str(counted[-1])})
        nets = {line.line_id: line.net for line in fresh.lines}
        holds = dict(zip(entry.lines, unpacked(entry.effective), strict=True))
        assert {line: net for line, net in holds.items() if net} == {
            line: net for line, net in nets.items() if net
        }
        added = sum(item.amount_minor for item in books.content().terms.items)
        assert fresh.total_minor == first.total_minor + added
