"""Invoices in a terminal: what came off and on stands in the order in which it was reckoned."""

import pytest

from cli.invoice_text import _totals
from tests.support.invoice_documents import catalogue, content, tax


class TestTotals:
    @pytest.mark.parametrize(
        ("credits_", "order"),
        [
            ("before_tax", ["subtotal", "promotions", "VAT", "account credit"]),
            ("after_tax", ["subtotal", "VAT", "promotions", "account credit"]),
        ],
    )
    def test_name_promotions_where_the_policy_has_them(
        self, credits_: str, order: list[str]
    ) -> None:
        prices = catalogue(taxes=[tax()], credits_=credits_)
        made = content(prices, promotion_minor=5_000, money_minor=700)
        assert order == [name for name, *_ in _totals(made)]
