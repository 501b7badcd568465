"""Books with an invoice whose line ids and labels are as long as they can be."""

from datetime import date, timedelta

from domain.canonical import Json
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice import InvoiceContent
from tests.support.invoices import BillingBooks, flat, per_call, tax

CODE, NAME = "c" * TEXT_LENGTH_MAX, "N" * TEXT_LENGTH_MAX
FEE, USAGE = "f" * TEXT_LENGTH_MAX, "u" * TEXT_LENGTH_MAX
PARTS = 100
"""As many as a subscription may have between two invoices; a content may have 400."""
FEE_LINE, USAGE_LINE = f"fee/99/addon:{CODE}/{FEE}", f"99/addon:{CODE}/{USAGE}"
YEARS = ("2026-02-02T00:00:00Z", "2027-02-02T00:00:00Z")


def billed_books(
    *, tenant: str = "tenant", granted: int = 0, **billing: str
) -> tuple[BillingBooks, InvoiceContent]:
    """A year in which the number of an add-on changed on 99 days: its invoice."""
    books = BillingBooks(tenant=tenant)
    prices: list[Json] = [flat(FEE, "365", name=NAME), per_call(USAGE, "0.10", name=NAME)]
    books.agreed(
        flat("base", "1"),
        subscription={"add_ons": [{"code": CODE, "quantity": 1}]},
        plan_parts={"interval": "year"},
        add_ons=[{"code": CODE, "name": NAME, "currency": "USD", "prices": prices}],
        taxes=[tax("10")],
        billing={"fees": "in_arrears", **billing},
    )
    for part in range(1, PARTS):
        day = date(2025, 1, 1) + timedelta(days=part)
        body: dict[str, Json] = {"subscription": "sub_1", "add_on": CODE, "quantity": 1 + part % 2}
        outcome = books.send("SetAddOn", body | {"as_of": f"{day}T00:00:00Z"})
        assert outcome.code == "", outcome.reason
    if granted:
        assert books.grant(granted).code == ""
    return books, books.billed(as_of=YEARS[0], usage={"calls": "100"})


def made_again(books: BillingBooks, first: InvoiceContent, *, calls: int) -> InvoiceContent:
    """The invoice at a later pin."""
    return books.content(terms=first.terms, usage={"calls": str(calls)}, positions=(11, 20))
