"""What account credit does to taxes: promotions lower what is sold, money has its tax in it."""

import pytest

from domain.books import account_credit
from domain.canonical import Json
from domain.codes import Code
from domain.credit_balance import CreditBalance
from tests.support.invoices import BillingBooks, flat, per_call, tax

TEN = [tax("10")]
POLICIES = ["before_tax", "after_tax"]


def balance(books: BillingBooks) -> CreditBalance:
    return account_credit.balance(books.state, "acme")


def paid(books: BillingBooks, amount_minor: int) -> None:
    body: dict[str, Json] = {
        "payment": "pay_1",
        "invoice": "inv_1",
        "amount_minor": amount_minor,
        "currency": "USD",
        "method": "wire",
        "paid_at": "2025-02-03T00:00:00Z",
    }
    outcome = books.send("RecordPayment", body)
    assert outcome.code == "", outcome.reason


def treated(books: BillingBooks, treatment: str) -> None:
    """From now on the customer is taxed in another way."""
    body: dict[str, Json] = {"customer": "acme", "tax": {"treatment": treatment, "region": ""}}
    outcome = books.send("ChangeCustomer", body)
    assert outcome.code == "", outcome.reason


def changed(books: BillingBooks, kind: str, *, day: str = "2024-12-31", **more: Json) -> None:
    """Change the subscription as of a day: what is of it counts to the end of the day."""
    body: dict[str, Json] = {"subscription": "sub_1", "as_of": f"{day}T00:00:00Z", **more}
    outcome = books.send(kind, body)
    assert outcome.code == "", outcome.reason


class TestMoney:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_pays_two_invoices_of_110(self, policy: str) -> None:
        """220.00 paid at once: both are settled, both taxes are there, whatever the policy."""
        books = BillingBooks()
        books.agreed(flat("fee", "100"), taxes=TEN, billing={"credits": policy})
        books.billed()
        paid(books, 22_000)
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        second = books.invoice("inv_2")
        assert (second.total_minor, second.tax_minor, second.credit_minor) == (0, 1_000, 11_000)
        assert balance(books) == CreditBalance()
        assert books.accounts() | {"account_credit": 0, "receivable": 0} == {
            "account_credit": 0,
            "receivable": 0,
            "cash": 22_000,
            "revenue": -20_000,
            "tax": -2_000,
        }

    def test_comes_after_promotions(self) -> None:
        """30.00 given and 55.00 overpaid on 100.00 and 10 %: 70.00 + 7.00 - 55.00 = 22.00."""
        books = BillingBooks()
        books.agreed(flat("fee", "100"), taxes=TEN)
        books.billed()
        paid(books, 16_500)
        books.grant(3_000)
        assert balance(books) == CreditBalance(3_000, 5_500)
        totals = books.content().totals
        assert (totals.promotion_minor, totals.credit_minor) == (3_000, 8_500)
        assert (totals.tax, totals.total_minor) == (700, 2_200)

    def test_a_void_gives_each_part_back(self) -> None:
        """What was a promotion is one again, what was money is money."""
        books = BillingBooks()
        books.agreed(flat("fee", "100"), taxes=TEN)
        books.billed()
        paid(books, 16_500)
        books.grant(3_000)
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert balance(books) == CreditBalance()
        assert books.send("VoidInvoice", {"invoice": "inv_2", "reason": "r"}).code == ""
        assert balance(books) == CreditBalance(3_000, 5_500)

    def test_a_promotion_is_not_paid_out(self) -> None:
        """Of 165.00 paid for 110.00 at most 165.00 go back, however much was given."""
        books = BillingBooks()
        books.agreed(flat("fee", "100"), taxes=TEN)
        books.billed()
        paid(books, 16_500)
        books.grant(3_000)
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        books.grant(9_000, credit="crd_2")
        refund: dict[str, Json] = {
            "refund": "rfd_1",
            "payment": "pay_1",
            "amount_minor": 12_000,
            "reason": "r",
        }
        assert books.send("RecordRefund", refund).code == Code.REFUND_TOO_LARGE
        assert books.send("RecordRefund", {**refund, "amount_minor": 11_000}).code == ""
        assert balance(books) == CreditBalance(9_000, 0)

    @pytest.mark.parametrize("parts", [(34_100,), (10_000, 24_100)])
    def test_what_a_cancellation_gave_is_paid_out(self, parts: tuple[int, ...]) -> None:
        """341.00 paid in advance and cancelled: the refund ends the credit, nothing is open."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN, plan_parts={"fees": "in_advance"})
        books.billed(as_of="2025-01-01T00:00:00Z")
        paid(books, 34_100)
        changed(books, "CancelSubscription", when="now")
        assert balance(books) == CreditBalance(0, 34_100)
        for number, amount in enumerate(parts):
            refund: dict[str, Json] = {
                "refund": f"rfd_{number}",
                "payment": "pay_1",
                "amount_minor": amount,
                "reason": "left",
            }
            assert books.send("RecordRefund", refund).code == ""
        assert balance(books) == CreditBalance()
        assert (books.invoice().status, books.invoice().open_minor) == ("paid", 0)
        assert books.accounts()["cash"] == 0


class TestSwitchedOff:
    def test_s3_46_credit_is_not_applied_and_stays_untouched(self) -> None:
        """FEATURE_CREDITS false: 30.00 given and 55.00 overpaid stay, 110.00 are to pay."""
        books = BillingBooks()
        books.agreed(flat("fee", "100"), taxes=TEN, billing={"credits": "not_applied"})
        books.billed()
        paid(books, 16_500)
        books.grant(3_000)
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        second = books.invoice("inv_2")
        assert (second.total_minor, second.tax_minor, second.credit_minor) == (11_000, 1_000, 0)
        assert balance(books) == CreditBalance(3_000, 5_500)
        assert books.kept("AccountCreditApplied") == []

    def test_s3_46_a_correction_uses_none_either(self) -> None:
        """Usage that came late asks for all of its 11.00."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), taxes=TEN, billing={"credits": "not_applied"})
        books.grant(3_000)
        first = books.billed(usage={"calls": "100"})
        again = books.content(usage={"calls": "110"}, positions=(11, 20), terms=first.terms)
        assert books.correct(again).code == ""
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert books.invoice("inv_2").total_minor == 1_100
        assert balance(books) == CreditBalance(3_000, 0)


class TestCorrections:
    def test_bear_the_tax_of_their_line(self) -> None:
        """Paid 110.00, exempt since, usage gone: 110.00 come back, and no tax is left."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), taxes=TEN)
        first = books.billed(usage={"calls": "100"})
        treated(books, "exempt")
        again = books.content(usage={"calls": "0"}, positions=(11, 20), terms=first.terms)
        assert books.correct(again).code == ""
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert books.invoice("inv_2").carry_minor == 11_000
        assert books.accounts()["tax"] == 0

    def test_of_an_exempt_time_bear_none(self) -> None:
        """Billed without tax, taxed since: usage of then that came late has none."""
        books = BillingBooks()
        exempt = {"tax": {"treatment": "reverse_charge", "region": ""}}
        books.agreed(per_call("calls", "1"), taxes=TEN, customer=exempt)
        first = books.billed(usage={"calls": "100"})
        treated(books, "standard")
        again = books.content(usage={"calls": "150"}, positions=(11, 20), terms=first.terms)
        assert books.correct(again).code == ""
        content = books.content(usage={"calls": "10"})
        assert [(each.code, each.treatment, each.base) for each in content.totals.taxes] == [
            ("vat", "reverse_charge", 5_000),
            ("vat", "standard", 1_000),
        ]
        assert content.total_minor == 5_000 + 1_100

    def test_give_promotions_back_as_promotions(self) -> None:
        """100.00 given, 130.00 used, 33.00 paid. Down to 80.00: 33.00 and 20.00 given are back."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), taxes=TEN)
        books.grant(10_000)
        first = books.billed(usage={"calls": "130"})
        assert books.invoice().total_minor == 3_300
        again = books.content(usage={"calls": "80"}, positions=(11, 20), terms=first.terms)
        assert books.correct(again).code == ""
        assert balance(books) == CreditBalance(2_000, 0)
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert (books.invoice("inv_2").carry_minor, books.accounts()["tax"]) == (3_300, 0)
        assert balance(books) == CreditBalance(2_000, 3_300)

    def test_up_again_is_as_if_never_down(self) -> None:
        """What came back as a promotion comes off the item that asks for it again."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), taxes=TEN)
        books.grant(10_000)
        first = books.billed(usage={"calls": "130"})
        for turn, calls in enumerate(("80", "130")):
            usage = {"calls": calls}
            again = books.content(usage=usage, positions=(11 + turn, 20), terms=first.terms)
            assert books.correct(again, correction=f"cor_{turn}").code == ""
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        second = books.invoice("inv_2")
        assert (second.total_minor, second.carry_minor, second.tax_minor) == (0, 0, 0)
        assert balance(books) == CreditBalance()

    def test_never_turn_a_promotion_into_money(self) -> None:
        """-98.00 with a tax of 9.80 on 100.00 without: 2.00 are left, and no tax for them."""
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), taxes=TEN)
        first = books.billed(usage={"calls": "98"})
        treated(books, "exempt")
        again = books.content(usage={"calls": "0"}, positions=(11, 20), terms=first.terms)
        assert books.correct(again).code == ""
        books.grant(200)
        totals = books.content(usage={"calls": "100"}).totals
        assert (totals.promotion_minor, totals.carry_minor) == (0, 780)


class TestGivenBack:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_in_advance_all_of_it_comes_back(self, policy: str) -> None:
        """310.00 and 31.00 tax paid, cancelled before the first day is over: 341.00."""
        books = BillingBooks()
        books.agreed(
            flat("fee", "310"),
            taxes=TEN,
            billing={"credits": policy},
            plan_parts={"fees": "in_advance"},
        )
        books.billed(as_of="2025-01-01T00:00:00Z")
        paid(books, 34_100)
        cancel = {"subscription": "sub_1", "as_of": "2024-12-31T00:00:00Z", "when": "now"}
        assert books.send("CancelSubscription", cancel).code == ""
        assert balance(books) == CreditBalance(0, 34_100)
        assert (books.accounts()["tax"], books.accounts()["revenue"]) == (0, 0)

    def test_with_the_tax_in_the_price(self) -> None:
        """341.00 with 31.00 in it: the same, by another way."""
        books = BillingBooks()
        inside = [tax("10", mode="inclusive")]
        books.agreed(flat("fee", "341"), taxes=inside, plan_parts={"fees": "in_advance"})
        books.billed(as_of="2025-01-01T00:00:00Z")
        cancel = {"subscription": "sub_1", "as_of": "2024-12-31T00:00:00Z", "when": "now"}
        assert books.send("CancelSubscription", cancel).code == ""
        assert balance(books) == CreditBalance(0, 34_100)
        assert (books.accounts()["tax"], books.accounts()["revenue"]) == (0, 0)

    def test_with_the_tax_as_it_was_charged(self) -> None:
        """Exempt since: the tax of the fee comes back all the same."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN, plan_parts={"fees": "in_advance"})
        books.billed(as_of="2025-01-01T00:00:00Z")
        treated(books, "exempt")
        cancel = {"subscription": "sub_1", "as_of": "2025-01-15T00:00:00Z", "when": "now"}
        assert books.send("CancelSubscription", cancel).code == ""
        assert balance(books) == CreditBalance(0, 17_000 + 1_700)

    def test_what_a_promotion_paid_is_one_again(self) -> None:
        """310.00 of which 110.00 were given: 220.00 paid; all back is 220.00 and 110.00 given."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN, plan_parts={"fees": "in_advance"})
        books.grant(11_000)
        books.billed(as_of="2025-01-01T00:00:00Z")
        assert books.invoice().total_minor == 22_000
        cancel = {"subscription": "sub_1", "as_of": "2024-12-31T00:00:00Z", "when": "now"}
        assert books.send("CancelSubscription", cancel).code == ""
        assert balance(books) == CreditBalance(11_000, 22_000)
        assert books.accounts()["tax"] == 0

    def test_the_way_up_of_a_charged_fee_keeps_its_tax(self) -> None:
        """341.00 paid; paused, exempt since, resumed, paused: 341.00 and no tax is left."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN, plan_parts={"fees": "in_advance"})
        books.billed(as_of="2025-01-01T00:00:00Z")
        paid(books, 34_100)
        changed(books, "PauseSubscription")
        treated(books, "exempt")
        changed(books, "ResumeSubscription")
        changed(books, "PauseSubscription")
        books.billed(as_of="2025-02-02T00:00:00Z", invoice="inv_2")
        assert balance(books) == CreditBalance(0, 34_100)
        assert (books.accounts()["tax"], books.accounts()["revenue"]) == (0, 0)


class TestFeesInArrears:
    """A fee that is still to be charged gives nothing back: less of it stands on its invoice."""

    def test_s2_e_a_promotion_pays_what_is_left_of_the_fee(self) -> None:
        """310.00 and as much given, paused after 9 of 31 days: 90.00 used, 220.00 left."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN)
        books.grant(31_000)
        changed(books, "PauseSubscription", day="2025-01-10")
        assert balance(books) == CreditBalance(31_000, 0)
        books.billed()
        assert books.invoice().total_minor == 0
        assert balance(books) == CreditBalance(22_000, 0)
        assert books.accounts().get("tax", 0) == 0

    def test_s2_f_less_is_taxed_as_the_fee_will_be(self) -> None:
        """Exempt before the invoice: 310.00 - 220.00, and no tax either way."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN)
        changed(books, "PauseSubscription", day="2025-01-10")
        treated(books, "exempt")
        books.billed()
        assert books.invoice().total_minor == 9_000
        assert books.accounts().get("tax", 0) == 0

    def test_less_waits_for_the_invoice_that_charges_its_fee(self) -> None:
        """February is paused before January is billed: January is whole, February a day."""
        books = BillingBooks()
        books.agreed(flat("fee", "310"), taxes=TEN)
        changed(books, "PauseSubscription", day="2025-02-02")
        books.billed(as_of="2025-02-02T00:00:00Z")
        assert books.invoice().total_minor == 34_100
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert (books.invoice("inv_2").total_minor, books.credit()) == (1_218, 0)

    @pytest.mark.parametrize(("bound", "total"), [("discount", 0), ("maximum", 35)])
    def test_what_comes_off_the_fee_comes_off_what_is_left_of_it(
        self, bound: str, total: int
    ) -> None:
        """310.00, of which 300.00 come off, or a most of 10.00 a month; 300.00 less: none is over.

        They would else come back as money, with tax, although nobody was asked for them.
        """
        books = BillingBooks()
        off: Json = {"code": "off", "name": "Off", "kind": "amount", "value": "300"}
        most: dict[str, Json] = {"maximum": {"amount": "10", "of": "all"}}
        books.agreed(
            flat("fee", "310"),
            taxes=TEN,
            discounts=[off],
            subscription={"discounts": ["off"] if bound == "discount" else []},
            plan_parts=most if bound == "maximum" else {},
        )
        changed(books, "PauseSubscription", day="2025-01-02")
        books.billed()
        assert (books.invoice().total_minor, books.invoice().carry_minor) == (total, 0)
        assert books.credit() == 0
