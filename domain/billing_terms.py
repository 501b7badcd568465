"""What a catalogue says of billing: sellers, numbers, due days, roundings, taxes, discounts.

All of it is data of the catalogue version, so an invoice that names the version says by which
terms it was made. What a version leaves out has the defaults that stand here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.errors import Rejected
from domain.money import minor_unit_places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.fields import Fields

SELLERS_MAX = 50
"""Legal entities of one tenant."""
ADDRESS_LINES_MAX = 6
"""Lines of an address on an invoice; more would not fit its head."""
TAXES_MAX = 500
"""Tax rates of a catalogue: a few categories times the regions of a continent."""
DISCOUNTS_MAX = 200
"""Discounts of a catalogue."""
DISCOUNT_PRICES_MAX = 100
"""Prices that one discount may name: as many as a plan has."""
DUE_DAYS_MAX = 365
GRACE_HOURS_MAX = 24 * 31
"""A final invoice waits at most a month for late usage."""
PERIODS_MAX = 1_200
"""Periods of a discount: a hundred years of months; 0 means for good."""
PERCENT_MAX = Decimal(100)
DUE_DAYS_DEFAULT = 30
GRACE_HOURS_DEFAULT = 24
WARNING_PERCENT_DEFAULT = 80
SELLER_DEFAULT = "default"
STANDARD_CATEGORY = "standard"
"""Tax category of a price or item that names none."""

RECEIPT_PREFIX = "RCP-"
"""What the numbers of a tenant's receipts begin with: no seller's do."""
PREFIX = r"[A-Z][A-Z0-9]{0,11}-"
_PREFIX = re.compile(PREFIX, re.ASCII)
COUNTRY = r"[A-Z]{2}"
_COUNTRY = re.compile(COUNTRY, re.ASCII)
REGION = r"[A-Z][A-Z0-9]{0,11}(-[A-Z0-9]{1,12})?"
"""A region has one way to be written: a customer in `de` would get none of the rates of `DE`."""
_REGION = re.compile(REGION, re.ASCII)


class Rounding(StrEnum):
    """Where an invoice is rounded to minor units (G-04, S3-R2)."""

    LINE = "line"
    INVOICE = "invoice"


class Fees(StrEnum):
    """When a period's fees are billed."""

    IN_ARREARS = "in_arrears"
    IN_ADVANCE = "in_advance"


class Cycle(StrEnum):
    """From where periods are counted."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


class ZeroInvoices(StrEnum):
    """What becomes of an invoice whose lines are all 0."""

    ISSUE = "issue"
    SKIP = "skip"


class Corrections(StrEnum):
    """How usage that came after the final invoice reaches the customer."""

    NEXT_INVOICE = "next_invoice"
    CREDIT_NOTE = "credit_note"


class Credits(StrEnum):
    """Whether account credit lowers what is taxed or what is paid (S3-R6), or nothing (S3-46)."""

    BEFORE_TAX = "before_tax"
    AFTER_TAX = "after_tax"
    NOT_APPLIED = "not_applied"


class TaxRounding(StrEnum):
    """Whether tax is rounded once per tax or once per line."""

    GROUP = "group"
    LINE = "line"


class TaxMode(StrEnum):
    """Whether prices have the tax in them."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


class TaxTreatment(StrEnum):
    """What holds for a customer, whatever the rates say."""

    STANDARD = "standard"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


class DiscountKind(StrEnum):
    """What a discount takes off."""

    PERCENT = "percent"
    AMOUNT = "amount"
    FREE_UNITS = "free_units"


@dataclass(frozen=True, slots=True)
class Seller:
    """A legal entity that bills; each has numbers of its own.

    Args:
        key: Its name within the catalogue.
        name: Its legal name, for people.
        address: Lines of its address.
        country: ISO 3166-1 alpha-2 code; empty when not given.
        tax_id: Its tax number; empty when not given.
        email: Where customers write to; empty when not given.
        prefix: What invoice numbers begin with, for example "INV-".
        credit_note_prefix: What numbers of credit notes begin with.
    """

    key: str = SELLER_DEFAULT
    name: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    tax_id: str = ""
    email: str = ""
    prefix: str = "INV-"
    credit_note_prefix: str = "CN-"

    @property
    def prefixes(self) -> dict[str, str]:
        """Return what its numbers begin with, by field of the catalogue."""
        return {"prefix": self.prefix, "credit_note_prefix": self.credit_note_prefix}


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax of a category of goods in a region.

    Args:
        code: Code of the tax; lines of one code are one row of the tax table.
        name: Name for people.
        category: Category of prices and items.
        region: Region of the customer; empty for the rate of every region without its own.
        rate: Percent, 0 to 100.
        mode: Whether prices have it in them.
    """

    code: str
    name: str
    category: str
    region: str
    rate: Decimal
    mode: TaxMode


@dataclass(frozen=True, slots=True)
class Discount:
    """What a plan or a subscription can be given.

    Args:
        code: Its name within the catalogue.
        name: Name for people.
        kind: What it takes off.
        value: Percent, or an amount in major units, or units of the price's meter.
        prices: Keys of the prices it is for; empty for all lines of the plan.
        periods: For how many periods; 0 for good.
    """

    code: str
    name: str
    kind: DiscountKind
    value: Decimal
    prices: tuple[str, ...] = ()
    periods: int = 0


@dataclass(frozen=True, slots=True)
class BillingTerms:
    """The part `billing` of a catalogue version.

    Args:
        rounding: Lines to minor units each, or to 6 decimals and the total once.
        due_days: Days from the issue date to the due date.
        grace_hours: How long after a period's end its invoice waits for late usage.
        fees: When fees are billed, where the plan says nothing.
        cycle: From where periods are counted, where the subscription says nothing.
        zero_invoices: What becomes of an invoice whose lines are all 0.
        corrections: How corrections reach the customer.
        auto_invoice: Whether the billing worker bills on its own (C-10).
        credits: Whether account credit comes off before or after tax, or not at all.
        usage_lines: Whether usage is billed (S3-44); else fees and items alone are.
        tax_rounding: Whether tax is rounded once per tax or once per line.
        default_currency: Currency of customers who are created without one.
        usage_warning_percent: Share of an allowance from which a customer is warned (C-27).
        sellers: Who bills; the first is the one of customers that name none.
    """

    rounding: Rounding = Rounding.LINE
    due_days: int = DUE_DAYS_DEFAULT
    grace_hours: int = GRACE_HOURS_DEFAULT
    fees: Fees = Fees.IN_ARREARS
    cycle: Cycle = Cycle.ANNIVERSARY
    zero_invoices: ZeroInvoices = ZeroInvoices.ISSUE
    corrections: Corrections = Corrections.NEXT_INVOICE
    auto_invoice: bool = True
    credits: Credits = Credits.BEFORE_TAX
    usage_lines: bool = True
    tax_rounding: TaxRounding = TaxRounding.GROUP
    default_currency: str = "USD"
    usage_warning_percent: int = WARNING_PERCENT_DEFAULT
    sellers: tuple[Seller, ...] = (Seller(),)

    @property
    def default_seller(self) -> Seller:
        """Return who bills customers that name no seller."""
        return self.sellers[0]


DEFAULT_TERMS = BillingTerms()
BILLING_FIELDS = (
    *("rounding", "invoice_prefix", "due_days", "grace_hours", "fees", "cycle", "zero_invoices"),
    *("corrections", "auto_invoice", "credits", "tax_rounding", "default_currency"),
    *("usage_lines", "usage_warning_percent", "sellers"),
)


def billing_from_fields(fields: Fields) -> BillingTerms:
    """This function will read the part `billing` of a catalogue.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(BILLING_FIELDS)
    prefix = _prefix(fields, "invoice_prefix", default="INV-")
    sellers = tuple(
        _seller(item, prefix=prefix) for item in fields.objects("sellers", count_max=SELLERS_MAX)
    ) or (Seller(prefix=prefix),)
    _require_different(fields, sellers)
    currency = fields.text("default_currency", default="USD")
    try:
        minor_unit_places(currency)
    except Rejected as error:
        raise fields.refuse("default_currency", "is no ISO 4217 code") from error
    return BillingTerms(
        rounding=Rounding(fields.choice("rounding", Rounding, default=Rounding.LINE)),
        due_days=fields.integer(
            "due_days", minimum=0, maximum=DUE_DAYS_MAX, default=DUE_DAYS_DEFAULT
        ),
        grace_hours=fields.integer(
            "grace_hours", minimum=0, maximum=GRACE_HOURS_MAX, default=GRACE_HOURS_DEFAULT
        ),
        fees=Fees(fields.choice("fees", Fees, default=Fees.IN_ARREARS)),
        cycle=Cycle(fields.choice("cycle", Cycle, default=Cycle.ANNIVERSARY)),
        zero_invoices=ZeroInvoices(
            fields.choice("zero_invoices", ZeroInvoices, default=ZeroInvoices.ISSUE)
        ),
        corrections=Corrections(
            fields.choice("corrections", Corrections, default=Corrections.NEXT_INVOICE)
        ),
        auto_invoice=fields.boolean("auto_invoice", default=True),
        credits=Credits(fields.choice("credits", Credits, default=Credits.BEFORE_TAX)),
        usage_lines=fields.boolean("usage_lines", default=True),
        tax_rounding=TaxRounding(
            fields.choice("tax_rounding", TaxRounding, default=TaxRounding.GROUP)
        ),
        default_currency=currency,
        usage_warning_percent=fields.integer(
            "usage_warning_percent", minimum=1, maximum=100, default=WARNING_PERCENT_DEFAULT
        ),
        sellers=sellers,
    )


def _seller(fields: Fields, *, prefix: str) -> Seller:
    fields.only(
        (
            *("key", "name", "address", "country", "tax_id", "email"),
            *("prefix", "credit_note_prefix"),
        )
    )
    address = fields.texts("address")
    if len(address) > ADDRESS_LINES_MAX:
        raise fields.refuse("address", f"must have at most {ADDRESS_LINES_MAX} lines")
    country = _optional(fields, "country")
    if country and _COUNTRY.fullmatch(country) is None:
        raise fields.refuse("country", "must be an ISO 3166-1 code of two letters")
    return Seller(
        key=fields.text("key"),
        name=fields.text("name"),
        address=address,
        country=country,
        tax_id=_optional(fields, "tax_id"),
        email=_optional(fields, "email"),
        prefix=_prefix(fields, "prefix", default=prefix),
        credit_note_prefix=_prefix(fields, "credit_note_prefix", default="CN-"),
    )


def _optional(fields: Fields, name: str) -> str:
    return fields.text(name) if name in fields.values else ""


def region_in(fields: Fields, name: str) -> str:
    """This function will read a region, of a customer or a rate; absent, null or empty is none.

    Raises:
        Rejected: With its place, for another way to write it.
    """
    if fields.values.get(name) in {None, ""}:
        return ""
    region = fields.text(name)
    if _REGION.fullmatch(region) is None:
        raise fields.refuse(
            name, 'must be capital letters and digits, for example "DE", "QC" or "CA-QC"'
        )
    return region


def _prefix(fields: Fields, name: str, *, default: str) -> str:
    prefix = fields.text(name, default=default)
    if _PREFIX.fullmatch(prefix) is None:
        raise fields.refuse(
            name, 'must be a capital letter, up to 11 more or digits, and "-", for example "INV-"'
        )
    return prefix


def _require_different(fields: Fields, sellers: Iterable[Seller]) -> None:
    """Refuse two sellers of one key, and a second use of a prefix: numbers would repeat."""
    is_listed = bool(fields.values.get("sellers"))
    keys: set[str] = set()
    prefixes = {RECEIPT_PREFIX}
    for index, seller in enumerate(sellers):
        if seller.key in keys:
            raise fields.refuse(f"sellers[{index}].key", f"is {seller.key!r} twice")
        keys.add(seller.key)
        for name, prefix in seller.prefixes.items():
            if prefix in prefixes:
                raise fields.refuse(
                    f"sellers[{index}].{name}" if is_listed else "invoice_prefix",
                    f"is {prefix!r}, which is taken: no two kinds of document and no two sellers "
                    f"share numbers, and {RECEIPT_PREFIX!r} is that of receipts",
                )
            prefixes.add(prefix)


def tax_from_fields(fields: Fields) -> TaxRate:
    """This function will read one entry of `taxes`.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(("code", "name", "category", "region", "rate", "mode"))
    rate = fields.decimal("rate")
    if rate > PERCENT_MAX:
        raise fields.refuse("rate", "must be at most 100 percent")
    return TaxRate(
        code=fields.text("code"),
        name=fields.text("name"),
        category=fields.text("category", default=STANDARD_CATEGORY),
        region=region_in(fields, "region"),
        rate=rate,
        mode=TaxMode(fields.choice("mode", TaxMode, default=TaxMode.EXCLUSIVE)),
    )


def category_problems(
    fields: Fields, name: str, *, category: str, taxes: Iterable[TaxRate]
) -> Iterator[Rejected]:
    """This function will refuse a tax category that has no rate: it would be sold untaxed.

    Args:
        fields: Where the category stands.
        name: Its field.
        category: The category; the standard one may go without a rate.
        taxes: Rates of the catalogue.
    """
    if category != STANDARD_CATEGORY and all(category != tax.category for tax in taxes):
        yield fields.refuse(
            name, f"is {category!r}, a category without a rate in taxes (0 for none)"
        )


def tax_problems(fields: Fields, taxes: Iterable[TaxRate]) -> tuple[Rejected, ...]:
    """This function will say which taxes contradict each other.

    Args:
        fields: The catalogue, whose field `taxes` is named.
        taxes: What was read.

    Returns:
        A refusal for each (category, region) with two rates, and for each code that stands for two
        rates, names or modes: one code is one row of an invoice's tax table.
    """
    found: list[Rejected] = []
    places: set[tuple[str, str]] = set()
    meanings: dict[str, tuple[str, Decimal, TaxMode]] = {}
    for tax in taxes:
        place = tax.category, tax.region
        if place in places:
            found.append(
                fields.refuse(
                    "taxes", f"have two rates of category {tax.category!r} in {tax.region!r}"
                )
            )
        places.add(place)
        meaning = tax.name, tax.rate, tax.mode
        if meanings.setdefault(tax.code, meaning) != meaning:
            found.append(fields.refuse("taxes", f"give the code {tax.code!r} two meanings"))
    return tuple(found)


def discount_from_fields(fields: Fields) -> Discount:
    """This function will read one entry of `discounts`.

    Raises:
        Rejected: With the place of what is wrong.
    """
    fields.only(("code", "name", "kind", "value", "prices", "periods"))
    kind = DiscountKind(fields.choice("kind", DiscountKind))
    value, prices = fields.decimal("value"), fields.texts("prices")
    if value <= 0 or (kind is DiscountKind.PERCENT and value > PERCENT_MAX):
        raise fields.refuse("value", "must be more than 0, and a percentage at most 100")
    if kind is DiscountKind.FREE_UNITS and len(prices) != 1:
        raise fields.refuse("prices", "must name the one metered price whose units are free")
    if len(prices) > DISCOUNT_PRICES_MAX:
        raise fields.refuse("prices", f"must name at most {DISCOUNT_PRICES_MAX} prices")
    return Discount(
        code=fields.text("code"),
        name=fields.text("name"),
        kind=kind,
        value=value,
        prices=prices,
        periods=fields.integer("periods", minimum=0, maximum=PERIODS_MAX, default=0),
    )
