"""Credit notes and corrections: what is changed of a final invoice, and what is not."""

from typing import Any

import pytest

from domain.books.billing_state import unpacked
from domain.books.facts import Outcome
from domain.canonical import Json
from domain.codes import Code
from domain.invoice import InvoiceContent
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, catalogue_text, flat, per_call, plan, tax

LATER, LATEST = (11, 20), (12, 21)


def books_with(**parts: Any) -> BillingBooks:
    """100.00 a month, 1.00 a call over 10, 10 % tax."""
    made = BillingBooks()
    made.agreed(flat("base", "100"), per_call("calls", "1", included="10"), **parts)
    return made


@pytest.fixture
def books() -> BillingBooks:
    """An invoice over 100.00 and 40 calls over: 154.00 with tax."""
    made = books_with(taxes=[tax("10")])
    made.billed(usage={"calls": "50"})
    return made


def note(
    books: BillingBooks, *lines: tuple[str, int], name: str = "crn_1", **more: Any
) -> Outcome:
    body: dict[str, Json] = {
        "credit_note": name,
        "invoice": "inv_1",
        "lines": [{"line": line, "amount_minor": amount} for line, amount in lines],
        "reason": "goodwill",
        "to": "account_credit",
    }
    return books.send("IssueCreditNote", body | more)


def again(
    books: BillingBooks, first: InvoiceContent, calls: str, positions: tuple[int, ...] = LATER
) -> InvoiceContent:
    return books.content(terms=first.terms, usage={"calls": calls}, positions=positions)


class TestIssueCreditNote:
    def test_lowers_what_is_open(self, books: BillingBooks) -> None:
        """20.00 of the fee and 2.00 of tax: 132.00 stay open, nothing is account credit."""
        (_, body), (_, posting) = bodies(note(books, ("fee/base", 2000)))
        assert {
            name: body[name] for name in ("number", "net_minor", "tax_minor", "total_minor")
        } == {
            "number": "CN-2025-000001",
            "net_minor": 2000,
            "tax_minor": 200,
            "total_minor": 2200,
        }
        assert books.invoice().open_minor == 13200
        assert posting["legs"] == [
            {"account": "revenue", "amount_minor": 2000},
            {"account": "tax", "amount_minor": 200},
            {"account": "receivable", "amount_minor": -2200},
        ]

    def test_of_a_paid_invoice_is_account_credit(self, books: BillingBooks) -> None:
        """Nothing is open any more, so all of it is."""
        body: dict[str, Json] = {"payment": "pay_1", "invoice": "inv_1", "amount_minor": 15400}
        books.send(
            "RecordPayment",
            body | {"currency": "USD", "method": "wire", "paid_at": "2025-02-10T00:00:00Z"},
        )
        note(books, ("fee/base", 2000))
        assert (books.credit(), books.invoice().status) == (2200, "paid")

    def test_of_the_whole_settles_the_invoice(self, books: BillingBooks) -> None:
        """Every line, with every cent of tax; and not a cent more."""
        note(books, ("fee/base", 10000), ("0/calls", 4000))
        assert (books.invoice().open_minor, books.invoice().status) == (0, "paid")
        assert {name: amount for name, amount in books.accounts().items() if amount} == {}
        assert note(books, ("0/calls", 1), name="crn_2").code == Code.CREDIT_NOTE_TOO_LARGE

    def test_parts_give_back_the_tax_of_the_whole(self) -> None:
        """0.33 at 10 % in parts of 0.11: a cent each would be right, three times it is 0.03."""
        books = BillingBooks()
        books.agreed(flat("base", "0.33"), taxes=[tax("10")])
        books.billed()
        taxes = [
            bodies(note(books, ("fee/base", 11), name=f"crn_{number}"))[0][1]["tax_minor"]
            for number in range(3)
        ]
        assert (taxes, books.invoice().open_minor) == ([1, 1, 1], 0)

    def test_tax_in_the_price_comes_back_with_it(self) -> None:
        """Half of 119.00 with 19 % inside is 59.50, of it 9.50 of tax."""
        books = BillingBooks()
        books.agreed(flat("base", "119"), taxes=[tax("19", mode="inclusive")])
        books.billed()
        (_, body), _ = bodies(note(books, ("fee/base", 5950)))
        assert (body["net_minor"], body["tax_minor"], body["total_minor"]) == (5000, 950, 5950)

    @pytest.mark.parametrize(
        ("lines", "change", "code"),
        [
            ([("fee/base", 10001)], {}, Code.CREDIT_NOTE_TOO_LARGE),
            ([("fee/other", 1)], {}, Code.LINE_UNKNOWN),
            ([("fee/base", 0)], {}, Code.COMMAND_INVALID),
            ([("fee/base", -1)], {}, Code.COMMAND_INVALID),
            ([("fee/base", 1), ("fee/base", 1)], {}, Code.COMMAND_INVALID),
            ([], {}, Code.COMMAND_INVALID),
            ([("fee/base", 1)], {"credit_note": "crn_taken"}, Code.CREDIT_NOTE_EXISTS),
            ([("fee/base", 1)], {"invoice": "inv_9"}, Code.INVOICE_UNKNOWN),
            ([("fee/base", 1)], {"to": "somebody"}, Code.COMMAND_INVALID),
            ([("fee/base", 1)], {"reason": ""}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(
        self,
        books: BillingBooks,
        lines: list[tuple[str, int]],
        change: dict[str, Any],
        code: Code,
    ) -> None:
        """Never more than is left of a line; and a refusal leaves nothing."""
        note(books, ("0/calls", 1), name="crn_taken")
        before = books.invoice()
        outcome = note(books, *lines, **change)
        assert (outcome.code, outcome.facts) == (code, ())
        assert before == books.invoice()


class TestCorrectInvoice:
    def test_x_late_usage_is_on_the_next_invoice(self) -> None:
        """50 calls became 60: ten more at 1.00, named after line and invoice."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        outcome = books.correct(again(books, first, "60"))
        (_, body), (_, item) = bodies(outcome)
        assert (body["effect"], body["differences"]) == (
            "items",
            [
                {
                    "line": "0/calls",
                    "label": "calls",
                    "before": 4000,
                    "after": 5000,
                    "difference": 1000,
                }
            ],
        )
        assert item["amount_minor"] == 1000
        second = books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        line = second.lines[-1]
        assert (line.net, line.refers) == (1000, ("inv_1", "0/calls"))
        assert "INV-2025-000001" in line.label
        assert books.invoice("inv_1").total_minor == 14000

    def test_a_discount_moves_with_what_it_is_off(self) -> None:
        """20 % off: ten more calls are 8.00."""
        books = books_with(
            discounts=[{"code": "off", "name": "Off", "kind": "percent", "value": "20"}],
            plan_parts={"discounts": ["off"]},
        )
        first = books.billed(usage={"calls": "50"})
        books.correct(again(books, first, "60"))
        (item,) = books.content().terms.items
        assert item.amount_minor == 800

    def test_a_commitment_takes_late_usage_in(self) -> None:
        """A minimum of 50.00 had 10.00 missing: ten more calls move them, and cost nothing."""
        books = books_with(plan_parts={"minimum": {"amount": "50", "of": "usage"}})
        first = books.billed(usage={"calls": "50"})
        (_, body), *added = bodies(books.correct(again(books, first, "60")))
        differences: Any = body["differences"]
        assert [(each["line"], each["difference"]) for each in differences] == [
            ("0/calls", 1000),
            ("minimum", -1000),
        ]
        assert sum(int(str(item["amount_minor"])) for _, item in added) == 0

    def test_nothing_new_changes_nothing(self) -> None:
        """The fact says so, and moves the pin, so that nobody looks there again."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        outcome = books.correct(again(books, first, "50"))
        ((_, body),) = bodies(outcome)
        assert (body["effect"], body["differences"]) == ("none", [])
        assert (books.invoice().positions, books.invoice().is_corrected) == (LATER, False)

    def test_a_correction_of_a_correction_goes_by_what_holds(self) -> None:
        """50, then 60, then 55: +10.00, -5.00; what waits is what 55 would have cost more."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        books.correct(again(books, first, "60"))
        books.correct(again(books, first, "55", LATEST), correction="cor_2")
        assert [item.amount_minor for item in books.content().terms.items] == [500]
        assert unpacked(books.invoice().effective) == [10000, 4500]

    def test_an_item_of_a_correction_is_not_removed(self) -> None:
        """Then what holds would be wrong."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        books.correct(again(books, first, "60"))
        (item,) = books.content().terms.items
        outcome = books.send("RemoveItem", {"item": item.item, "reason": "waived"})
        assert outcome.code == Code.ITEM_KEPT

    def test_below_zero_carries_into_account_credit(self) -> None:
        """What was billed too much and is more than the next invoice stays with the customer."""
        books = books_with()
        first = books.billed(usage={"calls": "510"})
        books.correct(again(books, first, "10"))
        books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert (books.invoice("inv_2").total_minor, books.credit()) == (0, 40000)

    def test_six_places_come_out_in_whole_minor_units(self) -> None:
        """Differences of a third of a cent: their sum is that of the rounded totals."""
        books = BillingBooks()
        books.agreed(per_call("calls", "0.0033"), billing={"rounding": "invoice"})
        first = books.billed(usage={"calls": "1"})
        for number, calls in enumerate(("2", "3", "4", "5"), start=1):
            content = again(books, first, calls, (10 + number, 20))
            assert books.correct(content, correction=f"cor_{number}").code == ""
        items = books.content().terms.items
        assert [item.amount_minor for item in items] == [1, 1]  # 0.0165 in all is 2 cents
        assert unpacked(books.invoice().effective) == [16500]

    @pytest.mark.parametrize(
        ("policy", "effect", "open_minor", "items"),
        [("credit_note", "credit_note", 13200, []), ("next_invoice", "items", 15400, [-2000])],
    )
    def test_what_is_less_goes_by_policy(
        self, policy: str, effect: str, open_minor: int, items: list[int]
    ) -> None:
        """50 calls were 30: a credit note of 22.00 with tax, or 20.00 off the next invoice."""
        books = books_with(taxes=[tax("10")], billing={"corrections": policy})
        first = books.billed(usage={"calls": "50"})
        (_, body), *_ = bodies(books.correct(again(books, first, "30")))
        assert body["effect"] == effect
        assert books.invoice().open_minor == open_minor
        assert [item.amount_minor for item in books.content().terms.items] == items

    def test_what_is_more_is_an_item_whatever_the_policy(self) -> None:
        """A credit note cannot ask for money."""
        books = books_with(billing={"corrections": "credit_note"})
        first = books.billed(usage={"calls": "50"})
        (_, body), *_ = bodies(books.correct(again(books, first, "60")))
        assert body["effect"] == "items"

    def test_does_not_credit_again_what_was_credited(self) -> None:
        """35.00 of 40.00 were given back; 30 calls instead of 50 give back 5.00, not 20.00."""
        books = books_with(billing={"corrections": "credit_note"})
        first = books.billed(usage={"calls": "50"})
        note(books, ("0/calls", 3500))
        books.correct(again(books, first, "30"))
        assert books.invoice().noted_minor == 4000
        assert note(books, ("0/calls", 1), name="crn_2").code == Code.CREDIT_NOTE_TOO_LARGE

    def test_next_invoice_does_not_either(self) -> None:
        """40.00 were given back by a note; that the calls were voided gives nothing more."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        note(books, ("0/calls", 4000))
        assert [kind for kind, _ in bodies(books.correct(again(books, first, "0")))] == [
            "InvoiceCorrected"
        ]
        assert books.content().terms.items == ()

    def test_what_an_item_billed_goes_back_by_an_item(self) -> None:
        """40.00, then 90.00 by an item, then nothing: a note of 40.00, and 50.00 as it stands.

        While the item waits it is taken off; once it is on an invoice, an item gives it back.
        """
        for is_billed, left in ((False, []), (True, [-5000])):
            books = books_with(billing={"corrections": "credit_note"})
            first = books.billed(usage={"calls": "50"})
            books.correct(again(books, first, "100"))
            if is_billed:
                books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
            assert books.correct(again(books, first, "0", LATEST), correction="cor_2").code == ""
            assert [item.amount_minor for item in books.content().terms.items] == left
            assert books.invoice().noted_minor == 4000

    def test_more_than_the_invoice_billed_goes_back_by_an_item(self) -> None:
        """An item of -30.00 lowered February: its fee and calls are more than it billed."""
        books = books_with(taxes=[tax("10")])
        first = books.billed(usage={"calls": "40"})
        books.correct(again(books, first, "0"))  # -30.00 wait for February
        february = books.billed(
            invoice="inv_2", as_of="2025-03-02T00:00:00Z", usage={"calls": "110"}
        )
        assert books.invoice("inv_2").total_minor == 18_700  # 100 + 100 - 30, and 10 %
        notes = catalogue_text(
            version=2,
            plans=[plan(flat("base", "100"), per_call("calls", "1", included="10"))],
            billing={"corrections": "credit_note"},
        )
        assert books.send("PublishCatalogue", {"content": notes}).code == ""
        note(books, ("fee/base", 10_000), invoice="inv_2")  # 77.00 of it are left with tax
        content = again(books, february, "0", LATEST)
        outcome = books.correct(content, invoice="inv_2", correction="cor_2")
        assert outcome.code == "", outcome.reason
        assert books.invoice("inv_2").noted_minor == 18_700
        assert [item.amount_minor for item in books.content().terms.items] == [-3000]

    def test_a_line_below_a_cent_can_be_credited(self) -> None:
        """Five lines of 0.006 are 0.03 to pay, and no more than that goes back."""
        books = BillingBooks()
        prices = [flat(f"p{number}", "0.006") for number in range(5)]
        books.agreed(*prices, billing={"rounding": "invoice"})
        books.billed()
        lines = books.invoice().lines
        codes = [note(books, (line, 1), name=f"crn_{line[-1]}").code for line in lines]
        assert codes == ["", "", "", *[Code.CREDIT_NOTE_TOO_LARGE] * 2]
        assert books.invoice().open_minor == 0

    def test_what_a_correction_took_is_not_left_for_a_note(self) -> None:
        """40.00 became 20.00 by an item: a note takes 20.00 at most, whatever the way."""
        for policy in ("next_invoice", "credit_note"):
            books = books_with(billing={"corrections": policy})
            first = books.billed(usage={"calls": "50"})
            books.correct(again(books, first, "30"))
            assert note(books, ("0/calls", 2001)).code == Code.CREDIT_NOTE_TOO_LARGE
            assert note(books, ("0/calls", 2000)).code == ""

    def test_uses_the_catalogue_of_its_time(self) -> None:
        """Version 2 has other prices; January is corrected by version 1."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        dear = catalogue_text(version=2, plans=[plan(flat("base", "900"), per_call("calls", "9"))])
        books.send("PublishCatalogue", {"content": dear}, received_at="2025-02-03")
        books.correct(again(books, first, "60"))
        assert books.state.billing.waiting["acme"][0][1].amount_minor == 1000

    def test_of_a_void_invoice_is_refused(self) -> None:
        """There is nothing to correct."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        books.send("VoidInvoice", {"invoice": "inv_1", "reason": "wrong"})
        assert books.correct(again(books, first, "60")).code == Code.INVOICE_VOID

    def test_refuses_an_older_log(self) -> None:
        """A slow corrector does not take back what a quicker one found."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        books.correct(again(books, first, "60", LATEST))
        for positions in ((11, 21), (12, 20), (9, 99), (12,)):
            outcome = books.correct(again(books, first, "50", positions), correction="cor_2")
            assert (outcome.code, outcome.facts) == (Code.PIN_OLD, ())

    def test_refuses_other_terms(self) -> None:
        """A correction changes usage and nothing else."""
        books = books_with()
        books.billed(usage={"calls": "50"})
        outcome = books.correct(books.content(usage={"calls": "60"}, positions=LATER))
        assert outcome.code == Code.TERMS_DIFFER

    def test_refuses_an_id_that_is_taken(self) -> None:
        """One correction moves the books once."""
        books = books_with()
        first = books.billed(usage={"calls": "50"})
        books.correct(again(books, first, "60"))
        outcome = books.correct(again(books, first, "70", LATEST))
        assert outcome.code == Code.CORRECTION_EXISTS
        assert books.correct(again(books, first, "60"), invoice="inv_9").code != ""
