"""Orders of voids, changes and corrections in which something came back twice, or for nothing."""

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.credit_balance import CreditBalance
from tests.support.invoices import BillingBooks, flat, per_call, tax
from tests.unit.domain.test_held_lines import Life

POLICIES = ["before_tax", "after_tax"]


def void(life: Life, invoice: str) -> Code | str:
    return life.send("VoidInvoice", invoice=invoice, reason="wrong").code


class TestVoid:
    def test_is_refused_once_what_paid_for_its_item_came_back(self) -> None:
        """50 late calls are paid by a promotion; without all calls it has come back already."""
        life = Life()
        first = life.bill(1, 100)
        life.pay()
        life.correct(first, 150)
        life.books.grant(5_500)
        life.bill(2)
        life.correct(first, 0)
        before = life.held
        assert void(life, "inv_2") == Code.INVOICE_NOT_VOIDABLE
        assert life.held == before

    @pytest.mark.parametrize("policy", POLICIES)
    def test_is_refused_after_a_pause_that_was_taken_back(self, policy: str) -> None:
        """The subscription is as it was, and its fee came back as credit and waits as an item."""
        life = Life(fee=True, billing={"credits": policy})
        life.books.grant(34_100)
        life.books.billed(as_of="2025-01-01T00:00:00Z")
        life.change("PauseSubscription")
        life.change("ResumeSubscription")
        before = life.held
        assert void(life, "inv_1") == Code.INVOICE_NOT_VOIDABLE
        assert life.held == before

    def test_takes_back_what_went_up_and_down_on_one_invoice(self) -> None:
        """+100 and -80 of one line on it: voided they wait again, and 20.00 are asked for once."""
        life = Life()
        first = life.bill(1, 100)
        life.correct(first, 200)
        life.correct(first, 120)
        second = life.bill(2)
        assert second.total_minor == 2_200
        assert void(life, "inv_2") == ""
        again = life.books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_3")
        assert again.total_minor == 2_200
        life.correct(first, 0)
        last = life.books.billed(as_of="2025-04-02T00:00:00Z", invoice="inv_4")
        assert (last.total_minor, life.held) == (0, CreditBalance(0, 13_200))


class TestPromotion:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_pays_nothing_of_a_line_that_goes_up_and_down(self, policy: str) -> None:
        """+60 and -60 of the calls, and a fee of 100.00: the promotion is in the fee alone."""
        life = Life()
        books = life.books = BillingBooks()
        prices = (flat("fee", "100"), per_call("calls", "1"))
        books.agreed(*prices, taxes=[tax("10")], billing={"credits": policy})
        first = life.bill(1, 100)
        life.correct(first, 160)
        life.correct(first, 100)
        books.grant(4_000)
        life.bill(2)
        note: dict[str, Json] = {
            "credit_note": "crn_9",
            "invoice": "inv_2",
            "lines": [{"line": "fee/fee", "amount_minor": 10_000}],
            "reason": "r",
            "to": "account_credit",
        }
        assert books.send("IssueCreditNote", note).code == ""
        assert life.held.promotion_minor == 4_000
        assert (books.invoice("inv_2").open_minor, life.held.money_minor) == (0, 0)


class TestCorrections:
    def test_of_many_lines_up_and_down_again_leave_nothing_waiting(self) -> None:
        """Two items a line would not all fit on one invoice: a promotion would pay for some."""
        life = Life()
        books = life.books = BillingBooks()
        prices = [per_call(f"p{number}", "0.01") for number in range(100)]
        books.agreed(*prices, taxes=[tax("10")])
        first = life.bill(1)
        life.correct(first, 100)
        assert len(books.state.billing.waiting["acme"]) == len(prices)
        life.correct(first, 60)
        assert [item.amount_minor for _, item in books.state.billing.waiting["acme"]] == [60] * 100
        life.correct(first, 0)
        assert "acme" not in books.state.billing.waiting


class TestChanges:
    def test_of_an_unpaid_period_that_began_paused_make_one_item(self) -> None:
        """Resumed from February, then from January: both wait as items that a bill can take."""
        life = Life(fee=True)
        life.change("PauseSubscription")
        life.books.billed(as_of="2025-01-01T00:00:00Z")
        for day in ("2025-01-31", "2024-12-31"):
            body: dict[str, Json] = {"subscription": "sub_1", "as_of": f"{day}T00:00:00Z"}
            assert life.books.send("ResumeSubscription", body).code == ""
        made = life.books.billed(invoice="inv_2")
        assert made.total_minor == 68_200

    def test_down_again_leaves_a_smaller_item(self) -> None:
        """From 1 to 11 seats in advance, and to 6: an item of 155.00 waits, and nothing else."""
        books = BillingBooks()
        seats: Json = {"key": "seats", "form": "seats", "amount": "31"}
        terms: dict[str, Json] = {"seats": 1}
        books.agreed(
            seats, taxes=[tax("10")], plan_parts={"fees": "in_advance"}, subscription=terms
        )
        books.billed(as_of="2025-01-01T00:00:00Z")
        for count in (11, 6):
            body: dict[str, Json] = {"subscription": "sub_1", "seats": count}
            body["as_of"] = "2024-12-31T00:00:00Z"
            assert books.send("ChangeSeats", body).code == ""
        (item,) = books.content().terms.items
        assert item.amount_minor == 15_500
        assert item.label.startswith("Seats 1 to 11")
