"""What an invoice says and why: terms, usage, lines, totals, and the pin to make the same again.

build_invoice is pure and is the only maker of contents (docs/decisions/0025): the builder calls it
on rows from SQL, the books on their own state, replay on the log, and all get the same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from domain.aggregation.measure import Span
from domain.canonical import Json, decimal_text, sha256_hex, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.invoice_amounts import Draft, Totals, settle
from domain.invoice_room import fewer_items
from domain.invoice_terms import ITEMS_MAX
from domain.money import exact_text, minor_unit_places
from domain.period import HOUR_MS, Period, time_text, to_ms
from domain.quantity import nanos_text
from domain.rated import RatedLine, UsageEntry
from domain.rating import commitment, rate, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from domain.catalogue import Catalogue
    from domain.fields import Fields
    from domain.invoice_amounts import TaxGroup
    from domain.invoice_terms import InvoiceTerms, Item
    from domain.rated import Bound

FORMAT = 4
"""Form of a content; rises when old ones would be read wrongly."""
AMOUNT_MINOR_MAX = 10**18
"""Largest amount of a line or invoice, in whole units: it fits the int64 of every reader."""
RATED_LINES_MAX = 5_000
"""Lines of one invoice by its prices: a hundred of them in fifty parts of a period."""
LINES_MAX = RATED_LINES_MAX + ITEMS_MAX
"""All of its lines: items that wait never keep a period from being billed."""
USAGE_MAX = 50_000
"""Usage entries of one invoice: matrix prices have one for each set of values."""
STEPS_MAX = 2_000
"""Steps of one line: a matrix has one for each set of values that occurred."""
_ITEM = "item/"
"""Begins the id of the line of an item; the item's id follows."""

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pin:
    """Which prefix of the log an invoice was made from; catalogues stand in its segments.

    Args:
        usage_positions: Next source offset of usage.events, per partition.
        account_partition: Partition of account.commands that holds the tenant.
        account_position: Next source offset of it.
        usage_digest: Hash of the rows that were billed (domain.usage.segment_rows).
    """

    usage_positions: tuple[int, ...]
    account_partition: int
    account_position: int
    usage_digest: str

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in a content."""
        return {
            "usage_positions": list(self.usage_positions),
            "account_partition": self.account_partition,
            "account_position": self.account_position,
            "usage_digest": self.usage_digest,
        }


@dataclass(frozen=True, slots=True)
class LineStep:
    """A step of an amount, as text for people.

    Args:
        label: What was charged.
        quantity: Quantity of this step.
        rate: Price of one rate unit.
        per: Units that one rate unit holds.
        amount: Unrounded amount in major units.
    """

    label: str
    quantity: str
    rate: str
    per: str
    amount: str

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in a content."""
        return {
            "label": self.label,
            "quantity": self.quantity,
            "rate": self.rate,
            "per": self.per,
            "amount": self.amount,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an invoice; amounts are whole units of the content's scale.

    Args:
        line_id: Its name within the invoice, for good: "0/credit_overage" is part and price.
        kind: fee, seats, usage, add_on, minimum or item.
        label: What it is, for people.
        price: Key of the price; empty for an item or a minimum.
        form: Price form; the item's kind for an item.
        meter: Meter or composite that was priced; empty for none.
        unit: What one unit of the quantity is, for people; empty for none.
        quantity: Billed quantity as decimal text.
        amount_unrounded: Exact amount in major units as decimal text; 18 places where it has no
            last digit.
        amount: The amount rounded half up.
        discounts: (code, amount) in the order in which they came off.
        net: The amount without its discounts.
        tax: Tax category.
        tax_code: Code of its tax; empty for none.
        tax_row: Its row of the tax table, from 0.
        tax_amount: Its part of the tax.
        start: Start of the time it is for.
        end: End of it.
        steps: How the amount came about.
        is_estimate: Whether the quantity is near the true one instead of equal to it.
        refers: (invoice id, line id) that it corrects; ("", "") for none.
        credited: What promotions took off before the tax: net without it is what was taxed.
    """

    line_id: str
    kind: str
    label: str
    price: str
    form: str
    meter: str
    unit: str
    quantity: str
    amount_unrounded: str
    amount: int
    discounts: tuple[tuple[str, int], ...]
    net: int
    tax: str
    tax_code: str
    tax_row: int
    tax_amount: int
    start: datetime
    end: datetime
    steps: tuple[LineStep, ...]
    is_estimate: bool = False
    refers: tuple[str, str] = ("", "")
    credited: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return it as it stands in a content."""
        more: dict[str, Json] = {}
        if self.is_estimate:
            more["is_estimate"] = True
        if self.refers[0]:
            more["refers"] = list(self.refers)
        if self.credited:
            more["credited"] = self.credited
        return more | {
            "id": self.line_id,
            "kind": self.kind,
            "label": self.label,
            "price": self.price,
            "form": self.form,
            "meter": self.meter,
            "unit": self.unit,
            "quantity": self.quantity,
            "amount_unrounded": self.amount_unrounded,
            "amount": self.amount,
            "discounts": [{"code": code, "amount": amount} for code, amount in self.discounts],
            "net": self.net,
            "tax": self.tax,
            "tax_code": self.tax_code,
            "tax_row": self.tax_row,
            "tax_amount": self.tax_amount,
            "start": time_text(self.start),
            "end": time_text(self.end),
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True)  # without slots: text and hash are made once, and asked for five times
class InvoiceContent:
    """The whole content of an invoice; number and dates come from the books.

    Args:
        terms: What it was made by.
        usage: What was used, sorted by part, meter and dimensions.
        lines: Its lines, in the order of the plan, items last.
        totals: What they come to.
        pin: What it was made from.
    """

    terms: InvoiceTerms
    usage: tuple[UsageEntry, ...]
    lines: tuple[Line, ...]
    totals: Totals
    pin: Pin

    @property
    def scale(self) -> int:
        """Return the decimal places of its amounts."""
        return self.terms.scale

    @property
    def total_minor(self) -> int:
        """Return what is to pay, in minor units."""
        return self.totals.total_minor

    def tax_of(self, line: Line) -> TaxGroup:
        """Return the row of the tax table that a line is taxed in."""
        return self.totals.taxes[line.tax_row]

    @cached_property
    def text(self) -> str:
        """Return the canonical JSON: amounts in whole units, everything exact as text."""
        totals = self.totals
        return to_canonical_json(
            {
                "format": FORMAT,
                "scale": self.scale,
                "terms": self.terms.to_json(),
                "usage": [usage_to_json(entry) for entry in self.usage],
                "lines": [line.to_json() for line in self.lines],
                "subtotal": totals.subtotal,
                "discount": totals.discount,
                "credit_minor": totals.credit_minor,
                "promotion_minor": totals.promotion_minor,
                "taxes": [tax_to_json(group) for group in totals.taxes],
                "tax": totals.tax,
                "total": totals.total,
                "total_minor": totals.total_minor,
                "carry_minor": totals.carry_minor,
                "pin": self.pin.to_json(),
            }
        )

    @cached_property
    def sha256(self) -> str:
        """Return the content hash: the SHA-256 of text, as 64 hex digits."""
        return sha256_hex(self.text)


def usage_to_json(entry: UsageEntry) -> Json:
    """This function will write a usage entry as contents hold it."""
    estimate: dict[str, Json] = {"is_estimate": True} if entry.is_estimate else {}
    return estimate | {
        "segment": entry.segment,
        "meter": entry.meter,
        "where": dict(entry.where),
        "quantity": nanos_text(entry.nanos),
        "events": entry.events,
    }


def tax_to_json(group: TaxGroup) -> Json:
    """This function will write a row of the tax table as contents hold it."""
    return {
        "code": group.code,
        "name": group.name,
        "rate": decimal_text(group.rate),
        "mode": group.mode,
        "treatment": group.treatment,
        "base": group.base,
        "amount": group.amount,
    }


def build_invoice(
    *,
    terms: InvoiceTerms,
    usage: Iterable[UsageEntry],
    catalogues: Mapping[int, Catalogue],
    pin: Pin,
    is_next: bool = False,
) -> InvoiceContent:
    """This function will make the content of an invoice, the same bytes for the same input.

    Args:
        terms: What it is made by.
        usage: What was used, in any order.
        catalogues: At least the versions that the terms name.
        pin: What the usage was read from.
        is_next: Whether the invoice is still to be made: then it takes along as many of the items
            as it has room for (domain.invoice_room). Else it is made as it was, with all of them.

    Raises:
        Rejected: catalogue_differs, when a version is missing or has another content;
            amount_limit, when an amount does not fit; invoice_limit, when nobody could read it
            for its size; what rating refuses.
    """
    _require_catalogues(terms, catalogues)
    entries = tuple(sorted(usage, key=lambda each: (each.segment, each.meter, each.where)))
    rated = rate(terms=terms, usage=entries, catalogues=catalogues)
    _require_readable(rated, usage=len(entries))
    maximum = commitment(terms=terms, catalogues=catalogues, which="maximum")
    content = _settled(terms, rated, usage=entries, maximum=maximum, pin=pin)
    while is_next and (items := fewer_items(terms, text=content.text)) is not None:
        terms = replace(terms, items=items)
        content = _settled(terms, rated, usage=entries, maximum=maximum, pin=pin)
    return content


def _settled(
    terms: InvoiceTerms,
    rated: tuple[RatedLine, ...],
    *,
    usage: tuple[UsageEntry, ...],
    maximum: Bound | None,
    pin: Pin,
) -> InvoiceContent:
    """Put the items beside the lines of the prices, and settle them all."""
    scale = terms.scale
    drafts = [
        Draft(
            is_discounted=line.is_discounted,
            price=line.price,
            tax=terms.taxes.tax_of(line.tax),
            amount=_whole(amount, line_id=line.line_id),
        )
        for line, amount in zip(rated, rounded(rated, places=scale), strict=True)
    ]
    places = minor_unit_places(terms.currency)
    drafts += [
        Draft(
            is_discounted=False,
            price="",
            tax=item.taxed or terms.taxes.tax_of(item.tax),
            amount=_whole(item.amount_minor * 10 ** (scale - places), line_id=item.item),
            corrects=item.refers,
        )
        for item in terms.items
    ]
    totals = settle(
        drafts,
        terms=terms,
        maximum=None if maximum is None else maximum.amount,
        is_capped=lambda index: (
            maximum is not None and index < len(rated) and maximum.counts(rated[index])
        ),
    )
    lines = tuple(
        _rated_line(line, draft) for line, draft in zip(rated, drafts[: len(rated)], strict=True)
    ) + tuple(
        _item_line(item, draft, places=places)
        for item, draft in zip(terms.items, drafts[len(rated) :], strict=True)
    )
    for amount in (totals.subtotal, totals.discount, totals.total, totals.tax):
        _whole(amount, line_id="total")
    return InvoiceContent(terms=terms, usage=usage, lines=lines, totals=totals, pin=pin)


def _require_catalogues(terms: InvoiceTerms, catalogues: Mapping[int, Catalogue]) -> None:
    segments = (*terms.segments, *terms.fees)
    for version, sha256 in {(each.catalogue_version, each.catalogue_sha256) for each in segments}:
        found = catalogues.get(version)
        if found is None or found.sha256 != sha256:
            raise Rejected(
                Code.CATALOGUE_DIFFERS,
                f"catalogue version {version} with hash {sha256} is not at hand",
            )


def _require_readable(rated: tuple[RatedLine, ...], *, usage: int) -> None:
    """Refuse what a reader of contents refuses (invoice_reading): it could never be shown."""
    steps = max((len(line.steps) for line in rated), default=0)
    for what, count, count_max in (
        ("lines", len(rated), RATED_LINES_MAX),
        ("steps in a line", steps, STEPS_MAX),
        ("usage entries", usage, USAGE_MAX),
    ):
        if count > count_max:
            raise Rejected(
                Code.INVOICE_LIMIT,
                f"the invoice would have {count} {what}, at most {count_max} are taken; plan "
                "fewer prices, or fewer changes in a period",
            )


def _whole(amount: int, *, line_id: str) -> int:
    """Refuse an amount that does not fit into 64 bits everywhere."""
    if abs(amount) > AMOUNT_MINOR_MAX:
        raise Rejected(
            Code.AMOUNT_LIMIT, f"{line_id} comes to more than {AMOUNT_MINOR_MAX} whole units"
        )
    return amount


def _rated_line(line: RatedLine, draft: Draft) -> Line:
    return Line(
        line_id=line.line_id,
        kind=line.kind,
        label=line.label,
        price=line.price,
        form=line.form,
        meter=line.meter,
        unit=line.unit,
        quantity=line.quantity,
        amount_unrounded=exact_text(line.amount_exact),
        amount=draft.amount,
        discounts=tuple(draft.discounts),
        net=draft.left,
        tax=line.tax,
        tax_code=draft.tax.code,
        tax_row=draft.tax_row,
        tax_amount=draft.tax_amount,
        start=line.start,
        end=line.end,
        steps=tuple(
            LineStep(
                label=step.label,
                quantity=exact_text(step.quantity),
                rate=exact_text(step.rate),
                per=exact_text(step.per),
                amount=exact_text(step.amount),
            )
            for step in line.steps
        ),
        is_estimate=line.is_estimate,
        credited=draft.credited,
    )


def item_of(line_id: str) -> str:
    """This function will return the item that a line bills, by the line's id; empty for none."""
    return line_id.removeprefix(_ITEM) if line_id.startswith(_ITEM) else ""


def _item_line(item: Item, draft: Draft, *, places: int) -> Line:
    amount = exact_text(Fraction(item.amount_minor, 10**places))
    return Line(
        line_id=f"{_ITEM}{item.item}",
        kind="item",
        label=item.label,
        price="",
        form=item.kind,
        meter="",
        unit="",
        quantity="1",
        amount_unrounded=amount,
        amount=draft.amount,
        discounts=(),
        net=draft.left,
        tax=item.tax,
        tax_code=draft.tax.code,
        tax_row=draft.tax_row,
        tax_amount=draft.tax_amount,
        start=item.start,
        end=item.end,
        steps=(LineStep(label=item.label, quantity="1", rate=amount, per="1", amount=amount),),
        refers=item.refers,
        credited=draft.credited,
    )


def span_of(period: Period) -> Span:
    """This function will return a billed period as a span of whole hours.

    Raises:
        Fatal: state_corrupt, when the period does not lie on full hours.
    """
    start_ms, end_ms = to_ms(period.start), to_ms(period.end)
    invariant(
        start_ms % HOUR_MS == 0 and end_ms % HOUR_MS == 0,
        Code.STATE_CORRUPT,
        "a billed period does not lie on full hours",
        start=time_text(period.start),
        end=time_text(period.end),
    )
    return Span(start_ms, end_ms)


def hash_text(fields: Fields, name: str) -> str:
    """This function will read a SHA-256 in 64 lower-case hex digits (Rejected otherwise)."""
    value = fields.text(name)
    if _HASH.fullmatch(value) is None:
        raise fields.refuse(name, "must be a SHA-256 in 64 lower-case hex digits")
    return value
