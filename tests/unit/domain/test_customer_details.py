"""The book of personal details: sealed texts in, nothing else, and closed after an erasure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.books.facts import Outcome
from domain.books.fold import BooksFold
from domain.books.personal import FIELDS, Details
from domain.codes import Code
from tests.support.billing import bodies
from tests.support.wallets import WalletBooks

SEALED = "tgs1.1." + "A" * 80
OTHER = "tgs1.1." + "B" * 80
TOKEN, OTHER_TOKEN = "1" * 64, "2" * 64


@pytest.fixture
def books() -> WalletBooks:
    """Books with two customers and no catalogue."""
    books = WalletBooks(None)
    books.customer("ada")
    books.customer("ida")
    return books


def given_details(books: WalletBooks, customer: str = "ada", **more: Any) -> Outcome:
    """Set details, with an address unless it is said otherwise."""
    body = {"customer": customer, "sealed": {"email": SEALED}, "email_digest": TOKEN} | more
    return books.do(
        "SetCustomerDetails", **{name: value for name, value in body.items() if value is not None}
    )


class TestSetCustomerDetails:
    def test_counts_versions_and_repeats_what_is_sealed(self, books: WalletBooks) -> None:
        first = given_details(books)
        second = given_details(books, sealed={"name": OTHER}, email_digest=None)
        assert bodies(first) == [
            (
                "CustomerDetailsSet",
                {
                    "customer": "ada",
                    "version": 1,
                    "sealed": {"email": SEALED},
                    "email_digest": TOKEN,
                },
            )
        ]
        assert bodies(second) == [
            ("CustomerDetailsSet", {"customer": "ada", "version": 2, "sealed": {"name": OTHER}})
        ]

    @given(st.text(max_size=60), st.sampled_from(FIELDS))
    def test_never_takes_plain_text(self, text: str, field: str) -> None:
        """A sender that forgets to seal must not write a name into the log's facts."""
        books = WalletBooks(None)
        books.customer("ada")
        outcome = given_details(books, sealed={field: text}, email_digest=None)
        assert outcome.code is Code.COMMAND_INVALID
        assert not outcome.facts

    def test_does_not_repeat_what_it_refuses(self, books: WalletBooks) -> None:
        """The reason of a refusal is a column and a log line."""
        outcome = given_details(books, sealed={"name": "Ada Canary"}, email_digest=None)
        assert "Canary" not in outcome.reason

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"customer": "kim"}, Code.CUSTOMER_UNKNOWN),
            ({"sealed": {"shoe_size": SEALED}}, Code.COMMAND_INVALID),
            ({"sealed": {"email": "tgs1.1." + "A" * 4_096}}, Code.COMMAND_INVALID),
            ({"sealed": {"email": SEALED + "\n"}}, Code.COMMAND_INVALID),
            ({"sealed": SEALED}, Code.COMMAND_INVALID),
            ({"email_digest": None}, Code.COMMAND_INVALID),
            ({"email_digest": "ada@example.com"}, Code.COMMAND_INVALID),
            ({"sealed": {"name": SEALED}}, Code.COMMAND_INVALID),
            ({"name": "Ada"}, Code.COMMAND_INVALID),
        ],
    )
    def test_refuses(self, books: WalletBooks, body: dict[str, Any], code: Code) -> None:
        assert given_details(books, **body).code is code

    def test_s0_01_keeps_an_address_to_one_customer(self, books: WalletBooks) -> None:
        given_details(books)
        assert given_details(books, "ida").code is Code.EMAIL_TAKEN
        assert given_details(books, sealed={"email": OTHER}).code == "", "it is still their own"

    def test_s0_01_sees_the_address_of_the_sign_up(self, books: WalletBooks) -> None:
        books.ok("CreateCustomer", customer="kim", currency="PHP", email_digest=TOKEN)
        assert given_details(books, "ida").code is Code.EMAIL_TAKEN
        assert given_details(books, "kim").code == ""

    @pytest.mark.parametrize(
        "change",
        [
            {"sealed": {"email": OTHER}, "email_digest": OTHER_TOKEN},
            {"sealed": {}, "email_digest": None},
        ],
    )
    def test_lets_an_address_go_that_is_not_theirs_any_more(
        self, books: WalletBooks, change: dict[str, Any]
    ) -> None:
        given_details(books)
        assert given_details(books, **change).code == ""
        assert given_details(books, "ida").code == ""


class TestEraseCustomer:
    def test_holds_nothing_of_the_person(self, books: WalletBooks) -> None:
        given_details(books)
        outcome = books.do("EraseCustomer", customer="ada")
        assert bodies(outcome) == [("CustomerErased", {"customer": "ada"})]
        assert {"ada": Details(version=1, is_erased=True)} == books.state.details

    def test_twice_changes_nothing(self, books: WalletBooks) -> None:
        books.ok("EraseCustomer", customer="ada")
        assert bodies(books.ok("EraseCustomer", customer="ada")) == []

    def test_closes_the_details_for_good(self, books: WalletBooks) -> None:
        """A wish that was sealed before and arrives later must not look like news."""
        books.ok("EraseCustomer", customer="ada")
        assert given_details(books).code is Code.CUSTOMER_ERASED

    def test_lets_the_address_go(self, books: WalletBooks) -> None:
        given_details(books)
        books.ok("EraseCustomer", customer="ada")
        assert given_details(books, "ida").code == ""
        assert {TOKEN: "ida"} == books.state.email_digests

    def test_refuses_a_stranger(self, books: WalletBooks) -> None:
        assert books.do("EraseCustomer", customer="kim").code is Code.CUSTOMER_UNKNOWN

    def test_leaves_the_money_alone(self, books: WalletBooks) -> None:
        before = books.state.customers["ada"]
        books.ok("EraseCustomer", customer="ada")
        assert before == books.state.customers["ada"]


def test_a_replay_gives_the_same_books(books: WalletBooks) -> None:
    given_details(books)
    books.ok("EraseCustomer", customer="ada")
    given_details(books, "ida")
    again = BooksFold(partition=0, partitions=1)
    for facts in books.facts:
        again.restore(facts)
    state = again._tenants[books.tenant]
    assert state.details == books.state.details
    assert state.email_digests == books.state.email_digests == {TOKEN: "ida"}
    assert state.emails_held == books.state.emails_held
