"""Whatever an invoice was paid with: its document and those of its credit notes are valid.

The books bill, correct and credit lines of several taxes; each fact is made a document as the API
does. All rules of EN 16931 hold, and what is due is what comes back as money, to the unit.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.einvoice import cii
from api.einvoice.figures import credit_note_figures
from api.invoice_document import CreditNoteDocument, CreditNoteLine, InvoiceDocument
from api.invoice_pages import credit_note_page
from api.invoice_words import language
from domain.books.credit_notes import left_of
from domain.books.held import Lines
from domain.invoice import InvoiceContent
from domain.money import minor_text
from tests.support import billing, en16931
from tests.support import invoice_documents as documents
from tests.support.invoices import BillingBooks, flat, per_call, tax

TAXES = st.sampled_from(
    [
        (tax("19"), tax("7", code="low", category="low")),
        (tax("19", mode="inclusive"), tax("7.7", mode="inclusive", code="low", category="low")),
        (tax("8.875"), tax("0", code="zero", category="low")),
        (tax("20", mode="inclusive"), tax("5.5", code="low", category="low")),
        (tax("10"),),
    ]
)
POLICIES = st.fixed_dictionaries(
    {
        "rounding": st.sampled_from(["line", "invoice"]),
        "tax_rounding": st.sampled_from(["group", "line"]),
        "credits": st.sampled_from(["before_tax", "after_tax"]),
        "corrections": st.sampled_from(["next_invoice", "credit_note"]),
    }
)
GRANTS = st.sampled_from([1, 77, 3_333, 10_000, 1_000_000])
SHARES = st.lists(st.sampled_from([0, 1, 37, 50, 100]), min_size=3, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bill"), st.sampled_from([0, 3, 130, 777])),
        st.tuples(st.just("correct"), st.sampled_from([0, 2, 131, 500])),
        st.tuples(st.just("grant"), GRANTS),
        st.tuples(st.just("treat"), st.sampled_from(["standard", "exempt", "reverse_charge"])),
        st.tuples(st.just("note"), SHARES),
        st.tuples(st.just("note"), SHARES),
    ),
    min_size=1,
    max_size=7,
)


class Life:
    """One customer with a fee, books of a lower tax and calls; every document that comes of it."""

    def __init__(self, currency: str, policies: dict[str, str], taxes: tuple[Any, ...]) -> None:
        self.books, self.count, self.currency = BillingBooks(), 0, currency
        self.contents: dict[str, InvoiceContent] = {}
        low: dict[str, Any] = {"tax": "low"} if len(taxes) > 1 else {}
        self.books.agreed(
            flat("base", "49.9" if currency != "JPY" else "49"),
            flat("books", "13.37", **low),
            per_call("calls", "0.3331"),
            currency=currency,
            taxes=list(taxes),
            billing=policies,
            plan_parts={"fees": "in_arrears"},
        )

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def take(self, kind: str, value: Any) -> None:
        match kind:
            case "bill":
                self.bill(value)
            case "correct" if self.contents:
                self.correct(value)
            case "grant":
                outcome = self.books.grant(value, credit=self.name("crd"), currency=self.currency)
                assert outcome.code == "", outcome.reason
            case "treat":
                tax_terms: Any = {"treatment": value, "region": ""}
                self.books.send("ChangeCustomer", {"customer": "acme", "tax": tax_terms})
            case "note" if self.contents:
                self.note(value)

    def bill(self, calls: int) -> None:
        content = self.books.content(usage={"calls": str(calls)})
        invoice = self.name("inv")
        outcome = self.books.finalize(content, as_of="2030-01-01T00:00:00Z", invoice=invoice)
        assert outcome.code == "", outcome.reason
        self.contents[invoice] = content

    def correct(self, calls: int) -> None:
        invoice = next(iter(self.contents))
        self.count += 1
        again = self.books.content(
            terms=self.contents[invoice].terms,
            usage={"calls": str(calls)},
            positions=(100 + self.count, 200),
        )
        outcome = self.books.correct(
            again, invoice=invoice, correction=self.name("cor"), as_of="2030-01-02T00:00:00Z"
        )
        assert outcome.code == "", outcome.reason

    def note(self, shares: list[int]) -> None:
        """Credit shares of the lines of the last invoice, in percent of what is left of them."""
        entry = self.books.invoice(next(reversed(self.contents)))
        wanted = {
            line: left_of(Lines(self.books.state), entry, line=line) * share // 100
            for line, share in zip(entry.lines, shares, strict=False)
        }
        lines: list[Any] = [
            {"line": line, "amount_minor": amount} for line, amount in wanted.items() if amount
        ]
        body: dict[str, Any] = {"credit_note": self.name("crn"), "invoice": entry.invoice}
        self.books.send(
            "IssueCreditNote", body | {"lines": lines, "reason": "r", "to": "account_credit"}
        )

    def invoices(self) -> dict[str, InvoiceDocument]:
        return {
            invoice: documents.invoice(content, number=f"INV-{invoice}")
            for invoice, content in self.contents.items()
        }

    def notes(self) -> list[CreditNoteDocument]:
        invoices = self.invoices()
        return [
            CreditNoteDocument(
                credit_note=fact["credit_note"],
                number=fact["number"],
                issued_at=billing.moment("2025-02-15"),
                reason="r",
                lines=tuple(
                    CreditNoteLine(
                        line=line["line"],
                        label=line["label"],
                        amount_minor=line["amount_minor"],
                        tax_minor=line["tax_minor"],
                        promotion_minor=line["drawn"]["promotion_minor"],
                        promotion_tax_minor=line["drawn"]["promotion_tax_minor"],
                    )
                    for line in fact["lines"]
                ),
                **{name: fact[name] for name in NOTE_AMOUNTS},
                invoice=invoices[fact["invoice"]],
            )
            for fact in self.books.kept("CreditNoteIssued")
        ]


NOTE_AMOUNTS = (
    *("net_minor", "tax_minor", "promotion_minor", "total_minor"),
    *("to_receivable_minor", "to_credit_minor"),
)


def check_note(note: CreditNoteDocument, currency: str) -> None:
    """Nothing of the note is lost on its way into the norm, nor on its page."""
    figures = credit_note_figures(note)
    assert note.money_minor == figures.due
    assert note.tax_minor == figures.tax_total
    moved = sum(abs(tax.adjustment) for tax in figures.taxes)
    # Three lines are never a whole euro of tax off; of yen they can be.
    assert 0 == moved or currency == "JPY"
    assert abs(figures.rounding) <= moved + len(note.lines)
    page = credit_note_page(note, language("en"))
    shown = [row[1] for row in page["totals"]]  # type: ignore[index, union-attr]
    assert language("en").money(note.money_minor, currency) in shown
    xml = cii.to_cii(note)
    assert [] == en16931.broken_rules(xml)
    due = minor_text(amount_minor=note.money_minor, currency=currency)
    assert due == str(en16931.amounts(xml)["DuePayableAmount"])


@pytest.mark.parametrize("currency", ["EUR", "JPY"])
@settings(max_examples=50, deadline=None)
@example(
    policies={
        "rounding": "line",
        "tax_rounding": "group",
        "credits": "before_tax",
        "corrections": "credit_note",
    },
    taxes=(tax("19"),),
    granted=10_000,
    steps=[("note", [37, 37, 50]), ("correct", 0)],
)
@given(policies=POLICIES, taxes=TAXES, granted=GRANTS, steps=STEPS)
def test_documents_of_invoices_and_credit_notes_are_valid(
    currency: str,
    policies: dict[str, str],
    taxes: tuple[Any, ...],
    granted: int,
    steps: list[tuple[str, Any]],
) -> None:
    """By XSD and schematron; a note's due amount and tax are the note's."""
    life = Life(currency, policies, taxes)
    for kind, value in [("grant", granted), ("bill", 130), *steps]:
        life.take(kind, value)
    for invoice in life.invoices().values():
        if invoice.content.lines:
            assert [] == en16931.broken_rules(cii.to_cii(invoice))
    for note in life.notes():
        check_note(note, currency)
