"""Exports: RFC 4180, amounts of the content to the last place, no formulas."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import invoice_export
from domain.canonical import sha256_hex, to_canonical_json
from domain.errors import Rejected
from domain.months import month_of
from tests.support import billing
from tests.support import invoice_documents as documents

CATALOGUE = documents.catalogue(taxes=[documents.tax()])
INVOICE = documents.invoice(
    documents.content(CATALOGUE, items=(documents.correction(-1250),)),
    numbers={"inv_0": "INV-2024-000012"},
)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestCsv:
    def test_has_stable_columns(self) -> None:
        """Whoever reads by place must not be moved; new columns come last."""
        assert (
            "invoice,number,kind,status,customer,subscription,currency,issued_at,due_at,"
            "period_start,period_end,line,line_kind,label,price,form,meter,unit,quantity,"
            "amount_unrounded,amount,discount,net,tax_code,tax_rate,tax_amount,service_start,"
            "service_end,is_estimate,corrects_invoice,corrects_line,steps,invoice_subtotal,"
            "invoice_credit,invoice_tax,invoice_total\r\n"
        ) == invoice_export.csv_text([])

    def test_adds_up_to_the_invoice(self) -> None:
        rows = rows_of(invoice_export.csv_text([INVOICE]))
        assert 3 == len(rows)
        assert Decimal(rows[0]["invoice_subtotal"]) == sum(Decimal(row["net"]) for row in rows)
        assert Decimal(rows[0]["invoice_tax"]) == sum(Decimal(row["tax_amount"]) for row in rows)
        assert {billing_total(INVOICE.content.total_minor)} == {
            row["invoice_total"] for row in rows
        }

    def test_says_what_a_line_is(self) -> None:
        row = rows_of(invoice_export.csv_text([INVOICE]))[1]
        assert ("1500000", "credit", "950.00") == (row["quantity"], row["unit"], row["amount"])
        assert ("2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z") == (
            row["service_start"],
            row["service_end"],
        )
        assert "over 0 up to 250000: 250000 x 0.002 / 1 = 500" in row["steps"]

    def test_names_the_line_that_is_corrected(self) -> None:
        row = rows_of(invoice_export.csv_text([INVOICE]))[2]
        assert ("INV-2024-000012", "0/overage", "-12.50") == (
            row["corrects_invoice"],
            row["corrects_line"],
            row["amount"],
        )

    def test_keeps_an_invoice_without_lines(self) -> None:
        made = replace(INVOICE, content=replace(INVOICE.content, lines=()))
        rows = rows_of(invoice_export.csv_text([made]))
        assert [("INV-2025-000001", "")] == [(row["number"], row["line"]) for row in rows]
        assert None not in rows[0].values()

    @given(st.text(max_size=60))
    def test_gives_back_every_text_but_its_guard(self, label: str) -> None:
        line = replace(INVOICE.content.lines[0], label=label)
        made = replace(INVOICE, content=replace(INVOICE.content, lines=(line,)))
        row = rows_of(invoice_export.csv_text([made]))[0]
        assert label in (row["label"], row["label"].removeprefix("'"))
        assert not row["label"].lstrip().startswith(tuple("=+-@"))

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "＝1", "|calc", "\r=1", "\n"]
    )
    def test_takes_no_text_for_a_formula(self, text: str) -> None:
        assert f"'{text}" == invoice_export.safe(text)

    @pytest.mark.parametrize("text", ["", "acme", "a=b", "1-2", "'=1"])
    def test_leaves_other_texts_alone(self, text: str) -> None:
        assert text == invoice_export.safe(text)

    def test_of_a_credit_note_has_its_lines(self) -> None:
        note = documents.credit_note(
            INVOICE,
            lines=(documents.noted("0/overage", 1000, 76, promotion_minor=600),),
            net_minor=1000,
            tax_minor=76,
            promotion_minor=600,
        )
        (row,) = rows_of(invoice_export.note_csv_text(note))
        drawn = ("money", "money_tax", "promotion", "promotion_tax", "note_promotion")
        assert ["4.00", "0.76", "6.00", "0.00", "6.00"] == [row[name] for name in drawn]
        parts = json.loads(invoice_export.note_json_text(note))["lines"][0]["drawn"]
        assert {name: row[name] for name in drawn[:4]} == parts
        assert ("AI credits", "10.00", "0.76", "10.76") == (
            row["label"],
            row["amount"],
            row["tax_amount"],
            row["note_total"],
        )


class TestJson:
    def test_holds_the_content_whose_hash_it_names(self) -> None:
        made = json.loads(invoice_export.json_text(INVOICE))
        assert made["content_sha256"] == sha256_hex(to_canonical_json(made["content"]))

    def test_says_amounts_as_decimal_text(self) -> None:
        made = json.loads(invoice_export.json_text(INVOICE))
        assert billing_total(INVOICE.content.total_minor) == made["total"] == made["open"]

    def test_of_a_credit_note_says_where_it_went(self) -> None:
        note = documents.credit_note(INVOICE, lines=(), net_minor=1000, tax_minor=190)
        made = json.loads(invoice_export.note_json_text(note))
        assert ("11.90", "11.90", "0.00") == (
            made["total"],
            made["to_receivable"],
            made["to_credit"],
        )


class TestMonths:
    def test_are_half_open(self) -> None:
        assert (billing.moment("2026-12-01"), billing.moment("2027-01-01")) == month_of("2026-12")
        assert (billing.moment("2024-02-01"), billing.moment("2024-03-01")) == month_of("2024-02")

    @pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "", "9999-12", "0000-01"])
    def test_that_do_not_exist_are_refused(self, text: str) -> None:
        with pytest.raises(Rejected):
            month_of(text)


def billing_total(minor: int) -> str:
    """Minor units of a currency of two places."""
    return f"{minor // 100}.{minor % 100:02}"
