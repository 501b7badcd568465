"""Electronic invoices: valid by the norm's own XSD and schematron, and equal to the content."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import facturx
import pytest

from api import invoice_hybrid, invoice_pdf
from api.einvoice import cii
from api.einvoice.figures import invoice_figures
from api.invoice_document import (
    BuyerDetails,
    CreditNoteDocument,
    DocumentStatus,
    InvoiceDocument,
)
from api.invoice_words import language
from cli.catalogue_file import check_file
from domain.billing_terms import DiscountKind, TaxMode, TaxTreatment
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice_taxes import LineTax, resolved_taxes
from domain.invoice_terms import GrantedDiscount
from tests.support import billing, checkout
from tests.support import invoice_documents as documents
from tests.support.en16931 import amounts, broken_rules
from tests.support.invoice_documents import (
    catalogue,
    content,
    correction,
    invoice,
    item,
    noted,
    tax,
)

VAT = catalogue(taxes=[tax()])
OLD_TAX = LineTax("vat", "VAT", Decimal(16), TaxMode.INCLUSIVE, TaxTreatment.STANDARD)
ABROAD = LineTax("vat", "VAT", Decimal(0), TaxMode.EXCLUSIVE, TaxTreatment.REVERSE_CHARGE)
FIVE_YEN: tuple[Json, ...] = tuple(
    {"key": key, "name": key, "form": "flat", "amount": "5"} for key in ("one", "two", "three")
)
LAUNCH = GrantedDiscount("launch", "Launch", DiscountKind.PERCENT, Decimal(20), ("base",), 2)


def domestic() -> InvoiceDocument:
    """Germany to Germany, 19 %: a discount, a correction, an item and account credit."""
    made = content(
        VAT,
        discounts=(LAUNCH,),
        items=(correction(-1250), item(5000, number=2)),
        promotion_minor=10_000,
    )
    return invoice(made, buyer=documents.GERMAN, numbers={"inv_0": "INV-2024-000012"})


def reverse_charge() -> InvoiceDocument:
    """Germany to France: the buyer pays the tax."""
    return invoice(content(VAT, treatment=TaxTreatment.REVERSE_CHARGE))


def eu_example(
    *, treatment: TaxTreatment = TaxTreatment.STANDARD, buyer: BuyerDetails = documents.GERMAN
) -> InvoiceDocument:
    """The shipped catalogue: five seats, a handbook at 7 %, and 12,345 calls."""
    prices = check_file(checkout.ROOT / "deploy" / "catalogues" / "eu_example.yaml").catalogue
    assert prices is not None
    billed = billing.period("2025-01-01", "2025-02-01")
    part = billing.segment(prices=prices, billed=billed, plan_code="team", seats=5)
    taxes = resolved_taxes(rates=prices.taxes, treatment=treatment, region="")
    made = billing.content_of(
        prices=prices,
        billed=billed,
        rows=[billing.window("api_calls", value="12345")],
        terms=replace(billing.terms_of(part, prices=prices), taxes=taxes),
    )
    return invoice(made, seller=prices.billing.default_seller, buyer=buyer)


def note() -> CreditNoteDocument:
    return documents.credit_note(
        domestic(),
        lines=(
            noted("fee/base", 50_000, 9_500),
            noted("0/overage", 1_000, 190, label="AI credits, outage"),
        ),
        net_minor=51_000,
        tax_minor=9_690,
    )


def promoted_note(*, mode: str = "exclusive", credits_: str = "before_tax") -> CreditNoteDocument:
    """80.00 of calls for 130.00, of which promotions of 100.00 paid a part; 19 %."""
    calls: dict[str, Json] = {"key": "calls", "form": "per_unit", "meter": "credits", "rate": "1"}
    made = content(
        catalogue(prices=[calls | {"name": "Calls"}], taxes=[tax(mode=mode)], credits_=credits_),
        used="130",
        promotion_minor=10_000,
    )
    money, promotion = DRAWN_TAX[mode, credits_]
    line = noted(
        "0/calls",
        8_000,
        money + promotion,
        promotion_minor=5_000,
        promotion_tax_minor=promotion,
    )
    return documents.credit_note(
        invoice(made),
        lines=(line,),
        net_minor=8_000 - (0 if mode == "exclusive" else line.tax_minor),
        tax_minor=line.tax_minor,
        promotion_minor=5_000 + (promotion if mode == "exclusive" else 0),
    )


DRAWN_TAX = {
    ("exclusive", "before_tax"): (570, 0),
    ("exclusive", "after_tax"): (570, 950),
    ("inclusive", "before_tax"): (479, 0),
    ("inclusive", "after_tax"): (479, 798),
}
"""Tax of 30.00 in money and of the 50.00 that promotions paid, by mode and policy."""
DOCUMENTS: dict[str, Callable[[], InvoiceDocument | CreditNoteDocument]] = {
    "domestic 19 %": domestic,
    "reverse charge DE to FR": reverse_charge,
    "EU example, within Germany": eu_example,
    "EU example, DE to FR": lambda: eu_example(
        treatment=TaxTreatment.REVERSE_CHARGE, buyer=documents.FRENCH
    ),
    "exempt": lambda: invoice(content(VAT, treatment=TaxTreatment.EXEMPT)),
    "tax in the price, with credit": lambda: invoice(
        content(catalogue(taxes=[tax(mode="inclusive")]), promotion_minor=777, discounts=(LAUNCH,))
    ),
    "six decimals": lambda: invoice(
        content(catalogue(rounding="invoice", taxes=[tax("7.7")]), used="1234567.891")
    ),
    "credit after tax": lambda: invoice(
        content(catalogue(credits_="after_tax", taxes=[tax()]), promotion_minor=5_000)
    ),
    "promotions, money, and corrections of other taxes": lambda: invoice(
        content(
            VAT,
            items=(
                replace(correction(-20_000), taxed=OLD_TAX),
                replace(correction(-1_250), item="itm_2", taxed=ABROAD),
            ),
            promotion_minor=777,
            money_minor=5_000,
        )
    ),
    "four kinds of tax": lambda: invoice(
        content(
            catalogue(
                taxes=[
                    tax(),
                    tax("0", code="zero", category="books"),
                    tax("7", code="low", category="low"),
                ]
            ),
            items=(
                item(1_000, category="books"),
                item(999, category="low", number=2),
                item(500, category="none", number=3),
            ),
            promotion_minor=33,
        )
    ),
    "two taxes of one rate": lambda: invoice(
        content(
            catalogue(taxes=[tax(), tax(code="services", category="services")]),
            items=(item(1_000, category="services"),),
        )
    ),
    "below zero": lambda: invoice(content(VAT, items=(correction(-10_000_000),))),
    "yen": lambda: invoice(content(catalogue(currency="JPY", taxes=[tax("10")]))),
    "200 lines": lambda: invoice(documents.many_lines(200, taxes=[tax()])),
    "credit note": note,
    "credit note, promotions before tax": promoted_note,
    "credit note, promotions after tax": lambda: promoted_note(credits_="after_tax"),
    "credit note, promotions before tax inside": lambda: promoted_note(mode="inclusive"),
    "credit note, promotions after tax inside": lambda: promoted_note(
        mode="inclusive", credits_="after_tax"
    ),
    "yen taxed line by line": lambda: invoice(
        content(catalogue(currency="JPY", prices=FIVE_YEN, taxes=[tax("10")], tax_rounding="line"))
    ),
    "hostile texts": lambda: replace(
        domestic(),
        buyer=replace(
            documents.GERMAN, name="<b>&amp;\ufffe]]> 潮位 😀", address=("A" * 200,) * 6
        ),
    ),
}


class TestTheNorm:
    @pytest.mark.parametrize("name", DOCUMENTS)
    def test_is_kept(self, name: str) -> None:
        xml = cii.to_cii(DOCUMENTS[name]())
        assert [] == broken_rules(xml)

    def test_would_not_be_kept_by_another_amount(self) -> None:
        """So that the rules above are known to bite."""
        xml = cii.to_cii(domestic()).replace("9624.13", "9624.14")
        assert "BR-CO-15" in broken_rules(xml)


class TestAmounts:
    @pytest.mark.parametrize("name", [name for name in DOCUMENTS if "credit note" not in name])
    def test_are_those_of_the_content(self, name: str) -> None:
        document = DOCUMENTS[name]()
        assert isinstance(document, InvoiceDocument)
        made, figures = document.content, invoice_figures(document)
        assert made.total_minor == figures.due
        lines = figures.line_total - figures.allowance_total + figures.charge_total
        assert lines == figures.base_total
        if name == "yen taxed line by line":
            assert (15, 15, 3) == (figures.line_total, figures.charge_total, figures.tax_total)
        elif name != "six decimals":
            assert made.totals.tax == figures.tax_total
            assert 0 == figures.rounding
        if all(group.mode is TaxMode.EXCLUSIVE for group in made.totals.taxes) and (
            name != "six decimals"
        ):
            assert [line.net for line in made.lines] == [line.net for line in figures.lines]

    def test_of_the_domestic_example_stand_in_the_document(self) -> None:
        assert {
            "LineTotalAmount": Decimal("8187.50"),
            "AllowanceTotalAmount": Decimal("100.00"),
            "TaxBasisTotalAmount": Decimal("8087.50"),
            "TaxTotalAmount": Decimal("1536.63"),
            "GrandTotalAmount": Decimal("9624.13"),
            "DuePayableAmount": Decimal("9624.13"),
        } == amounts(cii.to_cii(domestic()))

    def test_of_the_eu_example_have_both_rates(self) -> None:
        """49.00, two seats of 9.00 and 2,345 calls of 0.80 at 19 %, 10.00 at 7 %."""
        found = amounts(cii.to_cii(eu_example()))
        assert (found["TaxBasisTotalAmount"], found["TaxTotalAmount"]) == (
            Decimal("78.88"),
            Decimal("13.79"),  # 13.09 of 68.88, and 0.70
        )

    def test_of_the_reverse_charge_have_no_tax(self) -> None:
        xml = cii.to_cii(reverse_charge())
        assert "<ram:CategoryCode>AE</ram:CategoryCode>" in xml
        assert "VATEX-EU-AE" in xml
        found = amounts(xml)
        assert Decimal(0) == found["TaxTotalAmount"]
        assert Decimal("9950.00") == found["DuePayableAmount"]

    def test_of_credit_on_prices_with_tax_lose_the_tax(self) -> None:
        """7.77 with 19 % inside are 6.53 without."""
        xml = cii.to_cii(DOCUMENTS["tax in the price, with credit"]())
        assert Decimal("6.53") == amounts(xml)["AllowanceTotalAmount"]

    @pytest.mark.parametrize("name", DOCUMENTS)
    def test_of_a_line_are_its_quantity_times_its_price(self, name: str) -> None:
        """Less its allowances; the schematron does not multiply, readers do."""
        root = ET.fromstring(cii.to_cii(DOCUMENTS[name]()))  # noqa: S314 -- our own
        lines = root.findall(".//ram:IncludedSupplyChainTradeLineItem", cii.NAMESPACES)
        assert lines
        for line in lines:
            price, quantity, net = (
                Decimal(line.findtext(f".//ram:{tag}", "", cii.NAMESPACES))
                for tag in ("ChargeAmount", "BilledQuantity", "LineTotalAmount")
            )
            allowances = line.findall(".//ram:ActualAmount", cii.NAMESPACES)
            off = sum(Decimal(each.text or "") for each in allowances)
            assert price >= 0
            assert net == quantity * price - off

    def test_of_one_rate_are_one_row(self) -> None:
        xml = cii.to_cii(DOCUMENTS["two taxes of one rate"]())
        assert 1 == xml.count("<ram:CalculatedAmount>")

    def test_are_for_a_period_by_its_last_day(self) -> None:
        xml = cii.to_cii(domestic())
        assert '<ram:EndDateTime><udt:DateTimeString format="102">20250131<' in xml
        assert "20250201" not in xml.partition("</rsm:ExchangedDocument>")[2]

    def test_of_a_credit_note_are_its_own(self) -> None:
        xml = cii.to_cii(note())
        assert "<ram:TypeCode>381</ram:TypeCode>" in xml
        assert "<ram:IssuerAssignedID>INV-2025-000001</ram:IssuerAssignedID>" in xml
        assert Decimal("606.90") == amounts(xml)["DuePayableAmount"]

    @pytest.mark.parametrize(
        ("mode", "credits_", "figures"),
        [
            ("exclusive", "before_tax", ("80.00", "50.00", "30.00", "5.70", "0.00", "35.70")),
            ("exclusive", "after_tax", ("80.00", "0.00", "80.00", "15.20", "59.50", "35.70")),
            ("inclusive", "before_tax", ("67.23", "42.02", "25.21", "4.79", "0.00", "30.00")),
            ("inclusive", "after_tax", ("67.23", "0.00", "67.23", "12.77", "50.00", "30.00")),
        ],
    )
    def test_of_a_credit_note_mirror_how_promotions_paid(
        self, mode: str, credits_: str, figures: tuple[str, ...]
    ) -> None:
        """What they paid before the tax has none; what is due is what comes back as money."""
        xml = cii.to_cii(promoted_note(mode=mode, credits_=credits_))
        found = amounts(xml)
        names = (
            *("LineTotalAmount", "AllowanceTotalAmount", "TaxBasisTotalAmount"),
            *("TaxTotalAmount", "TotalPrepaidAmount", "DuePayableAmount"),
        )
        assert figures == tuple(str(found.get(name, Decimal("0.00"))) for name in names)
        assert "come back as promotions" in xml


class TestIncompleteDocuments:
    @pytest.mark.parametrize(
        ("document", "words"),
        [
            (invoice(content(VAT), buyer=BuyerDetails("acme")), "the buyer's name"),
            (replace(domestic(), status=DocumentStatus.DRAFT), "a final invoice"),
            (replace(domestic(), status=DocumentStatus.VOID), "a final invoice"),
            (
                replace(domestic(), seller=replace(documents.SELLER, tax_id="")),
                "the seller's tax_id",
            ),
            (
                replace(reverse_charge(), buyer=replace(documents.FRENCH, tax_id="123")),
                "the buyer's VAT number",
            ),
            (invoice(content(catalogue(currency="KWD"))), "a currency of at most 2"),
        ],
    )
    def test_are_refused_with_what_they_lack(self, document: InvoiceDocument, words: str) -> None:
        with pytest.raises(Rejected, match=re.escape(words)) as refused:
            cii.to_cii(document)
        assert Code.EINVOICE_INCOMPLETE is refused.value.code
        assert "" == cii.to_cii_or_nothing(document, is_required=False)


class TestTheHybrid:
    @pytest.mark.parametrize("name", ["domestic 19 %", "credit note", "hostile texts"])
    def test_holds_the_same_document_and_the_same_bytes(self, name: str) -> None:
        document = DOCUMENTS[name]()
        xml = cii.to_cii(document)
        page = invoice_pdf.to_page(document, language("de"))
        made = invoice_hybrid.to_hybrid(page, xml, at=document.issued_at)
        assert made == invoice_hybrid.to_hybrid(page, xml, at=document.issued_at)
        name, found = facturx.get_facturx_xml_from_pdf(made)
        assert ("factur-x.xml", xml) == (name, found.decode())

    def test_says_what_it_is_in_its_metadata(self) -> None:
        """PDF/A-3b and Factur-X, EN 16931, in XMP that is XML."""
        document = domestic()
        page = invoice_pdf.to_page(document, language("en"))
        made = invoice_hybrid.to_hybrid(page, cii.to_cii(document), at=document.issued_at)
        last = made[made.rindex(b"<x:xmpmeta") : made.rindex(b"</x:xmpmeta>") + 12].decode()
        ET.fromstring(last)  # noqa: S314 -- our own
        for text in (
            *("<pdfaid:part>3</pdfaid:part>", "<pdfaid:conformance>B</pdfaid:conformance>"),
            *("<fx:ConformanceLevel>EN 16931<", "<fx:DocumentFileName>factur-x.xml<"),
            f"<pdfaSchema:namespaceURI>{invoice_hybrid.NAMESPACE}<",
        ):
            assert text in last, text
