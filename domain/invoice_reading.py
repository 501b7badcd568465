"""Reading an invoice's content back: typed, and refusing whatever is not its canonical form.

The form alone is checked here. That a content is right is seen by building it again.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.billing_terms import TaxMode, TaxTreatment
from domain.canonical import from_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.invoice import (
    AMOUNT_MINOR_MAX,
    FORMAT,
    LINES_MAX,
    STEPS_MAX,
    USAGE_MAX,
    InvoiceContent,
    Line,
    LineStep,
    Pin,
    hash_text,
)
from domain.invoice_amounts import TaxGroup, Totals
from domain.invoice_taxes import TAX_CATEGORIES_MAX, text_or_none
from domain.invoice_terms import GRANTED_MAX, ITEMS_MAX, InvoiceTerms
from domain.quantity import SCALE
from domain.rated import LINE_ID_LENGTH_MAX, LINE_LABEL_LENGTH_MAX, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.canonical import Json

POSITION_MAX = 2**63 - 1
PARTITIONS_MAX = 4_096
"""Partitions of usage.events that a pin may name."""
TAX_ROWS_MAX = TAX_CATEGORIES_MAX + 1 + ITEMS_MAX
"""Rows of a tax table: the categories, what has no tax, and corrections with taxes of before."""
DISCOUNTS_OF_LINE_MAX = GRANTED_MAX + 1
"""Those of the subscription, and the maximum of the plan."""

_EXACT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,80})?", re.ASCII)
_QUANTITY = re.compile(r"[0-9]{1,40}(\.[0-9]{1,9})?", re.ASCII)
_CONTENT_FIELDS = (
    *("format", "scale", "terms", "usage", "lines", "subtotal", "discount", "credit_minor"),
    *("promotion_minor", "taxes", "tax", "total", "total_minor", "carry_minor", "pin"),
)
_LINE_FIELDS = (
    *("id", "kind", "label", "price", "form", "meter", "unit", "quantity", "amount_unrounded"),
    *("amount", "discounts", "net", "tax", "tax_code", "tax_row", "tax_amount", "start", "end"),
    *("steps", "is_estimate", "refers", "credited"),
)


def parse_invoice_content(text: str) -> InvoiceContent:
    """This function will read an invoice content and check its form to the last byte.

    Args:
        text: Canonical JSON as InvoiceContent.text writes it.

    Raises:
        Rejected: bad_value or currency_unknown, with the place of the first broken rule.
    """
    fields = content_fields(text)
    fields.only(_CONTENT_FIELDS)
    content = InvoiceContent(
        terms=terms_of(fields),
        usage=usage_of(fields),
        lines=tuple(_line(each) for each in fields.objects("lines", count_max=LINES_MAX)),
        totals=_totals(fields),
        pin=pin_of(fields),
    )
    if content.text != text:
        raise Rejected(Code.BAD_VALUE, "invoice is not written in its canonical form")
    return content


def content_fields(text: str) -> Fields:
    """This function will open a content for reading.

    Raises:
        Rejected: bad_value, when it is no JSON object of this format.
    """
    fields = Fields.of(from_json(text), place="invoice", code=Code.BAD_VALUE)
    if fields.values.get("format") != FORMAT:
        raise fields.refuse("format", f"must be {FORMAT}")
    return fields


def terms_of(fields: Fields) -> InvoiceTerms:
    """This function will read the terms of a content (Rejected otherwise)."""
    return InvoiceTerms.from_fields(fields.object("terms"))


def usage_of(fields: Fields) -> tuple[UsageEntry, ...]:
    """This function will read the usage of a content (Rejected otherwise)."""
    return tuple(_usage(each) for each in fields.objects("usage", count_max=USAGE_MAX))


def _usage(fields: Fields) -> UsageEntry:
    fields.only(("segment", "meter", "where", "quantity", "events", "is_estimate"))
    quantity = fields.values.get("quantity")
    if not isinstance(quantity, str) or _QUANTITY.fullmatch(quantity) is None:
        raise fields.refuse("quantity", "must be a quantity of at most 9 places")
    where = fields.object("where")
    units, _, fraction = quantity.partition(".")
    return UsageEntry(
        segment=fields.integer("segment", minimum=0, maximum=LINES_MAX),
        meter=fields.text("meter"),
        where=tuple((name, text_or_none(where, name)) for name in sorted(where.values)),
        nanos=int(units + fraction.ljust(SCALE, "0")),
        events=fields.integer("events", minimum=0, maximum=POSITION_MAX),
        is_estimate=fields.values.get("is_estimate") is True,
    )


def pin_of(fields: Fields) -> Pin:
    """This function will read the pin of a content (Rejected otherwise)."""
    pin = fields.object("pin")
    pin.only(("usage_positions", "account_partition", "account_position", "usage_digest"))
    positions = pin.values.get("usage_positions")
    if (
        not isinstance(positions, list | tuple)
        or not 1 <= len(positions) <= PARTITIONS_MAX
        or not all(type(item) is int and 0 <= item <= POSITION_MAX for item in positions)
    ):
        raise pin.refuse("usage_positions", f"must be a list of 1 to {PARTITIONS_MAX} offsets")
    return Pin(
        usage_positions=tuple(position for position in positions if isinstance(position, int)),
        account_partition=pin.integer("account_partition", minimum=0, maximum=PARTITIONS_MAX),
        account_position=pin.integer("account_position", minimum=0, maximum=POSITION_MAX),
        usage_digest=hash_text(pin, "usage_digest"),
    )


def _line(fields: Fields) -> Line:
    fields.only(_LINE_FIELDS)
    refers = fields.values.get("refers", ("", ""))
    if not isinstance(refers, list | tuple) or len(refers) != 2:  # noqa: PLR2004 -- an invoice and a line
        raise fields.refuse("refers", "must be an invoice id and a line id")
    return Line(
        line_id=fields.text("id", length_max=LINE_ID_LENGTH_MAX),
        kind=fields.text("kind"),
        label=fields.text("label", length_max=LINE_LABEL_LENGTH_MAX),
        price=text_or_none(fields, "price"),
        form=text_or_none(fields, "form"),
        meter=text_or_none(fields, "meter"),
        unit=text_or_none(fields, "unit"),
        quantity=_exact(fields, "quantity"),
        amount_unrounded=_exact(fields, "amount_unrounded"),
        amount=_amount(fields, "amount"),
        discounts=tuple(
            (each.text("code"), _amount(each, "amount"))
            for each in fields.objects("discounts", count_max=DISCOUNTS_OF_LINE_MAX)
        ),
        net=_amount(fields, "net"),
        tax=fields.text("tax"),
        tax_code=text_or_none(fields, "tax_code"),
        tax_row=fields.integer("tax_row", minimum=0, maximum=TAX_ROWS_MAX - 1),
        tax_amount=_amount(fields, "tax_amount"),
        start=fields.time("start"),
        end=fields.time("end"),
        steps=tuple(_step(each) for each in fields.objects("steps", count_max=STEPS_MAX)),
        is_estimate=fields.values.get("is_estimate") is True,
        refers=(str(refers[0]), str(refers[1])),
        credited=fields.integer("credited", minimum=0, maximum=AMOUNT_MINOR_MAX, default=0),
    )


def _step(fields: Fields) -> LineStep:
    fields.only(("label", "quantity", "rate", "per", "amount"))
    return LineStep(
        label=fields.document("label"),
        quantity=_exact(fields, "quantity"),
        rate=_exact(fields, "rate"),
        per=_exact(fields, "per"),
        amount=_exact(fields, "amount"),
    )


def _totals(fields: Fields) -> Totals:
    return Totals(
        subtotal=_amount(fields, "subtotal"),
        discount=_amount(fields, "discount"),
        credit_minor=_amount(fields, "credit_minor"),
        promotion_minor=_amount(fields, "promotion_minor"),
        taxes=tuple(_tax(each) for each in fields.objects("taxes", count_max=TAX_ROWS_MAX)),
        tax=_amount(fields, "tax"),
        total=_amount(fields, "total"),
        total_minor=_amount(fields, "total_minor"),
        carry_minor=_amount(fields, "carry_minor"),
    )


def _tax(fields: Fields) -> TaxGroup:
    fields.only(("code", "name", "rate", "mode", "treatment", "base", "amount"))
    return TaxGroup(
        code=text_or_none(fields, "code"),
        name=text_or_none(fields, "name"),
        rate=Decimal(_exact(fields, "rate")),
        mode=TaxMode(fields.choice("mode", TaxMode)),
        treatment=TaxTreatment(fields.choice("treatment", TaxTreatment)),
        base=_amount(fields, "base"),
        amount=_amount(fields, "amount"),
    )


def _amount(fields: Fields, name: str) -> int:
    return fields.integer(name, minimum=-AMOUNT_MINOR_MAX, maximum=AMOUNT_MINOR_MAX)


def _exact(fields: Fields, name: str) -> str:
    """Return a decimal text; that it is the shortest form, writing the content again shows."""
    value: Json | Mapping[str, Json] = fields.values.get(name)
    if not isinstance(value, str) or _EXACT.fullmatch(value) is None:
        raise fields.refuse(name, "must be an exact decimal")
    return value
