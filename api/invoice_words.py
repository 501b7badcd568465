"""The fixed words of documents, by language; numbers and dates are written by Babel (CLDR).

A locale is a language with what hangs on it ("de-CH"). Babel knows some hundred for figures; the
words below stand in a few languages and else, dates with them, in English, so that a reader of
any locale has at least the figures as usual. A catalogue's own texts are shown as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from domain.codes import Code
from domain.errors import Rejected
from domain.money import minor_unit_places

LOCALES_MAX = 64
"""Locales whose patterns are kept; a tenant needs a few."""
LOCALE_DEFAULT = "en"
PLACES_MAX = 18
"""Decimal places that a quantity or a rate can have on a page, as in contents."""
FOREVER_YEAR = 9_999
"""The year in which a lifetime ends."""

_LOCALE = re.compile(r"[a-z]{2,3}([_-][A-Z][a-z]{3})?([_-][A-Z]{2})?", re.ASCII)

_ENGLISH = {
    "invoice": "Invoice",
    "credit_note": "Credit note",
    "preview": "Invoice preview",
    "number": "Number",
    "issued": "Date of issue",
    "due": "Due date",
    "period": "Billing period",
    "customer": "Customer",
    "subscription": "Subscription",
    "status": "Status",
    "of_invoice": "For invoice",
    "reason": "Reason",
    "from": "From",
    "to": "Bill to",
    "tax_id": "Tax no.",
    "item": "Item",
    "quantity": "Quantity",
    "rate": "Rate",
    "amount": "Amount",
    "lines": "Lines before discounts",
    "discount": "Discounts",
    "subtotal": "Subtotal",
    "promotion": "Promotions",
    "credit": "Account credit",
    "total": "Total",
    "to_pay": "To pay",
    "paid": "Paid",
    "credited": "Credited by credit notes",
    "open": "Still open",
    "carry": "Added to account credit",
    "rounding": "Rounding",
    "total_credited": "Total credited",
    "as_promotion": "Of it back as promotions",
    "as_money": "Of it back as money, with its tax",
    "drawn": "As money {money}, tax {money_tax}; as promotions {promotion}, tax {promotion_tax}",
    "to_receivable": "Taken off the open amount",
    "to_credit": "Added to account credit",
    "tax": "Tax",
    "tax_base": "Net",
    "tax_amount": "Tax amount",
    "no_tax": "No tax",
    "in_price": "in the price",
    "corrects": "Corrects {number}, line {line}",
    "corrects_skipped": "Corrects a period that had no invoice",
    "estimate": "Quantity is an estimate",
    "maximum": "Maximum of the plan",
    "more_steps": "and {count} more steps, see the export as CSV or JSON",
    "terms": "Please pay by {due}, naming the number {number}.",
    "nothing_due": "Nothing is to be paid.",
    "reverse_charge": "Reverse charge: VAT is to be paid by the recipient of the service.",
    "exempt": "Exempt from tax.",
    "provisional": "PROVISIONAL",
    "provisional_note": "This is no invoice: usage still comes in, and amounts may change.",
    "void": "VOID",
    "void_note": "This invoice is void: {reason}",
    "page": "Page {page} of {pages}",
    "lifetime": "from {start}",
    "draft": "draft",
    "final": "open",
    "status_paid": "paid",
    "overdue": "overdue",
    "status_void": "void",
    "content": "Content SHA-256",
}
_GERMAN = {
    "invoice": "Rechnung",
    "credit_note": "Gutschrift",
    "preview": "Rechnungsvorschau",
    "number": "Nummer",
    "issued": "Rechnungsdatum",
    "due": "Fällig am",
    "period": "Abrechnungszeitraum",
    "customer": "Kunde",
    "subscription": "Abonnement",
    "status": "Status",
    "of_invoice": "Zu Rechnung",
    "reason": "Grund",
    "from": "Von",
    "to": "An",
    "tax_id": "USt-IdNr.",
    "item": "Position",
    "quantity": "Menge",
    "rate": "Satz",
    "amount": "Betrag",
    "lines": "Positionen vor Rabatten",
    "discount": "Rabatte",
    "subtotal": "Zwischensumme",
    "promotion": "Aktionsguthaben",
    "credit": "Guthaben",
    "total": "Gesamtbetrag",
    "to_pay": "Zu zahlen",
    "paid": "Bezahlt",
    "credited": "Durch Gutschriften verrechnet",
    "open": "Noch offen",
    "carry": "Dem Guthaben zugeschrieben",
    "rounding": "Rundung",
    "total_credited": "Gutgeschrieben",
    "as_promotion": "Davon zurück als Aktionsguthaben",
    "as_money": "Davon zurück als Geld, mit Steuer",
    "drawn": "Als Geld {money}, Steuer {money_tax}; "
    "als Aktionsguthaben {promotion}, Steuer {promotion_tax}",
    "to_receivable": "Vom offenen Betrag abgezogen",
    "to_credit": "Dem Guthaben zugeschrieben",
    "tax": "Steuer",
    "tax_base": "Netto",
    "tax_amount": "Steuerbetrag",
    "no_tax": "Ohne Steuer",
    "in_price": "im Preis enthalten",
    "corrects": "Berichtigt {number}, Position {line}",
    "corrects_skipped": "Berichtigt einen Zeitraum, zu dem es keine Rechnung gab",
    "estimate": "Die Menge ist geschätzt",
    "maximum": "Höchstbetrag des Tarifs",
    "more_steps": "und {count} weitere Schritte, siehe Export als CSV oder JSON",
    "terms": "Bitte zahlen Sie bis {due} unter Angabe der Nummer {number}.",
    "nothing_due": "Es ist nichts zu zahlen.",
    "reverse_charge": "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge).",
    "exempt": "Steuerbefreit.",
    "provisional": "VORLÄUFIG",
    "provisional_note": "Dies ist keine Rechnung: Es kommt noch Nutzung hinzu, "
    "Beträge können sich ändern.",
    "void": "STORNIERT",
    "void_note": "Diese Rechnung ist storniert: {reason}",
    "page": "Seite {page} von {pages}",
    "lifetime": "ab {start}",
    "draft": "Entwurf",
    "final": "offen",
    "status_paid": "bezahlt",
    "overdue": "überfällig",
    "status_void": "storniert",
    "content": "SHA-256 des Inhalts",
}
_FRENCH = {
    "invoice": "Facture",
    "credit_note": "Avoir",
    "preview": "Aperçu de facture",
    "number": "Numéro",
    "issued": "Date d'émission",
    "due": "Échéance",
    "period": "Période facturée",
    "customer": "Client",
    "subscription": "Abonnement",
    "status": "Statut",
    "of_invoice": "Concerne la facture",
    "reason": "Motif",
    "from": "De",
    "to": "À",
    "tax_id": "N° TVA",
    "item": "Désignation",
    "quantity": "Quantité",
    "rate": "Taux",
    "amount": "Montant",
    "lines": "Lignes avant remises",
    "discount": "Remises",
    "subtotal": "Sous-total",
    "promotion": "Crédit promotionnel",
    "credit": "Crédit du compte",
    "total": "Total",
    "to_pay": "À payer",
    "paid": "Payé",
    "credited": "Déduit par avoirs",
    "open": "Reste à payer",
    "carry": "Porté au crédit du compte",
    "rounding": "Arrondi",
    "total_credited": "Total de l'avoir",
    "as_promotion": "dont rendu en crédit promotionnel",
    "as_money": "dont rendu en argent, taxe comprise",
    "drawn": "En argent {money}, taxe {money_tax} ; "
    "en crédit promotionnel {promotion}, taxe {promotion_tax}",
    "to_receivable": "Déduit du montant ouvert",
    "to_credit": "Porté au crédit du compte",
    "tax": "Taxe",
    "tax_base": "Net",
    "tax_amount": "Montant de la taxe",
    "no_tax": "Sans taxe",
    "in_price": "comprise dans le prix",
    "corrects": "Corrige {number}, ligne {line}",
    "corrects_skipped": "Corrige une période sans facture",
    "estimate": "La quantité est une estimation",
    "maximum": "Plafond du forfait",
    "more_steps": "et {count} autres étapes, voir l'export CSV ou JSON",
    "terms": "À payer au plus tard le {due} en indiquant le numéro {number}.",
    "nothing_due": "Rien n'est à payer.",
    "reverse_charge": "Autoliquidation : la TVA est due par le preneur.",
    "exempt": "Exonéré de taxe.",
    "provisional": "PROVISOIRE",
    "provisional_note": "Ceci n'est pas une facture : des usages arrivent encore et les montants "
    "peuvent changer.",
    "void": "ANNULÉE",
    "void_note": "Cette facture est annulée : {reason}",
    "page": "Page {page} sur {pages}",
    "lifetime": "à partir du {start}",
    "draft": "brouillon",
    "final": "ouverte",
    "status_paid": "payée",
    "overdue": "en retard",
    "status_void": "annulée",
    "content": "SHA-256 du contenu",
}
WORDS = {"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH}
"""Language → key → words; every language has all keys."""


@dataclass(frozen=True, slots=True)
class Language:
    """How figures, dates and fixed words are written for one locale.

    Args:
        locale: Babel's locale of the words, dates and names of countries.
        words: Fixed words.
        point: What stands before the decimal places.
        group: What stands between groups of digits.
        minus: The sign of what is below 0.
        primary: Digits of the group before the point.
        secondary: Digits of every other group; 2 in India.
        currency: Where a currency's code stands beside an amount.
    """

    locale: Locale
    words: dict[str, str]
    point: str
    group: str
    minus: str
    primary: int
    secondary: int
    currency: str

    def word(self, key: str, **values: str) -> str:
        """Return fixed words with values put in."""
        return self.words[key].format(**values)

    @property
    def code(self) -> str:
        """Return the language of the words, for the page's own mark."""
        return str(self.locale.language)

    def number(self, digits: str, *, places: int, is_negative: bool = False) -> str:
        """Return a number of the locale.

        Babel says how; it is put together here, because its own formatting makes a Decimal of
        each number, which takes five times as long and has 28 digits.

        Args:
            digits: All digits, without a point.
            places: How many of them are decimal places.
            is_negative: Whether it is below 0.
        """
        digits = digits.rjust(places + 1, "0")
        whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :]
        groups = []
        size = self.primary
        while len(whole) > size:
            groups.append(whole[-size:])
            whole, size = whole[:-size], self.secondary
        groups.append(whole)
        text = self.group.join(reversed(groups))
        sign = self.minus if is_negative else ""
        return f"{sign}{text}{self.point}{fraction}" if fraction else f"{sign}{text}"

    def exact(self, text: str, *, places_max: int = PLACES_MAX, places_min: int = 0) -> str:
        """Return decimal text with all its places; "…" says that it has more than places_max."""
        whole, _, fraction = text.removeprefix("-").partition(".")
        shown = fraction[:places_max].ljust(places_min, "0")
        figure = self.number(whole + shown, places=len(shown), is_negative=text.startswith("-"))
        return figure + "…" if len(fraction) > places_max else figure

    def units(self, amount: int, *, scale: int, places: int) -> str:
        """Return whole units of 10^-scale with as many places as needed, at least `places`."""
        digits, shown = str(abs(amount)).rjust(scale + 1, "0"), scale
        while shown > places and digits.endswith("0"):
            digits, shown = digits[:-1], shown - 1
        return self.number(digits, places=shown, is_negative=amount < 0)

    def money(self, amount_minor: int, currency: str) -> str:
        """Return an amount with its ISO 4217 code: of signs, $ alone stands for twenty."""
        places = minor_unit_places(currency)
        figure = self.units(amount_minor, scale=places, places=places)
        return self.currency.format(figure=figure, currency=currency)

    def date(self, moment: datetime) -> str:
        """Return a day."""
        return str(format_date(moment.date(), format="long", locale=self.locale))

    def day(self, moment: datetime) -> str:
        """Return a day, shorter."""
        return str(format_date(moment.date(), format="medium", locale=self.locale))

    def span(self, start: datetime, end: datetime) -> str:
        """Return a half-open time by its first and last day."""
        if end.year >= FOREVER_YEAR:
            return self.word("lifetime", start=self.day(start))
        return f"{self.day(start)} – {self.day(last_day(end))}"  # noqa: RUF001 -- an en dash


def last_day(end: datetime) -> datetime:
    """This function will return the last day of a half-open period."""
    return end - timedelta(microseconds=1)


@lru_cache(maxsize=LOCALES_MAX)
def language(locale: str) -> Language:
    """This function will return how a locale writes.

    Args:
        locale: For example "en", "de-CH" or "zh_Hant_TW".

    Raises:
        Rejected: invalid_request, when there is no such locale.
    """
    # Babel reads files by the name of a locale; nothing else than one comes so far.
    problem = Rejected(Code.INVALID_REQUEST, f"{locale[:20]!r} is no locale, for example de-CH")
    if _LOCALE.fullmatch(locale) is None:
        raise problem
    try:
        found = Locale.parse(locale.replace("-", "_"))
    except (ValueError, UnknownLocaleError) as error:
        raise problem from error
    symbols = found.number_symbols["latn"]
    primary, secondary = found.decimal_formats[None].grouping
    standard = found.currency_formats["standard"].pattern.split(";")[0]
    is_before = standard.lstrip("\u200e\u200f").startswith("¤")
    return Language(
        # Not a Japanese date in an English sentence.
        locale=found if found.language in WORDS else Locale.parse(LOCALE_DEFAULT),
        words=WORDS.get(found.language, _ENGLISH),
        point=symbols["decimal"],
        group=symbols["group"],
        minus=symbols["minusSign"],
        primary=primary,
        secondary=secondary,
        currency="{currency}\u00a0{figure}" if is_before else "{figure}\u00a0{currency}",
    )
