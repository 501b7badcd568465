"""Numbers of several legal entities: each document has its own seller's, for ever."""

from collections.abc import Sequence
from typing import Any

import pytest

from domain.books.facts import Outcome
from domain.canonical import Json
from domain.codes import Code
from tests.support.invoices import BillingBooks, catalogue_text, flat, plan

DUE = "2025-02-02T00:00:00Z"


class TestSellers:
    SELLERS: tuple[dict[str, Json], ...] = (
        {"key": "ca", "name": "Acme Canada", "prefix": "CA-"},
        {"key": "de", "name": "Acme Germany", "prefix": "DE-", "credit_note_prefix": "DEG-"},
    )

    def test_each_has_its_own_numbers(self) -> None:
        """Two customers of two legal entities: both begin with 1."""
        books = BillingBooks()
        books.agreed(flat("base", "10"), billing={"sellers": list(self.SELLERS)})
        books.send("CreateCustomer", {"customer": "beta", "currency": "USD", "seller": "de"})
        body = {"subscription": "sub_2", "customer": "beta", "plan": "BASIC"}
        books.send("CreateSubscription", body | {"start": "2025-01-01T00:00:00Z"})
        books.billed()
        books.billed(subscription="sub_2", invoice="inv_2")
        books.billed(subscription="sub_2", invoice="inv_3", as_of="2025-03-02T00:00:00Z")
        assert [books.invoice(f"inv_{number}").number for number in (1, 2, 3)] == [
            "CA-2025-000001",
            "DE-2025-000001",
            "DE-2025-000002",
        ]

    def test_a_default_seller_that_is_dropped_numbers_what_is_its_own(self) -> None:
        """The period began under version 1: its invoice is no number of another's."""
        books = self.of_two()
        assert "" == self.publish(books, self.SELLERS[1:]).code
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        books.billed(as_of="2025-04-02T00:00:00Z", invoice="inv_3")
        invoices = [books.invoice(f"inv_{number}") for number in (1, 2, 3)]
        assert [(each.seller, each.number) for each in invoices] == [
            ("ca", "CA-2025-000001"),
            ("ca", "CA-2025-000002"),
            ("de", "DE-2025-000001"),
        ]

    def test_a_credit_note_is_numbered_by_the_seller_of_its_invoice(self) -> None:
        """Also when the customer has moved on and the seller is gone."""
        books = self.of_two(customer={"seller": "ca"})
        books.send("ChangeCustomer", {"customer": "acme", "seller": "de"})
        assert "" == self.publish(books, self.SELLERS[1:]).code
        line: Json = {"line": "fee/base", "amount_minor": 100}
        body = {"credit_note": "crn_1", "invoice": "inv_1", "lines": [line], "reason": "x"}
        assert "" == books.send("IssueCreditNote", {**body, "to": "account_credit"}).code
        (note,) = books.kept("CreditNoteIssued")
        assert (note["seller"], note["number"]) == ("ca", "CN-2025-000001")

    def test_a_seller_that_came_with_a_later_version_bills_from_then_on(self) -> None:
        """Not the first seller of the version that the open period is priced by."""
        books = self.of_two()
        third: Json = {"key": "fr", "name": "F", "prefix": "FR-", "credit_note_prefix": "FRG-"}
        assert "" == self.publish(books, (*self.SELLERS, third)).code
        books.send("ChangeCustomer", {"customer": "acme", "seller": "fr"})
        books.billed(as_of="2025-03-02T00:00:00Z", invoice="inv_2")
        assert books.invoice("inv_2").number == "FR-2025-000001"

    @pytest.mark.parametrize(
        ("changed", "place", "why"),
        [
            (("DE-", "CN-", "CA-", "DEG-"), "sellers[0].prefix", "prefix of seller 'de'"),
            (("CA-", "DE-", "DX-", "DEG-"), "sellers[0].credit_note_prefix", "prefix of"),
            (("CN-", "CA-", "DE-", "DEG-"), "sellers[0].prefix", "the credit_note_prefix of"),
        ],
    )
    def test_a_prefix_stays_with_its_seller_and_kind(
        self, changed: tuple[str, ...], place: str, why: str
    ) -> None:
        """Swapped between sellers, or between the kinds of one: refused, with the place."""
        books = self.of_two()
        sellers = (
            {**self.SELLERS[0], "prefix": changed[0], "credit_note_prefix": changed[1]},
            {**self.SELLERS[1], "prefix": changed[2], "credit_note_prefix": changed[3]},
        )
        answer = self.publish(books, sellers)
        assert answer.code == Code.CATALOGUE_INVALID
        assert answer.reason.startswith(f"catalogue.billing.{place}: ")
        assert why in answer.reason

    def test_a_prefix_of_a_version_long_gone_is_its_seller_s_still(self) -> None:
        """Its owner may take it up again, and nobody else may."""
        books = self.of_two()
        assert "" == self.publish(books, self.SELLERS[1:]).code
        other = {**self.SELLERS[0], "key": "us"}
        answer = self.publish(books, (*self.SELLERS[1:], other), version=3)
        assert (answer.code, answer.reason[-15:]) == (Code.CATALOGUE_INVALID, "as of version 1")
        assert "" == self.publish(books, (*self.SELLERS[1:], self.SELLERS[0]), version=3).code

    def test_numbers_from_before_the_first_version_are_nobody_else_s(self) -> None:
        """Items alone are billed without a catalogue, with numbers of the default seller."""
        books = BillingBooks()
        books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        books.item(500)
        content = books.content("")
        books.finalize(content, as_of=DUE)
        mine: dict[str, Json] = {"key": "us", "name": "U"}
        answer = self.publish(books, (mine,), version=1)
        assert answer.code == Code.CATALOGUE_INVALID
        assert answer.reason.startswith("catalogue.billing.sellers[0].prefix: ")
        own = {**mine, "prefix": "US-", "credit_note_prefix": "USC-"}
        assert "" == self.publish(books, (own,), version=1).code
        assert Code.CATALOGUE_INVALID == self.publish(books, (own, mine), version=2).code

    def test_so_are_those_of_credit_notes_to_come(self) -> None:
        """No version has the default seller, whose invoice may still be credited."""
        books = BillingBooks()
        books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        books.item(500)
        books.finalize(books.content(""), as_of=DUE)
        taken: dict[str, Json] = {"key": "us", "name": "U", "prefix": "US-"}
        answer = self.publish(books, (taken,), version=1)
        assert answer.code == Code.CATALOGUE_INVALID
        assert answer.reason.startswith("catalogue.billing.sellers[0].credit_note_prefix: ")

    def test_so_are_those_of_credit_notes_alone(self) -> None:
        """Each prefix by itself: the first version has the one, and not the other."""
        books = BillingBooks()
        books.send("CreateCustomer", {"customer": "acme", "currency": "USD"})
        books.item(500)
        books.finalize(books.content(""), as_of=DUE)
        line: Json = {"line": books.invoice("inv_1").lines[0], "amount_minor": 100}
        note = {"credit_note": "crn_1", "invoice": "inv_1", "lines": [line], "reason": "x"}
        assert "" == books.send("IssueCreditNote", {**note, "to": "account_credit"}).code
        own: dict[str, Json] = {"key": "default", "name": "D", "credit_note_prefix": "GS-"}
        assert "" == self.publish(books, (own,), version=1).code
        other = {"key": "us", "name": "U", "prefix": "US-", "credit_note_prefix": "CN-"}
        answer = self.publish(books, (own, other), version=2)
        assert answer.code == Code.CATALOGUE_INVALID
        assert answer.reason.startswith("catalogue.billing.sellers[1].credit_note_prefix: ")

    def of_two(self, **more: Any) -> BillingBooks:
        """Two sellers, and the first period of a customer of the first billed."""
        books = BillingBooks()
        books.agreed(flat("base", "10"), billing={"sellers": list(self.SELLERS)}, **more)
        books.billed()
        return books

    def publish(
        self, books: BillingBooks, sellers: Sequence[Json], *, version: int = 2
    ) -> Outcome:
        """Another version with other sellers, in February."""
        content = catalogue_text(
            version=version, plans=[plan(flat("base", "10"))], billing={"sellers": list(sellers)}
        )
        return books.send("PublishCatalogue", {"content": content}, received_at="2025-02-05")
