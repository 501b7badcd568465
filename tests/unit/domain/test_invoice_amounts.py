"""The arithmetic of an invoice: what comes off in which order, what is taxed, what is to pay."""

from fractions import Fraction
from typing import Any

import pytest

from domain.billing_terms import TaxTreatment
from domain.canonical import Json
from domain.invoice import InvoiceContent
from domain.invoice_amounts import shares, spread
from domain.money import minor_text
from tests.support.invoices import BillingBooks, flat, per_call, tax

TEN = [tax("10")]


def content_of(
    *prices: Json, usage: dict[str, str] | None = None, credit_minor: int = 0, **parts: Any
) -> InvoiceContent:
    """The content of January for one plan of the prices."""
    books = BillingBooks()
    books.agreed(*prices, **parts)
    if credit_minor:
        assert books.grant(credit_minor).code == ""
    return books.content(usage=usage)


def total(content: InvoiceContent) -> str:
    return minor_text(amount_minor=content.total_minor, currency=content.terms.currency)


class TestSpread:
    @pytest.mark.parametrize(
        ("amount", "over", "parts"),
        [
            (0, [1, 2], [0, 0]),
            (3, [1, 1, 1], [1, 1, 1]),
            (10, [1, 1, 1], [4, 3, 3]),
            (11, [1, 1, 1], [4, 4, 3]),
            (1, [1, 2], [0, 1]),
            (7, [0, 5, 5], [0, 4, 3]),
            (5, [], []),
        ],
    )
    def test_goes_by_largest_remainder(
        self, amount: int, over: list[int], parts: list[int]
    ) -> None:
        """Equal remainders go by order; a weight of 0 gets nothing."""
        assert parts == spread(amount, over=over)

    @pytest.mark.parametrize(
        ("amount", "of", "parts"),
        [
            (10, [99, 1], [10, 0]),
            (10, [33, 33, 34], [3, 4, 3]),
            (8, [100, -20], [10, -2]),
            (0, [50, -50], [5, -5]),
            (-2, [-20], [-2]),
            (1, [-70_000, 70_005], [-7_000, 7_001]),
            (2, [3, 3, 3], [1, 1, 0]),
            (1, [0, 0], [0, 0]),
            (0, [], []),
        ],
    )
    def test_a_tenth_is_shared_by_values_of_either_sign(
        self, amount: int, of: list[int], parts: list[int]
    ) -> None:
        """A correction below 0 bears the tax of its own amount, whatever the sum is."""
        assert parts == shares(amount, of=of, part=Fraction(1, 10))


class TestPlanFees:
    @pytest.mark.parametrize(
        ("fee", "expected"),
        [("0", "0.00"), ("99", "108.90"), ("499", "548.90"), ("2499", "2748.90")],
    )
    def test_x_71_fee_and_ten_percent(self, fee: str, expected: str) -> None:
        """S3-28: fee, one seat, no overage, tax 0.10."""
        assert expected == total(content_of(flat("base", fee), taxes=TEN))

    @pytest.mark.parametrize(
        ("fee", "seat", "tax_minor", "expected"),
        [("99", "49", 2950, "324.50"), ("2499", "199", 32950, "3624.50")],
    )
    def test_x_80_x_81_seats(self, fee: str, seat: str, tax_minor: int, expected: str) -> None:
        """S3-18: five seats, one of them in the fee."""
        seats = {"key": "seats", "form": "seats", "amount": seat, "included": "1"}
        content = content_of(flat("base", fee), seats, subscription={"seats": 5}, taxes=TEN)
        assert expected == total(content)
        assert tax_minor == content.totals.tax


class TestRounding:
    LADDER = (
        flat("base", "99"),
        per_call("calls", "RATE", per="1000", included="1000000"),
        {"key": "gb", "form": "per_unit", "meter": "storage", "rate": "GB", "included": "50"},
    )

    @pytest.mark.parametrize(
        ("calls", "storage", "expected", "tax_amount"),
        [
            # 99 + 500 x 0.01 + 10 x 1.00 (storage and transfer together) = 114, tax 11.40
            ("0.01", "1.00", "125.40", 11_400_000),
            # 99 + 500 x 0.000001 + 10 x 0.20 = 101.0005, tax 10.10005: 111.10055
            ("0.000001", "0.20", "111.10", 10_100_050),
        ],
    )
    def test_x_78_lines_have_six_places_and_the_total_is_rounded_once(
        self, calls: str, storage: str, expected: str, tax_amount: int
    ) -> None:
        """S3-R2: the sum of lines and tax is rounded, not each of them."""
        prices = [dict(each) for each in self.LADDER]
        prices[1]["rate"], prices[2]["rate"] = calls, storage
        content = content_of(
            *prices,
            usage={"calls": "1500000", "storage": "60"},
            taxes=TEN,
            billing={"rounding": "invoice"},
        )
        assert content.scale == 6
        assert expected == total(content)
        assert tax_amount == content.totals.tax

    def test_each_line_is_rounded_half_up_where_lines_are(self) -> None:
        """G-04: twice 0.005 is 0.02, and 0.01 where the invoice is rounded once."""
        prices = (flat("a", "0.005"), flat("b", "0.005"))
        assert total(content_of(*prices)) == "0.02"
        assert total(content_of(*prices, billing={"rounding": "invoice"})) == "0.01"

    @pytest.mark.parametrize(
        ("currency", "expected"), [("JPY", "101"), ("USD", "100.50"), ("KWD", "100.500")]
    )
    def test_goes_by_the_minor_unit_of_the_currency(self, currency: str, expected: str) -> None:
        """ISO 4217: none, two or three decimals."""
        assert expected == total(content_of(flat("base", "100.5"), currency=currency))


class TestDiscounts:
    def discounted(
        self, *discounts: Json, usage: str = "0", **parts: Any
    ) -> tuple[list[list[tuple[str, int]]], int]:
        codes: list[Json] = [each["code"] for each in discounts]  # type: ignore[index,call-overload]
        prices = parts.pop("prices", (flat("base", "100"), per_call("calls", "1")))
        content = content_of(
            *prices,
            usage={"calls": usage},
            discounts=list(discounts),
            plan_parts={"discounts": codes, **parts.pop("plan_parts", {})},
            **parts,
        )
        return [list(line.discounts) for line in content.lines], content.total_minor

    @staticmethod
    def off(code: str, kind: str, value: str, **more: Json) -> Json:
        return {"code": code, "name": code, "kind": kind, "value": value, **more}

    def test_percentages_come_one_after_the_other(self) -> None:
        """20 % and then 10 % of what is left: 100 - 20 - 8 = 72, not 70."""
        lines, total_minor = self.discounted(
            self.off("a", "percent", "20"), self.off("b", "percent", "10")
        )
        assert lines[0] == [("a", 2000), ("b", 800)]
        assert total_minor == 7200

    def test_amounts_come_after_percentages_whatever_their_order(self) -> None:
        """10.00 and 20 %: 100 - 20 - 10 = 70, not 72."""
        lines, total_minor = self.discounted(
            self.off("a", "amount", "10"), self.off("b", "percent", "20")
        )
        assert lines[0] == [("b", 2000), ("a", 1000)]
        assert total_minor == 7000

    def test_an_amount_is_spread_over_lines(self) -> None:
        """10.01 over 100.00 and 50.00 is 6.67 and 3.34: together every cent."""
        lines, total_minor = self.discounted(self.off("a", "amount", "10.01"), usage="50")
        assert lines == [[("a", 667)], [("a", 334)]]
        assert total_minor == 15000 - 1001

    def test_takes_no_more_than_there_is(self) -> None:
        """An amount of 500.00 off 100.00 leaves 0, and nothing is below 0."""
        lines, total_minor = self.discounted(self.off("a", "amount", "500"))
        assert lines == [[("a", 10000)], []]
        assert total_minor == 0

    def test_is_for_the_prices_it_names(self) -> None:
        """Half off the calls is nothing off the fee."""
        lines, total_minor = self.discounted(
            self.off("a", "percent", "50", prices=["calls"]), usage="50"
        )
        assert lines == [[], [("a", 2500)]]
        assert total_minor == 12500

    def test_a_percentage_is_rounded_half_up_per_line(self) -> None:
        """12.5 % of 0.04 is half a cent."""
        lines, _ = self.discounted(
            self.off("a", "percent", "12.5"), prices=(flat("base", "0.04"),)
        )
        assert lines == [[("a", 1)]]

    def test_free_units_come_off_before_rating(self) -> None:
        """30 of 50 calls are free; a percentage then takes from what is left."""
        lines, total_minor = self.discounted(
            self.off("free", "free_units", "30", prices=["calls"]),
            self.off("b", "percent", "10", prices=["calls"]),
            usage="50",
        )
        assert lines == [[], [("b", 200)]]
        assert total_minor == 10000 + 1800

    def test_items_and_minimums_are_not_discounted(self) -> None:
        """What was committed to and what was ordered apart is paid whole."""
        books = BillingBooks()
        books.agreed(
            flat("base", "100"),
            per_call("calls", "1"),
            discounts=[self.off("a", "percent", "50")],
            plan_parts={"discounts": ["a"], "minimum": {"amount": "80", "of": "usage"}},
        )
        books.item(700)
        content = books.content(usage={"calls": "50"})
        assert [(line.kind, line.net) for line in content.lines] == [
            ("fee", 5000),
            ("usage", 2500),
            ("minimum", 3000),
            ("item", 700),
        ]

    @pytest.mark.parametrize(("of", "expected"), [("usage", [10000, 2000]), ("all", [8571, 3429])])
    def test_a_maximum_is_a_discount_on_what_it_looks_at(
        self, of: str, expected: list[int]
    ) -> None:
        """40 calls at 1.00, at most 20.00 of usage; or at most 120.00 of everything."""
        content = content_of(
            flat("base", "100"),
            per_call("calls", "1"),
            usage={"calls": "40"},
            plan_parts={"maximum": {"amount": "20" if of == "usage" else "120", "of": of}},
        )
        assert expected == [line.net for line in content.lines]
        assert content.lines[1].discounts[0][0] == "maximum"

    def test_a_maximum_that_is_not_reached_changes_nothing(self) -> None:
        """20 calls at 1.00 are the 20.00 themselves."""
        content = content_of(
            per_call("calls", "1"),
            usage={"calls": "20"},
            plan_parts={"maximum": {"amount": "20", "of": "usage"}},
        )
        assert content.lines[0].discounts == ()


class TestAccountCredit:
    @pytest.mark.parametrize(
        ("credit_minor", "order", "used", "expected"),
        [
            (2000, "before_tax", 2000, "86.90"),
            (15000, "before_tax", 9900, "0.00"),  # 51.00 stay
            (2000, "after_tax", 2000, "88.90"),  # what X-82 would be in the other order
            (15000, "after_tax", 10890, "0.00"),
        ],
    )
    def test_x_82_x_83_credit_comes_off(
        self, credit_minor: int, order: str, used: int, expected: str
    ) -> None:
        """S3-22, S3-R6: Starter at 99.00 and ten percent."""
        content = content_of(
            flat("base", "99"), credit_minor=credit_minor, taxes=TEN, billing={"credits": order}
        )
        assert expected == total(content)
        assert used == content.totals.credit_minor

    def test_is_spread_over_the_taxes(self) -> None:
        """30.00 off 100.00 at 10 % and 50.00 at 20 %: 80 x 0.1 + 40 x 0.2 = 16.00."""
        content = content_of(
            flat("a", "100"),
            flat("b", "50", tax="books"),
            credit_minor=3000,
            taxes=[tax("10"), tax("20", code="high", category="books")],
        )
        assert [(each.code, each.base, each.amount) for each in content.totals.taxes] == [
            ("high", 4000, 800),
            ("vat", 8000, 800),
        ]
        assert total(content) == "136.00"

    def test_is_used_in_whole_minor_units(self) -> None:
        """Of 0.0149 one cent can be paid by credit; half a cent is rounded away."""
        content = content_of(
            flat("a", "0.0149"), credit_minor=500, billing={"rounding": "invoice"}
        )
        assert (content.totals.credit_minor, content.total_minor) == (1, 0)


class TestTaxes:
    def test_prices_may_have_the_tax_in_them(self) -> None:
        """119.00 with 19 % inside is 100.00 and 19.00, and 119.00 to pay."""
        content = content_of(flat("base", "119"), taxes=[tax("19", mode="inclusive")])
        (group,) = content.totals.taxes
        assert (group.base, group.amount) == (10000, 1900)
        assert total(content) == "119.00"

    @pytest.mark.parametrize("treatment", [TaxTreatment.EXEMPT, TaxTreatment.REVERSE_CHARGE])
    def test_nobody_pays_it_here(self, treatment: TaxTreatment) -> None:
        """The row stays with a rate of 0, so that the document can say why."""
        content = content_of(
            flat("base", "100"), taxes=TEN, customer={"tax": {"treatment": treatment}}
        )
        (group,) = content.totals.taxes
        assert (group.code, str(group.rate), group.base, group.amount) == ("vat", "0", 10000, 0)
        assert content.terms.taxes.treatment is treatment
        assert total(content) == "100.00"

    def test_the_region_has_its_own_rate(self) -> None:
        """A customer of Quebec pays what holds there, others what holds everywhere."""
        rates = [tax("5", code="gst"), tax("14.975", code="qst", region="QC")]
        at_home = content_of(flat("base", "100"), taxes=rates, customer={"tax": {"region": "QC"}})
        assert (total(at_home), total(content_of(flat("base", "100"), taxes=rates))) == (
            "114.98",
            "105.00",
        )

    def test_the_standard_category_without_a_rate_is_free_of_tax(self) -> None:
        """Its lines have a row of their own, so that the bases add up to the subtotal."""
        books = BillingBooks()
        books.agreed(flat("a", "100", tax="books"), taxes=[tax("10", category="books")])
        books.item(5000)
        assert [(each.code, each.base, each.amount) for each in books.content().totals.taxes] == [
            ("", 5000, 0),
            ("vat", 10000, 1000),
        ]

    @pytest.mark.parametrize(("rounding", "tax_minor"), [("group", 1), ("line", 2)])
    def test_is_rounded_per_tax_or_per_line(self, rounding: str, tax_minor: int) -> None:
        """Two lines of 0.05 at 10 %: a cent together, or half a cent each, rounded up."""
        content = content_of(
            flat("a", "0.05"),
            flat("b", "0.05"),
            taxes=TEN,
            billing={"tax_rounding": rounding},
        )
        assert tax_minor == content.totals.tax == sum(line.tax_amount for line in content.lines)

    def test_lines_bear_the_tax_of_their_group(self) -> None:
        """Three lines of 0.33 at 10 % bear a tenth of 0.99, rounded once."""
        content = content_of(flat("a", "0.33"), flat("b", "0.33"), flat("c", "0.33"), taxes=TEN)
        assert [line.tax_amount for line in content.lines] == [3, 4, 3]
        assert content.totals.tax == 10


class TestTotal:
    def test_below_zero_it_is_carried(self) -> None:
        """Corrections of -150.00 on a fee of 100.00 and 10 %: 0.00, and 55.00 are carried."""
        books = BillingBooks()
        books.agreed(flat("base", "100"), per_call("calls", "1"), taxes=TEN)
        first = books.billed(usage={"calls": "150"})
        again = books.content(terms=first.terms, usage={"calls": "0"}, positions=(11, 20))
        assert books.correct(again).code == ""
        content = books.content()
        assert [line.net for line in content.lines] == [10000, 0, -15000]
        totals = content.totals
        assert (totals.tax, totals.total, totals.total_minor, totals.carry_minor) == (
            *(-500, -5500, 0),
            5500,
        )

    def test_is_exact_before_its_rounding(self) -> None:
        """21 of 31 days of 1.00 have no last digit: the line says 18 places, and rounds once."""
        content = content_of(
            flat("base", "1"),
            subscription={"start": "2025-01-11T00:00:00Z", "cycle": "calendar"},
            billing={"rounding": "invoice"},
        )
        assert content.lines[0].amount_unrounded == "0.677419354838709677"
        assert content.lines[0].amount == round(Fraction(21 * 10**6, 31))
