"""Invoices in a terminal: what came off and on stands in the order in which it was reckoned."""

from decimal import Decimal

import pytest

from cli.invoice_text import _line, _totals
from domain.billing_terms import DiscountKind
from domain.invoice_terms import GrantedDiscount
from tests.support.invoice_documents import catalogue, content, tax
from tests.support.stories import Story, plan

LAUNCH = GrantedDiscount("launch", "Launch", DiscountKind.PERCENT, Decimal(20), ("base",), 2)


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

    def test_add_up_as_they_are_read(self) -> None:
        """9,950 of lines less 20 % of 9,000, with 19 % VAT on the rest."""
        made = content(catalogue(taxes=[tax()]), discounts=(LAUNCH,))
        assert [
            ("lines before discounts", "9950.00"),
            ("discounts", "-1800.00"),
            ("subtotal", "8150.00"),
            ("VAT", "1548.50"),
        ] == [(name, amount) for name, _, amount in _totals(made)]
        assert made.total_minor == 969_850


class TestFeeByParts:
    def test_x_54_says_how_the_parts_are_rounded(self) -> None:
        """6,096.774… and 5,806.451… are 11,903.225… together: the second one ends on 46 cents."""
        story = Story(plan("PRO", "9000"), plan("ENTERPRISE", "18000"))
        story.subscribe("PRO", start="2025-01-01")
        story.change("ChangePlan", on="2025-01-22", plan="ENTERPRISE")
        story.bill("2025-02-01")
        (made,) = story.invoices
        said = ["\n".join(_line(made, number, line)) for number, line in enumerate(made.lines, 1)]
        assert "21 of 31 days" in said[0]
        assert "rounded half up 6096.77" in said[0]
        assert "10 of 31 days" in said[1]
        assert "rounded with the parts of it above 5806.46" in said[1]


class TestTaxOfALine:
    def test_is_named_as_on_the_invoice(self) -> None:
        """A code such as "tax" says nothing: "tax tax on 9000.00"."""
        made = content(catalogue(taxes=[tax(code="tax")]))
        assert "      VAT on 9000.00: 1710.00" in list(_line(made, 1, made.lines[0]))
