"""What a catalogue may say of billing, taxes and discounts, and what it may not."""

from decimal import Decimal

import pytest

from domain.billing_terms import (
    DEFAULT_TERMS,
    BillingTerms,
    Credits,
    Discount,
    DiscountKind,
    Fees,
    Rounding,
    Seller,
    TaxMode,
    TaxRate,
    TaxTreatment,
    billing_from_fields,
    discount_from_fields,
    tax_from_fields,
    tax_problems,
)
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.invoice_taxes import resolved_taxes


def fields(place: str, **values: Json) -> Fields:
    return Fields(place, values, Code.CATALOGUE_INVALID)


def refusal_of(place: str, values: dict[str, Json]) -> Rejected:
    read = {
        "billing": billing_from_fields,
        "tax": tax_from_fields,
        "discount": discount_from_fields,
    }[place]
    with pytest.raises(Rejected) as caught:
        read(fields(place, **values))
    assert caught.value.code is Code.CATALOGUE_INVALID
    return caught.value


class TestBilling:
    def test_nothing_said_is_the_defaults(self) -> None:
        """30 days, 24 hours, one seller with INV-, lines rounded, fees in arrears."""
        made = billing_from_fields(fields("billing"))
        assert made == DEFAULT_TERMS == BillingTerms()
        assert (made.due_days, made.grace_hours, made.rounding) == (30, 24, Rounding.LINE)
        assert (made.fees, made.credits) == (Fees.IN_ARREARS, Credits.BEFORE_TAX)
        assert made.sellers == (Seller(),)

    def test_reads_everything(self) -> None:
        """A seller without a prefix has that of the whole."""
        made = billing_from_fields(
            fields(
                "billing",
                rounding="invoice",
                invoice_prefix="R-",
                due_days=14,
                grace_hours=0,
                fees="in_advance",
                cycle="calendar",
                zero_invoices="skip",
                corrections="credit_note",
                auto_invoice=False,
                credits="after_tax",
                usage_lines=False,
                tax_rounding="line",
                default_currency="EUR",
                usage_warning_percent=90,
                sellers=[
                    {
                        "key": "de",
                        "name": "Acme GmbH",
                        "address": ["Weg 1", "10115 Berlin"],
                        "country": "DE",
                        "tax_id": "DE123",
                        "email": "billing@example.com",
                    }
                ],
            )
        )
        assert made.default_seller == Seller(
            *("de", "Acme GmbH", ("Weg 1", "10115 Berlin"), "DE", "DE123", "billing@example.com"),
            prefix="R-",
        )
        assert (made.grace_hours, made.auto_invoice, made.default_currency) == (0, False, "EUR")
        assert (made.credits, made.usage_lines) == (Credits.AFTER_TAX, False)

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"stray": 1}, "billing.stray"),
            ({"rounding": "never"}, "billing.rounding"),
            ({"due_days": -1}, "billing.due_days"),
            ({"due_days": 366}, "billing.due_days"),
            ({"due_days": "30"}, "billing.due_days"),
            ({"grace_hours": 745}, "billing.grace_hours"),
            ({"invoice_prefix": "inv-"}, "billing.invoice_prefix"),
            ({"invoice_prefix": "INV"}, "billing.invoice_prefix"),
            ({"invoice_prefix": "A-B-"}, "billing.invoice_prefix"),
            ({"default_currency": "ABC"}, "billing.default_currency"),
            ({"usage_warning_percent": 0}, "billing.usage_warning_percent"),
            ({"auto_invoice": "yes"}, "billing.auto_invoice"),
            ({"credits": "never"}, "billing.credits"),
            ({"usage_lines": "no"}, "billing.usage_lines"),
            ({"sellers": [{"key": "a"}]}, "billing.sellers[0].name"),
            ({"sellers": [{"key": "a", "name": "A", "country": "Canada"}]}, "country"),
            ({"sellers": [{"key": "a", "name": "A", "address": list("abcdefg")}]}, "address"),
        ],
    )
    def test_names_the_place_of_what_is_wrong(self, values: dict[str, Json], place: str) -> None:
        """catalogue_invalid, with the field."""
        assert place in refusal_of("billing", values).reason

    @pytest.mark.parametrize(
        ("second", "place"),
        [
            ({"key": "a", "prefix": "B-", "credit_note_prefix": "CB-"}, "key"),
            ({"key": "b", "credit_note_prefix": "CB-"}, "prefix"),
            ({"key": "b", "prefix": "B-"}, "credit_note_prefix"),
            ({"key": "b", "prefix": "CN-", "credit_note_prefix": "CB-"}, "prefix"),
            ({"key": "b", "prefix": "B-", "credit_note_prefix": "INV-"}, "credit_note_prefix"),
            ({"key": "b", "prefix": "B-", "credit_note_prefix": "B-"}, "credit_note_prefix"),
            ({"key": "b", "prefix": "RCP-", "credit_note_prefix": "CB-"}, "prefix"),
        ],
    )
    def test_no_two_documents_share_numbers(self, second: dict[str, Json], place: str) -> None:
        """Neither of two sellers, nor of two kinds, nor with the receipts."""
        sellers: list[Json] = [{"key": "a", "name": "A"}, {"name": "B", **second}]
        refused = refusal_of("billing", {"sellers": sellers})
        assert refused.fields["param"] == f"billing.sellers[1].{place}"

    def test_the_prefix_of_the_only_seller_is_no_other_s(self) -> None:
        """Who lists no seller is told of the field there is."""
        refused = refusal_of("billing", {"invoice_prefix": "CN-"})
        assert refused.fields["param"] == "billing.invoice_prefix"


class TestTax:
    def test_reads_a_rate(self) -> None:
        """Category and mode have defaults."""
        made = tax_from_fields(fields("tax", code="gst", name="GST", rate="5"))
        assert made == TaxRate("gst", "GST", "standard", "", Decimal(5), TaxMode.EXCLUSIVE)

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"rate": "100.01"}, "tax.rate"),
            ({"rate": "-1"}, "tax.rate"),
            ({"rate": 10}, "tax.rate"),
            ({"mode": "both"}, "tax.mode"),
            ({"code": ""}, "tax.code"),
            ({"stray": 1}, "tax.stray"),
            ({"region": "de"}, "tax.region"),
            ({"region": "D E"}, "tax.region"),
            ({"region": "CA-QC-1"}, "tax.region"),
        ],
    )
    def test_names_the_place_of_what_is_wrong(self, values: dict[str, Json], place: str) -> None:
        """catalogue_invalid, with the field."""
        good: dict[str, Json] = {"code": "gst", "name": "GST", "rate": "5"}
        assert place in refusal_of("tax", good | values).reason

    def test_contradictions_are_found(self) -> None:
        """Two rates of a place, and a code with two meanings; the same meaning twice is none."""

        def rate(code: str, region: str, percent: int) -> TaxRate:
            amount = Decimal(percent)
            return TaxRate(code, "T", "standard", region, amount, TaxMode.EXCLUSIVE)

        catalogue = fields("catalogue")
        assert tax_problems(catalogue, [rate("a", "", 5), rate("a", "QC", 5)]) == ()
        assert len(tax_problems(catalogue, [rate("a", "", 5), rate("b", "", 6)])) == 1
        assert len(tax_problems(catalogue, [rate("a", "", 5), rate("a", "QC", 6)])) == 1

    def test_the_region_goes_first_whatever_the_order(self) -> None:
        """And a region without a rate has that of everywhere."""
        rates = [
            TaxRate("all", "All", "standard", "", Decimal(5), TaxMode.EXCLUSIVE),
            TaxRate("qc", "Quebec", "standard", "QC", Decimal(15), TaxMode.EXCLUSIVE),
            TaxRate("on", "Ontario", "books", "ON", Decimal(13), TaxMode.EXCLUSIVE),
        ]
        for ordered in (rates, rates[::-1]):
            for region, codes in (("QC", ["qc"]), ("ON", ["on", "all"]), ("", ["all"])):
                terms = resolved_taxes(
                    rates=ordered, treatment=TaxTreatment.STANDARD, region=region
                )
                assert codes == [each.code for each in terms.categories]


class TestDiscount:
    def test_reads_a_discount(self) -> None:
        """For good and for every price, unless it says otherwise."""
        made = discount_from_fields(
            fields("discount", code="a", name="A", kind="percent", value="20")
        )
        assert made == Discount("a", "A", DiscountKind.PERCENT, Decimal(20))

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"kind": "half"}, "discount.kind"),
            ({"value": "0"}, "discount.value"),
            ({"value": "100.1"}, "discount.value"),
            ({"value": "-5"}, "discount.value"),
            ({"periods": -1}, "discount.periods"),
            ({"kind": "free_units", "value": "5"}, "discount.prices"),
            ({"kind": "free_units", "prices": ["a", "b"]}, "discount.prices"),
            ({"prices": ["a", "a"]}, "discount.prices"),
            ({"stray": 1}, "discount.stray"),
        ],
    )
    def test_names_the_place_of_what_is_wrong(self, values: dict[str, Json], place: str) -> None:
        """catalogue_invalid, with the field."""
        good: dict[str, Json] = {"code": "a", "name": "A", "kind": "percent", "value": "20"}
        assert place in refusal_of("discount", good | values).reason

    def test_an_amount_may_be_more_than_a_hundred(self) -> None:
        """Only percentages end there."""
        values: dict[str, Json] = {"code": "a", "name": "A", "kind": "amount", "value": "500"}
        assert discount_from_fields(fields("discount", **values)).value == 500
