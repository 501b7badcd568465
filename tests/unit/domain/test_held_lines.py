"""What was charged of a line is held once: whatever gives back draws from there."""

from collections.abc import Mapping

import pytest

from domain.books import account_credit
from domain.books.facts import Outcome
from domain.canonical import Json
from domain.codes import Code
from domain.credit_balance import CreditBalance
from domain.invoice import InvoiceContent
from tests.support.invoices import BillingBooks, flat, per_call, tax

MODES = ["next_invoice", "credit_note"]


class Life:
    """A customer with 10 % tax on calls of 1.00, or on a fee of 310.00 in advance."""

    def __init__(self, *, fee: bool = False, billing: Mapping[str, str] | None = None) -> None:
        self.books, self.count = BillingBooks(), 0
        price = flat("fee", "310") if fee else per_call("calls", "1")
        parts: dict[str, str] = {"fees": "in_advance"} if fee else {}
        self.books.agreed(price, taxes=[tax("10")], billing=billing or {}, plan_parts=parts)

    def send(self, kind: str, **body: Json) -> Outcome:
        return self.books.send(kind, body)

    def accepted(self, kind: str, **body: Json) -> None:
        outcome = self.send(kind, **body)
        assert outcome.code == "", outcome.reason

    def bill(self, number: int, calls: int = 0) -> InvoiceContent:
        as_of = f"2025-{number + 1:02}-02T00:00:00Z"
        return self.books.billed(
            as_of=as_of, invoice=f"inv_{number}", usage={"calls": str(calls)} if calls else {}
        )

    def correct(self, first: InvoiceContent, calls: int) -> None:
        self.count += 1
        usage = {"calls": str(calls)}
        again = self.books.content(
            terms=first.terms, usage=usage, positions=(100 + self.count, 200)
        )
        outcome = self.books.correct(again, correction=f"cor_{self.count}")
        assert outcome.code == "", outcome.reason

    def pay(self, invoice: str = "inv_1") -> None:
        self.count += 1
        self.accepted(
            "RecordPayment",
            payment=f"pay_{self.count}",
            invoice=invoice,
            amount_minor=self.books.invoice(invoice).open_minor,
            currency="USD",
            method="wire",
            paid_at="2025-02-03T00:00:00Z",
        )

    def note(self, amount: int) -> Outcome:
        self.count += 1
        lines: list[Json] = [{"line": self.books.invoice().lines[0], "amount_minor": amount}]
        return self.send(
            "IssueCreditNote",
            credit_note=f"crn_{self.count}",
            invoice="inv_1",
            lines=lines,
            reason="r",
            to="account_credit",
        )

    def change(self, kind: str) -> None:
        self.accepted(kind, subscription="sub_1", as_of="2024-12-31T00:00:00Z")

    @property
    def held(self) -> CreditBalance:
        return account_credit.balance(self.books.state, "acme")

    @property
    def tax(self) -> int:
        return self.books.accounts().get("tax", 0)


@pytest.mark.parametrize("mode", MODES)
def test_s1_a_late_usage_that_a_promotion_paid(mode: str) -> None:
    """110.00 and a promotion of 50.00 paid 150.00: all back is just that, and no tax is left."""
    life = Life(billing={"corrections": mode})
    first = life.bill(1, 100)
    life.pay()
    life.books.grant(5_000)
    life.correct(first, 150)
    life.bill(2)
    life.correct(first, 100)
    life.correct(first, 0)
    life.bill(3)
    assert (life.held, life.tax) == (CreditBalance(5_000, 11_000), 0)


@pytest.mark.parametrize("mode", MODES)
def test_s1_b_money_that_paid_for_an_item_comes_back_as_money(mode: str) -> None:
    """A promotion went back and paid inv_2; 55.00 in cash paid the item, and come back."""
    life = Life(billing={"corrections": mode})
    life.books.grant(10_000)
    first = life.bill(1, 100)
    life.correct(first, 0)
    life.bill(2, 100)
    life.correct(first, 50)
    life.bill(3)
    life.pay("inv_3")
    life.correct(first, 0)
    life.bill(4)
    assert (life.held, life.tax) == (CreditBalance(0, 5_500), 0)


@pytest.mark.parametrize("mode", MODES)
def test_s1_c_a_correction_and_then_a_note(mode: str) -> None:
    """33.00 and a promotion of 100.00 paid 130.00, and that is what comes back."""
    life = Life(billing={"corrections": mode})
    life.books.grant(10_000)
    first = life.bill(1, 130)
    life.pay()
    life.correct(first, 80)
    assert life.note(8_000).code == ""
    life.bill(2)
    assert (life.held, life.tax) == (CreditBalance(10_000, 3_300), 0)


def test_s1_d_a_note_and_then_a_correction() -> None:
    """44.00 are open: the note takes them with all the tax, the correction gives promotions."""
    life = Life()
    life.books.grant(6_000)
    first = life.bill(1, 100)
    assert life.note(4_000).code == ""
    life.correct(first, 0)
    life.bill(2)
    assert (life.held, life.tax) == (CreditBalance(6_000, 0), 0)
    assert life.books.accounts().get("receivable", 0) == 0


@pytest.mark.parametrize("is_noted_first", [True, False])
def test_s2_h_a_note_of_a_fee_and_the_end_of_it(is_noted_first: bool) -> None:
    """341.00 paid, noted and cancelled on the first day: 341.00 come back, whichever is first."""
    life = Life(fee=True)
    life.books.billed(as_of="2025-01-01T00:00:00Z")
    life.pay()
    if is_noted_first:
        assert life.note(31_000).code == ""
    life.change("CancelSubscription")
    if not is_noted_first:
        assert life.note(31_000).code == Code.CREDIT_NOTE_TOO_LARGE
    assert (life.held, life.tax) == (CreditBalance(0, 34_100), 0)


def test_s3_g_paused_resumed_and_paused() -> None:
    """220.00 and a promotion of 110.00 come back once; what was resumed is netted."""
    life = Life(fee=True)
    life.books.grant(11_000)
    life.books.billed(as_of="2025-01-01T00:00:00Z")
    life.pay()
    for kind in ("PauseSubscription", "ResumeSubscription", "PauseSubscription"):
        life.change(kind)
    life.bill(2)
    assert (life.held, life.tax) == (CreditBalance(11_000, 22_000), 0)


@pytest.mark.parametrize("granted", [34_100, 10_000])
def test_s3_j_promotions_after_tax_come_back_as_promotions(granted: int) -> None:
    """341.00 with tax, of which promotions paid all or a part: each is again what it was."""
    life = Life(fee=True, billing={"credits": "after_tax"})
    life.books.grant(granted)
    life.books.billed(as_of="2025-01-01T00:00:00Z")
    life.change("CancelSubscription")
    assert (life.held, life.tax) == (CreditBalance(granted, 34_100 - granted), 0)


def test_s4_n_what_a_change_costs_is_not_removed() -> None:
    """The books would go on giving it back."""
    life = Life(fee=True)
    life.books.billed(as_of="2025-01-01T00:00:00Z")
    life.change("PauseSubscription")
    life.change("ResumeSubscription")
    ((_, item),) = life.books.state.billing.waiting["acme"]
    assert life.send("RemoveItem", item=item.item, reason="r").code == Code.ITEM_KEPT


def test_s5_r_parts_of_a_cent_on_two_lines() -> None:
    """Two lines of 0.50 that a promotion paid go down by half cents: all of it comes back."""
    life = Life()
    books = life.books = BillingBooks()
    prices = [per_call(key, "0.005") for key in ("a", "b")]
    books.agreed(*prices, taxes=[tax("0")], billing={"rounding": "invoice"})
    books.grant(100)
    first = books.billed(usage={"calls": "100"})
    for calls in range(90, -1, -10):
        life.correct(first, calls + 5)
        life.correct(first, calls)
    assert life.held == CreditBalance(100, 0)


@pytest.mark.parametrize("is_corrected_first", [True, False])
def test_s6_s_an_amount_over_usage_and_the_fee_to_come(is_corrected_first: bool) -> None:
    """100.00 used and 100.00 in advance, 100.00 off, 110.00 paid: 110.00 come back at most."""
    life = Life()
    books = life.books = BillingBooks()
    off: Json = {"code": "off", "name": "Off", "kind": "amount", "value": "100"}
    books.agreed(
        flat("fee", "100"),
        per_call("calls", "1"),
        taxes=[tax("10")],
        discounts=[off],
        plan_parts={"fees": "in_advance"},
    )
    books.grant(11_000)
    books.billed(as_of="2025-01-01T00:00:00Z")
    books.send("GrantDiscount", {"subscription": "sub_1", "discount": "off"})
    second = books.billed(as_of="2025-02-02T00:00:00Z", invoice="inv_2", usage={"calls": "100"})
    granted = life.held.promotion_minor

    def correct() -> None:
        usage = {"calls": "0"}
        again = books.content(terms=second.terms, usage=usage, positions=(100, 200))
        assert books.correct(again, invoice="inv_2").code == ""

    if is_corrected_first:
        correct()
    life.accepted("CancelSubscription", subscription="sub_1", as_of="2025-02-01T00:00:00Z")
    if not is_corrected_first:
        correct()
    waiting = sum(item.amount_minor for _, item in books.state.billing.waiting.get("acme", ()))
    charged = books.invoice("inv_2")
    back = life.held.total_minor - granted - waiting * 11 // 10
    assert back <= charged.total_minor + charged.credit_minor


@pytest.mark.parametrize("is_ended_first", [True, False])
def test_a_discount_that_late_usage_moves_charges_no_fee_of_days_that_came_back(
    is_ended_first: bool,
) -> None:
    """100.00 in advance, 100.00 used late, 100.00 off: 50.00 of each; the fee's is given back.

    Whichever comes first, the end of the unused period or the correction: 55.00 are to pay, with
    usage in time as well.
    """
    life = Life()
    books = life.books = BillingBooks()
    off: Json = {"code": "off", "name": "Off", "kind": "amount", "value": "100"}
    books.agreed(
        flat("fee", "100"),
        per_call("calls", "1"),
        taxes=[tax("10")],
        discounts=[off],
        plan_parts={"fees": "in_advance"},
    )
    books.billed(as_of="2025-01-01T00:00:00Z")
    books.send("GrantDiscount", {"subscription": "sub_1", "discount": "off"})
    second = books.billed(as_of="2025-02-02T00:00:00Z", invoice="inv_2")
    assert second.total_minor == 0
    kinds = ["end", "correct"] if is_ended_first else ["correct", "end"]
    for kind in kinds:
        if kind == "end":
            life.accepted("CancelSubscription", subscription="sub_1", as_of="2025-02-01T00:00:00Z")
        else:
            again = books.content(terms=second.terms, usage={"calls": "100"}, positions=(100, 200))
            assert books.correct(again, invoice="inv_2").code == ""
    last = books.billed(subscription="", as_of="2030-01-01T00:00:00Z", invoice="inv_3")
    assert (last.total_minor, last.totals.tax, life.held) == (5_500, 500, CreditBalance())
