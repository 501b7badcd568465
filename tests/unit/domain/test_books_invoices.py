"""The invoice book: what is made again and compared before an invoice gets its number."""

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from domain.books.facts import Fact, Outcome
from domain.canonical import Json, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Fatal, Rejected
from domain.invoice import InvoiceContent
from tests.support import billing
from tests.support.billing import bodies
from tests.support.invoices import BillingBooks, catalogue_text, flat, per_call, plan, tax

S1_USAGE = {"assets": "1200", "credits": "1500000"}
DUE = "2025-02-02T00:00:00Z"


@pytest.fixture
def books() -> BillingBooks:
    """Books with the catalogue of S1 and acme on PRO from 2025-01-01."""
    made = BillingBooks()
    made.subscribed()
    return made


def january(books: BillingBooks) -> InvoiceContent:
    return books.content(usage=S1_USAGE)


def send_document(books: BillingBooks, document: Any, **more: Json) -> Outcome:
    """Finalise a content that somebody has changed."""
    text = to_canonical_json(document)
    body = {
        "invoice": "inv_1",
        "as_of": DUE,
        "content": text,
        "content_sha256": sha256_hex(text),
        **more,
    }
    return books.send("FinalizeInvoice", body)


def changed(document: Any, path: str, value: Json) -> Any:
    copy = json.loads(json.dumps(document))
    *way, last = path.split(".")
    inner = copy
    for name in way:
        inner = inner[int(name)] if name.isdigit() else inner[name]
    inner[int(last) if last.isdigit() else last] = value
    return copy


class TestFinalizeInvoice:
    def test_x_42_numbers_the_invoice_and_moves_the_period_on(self, books: BillingBooks) -> None:
        """S1-36: CAD 10,600.00 from 1,200 assets and 1.5 M credits, posted by double entry."""
        content = january(books)
        outcome = books.finalize(content, as_of=DUE)
        (kind, invoice), (_, posting), (renewed, _) = bodies(outcome)
        assert (kind, renewed) == ("InvoiceFinalized", "SubscriptionRenewed")
        invoice.pop("kept")
        assert invoice == {
            "invoice": "inv_1",
            "number": "INV-2025-000001",
            "kind": "period",
            "seller": "default",
            "subscription": "sub_1",
            "customer": "acme",
            "period": {
                "index": 0,
                "start": "2025-01-01T00:00:00Z",
                "end": "2025-02-01T00:00:00Z",
            },
            "currency": "CAD",
            "issued_at": DUE,
            "due_at": "2025-03-04T00:00:00Z",
            "subtotal_minor": 1060000,
            "discount_minor": 0,
            "credit_minor": 0,
            "promotion_minor": 0,
            "tax_minor": 0,
            "total_minor": 1060000,
            "carry_minor": 0,
            "items": [],
            "content": content.text,
            "content_sha256": content.sha256,
        }
        assert posting["legs"] == [
            {"account": "receivable", "amount_minor": 1060000},
            {"account": "revenue", "amount_minor": -1060000},
        ]

    def test_x_43_nothing_over_is_the_fee(self, books: BillingBooks) -> None:
        """S1-33, S1-34: 1,000 assets and 1,000,000 credits are in the 9,000.00."""
        books.billed(usage={"assets": "1000", "credits": "1000000"})
        assert books.invoice().total_minor == 900000

    def test_x_47_the_next_period_begins_anew(self, books: BillingBooks) -> None:
        """S1-38, S1-39: after January comes February with its whole allowance."""
        books.billed(usage=S1_USAGE)
        period = books.state.subscriptions["sub_1"].period
        assert period == billing.period("2025-02-01", "2025-03-01")
        february = books.content(usage={"credits": "1000000"})
        assert [line.net for line in february.lines] == [900000, 0, 0]

    def test_x_72_is_due_thirty_days_after_its_issue(self, books: BillingBooks) -> None:
        """S3-29, S3-30: issued 2025-02-01, due 2025-03-03, numbered INV-."""
        books.send("ChangeCustomer", {"customer": "acme", "grace_hours": 0})
        books.billed(as_of="2025-02-01T10:30:00Z")
        assert books.invoice().due_at == billing.moment("2025-03-03")
        assert books.invoice().number.startswith("INV-")

    @pytest.mark.parametrize(
        ("as_of", "code"),
        [
            ("2025-02-01T23:59:59.999999Z", Code.PERIOD_NOT_OVER),
            (DUE, ""),
            ("2026-02-01T00:00:00Z", ""),
            ("2025-02-02T00:00:00", Code.COMMAND_INVALID),
            ("9999-12-31T00:00:00Z", Code.COMMAND_INVALID),
            ("1999-12-31T00:00:00Z", Code.COMMAND_INVALID),
        ],
    )
    def test_waits_for_the_end_and_the_grace(
        self, books: BillingBooks, as_of: str, code: str
    ) -> None:
        """24 hours after the period's end, to the microsecond."""
        assert code == books.finalize(january(books), as_of=as_of).code

    def test_a_customer_may_have_its_own_grace(self, books: BillingBooks) -> None:
        """Two hours."""
        books.send("ChangeCustomer", {"customer": "acme", "grace_hours": 2})
        content = january(books)
        assert books.finalize(content, as_of="2025-02-01T01:59:59Z").code == Code.PERIOD_NOT_OVER
        assert books.finalize(content, as_of="2025-02-01T02:00:00Z").code == ""

    def test_the_year_of_issue_is_in_the_number(self, books: BillingBooks) -> None:
        """January 2025 issued in 2026 is the first of 2026; the next of 2026 is the second."""
        books.billed(as_of="2026-01-01T00:00:00Z", invoice="inv_1")
        books.billed(as_of="2025-12-31T00:00:00Z", invoice="inv_2")
        books.billed(as_of="2026-01-01T00:00:00Z", invoice="inv_3")
        assert [books.invoice(f"inv_{number}").number for number in (1, 2, 3)] == [
            "INV-2026-000001",
            "INV-2025-000001",
            "INV-2026-000002",
        ]

    def test_makes_one_invoice_per_period(self, books: BillingBooks) -> None:
        """A second one for January is refused, also under another id, and leaves no trace."""
        content = january(books)
        books.finalize(content, as_of=DUE)
        before = len(books.facts[-1].outcomes[0].facts)
        outcome = books.finalize(content, as_of=DUE, invoice="inv_2")
        assert (before, outcome.code, outcome.facts) == (3, Code.INVOICE_EXISTS, ())
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert books.invoice("inv_2").number == "INV-2025-000002"

    def test_makes_one_invoice_per_id(self, books: BillingBooks) -> None:
        """The id of January's invoice cannot be February's."""
        books.billed()
        outcome = books.finalize(books.content(), as_of="2025-03-02T00:00:00Z")
        assert outcome.code == Code.INVOICE_EXISTS

    @pytest.mark.parametrize(
        ("path", "value", "code"),
        [
            ("terms.subscription", "sub_9", Code.SUBSCRIPTION_UNKNOWN),
            ("terms.period_index", 1, Code.PERIOD_NOT_CURRENT),
            ("terms.period.end", "2025-01-31T00:00:00Z", Code.PERIOD_NOT_CURRENT),
            ("terms.period.start", "2024-12-01T00:00:00Z", Code.PERIOD_NOT_CURRENT),
            ("terms.kind", "opening", Code.INVOICE_EXISTS),
            ("terms.kind", "items", Code.ITEM_UNKNOWN),
            ("terms.kind", "other", Code.COMMAND_INVALID),
            ("terms.currency", "USD", Code.CURRENCY_DIFFERS),
            ("terms.tenant", "other", Code.TERMS_DIFFER),
            ("terms.customer", "other", Code.TERMS_DIFFER),
            ("terms.seller", "other", Code.TERMS_DIFFER),
            ("terms.due_days", 31, Code.TERMS_DIFFER),
            ("terms.credit.money_minor", 1, Code.TERMS_DIFFER),
            ("terms.segments.0.plan", "STARTER", Code.TERMS_DIFFER),
            ("terms.segments.0.seats", 2, Code.TERMS_DIFFER),
            ("terms.segments.0.is_paused", True, Code.TERMS_DIFFER),
            ("terms.segments.0.catalogue_sha256", "0" * 64, Code.TERMS_DIFFER),
            ("terms.fees", None, Code.TERMS_DIFFER),
            ("terms.discounts", [{}], Code.TERMS_DIFFER),
            ("total_minor", 1060001, Code.LINES_DIFFER),
            ("total", 1060001, Code.LINES_DIFFER),
            ("tax", 1, Code.LINES_DIFFER),
            ("lines.1.amount", 60001, Code.LINES_DIFFER),
            ("lines.1.net", 59999, Code.LINES_DIFFER),
            ("lines.1.quantity", "1201", Code.LINES_DIFFER),
            ("lines.1.id", "other", Code.LINES_DIFFER),
            ("lines.1.steps.0.label", "other", Code.LINES_DIFFER),
            ("lines.1.steps.0.rate", "2.99", Code.LINES_DIFFER),
            ("lines.1", {}, Code.LINES_DIFFER),
            ("lines", [], Code.LINES_DIFFER),
            ("lines", "no list", Code.LINES_DIFFER),
            ("usage.0.quantity", "1201", Code.LINES_DIFFER),
            ("usage.0.quantity", "1200.0", Code.LINES_DIFFER),
            ("usage.0.quantity", "-1", Code.COMMAND_INVALID),
            ("usage.0.quantity", "1200.0000000001", Code.COMMAND_INVALID),
            ("usage.0.segment", 1, Code.BAD_VALUE),
            ("usage.0.meter", "nothing", Code.BAD_VALUE),
            ("pin.usage_digest", "nonsense", Code.COMMAND_INVALID),
            ("pin.usage_positions", [], Code.COMMAND_INVALID),
            ("scale", 3, Code.LINES_DIFFER),
            ("format", 1, Code.COMMAND_INVALID),
            ("stray", 1, Code.LINES_DIFFER),
        ],
    )
    def test_takes_no_word_for_it(
        self, books: BillingBooks, path: str, value: Json, code: Code
    ) -> None:
        """Whatever a builder sends otherwise is found, and nothing is half done."""
        document = json.loads(january(books).text)
        outcome = send_document(books, changed(document, path, value))
        assert (code, outcome.facts) == (outcome.code, ())
        assert books.state.billing.invoices == {}
        assert books.finalize(january(books), as_of=DUE).code == ""

    def test_the_refusal_says_where(self, books: BillingBooks) -> None:
        """The line, or the terms that have moved on."""
        document = json.loads(january(books).text)
        outcome = send_document(books, changed(document, "lines.2.amount", 1))
        assert "'0/credit_overage'" in outcome.reason
        books.grant(100, currency="CAD")
        assert "terms now: credit;" in send_document(books, document).reason

    def test_refuses_a_hash_of_another_content(self, books: BillingBooks) -> None:
        """The hash is what an auditor sees."""
        document = json.loads(january(books).text)
        outcome = send_document(books, document, content_sha256="0" * 64)
        assert outcome.code == Code.CONTENT_HASH_DIFFERS

    def test_white_space_is_another_content(self, books: BillingBooks) -> None:
        """Only the canonical bytes replay."""
        text = january(books).text.replace('{"carry', '{ "carry', 1)
        body = {"invoice": "inv_1", "as_of": DUE, "content": text}
        outcome = books.send("FinalizeInvoice", body | {"content_sha256": sha256_hex(text)})
        assert outcome.code == Code.LINES_DIFFER

    def test_a_hostile_quantity_is_refused_not_fatal(self, books: BillingBooks) -> None:
        """The longest number that the form allows is computed and does not fit."""
        document = json.loads(january(books).text)
        longest = changed(document, "usage.1.quantity", "9" * 40 + "." + "9" * 9)
        assert send_document(books, longest).code == Code.AMOUNT_LIMIT

    def test_a_parked_invoice_waits(self, books: BillingBooks) -> None:
        """Until somebody releases it; then the same content is taken."""
        content = january(books)
        body: dict[str, Json] = {
            "subscription": "sub_1",
            "reason": "10 times the median",
            "total_minor": 1060000,
        }
        assert [kind for kind, _ in bodies(books.send("ParkInvoice", body))] == [
            "InvoiceParked",
            "SubscriptionChanged",
        ]
        assert books.send("ParkInvoice", body).code == Code.INVOICE_PARKED
        assert books.finalize(content, as_of=DUE).code == Code.INVOICE_PARKED
        assert books.send("ReleaseInvoice", {"subscription": "sub_1"}).code == ""
        again = books.send("ReleaseInvoice", {"subscription": "sub_1"})
        assert again.code == Code.INVOICE_NOT_PARKED
        assert books.finalize(content, as_of=DUE).code == ""

    def test_a_total_below_zero_is_not_parked(self, books: BillingBooks) -> None:
        """There is no such total, and a fact with one would stop the tables."""
        body: dict[str, Json] = {"subscription": "sub_1", "reason": "odd", "total_minor": -1}
        assert books.send("ParkInvoice", body).code == Code.COMMAND_INVALID

    def test_a_late_reason_does_not_park_the_next_period(self, books: BillingBooks) -> None:
        """A second, slower builder looked at January, which has its invoice by now."""
        body: dict[str, Json] = {"subscription": "sub_1", "reason": "too much", "total_minor": 9}
        content = january(books)
        assert books.finalize(content, as_of=DUE).code == ""
        late = books.send("ParkInvoice", body | {"period_index": 0})
        assert (late.code, late.facts) == (Code.PERIOD_NOT_CURRENT, ())
        assert books.send("ParkInvoice", body | {"period_index": 1}).code == ""

    def test_discounts_that_do_not_fit_are_refused(self) -> None:
        """Twelve lines of 10^18 cents at 100 % come to 0, and their discount to no int64."""
        books = BillingBooks()
        books.agreed(
            *(flat(f"p{number}", "9999999999999999") for number in range(12)),
            discounts=[{"code": "free", "name": "Free", "kind": "percent", "value": "100"}],
            subscription={"discounts": ["free"]},
        )
        with pytest.raises(Rejected, match="total comes to more"):
            books.content()


class TestZeroInvoices:
    def free(self, policy: str) -> BillingBooks:
        books = BillingBooks()
        books.agreed(per_call("calls", "1"), billing={"zero_invoices": policy})
        return books

    def test_are_issued_and_paid_from_their_start(self) -> None:
        """An invoice of 0 has a number and nothing open."""
        books = self.free("issue")
        books.billed()
        assert (books.invoice().total_minor, books.invoice().status) == (0, "paid")
        assert books.kept("MoneyPosted") == []

    def test_are_skipped_where_the_catalogue_says_so(self) -> None:
        """No number is used up, and the period moves on; a repeat is refused as any other."""
        books = self.free("skip")
        content = books.content()
        outcome = books.finalize(content, as_of=DUE)
        assert [kind for kind, _ in bodies(outcome)] == ["InvoiceSkipped", "SubscriptionRenewed"]
        assert books.finalize(content, as_of=DUE).code == Code.INVOICE_EXISTS
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2", usage={"calls": "1"})
        assert books.invoice("inv_2").number == "INV-2025-000001"

    def test_something_at_0_is_not_skipped_with_items(self) -> None:
        """An item, even of 0.00, is for the customer to see."""
        books = self.free("skip")
        books.item(0)
        books.billed()
        assert books.invoice().number == "INV-2025-000001"


class TestCatalogueOfAPeriod:
    """G-07: a period takes the version in force at its start."""

    def test_g_07_new_prices_wait_for_the_next_period(self, books: BillingBooks) -> None:
        """Version 2 of 15 January: January is billed by version 1, February by version 2."""
        books.send(
            "PublishCatalogue", {"content": billing.s1_document(2)}, received_at="2025-01-15"
        )
        assert books.content().terms.segments[0].catalogue_version == 1
        books.billed()
        assert books.content().terms.segments[0].catalogue_version == 2

    def test_g_07_prices_published_in_a_period_do_not_reach_back_into_it(
        self, books: BillingBooks
    ) -> None:
        """Version 2 of 20 February, January billed in March: February is billed by version 1."""
        content = billing.s1_document(2)
        books.send("PublishCatalogue", {"content": content}, received_at="2025-02-20")
        books.billed(as_of="2025-03-01T00:00:00Z")
        assert books.content().terms.segments[0].catalogue_version == 1

    def test_policies_are_those_in_force(self) -> None:
        """A prefix of version 2 numbers January, whose prices are those of version 1."""
        books = BillingBooks()
        books.agreed(flat("base", "10"))
        content = catalogue_text(
            version=2, plans=[plan(flat("base", "20"))], billing={"invoice_prefix": "R-"}
        )
        books.send("PublishCatalogue", {"content": content}, received_at="2025-01-15")
        books.billed()
        assert (books.invoice().number, books.invoice().total_minor) == ("R-2025-000001", 1000)


class TestAdvance:
    def test_the_first_fee_is_billed_at_the_start(self) -> None:
        """S4-06: opening in January, January's usage and February's fee after January."""
        books = BillingBooks()
        books.agreed(flat("base", "10"), per_call("calls", "1"), billing={"fees": "in_advance"})
        opening = books.billed(as_of="2025-01-01T00:00:00Z")
        assert (opening.terms.kind, books.invoice().total_minor) == ("opening", 1000)
        assert books.finalize(opening, as_of=DUE, invoice="inv_9").code == Code.INVOICE_EXISTS
        content = books.billed(invoice="inv_2", usage={"calls": "7"})
        assert [line.net for line in content.lines] == [1000, 700]
        assert content.lines[0].start == billing.moment("2025-02-01")


class TestPosting:
    def test_adds_up_with_credit_and_tax(self) -> None:
        """X-82: 86.90 to receive and 20.00 of credit are 99.00 of revenue and 7.90 of tax."""
        books = BillingBooks()
        books.agreed(flat("base", "99"), taxes=[tax("10")])
        books.grant(2000)
        books.billed()
        assert books.accounts() == {
            "promotion": 2000,
            "receivable": 8690,
            "account_credit": 0,
            "tax": -790,
            "revenue": -9900,
        }

    def test_x_82_says_that_credit_was_applied(self) -> None:
        """S3-72: what was used, and what is left."""
        books = BillingBooks()
        books.agreed(flat("base", "99"), taxes=[tax("10")])
        books.grant(15000)
        books.billed()
        (applied,) = books.kept("AccountCreditApplied")
        assert (applied["amount_minor"], applied["balance_minor"]) == (9900, 5100)
        assert (books.credit(), books.invoice().total_minor) == (5100, 0)


class TestRestore:
    def test_a_damaged_fact_stops_the_fold(self, books: BillingBooks) -> None:
        """Amounts that are no whole numbers, or half a fact, are never applied."""
        books.billed(usage=S1_USAGE)
        made = books.facts[-1]
        (outcome,) = made.outcomes
        whole = outcome.facts[0].body
        for torn in (
            whole.replace('"nets":[900000,', '"nets":[900000.5,'),
            whole.replace('"nets":[900000,', '"nets":["900000",'),
            whole.replace('"nets":[900000,', '"nets":[9999999999999999999,'),
            whole.replace('"nets":[', '"nets":7,"was":['),
            whole[: len(whole) // 2],
        ):
            assert torn != whole
            facts = (Fact("InvoiceFinalized", torn), *outcome.facts[1:])
            restored = BillingBooks()
            restored.subscribed()
            with pytest.raises(Fatal) as caught:
                restored.fold.restore(
                    replace(made, outcomes=(structs.replace(outcome, facts=facts),))
                )
            assert caught.value.code is Code.STATE_CORRUPT

    def test_a_text_that_looks_like_the_end_of_a_content_is_no_end(self) -> None:
        """A label with quotes and field names in it is kept apart from the fact's own fields."""
        books = BillingBooks()
        books.agreed(flat("base", "10"))
        books.item(5, label='x","content_sha256":"y\\')
        books.billed()
        restored = BillingBooks()
        for facts in books.facts:
            restored.fold.restore(facts)
        assert restored.state == books.state
        assert restored.invoice().lines == ("fee/base", "item/itm_1")
