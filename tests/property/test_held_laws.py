"""Whatever happens to what was charged, and in which order: nothing comes back twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.books import account_credit
from domain.books.credit_notes import left_of
from domain.books.held import Lines
from domain.canonical import Json
from domain.codes import Code
from domain.invoice import InvoiceContent
from domain.invoice_terms import InvoiceKind
from domain.period import time_text
from tests.support.invoices import BillingBooks, per_call, tax

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bill"), st.sampled_from([0, 10, 100])),
        st.tuples(st.just("correct"), st.sampled_from([0, 5, 100, 150])),
        st.tuples(st.just("grant"), st.sampled_from([1_000, 11_000, 31_000])),
        st.tuples(st.just("pay"), st.sampled_from([100, 5_000, 40_000])),
        st.tuples(st.just("note"), st.sampled_from([50, 5_000, 31_000])),
        st.tuples(st.just("seats"), st.integers(0, 4)),
        st.tuples(st.sampled_from(["pause", "resume", "void", "treat"]), st.integers(0, 1)),
        st.tuples(st.sampled_from(["cancel", "uncancel", "refund"]), st.integers(0, 1)),
    ),
    min_size=2,
    max_size=14,
)


OFF: Json = {"code": "off", "name": "Off", "kind": "amount", "value": "40"}
SHAPES: list[dict[str, Any]] = [
    {},
    {"mode": "inclusive"},
    {"rounding": "invoice"},
    {"discounts": [OFF], "minimum": {"amount": "50", "of": "usage"}},
    {"maximum": {"amount": "120", "of": "usage"}, "rounding": "invoice"},
]


class Life:
    """One customer with 10 % tax on seats of 31.00 and calls of 1.00."""

    def __init__(self, billing: dict[str, str], *, fees: str, shape: dict[str, Any]) -> None:
        self.books, self.count, self.granted = BillingBooks(), 0, 0
        self.is_refused = False
        self.contents: dict[str, InvoiceContent] = {}
        bounds: dict[str, Any] = {
            key: shape[key] for key in ("minimum", "maximum") if key in shape
        }
        self.books.agreed(
            {"key": "seats", "form": "seats", "amount": "31"},
            per_call("calls", "1"),
            taxes=[tax("10", mode=shape.get("mode", "exclusive"))],
            billing=billing | {"rounding": shape.get("rounding", "line")},
            discounts=shape.get("discounts", []),
            plan_parts={"fees": fees, **bounds},
        )
        if "discounts" in shape:
            body: dict[str, Json] = {"subscription": "sub_1", "discount": "off"}
            assert self.books.send("GrantDiscount", body).code == ""

    def name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"

    def live(self, pick: int) -> Any:
        found = [each for each in self.books.state.billing.invoices.values() if not each.is_void]
        return found[pick % len(found)] if found else None

    def take(self, kind: str, value: int, *, day: int) -> None:
        """One step; what the books refuse is left out."""
        if kind == "bill":
            self.bill(value)
        elif kind == "correct":
            self.correct(self.live(day), value)
        elif kind == "grant":
            self.granted += (
                value if self.books.grant(value, credit=self.name("crd")).code == "" else 0
            )
        elif kind in {"pay", "note", "void"}:
            self.of_invoice(kind, self.live(day), value, place=day)
        elif kind == "refund":
            self.refund(5_000 if value else 100, place=day)
        elif kind == "treat":
            treatment = "exempt" if value else "standard"
            tax_terms: Any = {"treatment": treatment, "region": ""}
            self.books.send("ChangeCustomer", {"customer": "acme", "tax": tax_terms})
        else:
            names = {
                "pause": "PauseSubscription",
                "resume": "ResumeSubscription",
                "cancel": "CancelSubscription",
                "uncancel": "UndoCancel",
            }
            at = self.books.state.subscriptions["sub_1"].period.start + timedelta(days=day % 28)
            body: dict[str, Any] = {"subscription": "sub_1", "as_of": time_text(at)}
            more = {"seats": value} if kind == "seats" else {}
            self.books.send(names.get(kind, "ChangeSeats"), body | more)

    def refund(self, amount_minor: int, *, place: int) -> None:
        payments = list(self.books.state.billing.payments.values())
        if payments:
            body: dict[str, Any] = {"payment": payments[place % len(payments)].payment}
            body |= {"refund": self.name("rfd"), "amount_minor": amount_minor, "reason": "r"}
            assert self.books.send("RecordRefund", body).code in {"", Code.REFUND_TOO_LARGE}

    def bill(self, calls: int) -> None:
        if self.books.state.subscriptions["sub_1"].is_over:
            return
        content = self.books.content()
        period = content.terms.period
        assert period is not None
        is_period = content.terms.kind is InvoiceKind.PERIOD
        if is_period:
            content = self.books.content(usage={"calls": str(calls)})
        as_of = time_text((period.end if is_period else period.start) + timedelta(days=2))
        invoice = self.name("inv")
        assert self.books.finalize(content, as_of=as_of, invoice=invoice).code == ""
        if is_period:
            self.contents[invoice] = content

    def correct(self, entry: Any, calls: int) -> None:
        if entry is None or entry.invoice not in self.contents:
            return
        self.count += 1
        again = self.books.content(
            terms=self.contents[entry.invoice].terms,
            usage={"calls": str(calls)},
            positions=(100 + self.count, 200),
        )
        outcome = self.books.correct(again, invoice=entry.invoice, correction=self.name("cor"))
        assert outcome.code == "", outcome.reason

    def of_invoice(self, kind: str, entry: Any, value: int, *, place: int) -> None:
        if entry is None:
            return
        body: dict[str, Any] = {"invoice": entry.invoice}
        if kind == "pay":
            more: dict[str, Any] = {"payment": self.name("pay"), "amount_minor": value}
            more |= {"currency": "USD", "method": "wire", "paid_at": "2025-02-03T00:00:00Z"}
            assert self.books.send("RecordPayment", body | more).code == ""
        elif kind == "void":
            self.books.send("VoidInvoice", body | {"reason": "r"})
        elif entry.lines:
            line = entry.lines[place % len(entry.lines)]
            lines: list[Any] = [{"line": line, "amount_minor": value}]
            more = {"credit_note": self.name("crn"), "lines": lines, "reason": "r"}
            outcome = self.books.send("IssueCreditNote", body | more | {"to": "account_credit"})
            assert outcome.code in {"", Code.CREDIT_NOTE_TOO_LARGE}
            self.is_refused = outcome.code != ""

    def undo(self) -> bool:
        """All usage is voided, and what is left of every line is credited.

        Returns:
            Whether all of it could be: no invoice is credited beyond what it billed, and one with
            an item below 0 on it billed less than its lines.
        """
        is_whole = True
        for entry in list(self.books.state.billing.invoices.values()):
            if not entry.is_void:
                self.correct(entry, 0)
        body: dict[str, Any] = {"subscription": "sub_1", "when": "now"}
        at = self.books.state.subscriptions["sub_1"].period.start
        self.books.send("CancelSubscription", body | {"as_of": time_text(at)})
        if self.books.state.billing.waiting.get("acme"):
            content = self.books.content("")
            assert (
                self.books.finalize(content, as_of="2030-01-01T00:00:00Z", invoice="inv_end").code
                == ""
            )
        for entry in list(self.books.state.billing.invoices.values()):
            for line in () if entry.is_void else entry.lines:
                left = left_of(
                    Lines(self.books.state), self.books.invoice(entry.invoice), line=line
                )
                if left:
                    self.of_invoice("note", Only(entry, line), left, place=0)
                    is_whole = is_whole and not self.is_refused
        return is_whole

    def sums(self) -> tuple[int, int, int]:
        """Promotions that are left, what was paid or is open beyond the money held, and taxes."""
        held, accounts = account_credit.balance(self.books.state, "acme"), self.books.accounts()
        cash = accounts.get("cash", 0) + accounts.get("receivable", 0)
        return held.promotion_minor, cash - held.money_minor, -accounts.get("tax", 0)


class Only:
    """An invoice with one of its lines."""

    def __init__(self, entry: Any, line: str) -> None:
        self.invoice, self.lines = entry.invoice, (line,)


@pytest.mark.parametrize("fees", ["in_advance", "in_arrears"])
@settings(deadline=None, max_examples=300)
@given(
    corrections=st.sampled_from(["next_invoice", "credit_note"]),
    credits_=st.sampled_from(["before_tax", "after_tax"]),
    shape=st.sampled_from(SHAPES),
    steps=STEPS,
    days=st.lists(st.integers(0, 27), min_size=14, max_size=14),
)
def test_no_more_comes_back_than_was_charged_and_each_as_what_it_was(
    fees: str,
    corrections: str,
    credits_: str,
    shape: dict[str, Any],
    steps: list[tuple[str, int]],
    days: list[int],
) -> None:
    """At no time, but for roundings; and once all is undone, all of it is back."""
    life = Life({"corrections": corrections, "credits": credits_}, fees=fees, shape=shape)
    # Of an invoice that is rounded once, part of a minor unit comes back as a whole one.
    parts = int("rounding" in shape)
    for place, (kind, value) in enumerate(steps):
        life.take(kind, value, day=days[place])
        roundings = life.count + len(steps)
        promotions, borne, taxes = life.sums()
        assert promotions <= life.granted + parts * roundings
        assert min(borne, taxes) >= -roundings
    is_whole = life.undo()
    promotions, borne, taxes = life.sums()
    roundings = life.count + len(steps)
    assert promotions <= life.granted + parts * roundings
    assert min(borne, taxes) >= -roundings
    if is_whole:
        assert abs(promotions - life.granted) <= parts * roundings
        assert max(borne, taxes) <= roundings
