"""The invoice book: what is checked before an invoice gets its number."""

import json
from typing import Any

import pytest

from domain.books.facts import Outcome
from domain.canonical import Json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.invoice import InvoiceContent
from tests.support import billing
from tests.support.billing import Books, bodies

FEBRUARY = billing.period("2025-02-01", "2025-03-01")
JANUARY = billing.period("2025-01-01", "2025-02-01")


def january(**changes: Any) -> InvoiceContent:
    rows = (billing.window("assets", value="1200"), billing.window("credits", value="1500000"))
    given: dict[str, Any] = {"prices": billing.s1_catalogue(), "billed": JANUARY, "rows": rows}
    return billing.content_of(**(given | changes))


def finalize_january(
    books: Books, *, as_of: str = "2025-02-01T00:00:00Z", invoice_id: str = "inv_1"
) -> Outcome:
    body = billing.finalize(january(), as_of=as_of, invoice_id=invoice_id)
    return books.send("FinalizeInvoice", body)


@pytest.fixture
def books() -> Books:
    """Books with the catalogue of S1 and acme on PRO from 2025-01-01."""
    made = Books()
    made.subscribed()
    return made


class TestFinalizeInvoice:
    def test_x_42_numbers_the_invoice_and_moves_the_period_on(self, books: Books) -> None:
        """S1-39: February is current after January's invoice (X-47)."""
        outcome = finalize_january(books)
        content = january()
        assert bodies(outcome) == [
            (
                "InvoiceFinalized",
                {
                    "invoice": "inv_1",
                    "number": "INV-2025-000001",
                    "issued_at": "2025-02-01T00:00:00Z",
                    "subscription": "sub_1",
                    "customer": "acme",
                    "period": {
                        "index": 0,
                        "start": "2025-01-01T00:00:00Z",
                        "end": "2025-02-01T00:00:00Z",
                    },
                    "currency": "CAD",
                    "total_minor": 1060000,
                    "content": content.text,
                    "content_sha256": content.sha256,
                },
            ),
            (
                "SubscriptionRenewed",
                {
                    "subscription": "sub_1",
                    "period": {
                        "index": 1,
                        "start": "2025-02-01T00:00:00Z",
                        "end": "2025-03-01T00:00:00Z",
                    },
                    "catalogue_version": 1,
                    "catalogue_sha256": billing.s1_catalogue().sha256,
                },
            ),
        ]

    @pytest.mark.parametrize(
        ("as_of", "code"),
        [
            ("2025-01-31T23:59:59.999999Z", Code.PERIOD_NOT_OVER),
            ("2025-02-01T00:00:00Z", ""),
            ("2026-02-01T00:00:00Z", ""),
            ("2025-02-01T00:00:00", Code.COMMAND_INVALID),
            ("9999-12-31T00:00:00Z", Code.COMMAND_INVALID),
        ],
    )
    def test_goes_by_as_of(self, books: Books, as_of: str, code: str) -> None:
        """The end no longer belongs to the period: from it on the invoice may be made."""
        assert finalize_january(books, as_of=as_of).code == code

    def test_the_year_of_issue_is_in_the_number(self, books: Books) -> None:
        """January 2025 issued in 2026 is the first of 2026."""
        outcome = finalize_january(books, as_of="2026-01-01T00:00:00Z")
        assert bodies(outcome)[0][1]["number"] == "INV-2026-000001"

    def test_makes_one_invoice_per_period(self, books: Books) -> None:
        """A second one for January is refused, also under another id."""
        finalize_january(books)
        outcome = finalize_january(books, invoice_id="inv_2")
        assert outcome.code == Code.INVOICE_EXISTS

    def test_makes_one_invoice_per_id(self, books: Books) -> None:
        """The id of January's invoice cannot be February's."""
        finalize_january(books)
        content = january(billed=FEBRUARY, rows=())
        body = billing.finalize(content, as_of="2025-03-01T00:00:00Z", invoice_id="inv_1")
        assert books.send("FinalizeInvoice", body).code == Code.INVOICE_EXISTS

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2025-02-01", "2025-03-01"),
            ("2024-12-01", "2025-01-01"),
            ("2025-01-01", "2025-01-31"),
            ("2025-01-01", "2025-03-01"),
        ],
    )
    def test_refuses_a_period_that_is_not_current(
        self, books: Books, start: str, end: str
    ) -> None:
        """Later, earlier, shorter and longer ones."""
        content = january(billed=billing.period(start, end), rows=())
        body = billing.finalize(content, as_of="2026-01-01T00:00:00Z", invoice_id="inv_1")
        assert books.send("FinalizeInvoice", body).code == Code.PERIOD_NOT_CURRENT

    def test_refuses_a_hash_of_another_content(self, books: Books) -> None:
        """One changed digit of the hash."""
        body = billing.finalize(january(), as_of="2025-02-01T00:00:00Z", invoice_id="inv_1")
        outcome = books.send("FinalizeInvoice", body | {"content_sha256": "0" * 64})
        assert outcome.code == Code.CONTENT_HASH_DIFFERS

    @pytest.mark.parametrize(
        ("path", "value", "code"),
        [
            ("subscription", "sub_9", Code.SUBSCRIPTION_UNKNOWN),
            ("tenant", "other", Code.COMMAND_INVALID),
            ("customer", "other", Code.COMMAND_INVALID),
            ("plan", "STARTER", Code.COMMAND_INVALID),
            ("currency", "USD", Code.CURRENCY_DIFFERS),
            ("pin.catalogue_version", 2, Code.CATALOGUE_DIFFERS),
            ("pin.catalogue_sha256", "0" * 64, Code.CATALOGUE_DIFFERS),
            ("total_minor", 1060001, Code.TOTALS_DIFFER),
            ("lines.1.amount_minor", 60001, Code.TOTALS_DIFFER),
            ("lines.1.quantity", "1201", Code.LINES_DIFFER),
            ("lines.1.quantity", "1200.0000000001", Code.LINES_DIFFER),
            ("lines.1.price", "other", Code.LINES_DIFFER),
            ("lines.1.meter", "credits", Code.LINES_DIFFER),
            ("lines.1.unit", "other", Code.LINES_DIFFER),
            ("lines.1.steps.0.label", "other", Code.LINES_DIFFER),
            ("lines.0.quantity", "2", Code.LINES_DIFFER),
            ("lines.0.amount_unrounded", "nonsense", Code.COMMAND_INVALID),
        ],
    )
    def test_refuses_content_that_differs(
        self, books: Books, path: str, value: Json, code: Code
    ) -> None:
        """The builder's word is not taken: each part is checked against the books."""
        document = json.loads(january().text)
        *way, last = path.split(".")
        place: Any = document
        for name in way:
            place = place[int(name)] if name.isdigit() else place[name]
        place[last] = value
        text = to_canonical_json(document)
        body = {
            "invoice": "inv_1",
            "as_of": "2025-02-01T00:00:00Z",
            "content": text,
            "content_sha256": sha256_hex(text),
        }
        assert books.send("FinalizeInvoice", body).code == code

    @pytest.mark.parametrize("kept", [(0, 1), (0, 2, 1), ()])
    def test_refuses_missing_or_reordered_lines(self, books: Books, kept: tuple[int, ...]) -> None:
        """The lines are the plan's prices, all of them and in order."""
        document = json.loads(january().text)
        document["lines"] = [document["lines"][index] for index in kept]
        document["total_minor"] = sum(line["amount_minor"] for line in document["lines"])
        text = to_canonical_json(document)
        body = {
            "invoice": "inv_1",
            "as_of": "2025-02-01T00:00:00Z",
            "content": text,
            "content_sha256": sha256_hex(text),
        }
        assert books.send("FinalizeInvoice", body).code == Code.LINES_DIFFER

    def test_a_hostile_quantity_is_refused_not_fatal(self, books: Books) -> None:
        """The longest number that the form allows is computed and found wrong."""
        document = json.loads(january().text)
        longest = "9" * 40 + "." + "9" * 60
        for line in document["lines"][1:]:
            line["quantity"] = longest
        text = to_canonical_json(document)
        body = {
            "invoice": "inv_1",
            "as_of": "2025-02-01T00:00:00Z",
            "content": text,
            "content_sha256": sha256_hex(text),
        }
        assert books.send("FinalizeInvoice", body).code == Code.LINES_DIFFER


class TestCatalogueOfAPeriod:
    """G-07: a subscription keeps the catalogue version of its period start."""

    def test_g_07_new_prices_wait_for_the_next_period(self, books: Books) -> None:
        """Version 2 in January: January is billed by version 1, February by version 2."""
        books.send("PublishCatalogue", {"content": billing.s1_document(2)})
        by_2 = january(prices=billing.s1_catalogue(2))
        body = billing.finalize(by_2, as_of="2025-02-01T00:00:00Z", invoice_id="inv_1")
        assert books.send("FinalizeInvoice", body).code == Code.CATALOGUE_DIFFERS
        outcome = finalize_january(books)
        assert outcome.code == ""
        assert bodies(outcome)[1][1]["catalogue_version"] == 2
        content = january(prices=billing.s1_catalogue(2), billed=FEBRUARY, rows=())
        body = billing.finalize(content, as_of="2025-03-01T00:00:00Z", invoice_id="inv_2")
        assert books.send("FinalizeInvoice", body).code == ""

    def test_g_07_prices_published_in_a_period_do_not_reach_back_into_it(
        self, books: Books
    ) -> None:
        """Version 2 of 20 February, January billed in March: February is billed by version 1."""
        content = billing.s1_document(2)
        published = books.send("PublishCatalogue", {"content": content}, received_at="2025-02-20")
        assert published.code == ""
        assert bodies(finalize_january(books))[1][1]["catalogue_version"] == 1
        february = january(billed=FEBRUARY, rows=())
        body = billing.finalize(february, as_of="2025-03-03T00:00:00Z", invoice_id="inv_2")
        outcome = books.send("FinalizeInvoice", body)
        assert bodies(outcome)[1][1]["catalogue_version"] == 2

    @pytest.mark.parametrize("currency", ["", "USD"])
    def test_a_plan_that_is_gone_keeps_its_last_version(self, books: Books, currency: str) -> None:
        """A version without the plan, or with it in another currency, does not strand anybody."""
        plans = [billing.plan("PRO", currency=currency, prices=[])] if currency else []
        content = billing.document(2, meters=billing.S1_METERS, plans=plans)
        books.send("PublishCatalogue", {"content": content})
        assert bodies(finalize_january(books))[1][1]["catalogue_version"] == 1
        february = january(billed=FEBRUARY, rows=())
        body = billing.finalize(february, as_of="2025-03-01T00:00:00Z", invoice_id="inv_2")
        assert books.send("FinalizeInvoice", body).code == ""

    def test_lets_go_of_versions_that_nobody_uses(self, books: Books) -> None:
        """Older than any in use: a next period can no longer take them."""
        for version in (2, 3):
            books.send("PublishCatalogue", {"content": billing.s1_document(version)})
        state = books.fold._tenants["tenant"]
        assert sorted(state.catalogues) == [1, 2, 3]
        finalize_january(books)
        assert sorted(state.catalogues) == [3]
