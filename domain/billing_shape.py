"""The shapes of the catalogue parts `billing`, `taxes` and `discounts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import billing_terms as terms
from domain.document_shape import (
    Field,
    Kind,
    Shape,
    boolean_field,
    decimal_field,
    list_field,
    object_field,
    whole_field,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def _text(name: str, meaning: str) -> Field:
    return Field(name, Kind.TEXT, meaning)


def _optional_text(name: str, meaning: str, *, default: str = "", pattern: str = "") -> Field:
    return Field(name, Kind.TEXT, meaning, is_required=False, default=default, pattern=pattern)


def _texts(name: str, meaning: str, count_max: int) -> Field:
    return Field(
        name,
        Kind.TEXTS,
        meaning,
        is_required=False,
        rule="a list of different texts",
        count_max=count_max,
    )


def _choice(name: str, meaning: str, choices: Iterable[str], *, default: str = "") -> Field:
    return Field(
        name,
        Kind.CHOICE,
        meaning,
        is_required=not default,
        choices=tuple(str(choice) for choice in choices),
        default=default,
    )


_SELLER = Shape(
    "seller",
    "A legal entity that bills; each has numbers of its own.",
    (
        _text("key", "Its name within the catalogue; a customer may name it."),
        _text("name", "Its legal name, as it stands on invoices."),
        _texts("address", "Lines of its address.", terms.ADDRESS_LINES_MAX),
        _optional_text("country", "ISO 3166-1 code of two letters.", pattern=terms.COUNTRY),
        _optional_text("tax_id", "Its tax number."),
        _optional_text("email", "Where customers write to."),
        _optional_text(
            "prefix",
            "What its invoice numbers begin with; that of `billing` when absent. A "
            "prefix is of one seller and one kind of document, in all versions; `RCP-` of none.",
            pattern=terms.PREFIX,
        ),
        _optional_text(
            "credit_note_prefix",
            "What the numbers of its credit notes begin with.",
            default="CN-",
            pattern=terms.PREFIX,
        ),
    ),
)
_BILLING = Shape(
    "billing",
    "How invoices are made.",
    (
        _choice(
            "rounding",
            "Each line to minor units, or lines to 6 decimals and the total once.",
            terms.Rounding,
            default=terms.Rounding.LINE,
        ),
        _optional_text(
            "invoice_prefix",
            "What invoice numbers begin with.",
            default="INV-",
            pattern=terms.PREFIX,
        ),
        whole_field(
            "due_days",
            "Days from issue to due date.",
            minimum=0,
            maximum=terms.DUE_DAYS_MAX,
            default=str(terms.DUE_DAYS_DEFAULT),
        ),
        whole_field(
            "grace_hours",
            "Hours after a period's end in which its invoice waits for late usage.",
            minimum=0,
            maximum=terms.GRACE_HOURS_MAX,
            default=str(terms.GRACE_HOURS_DEFAULT),
        ),
        _choice("fees", "When fees are billed.", terms.Fees, default=terms.Fees.IN_ARREARS),
        _choice(
            "cycle",
            "Periods from the start of the subscription, or from the first of the month.",
            terms.Cycle,
            default=terms.Cycle.ANNIVERSARY,
        ),
        _choice(
            "zero_invoices",
            "Whether an invoice whose lines are all 0 is issued.",
            terms.ZeroInvoices,
            default=terms.ZeroInvoices.ISSUE,
        ),
        _choice(
            "corrections",
            "Where a correction of a final invoice goes; a credit note takes what is less, "
            "what is more goes on the next invoice.",
            terms.Corrections,
            default=terms.Corrections.NEXT_INVOICE,
        ),
        boolean_field(
            "auto_invoice", "Whether the billing worker bills on its own.", default=True
        ),
        _choice(
            "credits",
            "Whether promotions come off before or after tax; money always comes off after it. "
            "not_applied leaves all account credit where it is.",
            terms.Credits,
            default=terms.Credits.BEFORE_TAX,
        ),
        boolean_field(
            "usage_lines",
            "Whether usage is billed; without it invoices have fees and items alone.",
            default=True,
        ),
        _choice(
            "tax_rounding",
            "Tax is rounded once per tax, or once per line.",
            terms.TaxRounding,
            default=terms.TaxRounding.GROUP,
        ),
        _optional_text(
            "default_currency",
            "Currency of customers who are created without one.",
            default="USD",
            pattern="[A-Z]{3}",
        ),
        whole_field(
            "usage_warning_percent",
            "Share of an allowance from which a customer is warned.",
            minimum=1,
            maximum=100,
            default=str(terms.WARNING_PERCENT_DEFAULT),
        ),
        list_field(
            "sellers",
            "Who bills; the first is that of customers who name none.",
            terms.SELLERS_MAX,
            _SELLER,
        ),
    ),
)
_TAX = Shape(
    "tax",
    "A tax of a category of goods in a region.",
    (
        _text("code", "Code of the tax; it has one meaning in a catalogue."),
        _text("name", "Name for people."),
        _optional_text(
            "category",
            "Category that prices and items name.",
            default=terms.STANDARD_CATEGORY,
        ),
        _optional_text(
            "region",
            "Region of the customer; absent for every region without its own rate.",
            pattern=terms.REGION,
        ),
        decimal_field("rate", "Percent, at most 100."),
        _choice(
            "mode",
            "Whether prices have the tax in them.",
            terms.TaxMode,
            default=terms.TaxMode.EXCLUSIVE,
        ),
    ),
)
_DISCOUNT = Shape(
    "discount",
    "What a plan or a subscription can be given.",
    (
        _text("code", "Its name within the catalogue."),
        _text("name", "Name for people."),
        _choice("kind", "What it takes off.", terms.DiscountKind),
        decimal_field(
            "value", "Percent, an amount in major units, or units of the price's meter."
        ),
        _texts(
            "prices",
            "Keys of the prices it is for; absent for all lines of the plan. `free_units` names "
            "one.",
            terms.DISCOUNT_PRICES_MAX,
        ),
        whole_field(
            "periods",
            "For how many periods; 0 for good.",
            minimum=0,
            maximum=terms.PERIODS_MAX,
            default="0",
        ),
    ),
)
BILLING_FIELD = object_field("billing", "How invoices are made.", _BILLING)
TAXES_FIELD = list_field("taxes", "A rate per category and region.", terms.TAXES_MAX, _TAX)
DISCOUNTS_FIELD = list_field(
    "discounts", "What plans and subscriptions can be given.", terms.DISCOUNTS_MAX, _DISCOUNT
)
