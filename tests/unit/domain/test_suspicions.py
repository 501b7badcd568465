"""Suspicions: what each rule sees, once per span, and that an admin closes them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from domain.canonical import Json
from domain.codes import Code
from domain.suspicions import COUNT_MAX
from tests.support import wallets
from tests.support.wallets import WalletBooks, names


def books_with(*rules: Json) -> WalletBooks:
    """Ada with 600 credits, under S0's catalogue with these rules."""
    books = WalletBooks(wallets.content_with(suspicions=list(rules)))
    books.customer()
    assert books.top_up(500, 4_500).code == ""
    return books


def raised(books: WalletBooks) -> list[tuple[str, str]]:
    """Rule and detail of every suspicion."""
    return [(each["rule"], each["detail"]) for each in books.kept("SuspicionRaised")]


class TestFailedAttempts:
    RULE: ClassVar[Json] = {
        "key": "fails",
        "kind": "failed_attempts",
        "attempts": 3,
        "within_hours": 1,
    }

    def test_counts_charges_and_top_ups_that_failed(self) -> None:
        """Three within the hour, of either kind; what is merely unknown is none."""
        books = books_with(self.RULE)
        books.top_up(100, 1)
        books.do("ApproveCharge", charge="emg_x")
        charge = books.request("blueprint_package", credits=10_000)
        books.do("ApproveCharge", charge=charge)
        assert [] == raised(books)
        books.do("ApproveCharge", charge=charge)
        assert [("fails", "3 failed attempts within 1 hours")] == raised(books)

    def test_forgets_what_is_older_than_its_span(self) -> None:
        """The span is half-open: what is exactly an hour old no longer counts."""
        books = books_with(self.RULE)
        books.top_up(100, 1)
        books.top_up(100, 1)
        books.wait(1)
        books.top_up(100, 1)
        assert [] == raised(books)

    def test_speaks_once_in_its_span(self) -> None:
        """And again after it."""
        books = books_with(self.RULE)
        for _ in range(10):
            books.top_up(100, 1)
        assert 1 == len(raised(books))
        books.wait(1)
        for _ in range(3):
            books.top_up(100, 1)
        assert 2 == len(raised(books))

    def test_is_about_one_customer(self) -> None:
        """Two who fail twice each are not suspicious."""
        books = books_with(self.RULE)
        books.customer("bo")
        for customer in ("ada", "bo"):
            for _ in range(2):
                books.top_up(100, 1, customer=customer)
        assert [] == raised(books)


class TestAmountMismatch:
    def test_speaks_of_a_wrong_amount(self) -> None:
        """Once a day by default; a charge that fails is another matter."""
        books = books_with({"key": "wrong", "kind": "amount_mismatch"})
        charge = books.request("blueprint_package", credits=10_000)
        books.do("ApproveCharge", charge=charge)
        assert [] == raised(books)
        books.top_up(500, 1_000)
        books.top_up(500, 1_000)
        assert 1 == len(raised(books))
        books.wait(24)
        books.top_up(500, 1_000)
        assert 2 == len(raised(books))


class TestVelocity:
    def test_counts_charges(self) -> None:
        """The third within the hour."""
        books = books_with({"key": "fast", "kind": "velocity", "charges": 3, "within_hours": 1})
        for number in range(3):
            assert [] == raised(books)
            books.approved("bom_suppliers", project=f"p{number}")
        assert [("fast", "3 charges within 1 hours")] == raised(books)


class TestRefundRatio:
    RULE: ClassVar[Json] = {
        "key": "refunds",
        "kind": "refund_ratio",
        "percent": 50,
        "charges_min": 4,
        "within_hours": 24,
    }

    def test_compares_refunds_with_charges(self) -> None:
        """Two of four; one of four is none, and below four charges nothing is said."""
        books = books_with(self.RULE)
        charges = [books.request("bom_suppliers", project=f"p{number}") for number in range(5)]
        for charge in charges[:3]:
            books.ok("ApproveCharge", charge=charge)
        books.ok("RefundCharge", charge=charges[0], reason="r")
        books.ok("ApproveCharge", charge=charges[3])
        assert [] == raised(books)
        books.ok("RefundCharge", charge=charges[1], reason="r")
        assert [("refunds", "2 refunds of 4 charges within 24 hours")] == raised(books)


class TestState:
    def test_is_bounded(self) -> None:
        """The newest of each kind are remembered, whatever a customer does."""
        books = books_with(TestFailedAttempts.RULE)
        for _ in range(COUNT_MAX + 10):
            books.top_up(100, 1)
        (times,) = books.state.watches["ada"].times_ms.values()
        assert COUNT_MAX == len(times)


class TestFromTheFold:
    RAISE: ClassVar[dict[str, Any]] = {
        "customer": "ada",
        "rule": "just_over",
        "detail": "0.85 → 0.91",
    }

    @pytest.fixture
    def books(self) -> WalletBooks:
        """Ada under S0's own rules."""
        made = WalletBooks()
        made.customer()
        return made

    def test_is_raised_once_in_its_span(self, books: WalletBooks) -> None:
        """A second score jump of the day belongs to the first."""
        assert ["SuspicionRaised"] == names(
            books.ok("RaiseSuspicion", suspicion="sus_1", **self.RAISE)
        )
        assert [] == names(books.ok("RaiseSuspicion", suspicion="sus_2", **self.RAISE))
        books.wait(24)
        assert ["SuspicionRaised"] == names(
            books.ok("RaiseSuspicion", suspicion="sus_3", **self.RAISE)
        )
        again = books.do("RaiseSuspicion", suspicion="sus_3", **self.RAISE)
        assert Code.SUSPICION_EXISTS == again.code

    def test_needs_a_customer(self, books: WalletBooks) -> None:
        """Somebody an admin can look at."""
        body = {**self.RAISE, "customer": "nobody"}
        assert Code.CUSTOMER_UNKNOWN == books.do("RaiseSuspicion", suspicion="sus_1", **body).code

    def test_is_closed_with_a_note(self, books: WalletBooks) -> None:
        """Twice changes nothing; an unknown one is refused."""
        books.ok("RaiseSuspicion", suspicion="sus_1", **self.RAISE)
        close: dict[str, Any] = {"suspicion": "sus_1", "note": "looked at the drawings: fine"}
        assert ["SuspicionClosed"] == names(books.ok("CloseSuspicion", **close))
        assert [] == names(books.ok("CloseSuspicion", **close))
        unknown = books.do("CloseSuspicion", suspicion="sus_9", note="x")
        assert Code.SUSPICION_UNKNOWN == unknown.code
