"""Corrections of invoices with more lines than a customer has items at a time."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from domain.books import held, items
from domain.books.billing_state import HeldLine, InvoiceEntry
from domain.canonical import Json
from domain.codes import Code
from domain.invoice import InvoiceContent
from domain.invoice_terms import ITEMS_MAX
from tests.support.invoices import BillingBooks, per_call, tax

PRICES, PARTS = 100, 15
LINES = PRICES * PARTS
NEXT = ("2026-02-02T00:00:00Z", "2027-02-02T00:00:00Z", "2028-02-02T00:00:00Z")


def billed_books(*, lines: int = LINES, **billing: str) -> tuple[BillingBooks, InvoiceContent]:
    """A year in parts, each with all prices: its invoice of 10 calls in each part."""
    books = BillingBooks()
    prices = min(lines, PRICES)
    books.agreed(
        *(per_call(f"price_{number:03}", "0.10") for number in range(prices)),
        plan_parts={"interval": "year"},
        taxes=[tax("10")],
        billing=billing,
    )
    for part in range(1, lines // prices):
        day = date(2025, 1, 1) + timedelta(days=part)
        body: dict[str, Json] = {
            "subscription": "sub_1",
            "seats": 2 + part % 2,
            "as_of": f"{day}T00:00:00Z",
        }
        assert books.send("ChangeSeats", body).code == ""
    content = books.content(usage={"calls": "10"})
    outcome = books.finalize(content, as_of=NEXT[0])
    assert outcome.code == "", outcome.reason
    return books, content


def made_again(books: BillingBooks, first: InvoiceContent, *, calls: int) -> InvoiceContent:
    return books.content(terms=first.terms, usage={"calls": str(calls)}, positions=(11, 20))


def total_minor(books: BillingBooks) -> int:
    """What all invoices and credit notes come to, with tax."""
    accounts = books.accounts()
    return accounts["receivable"] + accounts.get("account_credit", 0)


class TestOfManyLines:
    @pytest.mark.parametrize("calls", [30, 0])
    def test_and_its_original_are_a_fresh_invoice(self, calls: int) -> None:
        """1,500 lines: 1,000 items on the next invoice, 500 on the one after, in their order."""
        books, first = billed_books()
        fresh = made_again(books, first, calls=calls)

        outcome = books.correct(fresh)

        assert outcome.code == "", outcome.reason
        second = books.billed(as_of=NEXT[1], invoice="inv_2")
        third = books.billed(as_of=NEXT[2], invoice="inv_3")
        asked = (*second.terms.items, *third.terms.items)
        assert (len(second.terms.items), len(third.terms.items)) == (ITEMS_MAX, 500)
        assert [item.refers for item in asked] == [("inv_1", line.line_id) for line in fresh.lines]
        assert not books.state.billing.waiting
        assert total_minor(books) == fresh.total_minor

    def test_as_a_credit_note_is_one_note(self) -> None:
        """Every line of it, once."""
        books, first = billed_books(corrections="credit_note")
        fresh = made_again(books, first, calls=4)

        assert books.correct(fresh).code == ""

        (note,) = books.kept("CreditNoteIssued")
        assert len(note["lines"]) == LINES
        assert total_minor(books) == fresh.total_minor

    @pytest.mark.parametrize("policy", ["next_invoice", "credit_note"])
    def test_looks_at_each_invoice_once(
        self, policy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is held follows from all lines: asked for line by line it took minutes of 5,000."""
        books, first = billed_books(lines=200, corrections=policy)
        looked: list[str] = []
        as_charged = held.as_charged

        def counted(entry: InvoiceEntry) -> dict[str, HeldLine]:
            looked.append(entry.invoice)
            return as_charged(entry)

        monkeypatch.setattr(held, "as_charged", counted)
        assert books.correct(made_again(books, first, calls=4)).code == ""
        if policy == "next_invoice":
            books.billed(as_of=NEXT[1], invoice="inv_2")

        # Once to decide; once more when the note is applied, or its items are billed.
        assert looked == ["inv_1", "inv_1"]


class TestBoundOfItemsThatWait:
    @pytest.mark.parametrize(("count_max", "code"), [(10, Code.ITEM_LIMIT), (11, "")])
    def test_is_asked_before_a_correction_which_is_taken_whole(
        self, monkeypatch: pytest.MonkeyPatch, count_max: int, code: str
    ) -> None:
        """Ten wait: beyond the bound the next one is refused whole, below it taken whole."""
        books, first = billed_books(lines=10)
        assert books.correct(made_again(books, first, calls=20)).code == ""
        monkeypatch.setattr(items, "CORRECTIONS_WAITING_MAX", count_max)

        outcome = books.correct(made_again(books, first, calls=30), correction="cor_2")

        assert (outcome.code, bool(outcome.facts)) == (code, not code)
        waiting = books.state.billing.waiting["acme"]
        assert len(waiting) == (10 if code else 20)

    def test_of_corrections_keeps_no_other_item_away(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else nobody could change a plan until all of a correction is billed."""
        books, first = billed_books(lines=10)
        assert books.correct(made_again(books, first, calls=20)).code == ""
        monkeypatch.setattr(items, "WAITING_MAX", 1)

        assert books.item(100, item="itm_a").code == ""
        assert books.item(100, item="itm_b").code == Code.ITEM_LIMIT
