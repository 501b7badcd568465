"""Invoices as pages: the same bytes, the books' amounts, and nothing of a customer as markup."""

import re
from dataclasses import replace
from decimal import Decimal
from io import BytesIO

import pypdf
import pytest
from babel import Locale
from babel.numbers import format_decimal

from api import invoice_pdf
from api.glyphs import plain
from api.invoice_document import BuyerDetails, DocumentStatus, InvoiceDocument
from api.invoice_pages import STEPS_MAX
from api.invoice_words import WORDS, language
from domain.billing_terms import DiscountKind, TaxTreatment
from domain.errors import Rejected
from domain.invoice_terms import GrantedDiscount
from tests.support import invoice_documents as documents

ENGLISH = language("en")
VAT = documents.catalogue(taxes=[documents.tax()])
LAUNCH = GrantedDiscount("launch", "Launch", DiscountKind.PERCENT, Decimal(20), ("base",), 2)


def full() -> InvoiceDocument:
    """An invoice with a discount, an item, a correction, credit and tax."""
    made = documents.content(
        VAT,
        discounts=(LAUNCH,),
        items=(documents.correction(-1250), documents.item(5000, number=2)),
        promotion_minor=10_000,
    )
    return documents.invoice(made, numbers={"inv_0": "INV-2024-000012"})


def text_of(document: object, locale: str = "en") -> str:
    """What a reader of the PDF gets, in one line."""
    assert isinstance(document, invoice_pdf.Document)
    page = invoice_pdf.to_page(document, language(locale))
    made = invoice_pdf.to_pdf(page, at=document.issued_at)
    reader = pypdf.PdfReader(BytesIO(made))
    text = " ".join(part.extract_text() for part in reader.pages)
    return re.sub(r"\s+", " ", text.replace("\u200b", ""))


class TestAnInvoice:
    def test_is_the_same_bytes_for_the_same_document(self) -> None:
        page = invoice_pdf.to_page(full(), ENGLISH)
        at = full().issued_at
        made = invoice_pdf.to_pdf(page, at=at)
        assert made == invoice_pdf.to_pdf(page, at=at)
        assert made == invoice_pdf.render(page, at=at)

    def test_shows_every_amount_of_its_content(self) -> None:
        """9,000 less 20 % and 950 of usage, -12.50 and 50: 8,187.50; 100 of credit; 19 %."""
        text = text_of(full())
        for shown in (
            *("INV-2025-000001", "Tidewater Metering GmbH", "Société Générale d’Exemple SARL"),
            *("9,000.00", "-1,800.00", "950.00", "-12.50", "EUR 8,187.50", "EUR -100.00"),
            *("8,087.50", "EUR 1,536.63", "EUR 9,624.13", "250,000 × 0.002 = 500.00"),
            *("Corrects INV-2024-000012, line 0/overage", "Jan 1, 2025 – Jan 31, 2025"),
            "Please pay by March 3, 2025",
        ):
            assert shown in text, shown

    def test_takes_its_words_and_figures_from_the_locale(self) -> None:
        text = text_of(full(), "de")
        for shown in ("Rechnung", "9.624,13 EUR", "Zwischensumme", "3. März 2025", "Frankreich"):
            assert shown in text, shown

    @pytest.mark.parametrize(
        ("currency", "total"),
        [("JPY", "JPY 9,950"), ("EUR", "EUR 9,950.00"), ("KWD", "9,950.000")],
    )
    def test_writes_as_many_decimals_as_its_currency_has(self, currency: str, total: str) -> None:
        made = documents.content(documents.catalogue(currency=currency))
        assert total in text_of(documents.invoice(made))

    def test_shows_lines_of_six_decimals_where_the_total_alone_is_rounded(self) -> None:
        made = documents.content(documents.catalogue(rounding="invoice"), used="1000000.123")
        text = text_of(documents.invoice(made))
        assert "0.000246" in text
        assert "EUR 9,000.00" in text

    @pytest.mark.parametrize(
        ("treatment", "words"),
        [
            (TaxTreatment.REVERSE_CHARGE, "Reverse charge: VAT is to be paid by the recipient"),
            (TaxTreatment.EXEMPT, "Exempt from tax"),
        ],
    )
    def test_says_why_there_is_no_tax(self, treatment: TaxTreatment, words: str) -> None:
        text = text_of(documents.invoice(documents.content(VAT, treatment=treatment)))
        assert words in text
        assert "VAT 0 %" in text

    def test_that_is_void_says_so_across_the_page(self) -> None:
        text = text_of(replace(full(), status=DocumentStatus.VOID, void_reason="Issued twice"))
        assert "VOID" in text
        assert "This invoice is void: Issued twice" in text
        assert "Please pay" not in text

    def test_that_is_a_preview_is_provisional_and_has_no_number(self) -> None:
        made = replace(full(), status=DocumentStatus.DRAFT, number="", invoice="")
        text = text_of(made)
        assert "PROVISIONAL" in text
        assert "This is no invoice" in text
        assert "Due date" not in text

    def test_that_was_paid_in_part_says_what_is_open(self) -> None:
        text = text_of(replace(full(), paid_minor=100_000, open_minor=862_413))
        assert "EUR -1,000.00" in text
        assert "EUR 8,624.13" in text

    def test_that_is_paid_asks_for_nothing(self) -> None:
        paid = replace(full(), status=DocumentStatus.PAID, paid_minor=962_413, open_minor=0)
        text = text_of(paid)
        assert "Nothing is to be paid" in text
        assert "Please pay" not in text

    def test_shows_what_a_discount_takes_off_its_line(self) -> None:
        lines = invoice_pdf.to_page(full(), ENGLISH)["lines"]
        assert isinstance(lines, list)
        assert [["Launch", "-1,800.00"]] == lines[0]["discounts"]

    def test_of_200_lines_repeats_its_head_and_counts_its_pages(self) -> None:
        made = documents.invoice(documents.many_lines(200))
        page = invoice_pdf.to_page(made, ENGLISH)
        reader = pypdf.PdfReader(BytesIO(invoice_pdf.to_pdf(page, at=made.issued_at)))
        pages = [re.sub(r"\s+", " ", part.extract_text()) for part in reader.pages]
        assert len(pages) > 5
        for number, text in enumerate(pages, start=1):
            assert f"Page {number} of {len(pages)}" in text
            assert "INV-2025-000001" in text
        assert all("Quantity" in text for text in pages[:-1])
        labels = {f"Requests of region {number:03}" for number in range(100)}
        assert all(label in " ".join(pages) for label in labels)

    def test_prints_a_bounded_number_of_steps(self) -> None:
        line = full().content.lines[1]
        long = replace(line, steps=line.steps * (STEPS_MAX + 7))
        made = replace(full(), content=replace(full().content, lines=(long,)))
        text = text_of(made)
        assert f"and {2 * (STEPS_MAX + 7) - STEPS_MAX} more steps" in text

    def test_without_details_of_its_buyer_shows_the_id(self) -> None:
        text = text_of(replace(full(), buyer=BuyerDetails("cus_7")))
        assert "Bill to cus_7" in text


class TestACorrectionOfASkippedPeriod:
    def test_says_its_time_and_no_internal_id(self) -> None:
        """Such a period has no invoice with a number, and its id is for machines."""
        text = text_of(replace(full(), numbers={}))
        assert "Dec 1, 2024 – Dec 31, 2024 Corrects a period that had no invoice" in text
        assert "inv_0" not in text


class TestACreditNote:
    def test_names_its_invoice_and_lines(self) -> None:
        note = documents.credit_note(
            full(),
            lines=(documents.noted("0/overage", 1000, 190),),
            net_minor=1000,
            tax_minor=190,
        )
        text = text_of(note)
        for shown in (
            *("Credit note", "CN-2025-000001", "For invoice", "INV-2025-000001, February 1, 2025"),
            *("AI credits", "Corrects INV-2025-000001, line 0/overage", "10.00", "1.90"),
            *("EUR 11.90", "Outage of 12 January", "Taken off the open amount"),
        ):
            assert shown in text, shown
        assert "promotions" not in text

    def test_says_what_comes_back_as_money_and_what_as_promotions(self) -> None:
        note = documents.credit_note(
            full(),
            lines=(documents.noted("0/overage", 8000, 570, promotion_minor=5000),),
            net_minor=8000,
            tax_minor=570,
            promotion_minor=5000,
        )
        text = text_of(note)
        for shown in (
            "As money 30.00, tax 5.70; as promotions 50.00, tax 0.00",
            *("Total credited EUR 85.70", "Of it back as promotions EUR 50.00"),
            *("Of it back as money, with its tax EUR 35.70", "VAT 19 % 30.00 5.70"),
            "Taken off the open amount EUR 35.70",
        ):
            assert shown in text, shown
        assert "Added to account credit" not in text


class TestHostileTexts:
    @pytest.mark.parametrize(
        "name",
        [
            '#read("/etc/passwd")',
            "#panic()",
            "<script>alert(1)</script>",
            "*bold* _x_ $y$ \\ ` @label <label>",
            "{page} {pages}",
            "%PDF (x) >> endobj",
        ],
    )
    def test_are_shown_as_they_are(self, name: str) -> None:
        text = text_of(replace(full(), buyer=replace(documents.FRENCH, name=name)))
        assert re.sub(r"\s+", " ", name) in text
        assert "root:" not in text

    @pytest.mark.parametrize("mark", "\u202e\u202d\u2066\u2067\u200f\u200e\u061c\ufeff\x9b")
    def test_cannot_turn_what_follows(self, mark: str) -> None:
        assert "txt.exe" == plain(f"{mark}txt{mark}.exe")

    @pytest.mark.parametrize("name", ["A" * 200, "漢" * 200, "م" * 200, "W" * 27 + " x"])
    def test_of_200_characters_stay_within_their_column(self, name: str) -> None:
        made = replace(full(), buyer=replace(documents.FRENCH, name=name))
        page = invoice_pdf.to_page(made, ENGLISH)
        reader = pypdf.PdfReader(BytesIO(invoice_pdf.to_pdf(page, at=made.issued_at)))
        assert 1 == len(reader.pages)
        assert all(len(word) <= 28 or "\u200b" in word for word in plain(name).split())

    @pytest.mark.parametrize("name", ["شركة المد", "חברת הגאות", "潮位計量", "조수", "😀 name"])
    def test_of_any_script_make_a_page(self, name: str) -> None:
        made = replace(full(), buyer=replace(documents.FRENCH, name=name))
        page = invoice_pdf.to_page(made, ENGLISH)
        assert invoice_pdf.to_pdf(page, at=made.issued_at).startswith(b"%PDF-1.7")


class TestLanguages:
    def test_have_all_words(self) -> None:
        for words in WORDS.values():
            assert WORDS["en"].keys() == words.keys()

    def test_put_the_same_values_into_their_words(self) -> None:
        for words in WORDS.values():
            for key, text in words.items():
                expected = sorted(re.findall(r"{\w+}", WORDS["en"][key]))
                assert expected == sorted(re.findall(r"{\w+}", text)), key

    @pytest.mark.parametrize(
        "locale", ["en", "de", "de-CH", "fr", "hi", "ja", "sv", "pt-BR", "es"]
    )
    @pytest.mark.parametrize(
        "value", ["0.00", "999.50", "1234.00", "-1234567.89", "12345678901.05"]
    )
    def test_write_figures_as_babel_does(self, locale: str, value: str) -> None:
        babel = Locale.parse(locale.replace("-", "_"))
        pattern = str(babel.decimal_formats[None].pattern).split(";")[0].split(".")[0] + ".00"
        expected = format_decimal(Decimal(value), locale=babel, format=pattern)
        # With a pattern of our own Babel writes "-" where the locale has another sign.
        sign = babel.number_symbols["latn"]["minusSign"]
        assert expected.replace("-", sign) == language(locale).exact(value)

    def test_without_words_of_ours_write_figures_alone(self) -> None:
        """An English sentence with a Japanese date in it would be neither."""
        text = text_of(full(), "hi")
        assert "February 1, 2025" in text
        assert "15,00,000" in text

    @pytest.mark.parametrize(
        "locale", ["", "xx", "en_", "../../etc/passwd", "en-US-x", "EN", "zz-ZZ"]
    )
    def test_that_do_not_exist_are_refused(self, locale: str) -> None:
        with pytest.raises(Rejected):
            language(locale)

    def test_write_numbers_of_any_length(self) -> None:
        text = ENGLISH.exact("9" * 40 + "." + "8" * 30)
        assert "9,999,999" in text
        assert text.endswith("8…")


def test_no_font_of_the_machine_is_used() -> None:
    """Another machine would make another page: the embedded fonts are all of the repository."""
    made = full()
    page = invoice_pdf.to_page(made, ENGLISH)
    reader = pypdf.PdfReader(BytesIO(invoice_pdf.to_pdf(page, at=made.issued_at)))
    fonts = {
        str(font.get_object()["/BaseFont"]).split("+")[-1]
        for part in reader.pages
        for font in part["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    assert fonts <= {"NotoSans-Regular", "NotoSans-Bold"}
