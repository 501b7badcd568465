"""What an invoice is made by, besides usage: one value, made from the books' state alone.

The builder makes terms from tables, the books from their state, replay reads them from the
content; build_invoice gets the same value from all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.billing_terms import (
    STANDARD_CATEGORY,
    Credits,
    DiscountKind,
    Rounding,
    TaxRounding,
)
from domain.canonical import Json, decimal_text, from_json, to_canonical_json
from domain.codes import Code
from domain.credit_balance import CreditBalance
from domain.errors import Rejected
from domain.fields import Fields
from domain.invoice_taxes import LineTax, TaxTerms, text_or_none
from domain.money import minor_unit_places
from domain.overrides import Override
from domain.own_json import Moment
from domain.period import Period, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

AMOUNT_MAX = 10**18
"""Largest amount of a line, item or invoice, in whole units of its scale: it fits int64."""
SEGMENTS_MAX = 400
"""Parts of one period: a change counts from a day on, and a year has 366 of them."""
ITEMS_MAX = 1_000
"""Items on one invoice; further ones wait for the next. Of 1,150 bytes each, they fit into a
command beside 5,000 lines of a plain price (schemas.topics)."""
OVERRIDES_MAX = 100
"""Prices that one customer has differently."""
GRANTED_MAX = 20
"""Discounts of one subscription at a time."""
DIMENSIONS_MAX = 10
"""Dimensions by which subscriptions of one customer share a meter."""
ADD_ONS_MAX = 50
"""Add-ons of one subscription."""
VERSION_MAX = 2**31
QUANTITY_MAX = 10**9
"""Seats, or pieces of an add-on."""
DAYS_MAX = 40_000
"""Days of a period: a lifetime of a hundred years and more."""
PERIODS_MAX = 12 * 6_100
"""Periods of one subscription: those of every month until the year 8100."""


class InvoiceKind(StrEnum):
    """What an invoice is for."""

    PERIOD = "period"
    OPENING = "opening"
    ITEMS = "items"


class ItemKind(StrEnum):
    """Where an item comes from."""

    PRORATION = "proration"
    ONE_OFF = "one_off"
    GAIN_SHARE = "gain_share"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a period in which nothing changed.

    Args:
        start: 00:00 UTC of its first day.
        end: 00:00 UTC of the day after its last.
        plan: Plan code within the catalogue version.
        catalogue_version: Version that prices it.
        catalogue_sha256: Hash of that version's content.
        days: Whole days it covers.
        of_days: Days of the whole cycle period it is a part of.
        seats: Seats of the subscription.
        add_ons: (code, quantity), sorted by code.
        is_paused: Whether nothing is charged for it.
    """

    start: datetime
    end: datetime
    plan: str
    catalogue_version: int
    catalogue_sha256: str
    days: int
    of_days: int
    seats: int = 1
    add_ons: tuple[tuple[str, int], ...] = ()
    is_paused: bool = False

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents and documents."""
        return {
            "start": time_text(self.start),
            "end": time_text(self.end),
            "plan": self.plan,
            "catalogue_version": self.catalogue_version,
            "catalogue_sha256": self.catalogue_sha256,
            "days": self.days,
            "of_days": self.of_days,
            "seats": self.seats,
            "add_ons": [{"code": code, "quantity": quantity} for code, quantity in self.add_ons],
            "is_paused": self.is_paused,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Segment:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(
            (
                *("start", "end", "plan", "catalogue_version", "catalogue_sha256", "days"),
                *("of_days", "seats", "add_ons", "is_paused"),
            )
        )
        return cls(
            start=fields.time("start"),
            end=fields.time("end"),
            plan=fields.text("plan"),
            catalogue_version=fields.integer("catalogue_version", minimum=1, maximum=VERSION_MAX),
            catalogue_sha256=fields.text("catalogue_sha256"),
            days=fields.integer("days", minimum=1, maximum=DAYS_MAX),
            of_days=fields.integer("of_days", minimum=1, maximum=DAYS_MAX),
            seats=fields.integer("seats", minimum=0, maximum=QUANTITY_MAX),
            add_ons=tuple(
                (each.text("code"), each.integer("quantity", minimum=0, maximum=QUANTITY_MAX))
                for each in fields.objects("add_ons", count_max=ADD_ONS_MAX)
            ),
            is_paused=fields.boolean("is_paused"),
        )


@dataclass(frozen=True, slots=True)
class Item:
    """An amount that waits for a customer's next invoice.

    Args:
        item: Its id, itm_….
        customer: Who pays.
        subscription: On whose invoice it goes; empty for the customer's next one, whichever.
        kind: Where it comes from.
        label: What it is, for people.
        amount_minor: Whole minor units before tax; below 0 for corrections alone (S1-R17).
        tax: Tax category.
        start: Start of the time it is for.
        end: End of it; the same as start for a moment.
        refers: (invoice id, line id) that it corrects; ("", "") for none.
        taxed: Tax that it bears whatever holds on its invoice: a correction has that of the line
            it corrects, a proration that of the fee as it was charged; None for the tax of its
            category as it is then.
        added_at: When it was booked.
    """

    item: str
    customer: str
    subscription: str
    kind: ItemKind
    label: str
    amount_minor: int
    start: Moment
    end: Moment
    added_at: Moment
    tax: str = STANDARD_CATEGORY
    refers: tuple[str, str] = ("", "")
    taxed: LineTax | None = None

    @property
    def document(self) -> str:
        """Return it as canonical JSON."""
        return to_canonical_json(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents and documents."""
        return {
            "item": self.item,
            "customer": self.customer,
            "subscription": self.subscription,
            "kind": self.kind,
            "label": self.label,
            "amount_minor": self.amount_minor,
            "tax": self.tax,
            "start": time_text(self.start),
            "end": time_text(self.end),
            "refers": list(self.refers),
            "taxed": None if self.taxed is None else self.taxed.to_json(),
            "added_at": time_text(self.added_at),
        }

    @classmethod
    def from_document(cls, document: str) -> Item:
        """Read what document wrote (Rejected bad_value otherwise)."""
        return cls.from_fields(Fields.of(from_json(document), place="item", code=Code.BAD_VALUE))

    @classmethod
    def from_fields(cls, fields: Fields) -> Item:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(
            (
                *("item", "customer", "subscription", "kind", "label", "amount_minor", "tax"),
                *("start", "end", "refers", "taxed", "added_at"),
            )
        )
        kind = ItemKind(fields.choice("kind", ItemKind))
        refers = fields.values.get("refers")
        if (
            not isinstance(refers, list | tuple)
            or len(refers) != 2  # noqa: PLR2004 -- an invoice and a line of it
            or not isinstance(refers[0], str)
            or not isinstance(refers[1], str)
        ):
            raise fields.refuse("refers", "must be an invoice id and a line id")
        return cls(
            item=fields.text("item"),
            customer=fields.text("customer"),
            subscription=text_or_none(fields, "subscription"),
            kind=kind,
            label=fields.text("label"),
            amount_minor=fields.integer(
                "amount_minor",
                minimum=-AMOUNT_MAX if kind is ItemKind.CORRECTION else 0,
                maximum=AMOUNT_MAX,
            ),
            tax=fields.text("tax"),
            start=fields.time("start"),
            end=fields.time("end"),
            added_at=fields.time("added_at"),
            refers=(refers[0], refers[1]),
            taxed=(
                None
                if fields.values.get("taxed") is None
                else LineTax.from_fields(fields.object("taxed"))
            ),
        )


@dataclass(frozen=True, slots=True)
class GrantedDiscount:
    """A discount that a subscription has, from its plan or granted to it.

    Args:
        code: Code within the catalogue.
        name: Name for people.
        kind: What it takes off.
        value: Percent, an amount in major units of the invoice's currency, or units.
        prices: Keys of the prices it is for; empty for all lines of the plan.
        periods_left: For how many more periods, this one included; 0 for good.
    """

    code: str
    name: str
    kind: DiscountKind
    value: Decimal
    prices: tuple[str, ...] = ()
    periods_left: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in contents and documents."""
        return {
            "code": self.code,
            "name": self.name,
            "kind": self.kind,
            "value": decimal_text(self.value),
            "prices": list(self.prices),
            "periods_left": self.periods_left,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> GrantedDiscount:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(("code", "name", "kind", "value", "prices", "periods_left"))
        return cls(
            code=fields.text("code"),
            name=fields.text("name"),
            kind=DiscountKind(fields.choice("kind", DiscountKind)),
            value=fields.decimal("value"),
            prices=fields.texts("prices"),
            periods_left=fields.integer("periods_left", minimum=0, maximum=PERIODS_MAX),
        )


@dataclass(frozen=True, slots=True)
class InvoiceTerms:
    """Everything but usage that an invoice is made by.

    Args:
        kind: period: usage of a period, and fees as the plan has them; opening: the fees of the
            first period in advance; items: items alone.
        tenant: Who bills.
        subscription: Subscription that is billed; empty for items alone.
        customer: Who pays.
        seller: Key of the legal entity.
        currency: ISO 4217 code of every amount.
        period: Billed period; None for items alone.
        period_index: Its number within the subscription, from 0.
        segments: Parts of the period whose usage is billed, in order, without gaps.
        fees: Parts of the period that fees are charged for, each by what holds in it; empty for
            no fees.
        overrides: Prices of this customer for its plans and add-ons, sorted.
        discounts: In the order in which they come off.
        items: In the order in which they were added.
        taxes: How lines are taxed.
        credit: Account credit that the customer has.
        dimensions: (name, value) that usage must have to belong to the subscription, sorted.
        rounding: Where amounts are rounded.
        credits: Whether promotions come off before or after tax; money always comes off after.
            Or neither does.
        tax_rounding: Whether tax is rounded once per tax or once per line.
        due_days: Days from the issue date to the due date.
    """

    kind: InvoiceKind
    tenant: str
    subscription: str
    customer: str
    seller: str
    currency: str
    period: Period | None
    period_index: int
    segments: tuple[Segment, ...]
    fees: tuple[Segment, ...]
    overrides: tuple[Override, ...]
    discounts: tuple[GrantedDiscount, ...]
    items: tuple[Item, ...]
    taxes: TaxTerms
    credit: CreditBalance
    dimensions: tuple[tuple[str, str], ...]
    rounding: Rounding
    credits: Credits
    tax_rounding: TaxRounding
    due_days: int

    @property
    def scale(self) -> int:
        """Return the decimal places of a line's amount: the currency's, or 6."""
        if self.rounding is Rounding.LINE:
            return minor_unit_places(self.currency)
        return LINE_PLACES

    @property
    def text(self) -> str:
        """Return the terms as canonical JSON."""
        return to_canonical_json(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """Return the terms as they stand in a content."""
        return {
            "kind": self.kind,
            "tenant": self.tenant,
            "subscription": self.subscription,
            "customer": self.customer,
            "seller": self.seller,
            "currency": self.currency,
            "period": None if self.period is None else period_to_json(self.period),
            "period_index": self.period_index,
            "segments": [each.to_json() for each in self.segments],
            "fees": [each.to_json() for each in self.fees],
            "overrides": [each.to_json() for each in self.overrides],
            "discounts": [each.to_json() for each in self.discounts],
            "items": [each.to_json() for each in self.items],
            "taxes": self.taxes.to_json(),
            "credit": self.credit.to_json(),
            "dimensions": dict(self.dimensions),
            "rounding": self.rounding,
            "credits": self.credits,
            "tax_rounding": self.tax_rounding,
            "due_days": self.due_days,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> InvoiceTerms:
        """Read what to_json wrote (Rejected otherwise)."""
        fields.only(_TERMS_FIELDS)
        currency = fields.text("currency")
        minor_unit_places(currency)
        values = fields.values
        return cls(
            kind=InvoiceKind(fields.choice("kind", InvoiceKind)),
            tenant=fields.text("tenant"),
            subscription=text_or_none(fields, "subscription"),
            customer=fields.text("customer"),
            seller=fields.text("seller"),
            currency=currency,
            period=(
                None
                if values.get("period") is None
                else period_from_fields(fields.object("period"))
            ),
            period_index=fields.integer("period_index", minimum=0, maximum=PERIODS_MAX),
            segments=tuple(
                Segment.from_fields(each)
                for each in fields.objects("segments", count_max=SEGMENTS_MAX)
            ),
            fees=tuple(
                Segment.from_fields(each)
                for each in fields.objects("fees", count_max=SEGMENTS_MAX)
            ),
            overrides=tuple(
                Override.from_fields(each)
                for each in fields.objects("overrides", count_max=OVERRIDES_MAX)
            ),
            discounts=tuple(
                GrantedDiscount.from_fields(each)
                for each in fields.objects("discounts", count_max=GRANTED_MAX)
            ),
            items=tuple(
                Item.from_fields(each) for each in fields.objects("items", count_max=ITEMS_MAX)
            ),
            taxes=TaxTerms.from_fields(fields.object("taxes")),
            credit=CreditBalance.from_fields(fields.object("credit")),
            dimensions=dimensions_from_fields(fields, "dimensions"),
            rounding=Rounding(fields.choice("rounding", Rounding)),
            credits=Credits(fields.choice("credits", Credits)),
            tax_rounding=TaxRounding(fields.choice("tax_rounding", TaxRounding)),
            due_days=fields.integer("due_days", minimum=0, maximum=PERIODS_MAX),
        )


LINE_PLACES = 6
"""Decimal places of a line where the invoice is rounded once (S3-R2)."""
_TERMS_FIELDS = tuple(InvoiceTerms.__dataclass_fields__)


def overrides_for(
    overrides: Iterable[Override], *, parts: Iterable[Segment]
) -> tuple[Override, ...]:
    """This function will return the own prices that parts of a period can read, in their order."""
    segments = tuple(parts)
    plans = {part.plan for part in segments}
    add_ons = {code for part in segments for code, _ in part.add_ons}
    return tuple(each for each in overrides if each.is_of(plans, add_ons))


def period_to_json(period: Period) -> dict[str, Json]:
    """This function will write a period as contents hold it."""
    return {"start": time_text(period.start), "end": time_text(period.end)}


def period_from_fields(fields: Fields) -> Period:
    """This function will read what period_to_json wrote (Rejected otherwise)."""
    fields.only(("start", "end"))
    start, end = fields.time("start"), fields.time("end")
    if start >= end:
        raise fields.refuse("end", "must lie after the start")
    return Period(start, end)


def dimensions_from_fields(fields: Fields, name: str) -> tuple[tuple[str, str], ...]:
    """This function will read an object of texts as sorted pairs (Rejected otherwise)."""
    found = fields.object(name)
    if len(found.values) > DIMENSIONS_MAX:
        raise Rejected(fields.code, f"{found.place} has more than {DIMENSIONS_MAX} dimensions")
    return tuple((key, found.text(key)) for key in sorted(found.values))
