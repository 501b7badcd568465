"""An invoice's content: the same bytes for the same input, and no byte unchecked."""

import json
from dataclasses import replace
from typing import Any

import pytest

from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import AMOUNT_MINOR_MAX, InvoiceContent, build_invoice
from domain.invoice_reading import parse_invoice_content
from tests.support import billing
from tests.support.invoices import BillingBooks, flat, per_call, pin_at, tax, usage_of

WRONG: tuple[Any, ...] = ([], 1.5, {"x": 1})
S1_USAGE = {"assets": "1200", "credits": "1500000"}


def x_42() -> InvoiceContent:
    """PRO with 1,200 assets and 1,500,000 credits, in January 2025."""
    books = BillingBooks()
    books.subscribed()
    return books.content(usage=S1_USAGE)


def rich() -> tuple[BillingBooks, InvoiceContent]:
    """A content that has one of everything."""
    books = BillingBooks()
    books.agreed(
        flat("base", "100"),
        per_call("calls", "0.0015", included="10", where={}),
        customer={"tax": {"region": "QC"}},
        taxes=[tax("5"), tax("14.975", code="qst", region="QC")],
        discounts=[{"code": "off", "name": "Off", "kind": "percent", "value": "20"}],
        plan_parts={"discounts": ["off"], "minimum": {"amount": "5", "of": "usage"}},
        billing={"rounding": "invoice"},
    )
    books.grant(700)
    books.item(1234)
    override = per_call("calls", "0.001")
    body = {
        "customer": "acme",
        "plan": "BASIC",
        "price": "calls",
        "document": to_canonical_json(override),
    }
    outcome = books.send("SetPriceOverride", body)
    assert outcome.code == "", outcome.reason
    return books, books.content(usage={"calls": "1234.5"})


class TestBuildInvoice:
    def test_x_42_is_three_lines(self) -> None:
        """S1-36: 9,000.00, 600.00 and 1,000.00 are 10,600.00, without tax."""
        content = x_42()
        assert [line.amount for line in content.lines] == [900000, 60000, 100000]
        assert (content.totals.tax, content.total_minor) == (0, 1060000)

    def test_is_the_same_for_any_order_of_usage(self) -> None:
        """The builder's entries come from SQL, replay's from the log."""
        books = BillingBooks()
        books.subscribed()
        terms = books.terms()
        usage = usage_of(terms, books.state, S1_USAGE)
        made = [
            build_invoice(
                terms=terms, usage=entries, catalogues=books.state.catalogues, pin=pin_at()
            )
            for entries in (usage, usage[::-1])
        ]
        assert made[0].text == made[1].text

    def test_needs_the_very_catalogue(self) -> None:
        """Another content under the same version, or none, is refused."""
        books = BillingBooks()
        books.subscribed()
        catalogue = replace(books.state.catalogues[1], content="{}")
        for catalogues in ({1: catalogue}, {}):
            with pytest.raises(Rejected) as caught:
                build_invoice(terms=books.terms(), usage=(), catalogues=catalogues, pin=pin_at())
            assert caught.value.code is Code.CATALOGUE_DIFFERS

    def test_refuses_an_amount_that_does_not_fit(self) -> None:
        """10^11 calls at 10^12 each are more than any reader holds."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1000000000000"))
        with pytest.raises(Rejected) as caught:
            books.content(usage={"calls": "100000000000"})
        assert caught.value.code is Code.AMOUNT_LIMIT

    def test_amounts_up_to_the_limit_fit(self) -> None:
        """10^16 major units are 10^18 cents, the largest."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1000000000000"))
        assert books.content(usage={"calls": "10000"}).total_minor == AMOUNT_MINOR_MAX

    @pytest.mark.parametrize("what", ["RATED_LINES_MAX", "STEPS_MAX"])
    def test_refuses_what_no_reader_would_take(
        self, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        """A second line, or a second tier of one, where one alone is taken."""
        tiers: list[Json] = [{"up_to": "10", "rate": "1"}, {"rate": "0.5"}]
        ladder: Json = {"key": "calls", "form": "graduated", "meter": "calls", "tiers": tiers}
        books = BillingBooks()
        books.agreed(*([flat("base", "1")] if what == "RATED_LINES_MAX" else []), ladder)
        assert books.content(usage={"calls": "20"}).lines
        monkeypatch.setattr(f"domain.invoice.{what}", 1)

        with pytest.raises(Rejected) as caught:
            books.content(usage={"calls": "20"})

        assert caught.value.code is Code.INVOICE_LIMIT

    def test_has_room_for_items_beside_all_its_lines(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A correction of the largest invoice would keep the next one from being billed."""
        books = BillingBooks()
        books.agreed(flat("base", "1"), flat("desk", "2"))
        books.item(700)
        monkeypatch.setattr("domain.invoice.RATED_LINES_MAX", 2)

        assert len(books.content().lines) == 3

    def test_refuses_more_usage_than_a_reader_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Matrix prices have an entry for each set of values; here none may be."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"))
        monkeypatch.setattr("domain.invoice.USAGE_MAX", 0)

        with pytest.raises(Rejected, match="usage entries"):
            books.content(usage={"calls": "1"})

    @pytest.mark.parametrize(
        ("kind", "value", "prices"),
        [("percent", "50", ()), ("percent", "50", ("base", "calls")), ("amount", "9", ("calls",))],
    )
    def test_discounts_are_for_the_plan_alone(
        self, kind: str, value: str, prices: tuple[str, ...]
    ) -> None:
        """Neither the fee nor the usage of an add-on, though their keys are the plan's."""
        books = BillingBooks()
        extra = [flat("base", "40"), {**per_call("calls", "1"), "meter": "storage"}]
        off = {"code": "d", "name": "D", "kind": kind, "value": value, "prices": prices}
        books.agreed(
            flat("base", "100"),
            per_call("calls", "1"),
            add_ons=[{"code": "extra", "name": "Extra", "currency": "USD", "prices": extra}],
            subscription={"add_ons": [{"code": "extra"}]},
            discounts=[off],
            plan_parts={"discounts": ["d"]},
        )
        content = books.content(usage={"calls": "10", "storage": "10"})
        off_by_line = {line.line_id: line.amount - line.net for line in content.lines}
        usual = {"fee/addon:extra/base": 0, "0/addon:extra/calls": 0}
        found = (
            {"fee/base": 5_000, "0/calls": 500}
            if kind == "percent"
            else {"fee/base": 0, "0/calls": 900}
        )
        assert off_by_line == usual | found

    def test_a_discount_does_not_make_the_terms_of_another_content(self) -> None:
        """Terms are in the content, so they are in its hash."""
        _, content = rich()
        other = replace(content, terms=replace(content.terms, due_days=31))
        assert content.sha256 != other.sha256


class TestText:
    def test_golden_line_of_x_42(self) -> None:
        """What a line says, to the letter: the bytes of an invoice never change."""
        opened = json.loads(x_42().text)
        assert opened["lines"][2] == {
            "id": "0/credit_overage",
            "kind": "usage",
            "label": "credit_overage",
            "price": "credit_overage",
            "form": "per_unit",
            "meter": "credits",
            "unit": "credit",
            "quantity": "1500000",
            "amount_unrounded": "1000",
            "amount": 100000,
            "discounts": [],
            "net": 100000,
            "tax": "standard",
            "tax_code": "",
            "tax_row": 0,
            "tax_amount": 0,
            "start": "2025-01-01T00:00:00Z",
            "end": "2025-02-01T00:00:00Z",
            "steps": [
                {
                    "label": "over 1000000 included",
                    "quantity": "500000",
                    "rate": "0.002",
                    "per": "1",
                    "amount": "1000",
                }
            ],
        }
        assert opened["usage"][1] == {
            "segment": 0,
            "meter": "credits",
            "where": {},
            "quantity": "1500000",
            "events": 1,
        }
        assert set(opened) == {
            *("format", "scale", "terms", "usage", "lines", "subtotal", "discount", "taxes"),
            *(
                "tax",
                "credit_minor",
                "promotion_minor",
                "total",
                "total_minor",
                "carry_minor",
                "pin",
            ),
        }

    def test_line_ids_are_different(self) -> None:
        """A correction and a credit note name lines by them."""
        _, content = rich()
        ids = [line.line_id for line in content.lines]
        assert len(set(ids)) == len(ids) == 4


class TestParse:
    def test_reads_back_what_was_written(self) -> None:
        """With items, overrides, discounts, taxes, credit, a region and six places."""
        _, content = rich()
        assert content.terms.overrides
        assert content.totals.credit_minor == 700
        assert parse_invoice_content(content.text) == content

    @pytest.mark.parametrize("change", [" ", "\n"])
    def test_refuses_another_form_of_the_same_content(self, change: str) -> None:
        """White space at the end is no canonical form."""
        with pytest.raises(Rejected) as caught:
            parse_invoice_content(x_42().text + change)
        assert caught.value.code is Code.BAD_VALUE

    def test_every_field_is_checked(self) -> None:
        """Each value of the whole document, turned into something else, is refused or differs.

        A changed value of the right kind gives another content, which the books build again; a
        value of another kind never gets so far.
        """
        _, content = rich()
        document = json.loads(content.text)
        places = list(_places(document))
        assert len(places) > 150
        for place in places:
            for wrong in WRONG:
                changed = _changed(document, place, wrong)
                if changed == document:
                    continue
                with pytest.raises(Rejected) as caught:
                    parse_invoice_content(json.dumps(changed, sort_keys=True))
                assert caught.value.code in {Code.BAD_VALUE, Code.CURRENCY_UNKNOWN}, place

    def test_every_object_refuses_another_field(self) -> None:
        """Nothing travels along unread; dimensions alone have names of their own."""
        _, content = rich()
        document = json.loads(content.text)
        for place in _objects(document):
            if place and place[-1] in {"where", "dimensions"}:
                continue
            changed = _changed(document, (*place, "stray"), 1)
            with pytest.raises(Rejected):
                parse_invoice_content(to_canonical_json(changed))

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":1}', "nonsense"])
    def test_refuses_what_is_no_content(self, text: str) -> None:
        """Another format, too: it would be read wrongly."""
        with pytest.raises(Rejected) as caught:
            parse_invoice_content(text)
        assert caught.value.code is Code.BAD_VALUE


def _places(value: Any, place: tuple[Any, ...] = ()) -> Any:
    """Every place of a leaf."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, (*place, index))
    else:
        yield place


def _objects(value: Any, place: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict):
        yield place
        for key, item in value.items():
            yield from _objects(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, (*place, index))


def _changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(document))
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return copy


class TestExactText:
    def test_usage_keeps_every_billionth(self) -> None:
        """A quantity is text in the content, and the same number again when it is read."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"))
        content = books.content(usage={"calls": "99999999999999.999999999"})
        (entry,) = parse_invoice_content(content.text).usage
        assert entry.nanos == billing.units("99999999999999.999999999")
        assert content.lines[0].quantity == "99999999999999.999999999"
