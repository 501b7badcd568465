"""Line ids as long as they can be: every command, fact and content that names one takes it."""

from __future__ import annotations

from typing import Any

import pytest

from domain.codes import Code
from domain.invoice_reading import parse_invoice_content
from domain.rated import LINE_ID_LENGTH_MAX, LINE_LABEL_LENGTH_MAX
from tests.support.invoices import BillingBooks
from tests.support.kept_books import canonical, restored
from tests.support.long_lines import (
    CODE,
    FEE,
    FEE_LINE,
    USAGE_LINE,
    YEARS,
    billed_books,
    made_again,
)


def noted(books: BillingBooks, line: str, *, name: str = "crn_1") -> str:
    body: dict[str, Any] = {
        "credit_note": name,
        "invoice": "inv_1",
        "lines": [{"line": line, "amount_minor": 1}],
        "reason": "goodwill",
        "to": "account_credit",
    }
    return books.send("IssueCreditNote", body).code


def test_the_longest_id_and_label_are_as_long_as_they_may_be() -> None:
    """Their bounds follow from the parts; the content with them can be read back."""
    _, content = billed_books()
    assert max(len(line.line_id) for line in content.lines) == len(FEE_LINE)
    assert len(FEE_LINE) + len("0") == LINE_ID_LENGTH_MAX
    assert max(len(line.label) for line in content.lines) == LINE_LABEL_LENGTH_MAX
    assert {FEE_LINE, USAGE_LINE} <= {line.line_id for line in content.lines}
    assert parse_invoice_content(content.text) == content


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (FEE_LINE, ""),
        (USAGE_LINE, ""),
        (f"fee/399/addon:{CODE}/{FEE}", Code.LINE_UNKNOWN),
        (f"fee/1000/addon:{CODE}/{FEE}", Code.COMMAND_INVALID),
    ],
)
def test_a_credit_note_names_it(line: str, code: str) -> None:
    """One that is longer than any line's is malformed."""
    books, _ = billed_books()
    assert noted(books, line) == code
    assert canonical(restored(books.facts)) == canonical(books.fold)


@pytest.mark.parametrize("granted", [0, 1_000_000])
@pytest.mark.parametrize("policy", ["next_invoice", "credit_note"])
@pytest.mark.parametrize("calls", [40, 200])
def test_a_correction_names_it(policy: str, calls: int, granted: int) -> None:
    """Up and down, by items, by a note, and as promotions: the next invoice follows."""
    books, first = billed_books(granted=granted, corrections=policy)
    again = made_again(books, first, calls=calls)

    outcome = books.correct(again)

    assert outcome.code == "", outcome.reason
    (corrected,) = books.kept("InvoiceCorrected")
    assert USAGE_LINE in {each["line"] for each in corrected["differences"]}
    assert noted(books, FEE_LINE) == ""
    after = books.billed(as_of=YEARS[1], invoice="inv_2")
    assert parse_invoice_content(after.text) == after
    assert canonical(restored(books.facts)) == canonical(books.fold)
