"""Laws of an invoice's room: whatever waits and however large it is, each item is billed once."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from domain import invoice_room
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.invoice import InvoiceContent
from tests.support.invoices import BillingBooks, per_call, tax

DUE = "2030-01-01T00:00:00Z"
LABELS = st.lists(st.text('xé"\\🍕', min_size=1, max_size=200), min_size=1, max_size=12)


def with_first(books: BillingBooks, count: int) -> InvoiceContent:
    terms = books.terms()
    return books.content(terms=replace(terms, items=terms.items[:count]))


def size(content: InvoiceContent) -> int:
    """Bytes of a content as it stands in its command."""
    return len(to_canonical_json(content.text).encode())


@given(labels=LABELS, share=st.integers(0, 110), granted=st.integers(0, 400))
def test_all_that_waits_is_billed_once_and_in_order(
    labels: list[str], share: int, granted: int
) -> None:
    """The most of all, a half, a quarter, … that fits; any other number is refused."""
    books = BillingBooks()
    books.agreed(per_call("calls", "0.10"), taxes=[tax("10")])
    if granted:
        assert books.grant(granted).code == ""
    for number, label in enumerate(labels):
        assert books.item(10 + number, item=f"itm_{number}", label=label).code == ""
    none, everything = size(with_first(books, 0)), size(with_first(books, len(labels)))
    bound = none + (everything - none) * share // 100
    billed: list[str] = []
    with patch.object(invoice_room, "CONTENT_BYTES_MAX", bound):
        for number in range(1 + len(labels)):
            waiting = books.terms().items
            tries = {len(waiting) >> step for step in range(5)}
            fitting = [count for count in tries if size(with_first(books, count)) <= bound]
            content = books.content()
            taken = len(content.terms.items)
            assert taken == max(fitting, default=0)
            for other in {taken - 1, taken + 1} & set(range(len(waiting) + 1)):
                sent = with_first(books, other)
                refused = books.finalize(sent, as_of=DUE, invoice="inv_other")
                assert refused.code == Code.TERMS_DIFFER
            outcome = books.finalize(content, as_of=DUE, invoice=f"inv_{number}")
            assert outcome.code == "", outcome.reason
            billed += [item.item for item in content.terms.items]
            if not taken:
                break
    left = [item.item for item in books.terms().items]
    assert billed + left == [f"itm_{number}" for number in range(len(labels))]
