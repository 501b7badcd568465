"""Laws of the invoice books: numbers, money and items, for any order of commands."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.books import account_credit
from domain.books.billing_state import InvoiceStatus
from domain.books.facts import Outcome
from domain.books.fold import BooksFold
from domain.codes import Code
from domain.invoice import InvoiceContent
from domain.period import time_text
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, flat, per_call, tax
from tests.support.kept_books import canonical, through_checkpoint

SUBSCRIPTIONS = st.sampled_from(["sub_1", "sub_2"])
PICKS = st.integers(0, 1_000)
MONEY = st.integers(1, 15_000)
CALLS = st.integers(0, 80)


class BillingMachine(RuleBasedStateMachine):
    """Two subscriptions of one customer, and everything that can happen to their invoices."""

    @initialize(
        corrections=st.sampled_from(["next_invoice", "credit_note"]),
        credits_=st.sampled_from(["before_tax", "after_tax"]),
        mode=st.sampled_from(["exclusive", "inclusive"]),
        rounding=st.sampled_from(["line", "invoice"]),
    )
    def begin(self, corrections: str, credits_: str, mode: str, rounding: str) -> None:
        """Acme on a plan of 50.00 a month and 0.333 a call, twice."""
        self.books = BillingBooks()
        self.contents: dict[str, InvoiceContent] = {}
        self.count = 0
        self.books.agreed(
            flat("base", "50"),
            per_call("calls", "0.333"),
            subscription={"dimensions": {}},
            taxes=[tax("10", mode=mode)],
            billing={"corrections": corrections, "credits": credits_, "rounding": rounding},
        )
        plain: dict[str, Any] = {"customer": "beta", "currency": "USD"}
        self.send("CreateCustomer", **plain)
        start = "2025-01-01T00:00:00Z"
        self.send(
            "CreateSubscription", subscription="sub_2", customer="beta", plan="BASIC", start=start
        )

    def send(self, kind: str, **body: Any) -> Outcome:
        """Send a command whose answer must be without an error."""
        outcome = self.books.send(kind, body)
        assert outcome.code == "", outcome.reason
        return outcome

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def some(self, pick: int, *statuses: str) -> Any:
        """One of the invoices with such a status; any, when none is named."""
        found = [
            entry
            for entry in self.books.state.billing.invoices.values()
            if not statuses or entry.status in statuses
        ]
        return found[pick % len(found)] if found else None

    @rule(subscription=SUBSCRIPTIONS, calls=CALLS, is_twice=st.booleans())
    def bill(self, subscription: str, calls: int, *, is_twice: bool) -> None:
        """The next period; two builders at once make one invoice."""
        if self.books.state.subscriptions[subscription].period_index > 30:
            return
        content = self.books.content(subscription, usage={"calls": str(calls)})
        assert content.terms.period is not None
        as_of = time_text(content.terms.period.end.replace(day=2))
        invoice = self.name("inv")
        outcome = self.books.finalize(content, as_of=as_of, invoice=invoice)
        assert outcome.code == "", outcome.reason
        self.contents[invoice] = content
        if is_twice:
            again = self.books.finalize(content, as_of=as_of, invoice=self.name("inv"))
            assert (again.code, again.facts) == (Code.INVOICE_EXISTS, ())

    @rule(customer=st.sampled_from(["acme", "beta"]), amount=MONEY)
    def grant(self, customer: str, amount: int) -> None:
        """Account credit for nothing."""
        self.send(
            "GrantAccountCredit",
            credit=self.name("crd"),
            customer=customer,
            amount_minor=amount,
            currency="USD",
            reason="r",
        )

    @rule(customer=st.sampled_from(["acme", "beta"]), amount=MONEY, is_removed=st.booleans())
    def item(self, customer: str, amount: int, *, is_removed: bool) -> None:
        """Something once, perhaps thought better of."""
        item = self.name("itm")
        self.send(
            "AddItem",
            item=item,
            customer=customer,
            label="once",
            amount_minor=amount,
            currency="USD",
        )
        if is_removed:
            self.send("RemoveItem", item=item, reason="r")

    @rule(pick=PICKS, amount=st.one_of(st.none(), MONEY))
    def pay(self, pick: int, amount: int | None) -> None:
        """What is open, or any other amount."""
        entry = self.some(pick, "final", "overdue", "paid")
        if entry is None or (amount is None and entry.open_minor <= 0):
            return
        self.send(
            "RecordPayment",
            payment=self.name("pay"),
            invoice=entry.invoice,
            amount_minor=amount or entry.open_minor,
            currency="USD",
            method="wire",
            paid_at="2025-06-01T00:00:00Z",
        )

    @rule(pick=PICKS, amount=MONEY)
    def refund(self, pick: int, amount: int) -> None:
        """A payment goes back, in part or whole, or is refused."""
        payments = list(self.books.state.billing.payments.values())
        if not payments:
            return
        payment = payments[pick % len(payments)]
        body: dict[str, Any] = {
            "refund": self.name("rfd"),
            "payment": payment.payment,
            "amount_minor": amount,
        }
        outcome = self.books.send("RecordRefund", body | {"reason": "r"})
        left = payment.amount_minor - payment.refunded_minor
        assert outcome.code in ({Code.REFUND_TOO_LARGE} if amount > left else {"", *TOO_LARGE})

    @rule(pick=PICKS, amount=MONEY, to=st.sampled_from(["account_credit", "refund"]))
    def note(self, pick: int, amount: int, to: str) -> None:
        """A line is credited in part, or refused for being too much."""
        entry = self.some(pick, "final", "overdue", "paid")
        if entry is None:
            return
        body = {
            "credit_note": self.name("crn"),
            "invoice": entry.invoice,
            "lines": [{"line": entry.lines[pick % len(entry.lines)], "amount_minor": amount}],
            "reason": "r",
            "to": to,
        }
        assert self.books.send("IssueCreditNote", body).code in {"", Code.CREDIT_NOTE_TOO_LARGE}

    @rule(pick=PICKS, calls=CALLS)
    def correct(self, pick: int, calls: int) -> None:
        """Usage came late, or was taken away."""
        entry = self.some(pick)
        if entry is None or entry.invoice not in self.contents:
            return
        first = self.contents[entry.invoice]
        content = self.books.content(
            terms=first.terms, usage={"calls": str(calls)}, positions=(10 + self.count, 20)
        )
        outcome = self.books.correct(content, invoice=entry.invoice, correction=self.name("cor"))
        assert outcome.code == (Code.INVOICE_VOID if entry.is_void else ""), outcome.reason

    @rule(
        customer=st.sampled_from(["acme", "beta"]),
        treatment=st.sampled_from(["standard", "exempt", "reverse_charge"]),
    )
    def treat(self, customer: str, treatment: str) -> None:
        """Another tax from now on; what was invoiced keeps its own."""
        self.send("ChangeCustomer", customer=customer, tax={"treatment": treatment, "region": ""})

    @rule(pick=PICKS)
    def void(self, pick: int) -> None:
        """One is taken back, or it is too late for that."""
        entry = self.some(pick)
        if entry is None:
            return
        outcome = self.books.send("VoidInvoice", {"invoice": entry.invoice, "reason": "r"})
        codes = {Code.INVOICE_VOID} if entry.is_void else {"", Code.INVOICE_NOT_VOIDABLE}
        assert outcome.code in codes

    @rule(pick=PICKS)
    def overdue(self, pick: int) -> None:
        """Long after its due date."""
        entry = self.some(pick, "final")
        if entry is not None:
            as_of = "2035-01-01T00:00:00Z"
            self.send("MarkOverdue", invoice=entry.invoice, as_of=as_of)
            assert self.books.invoice(entry.invoice).status is InvoiceStatus.OVERDUE

    @invariant()
    def postings_add_up(self) -> None:
        """Each to 0, and each account to what the books say."""
        if not hasattr(self, "books"):
            return
        for posting in self.books.kept("MoneyPosted"):
            assert sum(leg["amount_minor"] for leg in posting["legs"]) == 0
        sums, billing = self.books.accounts(), self.books.state.billing
        assert sums.get("receivable", 0) == sum(
            entry.open_minor for entry in billing.invoices.values()
        )
        credit = billing.credit.values()
        assert sums.get("account_credit", 0) == -sum(each.total_minor for each in credit)
        notes = self.books.kept("CreditNoteIssued")
        assert sums.get("tax", 0) == sum(note["tax_minor"] for note in notes) - sum(
            entry.tax_minor for entry in billing.invoices.values() if not entry.is_void
        )
        assert sums.get("cash", 0) == sum(
            payment.amount_minor - payment.refunded_minor for payment in billing.payments.values()
        )
        assert all(min(each.promotion_minor, each.money_minor) >= 0 for each in credit)
        assert all(each.total_minor > 0 for each in credit)

    @invariant()
    def balances_are_said_as_they_are(self) -> None:
        """The last word about account credit is the balance."""
        if not hasattr(self, "books"):
            return
        said: dict[str, tuple[int, int]] = {}
        for facts in self.books.facts:
            for kind, body in bodies(facts.outcomes[0]):
                if kind in {"AccountCreditGranted", "AccountCreditApplied"}:
                    parts = body["balance_minor"], body["promotion_balance_minor"]
                    said[str(body["customer"])] = int(str(parts[0])), int(str(parts[1]))
        for customer in ("acme", "beta"):
            held = account_credit.balance(self.books.state, customer)
            expected = held.total_minor, held.promotion_minor
            assert said.get(customer, (0, 0)) == expected

    @invariant()
    def numbers_have_no_gap(self) -> None:
        """1, 2, 3 … of invoices and of credit notes, in each year of issue."""
        if not hasattr(self, "books"):
            return
        for kind in ("InvoiceFinalized", "CreditNoteIssued"):
            counts: dict[str, list[int]] = {}
            for body in self.books.kept(kind):
                head, _, tail = body["number"].rpartition("-")
                counts.setdefault(head, []).append(int(tail))
            for found in counts.values():
                assert found == list(range(1, len(found) + 1))

    @invariant()
    def a_period_has_one_invoice(self) -> None:
        """Void ones apart."""
        if not hasattr(self, "books"):
            return
        seen = [
            (body["subscription"], body["period"]["index"])
            for body in self.books.kept("InvoiceFinalized")
            if not self.books.invoice(body["invoice"]).is_void
        ]
        assert len(seen) == len(set(seen))

    @invariant()
    def an_item_is_in_one_place(self) -> None:
        """It waits, was removed, or is on one invoice that holds."""
        if not hasattr(self, "books"):
            return
        billing = self.books.state.billing
        waiting = [item.item for items in billing.waiting.values() for _, item in items]
        assert sorted(waiting) == sorted(billing.waits_for)
        billed = [item.item for entry in billing.invoices.values() for _, item in entry.items]
        removed = [body["item"] for body in self.books.kept("ItemRemoved")]
        added = [body["item"] for body in self.books.kept("ItemAdded")]
        assert sorted(waiting + billed + removed) == sorted(added)

    @invariant()
    def no_line_is_credited_beyond_itself(self) -> None:
        """Nor an invoice beyond what was billed."""
        if not hasattr(self, "books"):
            return
        for entry in self.books.state.billing.invoices.values():
            billed = entry.total_minor + entry.credit_minor - entry.carry_minor
            assert 0 <= entry.noted_minor <= max(0, billed)

    def teardown(self) -> None:  # type: ignore[explicit-override]
        """Facts, one micro-batch, and a checkpoint with later facts reach the same books."""
        if not hasattr(self, "books"):
            return
        restored = BooksFold(partition=0, partitions=1)
        for facts in self.books.facts:
            restored.restore(facts)
        at_once = BooksFold(partition=0, partitions=1)
        records = self.books.records
        made = at_once.step(records, from_offset=0, to_offset=len(records))
        assert [each for facts in self.books.facts for each in facts.outcomes] == list(
            made.outcomes
        )
        assert restored._tenants == at_once._tenants == self.books.fold._tenants
        count = len(self.books.facts)
        kept = through_checkpoint(self.books.facts, cut=count * 2 // 3, facts_between=count // 4)
        assert canonical(kept) == canonical(self.books.fold)


TOO_LARGE = {Code.REFUND_TOO_LARGE}
"""The account credit that an overpayment left may have been used."""
TestBilling = BillingMachine.TestCase
TestBilling.settings = settings(stateful_step_count=30, deadline=None)
