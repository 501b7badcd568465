"""Laws of corrections: what a customer bears follows from what holds, not from the way there."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from domain.books import account_credit
from domain.books.facts import Outcome
from domain.codes import Code
from domain.invoice import InvoiceContent
from tests.support.invoices import BillingBooks, per_call, tax

MODES = st.sampled_from(["next_invoice", "credit_note"])
CALLS = st.integers(0, 150)
LINE = "0/calls"


def billed_books(
    calls: int, *, rates: list[str], **billing: str
) -> tuple[BillingBooks, InvoiceContent]:
    """An invoice of the calls at each rate, untaxed."""
    books = BillingBooks()
    prices = [
        per_call("calls" if not place else f"calls_{place}", rate)
        for place, rate in enumerate(rates)
    ]
    books.agreed(*prices, billing=billing)
    return books, books.billed(usage={"calls": str(calls)})


def corrected(books: BillingBooks, first: InvoiceContent, *, calls: int, turn: int) -> None:
    content = books.content(
        terms=first.terms, usage={"calls": str(calls)}, positions=(11 + turn, 20)
    )
    outcome = books.correct(content, correction=f"cor_{turn}")
    assert outcome.code == "", outcome.reason


def noted(books: BillingBooks, amount: int, *, turn: int) -> Outcome:
    body: dict[str, Any] = {
        "credit_note": f"crn_{turn}",
        "invoice": "inv_1",
        "lines": [{"line": LINE, "amount_minor": amount}],
        "reason": "goodwill",
        "to": "account_credit",
    }
    return books.send("IssueCreditNote", body)


def borne(books: BillingBooks) -> int:
    """What the customer owes in the end: the ledger, and items that wait."""
    accounts = books.accounts()
    waiting = books.state.billing.waiting.get("acme", ())
    ledger = accounts.get("receivable", 0) + accounts.get("account_credit", 0)
    return ledger + sum(item.amount_minor for _, item in waiting)


@given(mode=MODES, first=CALLS, chain=st.lists(CALLS, max_size=5))
def test_every_chain_of_corrections_ends_at_what_holds(
    mode: str, first: int, chain: list[int]
) -> None:
    """Up by an item, down again by a note: nothing is kept, nothing given twice."""
    books, content = billed_books(first, rates=["1"], corrections=mode)
    for turn, calls in enumerate(chain):
        corrected(books, content, calls=calls, turn=turn)
        assert borne(books) == 100 * calls


@given(mode=MODES, first=CALLS, chain=st.lists(CALLS, max_size=5))
def test_lines_below_a_minor_unit_come_out_too(mode: str, first: int, chain: list[int]) -> None:
    """Rounded once: of five lines of 0.006 three cents are billed, and three go back."""
    rates = ["0.006", "0.0049", "0.0001", "0.006", "0.006"]
    books, content = billed_books(first, rates=rates, corrections=mode, rounding="invoice")
    for turn, calls in enumerate(chain):
        corrected(books, content, calls=calls, turn=turn)
        # 0.023 a call is 23 tenths of a cent, rounded half up once.
        assert borne(books) == (23 * calls + 5) // 10


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("calls"), CALLS), st.tuples(st.just("note"), st.integers(1, 9_000))
    ),
    max_size=6,
)


@given(mode=MODES, first=CALLS, steps=STEPS)
def test_what_was_credited_is_not_given_twice(
    mode: str, first: int, steps: list[tuple[str, int]]
) -> None:
    """A note for another reason stands, as far as the line covers it, whatever the policy."""
    books, content = billed_books(first, rates=["1"], corrections=mode)
    holds, given_back = first, 0
    for turn, (kind, amount) in enumerate(steps):
        if kind == "calls":
            corrected(books, content, calls=amount, turn=turn)
            holds = amount
        else:
            outcome = noted(books, amount, turn=turn)
            assert outcome.code in {"", Code.CREDIT_NOTE_TOO_LARGE}
            given_back += amount if outcome.code == "" else 0
        assert borne(books) == max(0, 100 * holds - given_back)


def taxed_books(granted: int) -> BillingBooks:
    books = BillingBooks()
    books.agreed(per_call("calls", "1"), taxes=[tax("10")])
    if granted:
        assert books.grant(granted).code == ""
    return books


def settled(books: BillingBooks) -> tuple[int, int, int]:
    """After one more invoice: what is owed in money, promotions left, and taxes."""
    books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2", usage={"calls": "300"})
    held, accounts = account_credit.balance(books.state, "acme"), books.accounts()
    owed = accounts.get("receivable", 0) - held.money_minor
    return owed, held.promotion_minor, accounts.get("tax", 0)


@given(
    given_to=st.one_of(
        st.tuples(st.integers(0, 1_200).map(lambda tens: 10 * tens), st.just("standard")),
        st.tuples(st.just(0), st.sampled_from(["exempt", "reverse_charge"])),
    ),
    first=CALLS,
    chain=st.lists(CALLS, max_size=4),
)
def test_late_usage_is_taxed_as_if_it_had_been_there_in_time(
    given_to: tuple[int, str], first: int, chain: list[int]
) -> None:
    """The same money, the same promotions left, the same tax, whatever the customer is by then.

    Promotions are whole ten cents, so that no tax of 10 % is rounded.
    """
    granted, treatment = given_to
    in_time = taxed_books(granted)
    in_time.billed(usage={"calls": str([first, *chain][-1])})
    late = taxed_books(granted)
    content = late.billed(usage={"calls": str(first)})
    for books in (in_time, late):
        change: dict[str, Any] = {
            "customer": "acme",
            "tax": {"treatment": treatment, "region": ""},
        }
        assert books.send("ChangeCustomer", change).code == ""
    for turn, calls in enumerate(chain):
        corrected(late, content, calls=calls, turn=turn)
    assert settled(late) == settled(in_time)


@given(
    first=st.integers(0, 50),
    second=st.integers(0, 150),
    third=CALLS,
    notes=st.lists(st.tuples(st.booleans(), st.integers(1, 9_000)), max_size=5),
)
def test_notes_on_a_line_and_on_its_correction_count_together(
    first: int, second: int, third: int, notes: list[tuple[bool, int]]
) -> None:
    """A line of inv_1 and the item of inv_2 that corrects it are credited once between them."""
    books, content = billed_books(first, rates=["1"], corrections="next_invoice")
    corrected(books, content, calls=second, turn=0)
    books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
    given_back = 0
    for turn, (is_original, amount) in enumerate(notes):
        invoice = "inv_1" if is_original else "inv_2"
        line = LINE if is_original else books.invoice("inv_2").lines[-1]
        body: dict[str, Any] = {"invoice": invoice, "reason": "goodwill", "to": "account_credit"}
        lines: list[Any] = [{"line": line, "amount_minor": amount}]
        outcome = books.send(
            "IssueCreditNote", body | {"credit_note": f"crn_{turn}", "lines": lines}
        )
        assert outcome.code in {"", Code.CREDIT_NOTE_TOO_LARGE}
        given_back += amount if outcome.code == "" else 0
    assert given_back <= 100 * second
    corrected(books, content, calls=third, turn=1)
    assert borne(books) == max(0, 100 * third - given_back)


@given(
    chain=st.lists(CALLS, min_size=1, max_size=4),
    mode=MODES,
    rounding=st.sampled_from(["line", "invoice"]),
)
def test_a_skipped_period_is_billed_once_its_usage_comes(
    chain: list[int], mode: str, rounding: str
) -> None:
    """Skipped and late is as if all had been there in time: the same money and the same tax."""
    policy = {"zero_invoices": "skip", "corrections": mode, "rounding": rounding}
    rates = ["0.37", "1"]
    late, in_time = BillingBooks(), BillingBooks()
    for books in (late, in_time):
        prices = [per_call(f"calls_{place}", rate) for place, rate in enumerate(rates)]
        books.agreed(*prices, taxes=[tax("10")], billing=policy)
    content = late.billed()
    assert late.state.billing.invoices == {}
    in_time.billed(usage={"calls": str(chain[-1])})
    for turn, calls in enumerate(chain):
        corrected(late, content, calls=calls, turn=turn)
    sums = []
    for books in (late, in_time):
        if books.state.billing.waiting or books is in_time:
            books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        accounts = books.accounts()
        sums.append([accounts.get(name, 0) for name in ("receivable", "revenue", "tax")])
    assert sums[0] == sums[1]


SMALL = st.integers(0, 60)


def billed_in_cents(calls: int, billing: dict[str, str]) -> tuple[BillingBooks, InvoiceContent]:
    """An invoice of a cent a call, with 19 % of tax on top."""
    books = BillingBooks()
    books.agreed(per_call("calls", "0.01"), taxes=[tax("19")], billing=billing)
    return books, books.billed(usage={"calls": str(calls)})


@example(first=2, chain=[3], is_billed_between=False, mode="next_invoice", tax_rounding="group")
@given(
    first=SMALL,
    chain=st.lists(SMALL, min_size=1, max_size=4),
    is_billed_between=st.booleans(),
    mode=MODES,
    tax_rounding=st.sampled_from(["group", "line"]),
)
def test_nets_are_those_of_one_invoice_and_each_document_rounds_its_tax(
    first: int, chain: list[int], is_billed_between: bool, mode: str, tax_rounding: str
) -> None:
    """Of n documents the taxes are at most n // 2 minor units from those of one invoice.

    The tax of a document is its base times its rate, rounded half up (BR-CO-17): each is more than
    -1/2 and at most 1/2 off, and so is that of the one invoice. Together they are less than
    (n + 1) / 2 off, and whole: 0.02 and 0.01 have no tax at 19 %, 0.03 has 0.01.
    """
    policy = {"corrections": mode, "tax_rounding": tax_rounding}
    in_time, _ = billed_in_cents(chain[-1], policy)
    late, content = billed_in_cents(first, policy)
    invoices = 1
    for turn, calls in enumerate(chain):
        corrected(late, content, calls=calls, turn=turn)
        is_last = turn == len(chain) - 1
        if (is_billed_between or is_last) and late.state.billing.waiting.get("acme"):
            late.billed(as_of=f"2025-0{3 + turn}-02T00:00:00Z", invoice=f"inv_{2 + turn}")
            invoices += 1
    documents = invoices + len(late.kept("CreditNoteIssued"))
    sums = late.accounts(), in_time.accounts()
    nets, taxes = ([each.get(name, 0) for each in sums] for name in ("revenue", "tax"))
    assert nets[0] == nets[1]
    assert abs(taxes[0] - taxes[1]) <= documents // 2
