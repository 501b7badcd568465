"""Payments, refunds, overdue invoices, and invoices that are voided."""

from typing import Any

import pytest

from domain.books.facts import Outcome
from domain.canonical import Json
from domain.codes import Code
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, flat, per_call, tax


@pytest.fixture
def books() -> BillingBooks:
    """An invoice of 110.00, tax included, due on 2025-03-04."""
    made = BillingBooks()
    made.agreed(flat("base", "100"), per_call("calls", "1"), taxes=[tax("10")])
    made.billed()
    return made


def pay(books: BillingBooks, amount: int, *, payment: str = "pay_1", **more: Any) -> Outcome:
    body: dict[str, Json] = {
        "payment": payment,
        "invoice": "inv_1",
        "amount_minor": amount,
        "currency": "USD",
        "method": "wire",
        "reference": "bank 17",
        "paid_at": "2025-02-10T09:00:00Z",
    }
    return books.send("RecordPayment", body | more)


def refund(books: BillingBooks, amount: int, *, name: str = "rfd_1", **more: Any) -> Outcome:
    body: dict[str, Json] = {
        "refund": name,
        "payment": "pay_1",
        "amount_minor": amount,
        "reason": "asked for",
    }
    return books.send("RecordRefund", body | more)


def overdue(books: BillingBooks, as_of: str) -> Outcome:
    return books.send("MarkOverdue", {"invoice": "inv_1", "as_of": as_of})


def void(books: BillingBooks, invoice: str = "inv_1") -> Outcome:
    return books.send("VoidInvoice", {"invoice": invoice, "reason": "wrong customer"})


class TestRecordPayment:
    def test_in_parts_until_it_is_paid(self, books: BillingBooks) -> None:
        """100.00 leave 10.00 open; 10.00 more settle it."""
        pay(books, 10000)
        assert (books.invoice().status, books.invoice().open_minor) == ("final", 1000)
        pay(books, 1000, payment="pay_2")
        assert (books.invoice().status, books.invoice().open_minor) == ("paid", 0)
        assert books.accounts()["cash"] == 11000
        assert books.accounts()["receivable"] == 0

    def test_too_much_becomes_account_credit(self, books: BillingBooks) -> None:
        """120.00 for 110.00, and 5.00 more for nothing."""
        (_, paid), *_ = bodies(pay(books, 12000))
        assert (paid["applied_minor"], paid["to_credit_minor"]) == (11000, 1000)
        pay(books, 500, payment="pay_2")
        assert books.credit() == 1500
        assert books.content().totals.credit_minor == 1500

    def test_too_much_is_refused_where_no_credit_may_be_made(self, books: BillingBooks) -> None:
        """Else billing:write could give itself any credit; what is open is taken."""
        outcome = pay(books, 11001, is_credit_allowed=False)
        assert (outcome.code, books.credit()) == (Code.PAYMENT_TOO_LARGE, 0)
        assert pay(books, 11000, is_credit_allowed=False).code == ""
        again = pay(books, 1, payment="pay_2", is_credit_allowed=False)
        assert (again.code, books.credit()) == (Code.PAYMENT_TOO_LARGE, 0)

    def test_without_its_time_came_when_it_was_received(self, books: BillingBooks) -> None:
        """A sender that put its own now into the command could not repeat it."""
        (_, paid), *_ = bodies(pay(books, 100, paid_at=None))
        assert paid["paid_at"] == paid["recorded_at"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"payment": "pay_taken"}, Code.PAYMENT_EXISTS),
            ({"invoice": "inv_9"}, Code.INVOICE_UNKNOWN),
            ({"currency": "EUR"}, Code.CURRENCY_DIFFERS),
            ({"amount_minor": 0}, Code.COMMAND_INVALID),
            ({"amount_minor": -5}, Code.COMMAND_INVALID),
            ({"paid_at": "yesterday"}, Code.COMMAND_INVALID),
            ({"method": ""}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(self, books: BillingBooks, change: dict[str, Any], code: Code) -> None:
        """A payment counts once."""
        pay(books, 1, payment="pay_taken")
        outcome = pay(books, 100, **change)
        assert (outcome.code, outcome.facts) == (code, ())
        assert books.invoice().paid_minor == 1


class TestRecordRefund:
    def test_opens_the_invoice_again(self, books: BillingBooks) -> None:
        """A returned payment of 110.00: it is to be paid again."""
        pay(books, 11000)
        refund(books, 11000)
        assert (books.invoice().status, books.invoice().open_minor) == ("final", 11000)
        assert books.accounts()["cash"] == 0

    def test_takes_from_account_credit_what_went_there(self, books: BillingBooks) -> None:
        """Of 120.00 for 110.00 the 10.00 go back, and the invoice stays paid."""
        pay(books, 12000)
        (_, body), *_ = bodies(refund(books, 1000))
        assert (body["from_credit_minor"], body["status"]) == (1000, "paid")
        assert books.credit() == 0

    def test_credit_that_was_used_does_not_go_back(self, books: BillingBooks) -> None:
        """The 10.00 of the overpayment paid for February."""
        pay(books, 12000)
        books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert refund(books, 12000).code == Code.REFUND_TOO_LARGE
        assert refund(books, 11000).code == ""

    def test_gives_back_no_more_than_was_paid(self, books: BillingBooks) -> None:
        """Also in parts."""
        pay(books, 5000)
        assert refund(books, 5001).code == Code.REFUND_TOO_LARGE
        assert refund(books, 3000).code == ""
        assert refund(books, 3000, name="rfd_2").code == Code.REFUND_TOO_LARGE
        assert refund(books, 2000, name="rfd_2").code == ""

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"payment": "pay_9"}, Code.PAYMENT_UNKNOWN),
            ({"refund": "rfd_taken"}, Code.REFUND_EXISTS),
            ({"amount_minor": 0}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(self, books: BillingBooks, change: dict[str, Any], code: Code) -> None:
        """A refund counts once."""
        pay(books, 5000)
        refund(books, 1, name="rfd_taken")
        outcome = refund(books, 10, **change)
        assert (outcome.code, outcome.facts) == (code, ())

    def test_credit_notes_claim_no_more_than_was_paid(self) -> None:
        """50.00 of 100.00 were account credit: of two notes to be refunded one is credit again."""
        books = BillingBooks()
        books.agreed(flat("a", "50"), flat("b", "50"))
        books.grant(5000)
        books.billed()
        pay(books, 5000)
        for number, line in enumerate(("fee/a", "fee/b")):
            body: dict[str, Any] = {
                "credit_note": f"crn_{number}",
                "invoice": "inv_1",
                "lines": [{"line": line, "amount_minor": 5000}],
                "reason": "wrong",
                "to": "refund",
            }
            assert books.send("IssueCreditNote", body).code == ""
        assert (books.invoice().open_minor, books.credit()) == (-5000, 5000)
        assert refund(books, 5000).code == ""
        assert (books.invoice().open_minor, books.credit()) == (0, 5000)

    def test_pays_out_a_credit_note(self, books: BillingBooks) -> None:
        """A note of 55.00 to be refunded: the invoice owes the customer until it is."""
        pay(books, 11000)
        books.send(
            "IssueCreditNote",
            {
                "credit_note": "crn_1",
                "invoice": "inv_1",
                "lines": [{"line": "fee/base", "amount_minor": 5000}],
                "reason": "half of it did not work",
                "to": "refund",
            },
        )
        assert (books.invoice().open_minor, books.credit()) == (-5500, 0)
        refund(books, 5500)
        assert (books.invoice().open_minor, books.invoice().status) == (0, "paid")
        assert books.accounts()["receivable"] == 0


class TestMarkOverdue:
    @pytest.mark.parametrize(
        ("as_of", "code"),
        [
            ("2025-03-03T00:00:00Z", Code.NOT_DUE),
            ("2025-03-03T23:59:59Z", Code.NOT_DUE),
            ("2025-03-04T00:00:00Z", ""),
        ],
    )
    def test_x_72_from_the_day_after_the_due_date(self, as_of: str, code: str) -> None:
        """S3-29: issued 2025-02-01, due 2025-03-03, overdue from 2025-03-04."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), customer={"grace_hours": 0})
        books.billed(as_of="2025-02-01T00:00:00Z")
        assert code == overdue(books, as_of).code
        assert books.invoice().status == ("final" if code else "overdue")

    def test_once(self, books: BillingBooks) -> None:
        """A second time changes nothing, and a payment ends it."""
        assert len(overdue(books, "2025-04-01T00:00:00Z").facts) == 1
        again = overdue(books, "2025-04-02T00:00:00Z")
        assert (again.code, again.facts) == ("", ())
        pay(books, 11000)
        assert books.invoice().status == "paid"
        assert overdue(books, "2025-05-01T00:00:00Z").code == Code.INVOICE_SETTLED


class TestVoidInvoice:
    def test_gives_everything_back(self) -> None:
        """Credit, items and period; the number stays, and the next one follows it."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), taxes=[tax("10")])
        books.grant(3000)
        books.item(500, item="itm_a")
        first = books.billed()
        books.item(700, item="itm_b")
        assert void(books).code == ""
        assert (books.invoice().status, books.credit()) == ("void", 3000)
        assert books.accounts() | {"promotion": 0, "account_credit": 0} == dict.fromkeys(
            books.accounts(), 0
        )
        again = books.content()
        assert again.terms.period == first.terms.period
        assert [item.item for item in again.terms.items] == ["itm_a", "itm_b"]
        books.billed(invoice="inv_2")
        assert books.invoice("inv_2").number == "INV-2025-000002"

    def test_the_id_stays_taken(self, books: BillingBooks) -> None:
        """Who bills the period again needs another."""
        void(books)
        outcome = books.finalize(books.content(), as_of="2025-02-02T00:00:00Z")
        assert outcome.code == Code.INVOICE_EXISTS

    def test_of_items_alone(self, books: BillingBooks) -> None:
        """They wait again, and no period moves."""
        books.item(700)
        content = books.content("")
        books.finalize(content, as_of="2025-02-05T00:00:00Z", invoice="inv_2")
        before = books.state.subscriptions["sub_1"]
        assert void(books, "inv_2").code == ""
        assert books.state.subscriptions["sub_1"] == before
        assert [item.item for item in books.content().terms.items] == ["itm_1"]

    def test_is_refused_when_something_was_built_on_it(self, books: BillingBooks) -> None:
        """Paid, even if it went back."""
        pay(books, 100)
        assert void(books).code == Code.INVOICE_NOT_VOIDABLE
        refund(books, 100)
        assert void(books).code == Code.INVOICE_NOT_VOIDABLE

    def test_is_refused_when_a_later_period_was_invoiced(self, books: BillingBooks) -> None:
        """January, after February was billed."""
        books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert void(books).code == Code.INVOICE_NOT_VOIDABLE
        assert void(books, "inv_2").code == ""
        assert void(books).code == Code.INVOICE_NOT_VOIDABLE

    def test_is_refused_when_the_subscription_was_changed(self, books: BillingBooks) -> None:
        """A change since then would be lost."""
        body: dict[str, Json] = {"subscription": "sub_1", "seats": 3}
        changed = books.send("ChangeSeats", body | {"as_of": "2025-02-10T00:00:00Z"})
        assert changed.code == "", changed.reason
        assert void(books).code == Code.INVOICE_NOT_VOIDABLE

    def test_twice_is_refused(self, books: BillingBooks) -> None:
        """And a void invoice takes no payment, note or overdue mark."""
        void(books)
        assert void(books).code == Code.INVOICE_VOID
        assert pay(books, 100).code == Code.INVOICE_VOID
        assert overdue(books, "2026-01-01T00:00:00Z").code == Code.INVOICE_VOID

    def test_what_was_carried_is_taken_back_or_it_stays(self) -> None:
        """A correction of -150.00 left 50.00 of credit: while they are there, and not after."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), per_call("calls", "1"))
        first = books.billed(usage={"calls": "150"})
        books.correct(books.content(terms=first.terms, positions=(11, 20)))
        books.billed(invoice="inv_2", as_of="2025-03-02T00:00:00Z")
        assert books.credit() == 5000
        assert void(books, "inv_2").code == ""
        assert books.credit() == 0
        books.billed(invoice="inv_3", as_of="2025-03-02T00:00:00Z")
        books.item(4000, item="itm_x")
        books.finalize(books.content(""), as_of="2025-03-03T00:00:00Z", invoice="inv_4")
        assert books.credit() == 1000
        assert void(books, "inv_3").code == Code.INVOICE_NOT_VOIDABLE
