"""Receipts as pages: the same bytes, the right texts, and nothing of a customer as markup."""

from datetime import UTC, datetime

import pytest

from api import receipt_pdf
from domain.canonical import sha256_hex, to_canonical_json
from projections.queries.receipts import Receipt


def receipt(**more: object) -> Receipt:
    """A receipt with these contents."""
    content = to_canonical_json(
        {
            "number": "RCP-2026-000001",
            "kind": "charge",
            "tenant": "studio",
            "customer": "ada",
            "name": "Blueprint Package",
            "credits": 1_200,
            "amount": "1499.00",
            "currency": "PHP",
            "date": "2026-11-21T06:00:00.123Z",
            "credits_available_after": 80,
            **more,  # type: ignore[dict-item]
        }
    )
    at = datetime(2026, 11, 21, 6, 0, 0, 123_000, tzinfo=UTC)
    number = "RCP-2026-000001"
    return Receipt(number, "charge", "ada", "txn_1", content, sha256_hex(content), at)


class TestPages:
    def test_are_the_same_bytes_for_the_same_receipt(self) -> None:
        assert receipt_pdf.to_pdf(receipt()) == receipt_pdf.to_pdf(receipt())
        assert receipt_pdf.render(receipt()) == receipt_pdf.to_pdf(receipt())

    def test_differ_with_the_content(self) -> None:
        other = receipt(customer="bob")
        assert receipt_pdf.etag(receipt()) != receipt_pdf.etag(other)
        assert receipt_pdf.to_pdf(receipt()) != receipt_pdf.to_pdf(other)

    @pytest.mark.parametrize(
        "name",
        ["#panic()", '#read("/etc/passwd")', "*bold* $x$ <b> \\ `", "مرحبا ₱ 漢", "a" * 200],
    )
    def test_take_any_text_as_text(self, name: str) -> None:
        assert receipt_pdf.to_pdf(receipt(customer=name, name=name)).startswith(b"%PDF-1.7")

    def test_say_what_was_charged(self) -> None:
        page = receipt_pdf.to_page(receipt())
        assert (page["amount"], page["credits"], page["title"]) == (
            "₱1,499.00",
            "1,200",
            "Receipt",
        )
        assert ["Credits left", "80"] in page["facts"]  # type: ignore[operator]
        assert ["Date", "21 November 2026, 06:00 UTC"] in page["facts"]  # type: ignore[operator]


class TestMoney:
    @pytest.mark.parametrize(
        ("amount", "currency", "text"),
        [("0.00", "PHP", "₱0.00"), ("1234567.89", "USD", "$1,234,567.89"), ("5", "JPY", "JPY 5")],
    )
    def test_is_written_for_people(self, amount: str, currency: str, text: str) -> None:
        assert text == receipt_pdf.money_text(amount, currency)
