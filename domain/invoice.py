"""What an invoice says and why: lines, total, and the pin that lets anybody make the same again.

build_invoice is pure and is the only maker of contents: the builder calls it on rows from SQL,
replay on rows folded from the log, and both get the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.aggregation.measure import Span
from domain.aggregation.measures import measured
from domain.canonical import Json, decimal_text, from_json, sha256_hex, to_canonical_json
from domain.catalogue import PRICES_MAX, Catalogue, Plan, carried_meters
from domain.codes import Code
from domain.errors import Rejected, invariant
from domain.fields import Fields
from domain.money import minor_unit_places
from domain.period import HOUR_MS, Period, time_text, to_ms
from domain.pricing.graduated import TIERS_MAX
from domain.pricing.price import Step
from domain.rating import InvoiceLine, rate, rounded_minor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.aggregation.window_row import WindowRow

AMOUNT_MINOR_MAX = 10**18
"""Largest amount of a line or invoice, in minor units: it fits the int64 of every reader."""
POSITION_MAX = 2**63 - 1
PARTITIONS_MAX = 4_096
"""Partitions of usage.events that a pin may name."""

_FIELDS = (
    "tenant",
    "subscription",
    "customer",
    "plan",
    "currency",
    "period",
    "lines",
    "total_minor",
    "pin",
)
_LINE_FIELDS = (
    "price",
    "form",
    "meter",
    "unit",
    "quantity",
    "amount_unrounded",
    "amount_minor",
    "steps",
)
_PIN_FIELDS = (
    "catalogue_version",
    "catalogue_sha256",
    "usage_positions",
    "account_partition",
    "account_position",
    "window_digest",
)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EXACT = re.compile(r"[0-9]{1,40}(\.[0-9]{1,60})?", re.ASCII)
"""Exact decimals of a line; what is computed from them stays below the digits of money.EXACT."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which catalogue and which prefix of the log an invoice was made from.

    Args:
        catalogue_version: Version of the subscription's catalogue.
        catalogue_sha256: Hash of its canonical content.
        usage_positions: Next source offset of usage.events, per partition.
        account_partition: Partition of account.commands that holds the tenant.
        account_position: Next source offset of it.
        window_digest: Hash of the windows that were billed (window_set_digest).
    """

    catalogue_version: int
    catalogue_sha256: str
    usage_positions: tuple[int, ...]
    account_partition: int
    account_position: int
    window_digest: str


@dataclass(frozen=True, slots=True)
class InvoiceContent:
    """The whole content of an invoice; number and date come from the books.

    Args:
        tenant: Who bills.
        subscription: Subscription that is billed.
        customer: Who pays.
        plan: Plan code within the pinned catalogue.
        currency: ISO 4217 code of all amounts.
        period: Billed period.
        lines: One per price of the plan.
        total_minor: Sum of the lines, in minor units.
        pin: What it was made from.
    """

    tenant: str
    subscription: str
    customer: str
    plan: str
    currency: str
    period: Period
    lines: tuple[InvoiceLine, ...]
    total_minor: int
    pin: Pin

    @property
    def text(self) -> str:
        """Return the canonical JSON: money in integer minor units, everything exact as text."""
        pin = self.pin
        return to_canonical_json(
            {
                "tenant": self.tenant,
                "subscription": self.subscription,
                "customer": self.customer,
                "plan": self.plan,
                "currency": self.currency,
                "period": {
                    "start": time_text(self.period.start),
                    "end": time_text(self.period.end),
                },
                "lines": [_line_json(line) for line in self.lines],
                "total_minor": self.total_minor,
                "pin": {
                    "catalogue_version": pin.catalogue_version,
                    "catalogue_sha256": pin.catalogue_sha256,
                    "usage_positions": pin.usage_positions,
                    "account_partition": pin.account_partition,
                    "account_position": pin.account_position,
                    "window_digest": pin.window_digest,
                },
            }
        )

    @property
    def sha256(self) -> str:
        """Return the content hash: the SHA-256 of text, as 64 hex digits."""
        return sha256_hex(self.text)


def _line_json(line: InvoiceLine) -> Json:
    estimate: dict[str, Json] = {"is_estimate": True} if line.is_estimate else {}
    return estimate | {
        "price": line.price,
        "form": line.form,
        "meter": line.meter,
        "unit": line.unit,
        "quantity": line.quantity,
        "amount_unrounded": line.amount_unrounded,
        "amount_minor": line.amount_minor,
        "steps": [
            {
                "label": step.label,
                "quantity": decimal_text(step.quantity),
                "rate": decimal_text(step.rate),
                "per": decimal_text(step.per),
                "amount": decimal_text(step.amount),
            }
            for step in line.steps
        ],
    }


def build_invoice(  # noqa: PLR0913 -- an invoice is made from this much, and each part is named
    *,
    tenant: str,
    subscription: str,
    customer: str,
    plan: str,
    catalogue: Catalogue,
    period: Period,
    rows: Iterable[WindowRow],
    usage_positions: tuple[int, ...],
    account_partition: int,
    account_position: int,
) -> InvoiceContent:
    """This function will make the content of an invoice, the same bytes for the same input.

    Args:
        tenant: Who bills.
        subscription: Subscription that is billed.
        customer: Who pays; every row is this customer's.
        plan: Plan code within the catalogue.
        catalogue: Catalogue version that the subscription has for the period (G-07).
        period: Billed period, on full hours.
        rows: The customer's windows of the period, in any order, and of carried_meters each
            series' last one before it; rows of meters that the plan does not price are left out,
            from the digest too.
        usage_positions: Next source offset of usage.events per partition, as the rows stand.
        account_partition: Partition of account.commands that holds the tenant.
        account_position: Next source offset of it.

    Raises:
        Rejected: plan_unknown, when the catalogue has no such plan.
        Fatal: state_corrupt, when a row lies outside the period or comes twice.
    """
    chosen = catalogue.plan(plan)
    span = span_of(period)
    billed = _billed_windows(rows, plan=chosen, catalogue=catalogue, span=span)
    usage = {
        meter: measured(catalogue.meter(meter).measure, windows=windows, span=span)
        for meter, windows in billed.items()
    }
    lines = rate(usage=usage, plan=chosen, catalogue=catalogue)
    return InvoiceContent(
        tenant=tenant,
        subscription=subscription,
        customer=customer,
        plan=plan,
        currency=chosen.currency,
        period=period,
        lines=lines,
        total_minor=sum(line.amount_minor for line in lines),
        pin=Pin(
            catalogue_version=catalogue.version,
            catalogue_sha256=catalogue.sha256,
            usage_positions=usage_positions,
            account_partition=account_partition,
            account_position=account_position,
            window_digest=window_set_digest(row for windows in billed.values() for row in windows),
        ),
    )


def _billed_windows(
    rows: Iterable[WindowRow], *, plan: Plan, catalogue: Catalogue, span: Span
) -> dict[str, list[WindowRow]]:
    """Return the windows of each meter that the plan prices."""
    billed: dict[str, list[WindowRow]] = {price.meter: [] for price in plan.prices if price.meter}
    carried = carried_meters(catalogue.meters)
    for row in rows:
        if row.meter in billed:
            invariant(
                span.holds_hour(row.hour)
                or (row.meter in carried and span.is_after_hour(row.hour)),
                Code.STATE_CORRUPT,
                "a window lies outside the billed period",
                meter=row.meter,
                hour=row.hour,
            )
            billed[row.meter].append(row)
    return billed


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


def window_set_digest(rows: Iterable[WindowRow]) -> str:
    """This function will hash a set of windows, whatever their order, every field included.

    The hash is SHA-256 over one line per window, each a canonical JSON array of the fields in the
    order of WindowRow (dimensions as an object, the key digest as 32 hex digits, the SHA-256 of a
    sketch where there is one) and a line feed, sorted by (meter, dimensions, hour).

    Returns:
        64 hex digits.

    Raises:
        Fatal: state_corrupt, when a window comes twice or its dimensions are out of order.
    """
    ordered = sorted(rows, key=lambda row: (row.meter, row.dimensions, row.hour))
    digest = hashlib.sha256()
    series: tuple[str, tuple[tuple[str, str], ...]] | None = None
    prefix = ""
    hour = 0
    for row in ordered:
        if (row.meter, row.dimensions) != series:
            series = row.meter, row.dimensions
            prefix = _series_prefix(row)
        else:
            invariant(
                row.hour != hour,
                Code.STATE_CORRUPT,
                "a window comes twice",
                meter=row.meter,
                hour=row.hour,
            )
        hour = row.hour
        sketch = f',"{hashlib.sha256(row.sketch).hexdigest()}"' if row.sketch else ""
        # Written by hand, not by to_canonical_json: thousands of windows make one invoice.
        digest.update(
            f"{prefix}{hour},{row.events},{row.sum_nanos},{row.min_nanos},{row.max_nanos},"
            f"{row.latest_nanos},{row.latest_occurred_ms},{row.latest_offset},{row.first_offset},"
            f'{row.last_offset},"{row.key_digest:032x}",{row.late}{sketch}]\n'.encode()
        )
    return digest.hexdigest()


def _series_prefix(row: WindowRow) -> str:
    dimensions = dict(row.dimensions)
    invariant(
        tuple(sorted(dimensions.items())) == row.dimensions,
        Code.STATE_CORRUPT,
        "dimensions of a window are not sorted by different names",
        meter=row.meter,
    )
    return to_canonical_json([row.meter, dimensions])[:-1] + ","


def parse_invoice_content(text: str) -> InvoiceContent:
    """This function will read an invoice content and check its form to the last byte.

    It does not add up: see require_totals.

    Args:
        text: Canonical JSON as InvoiceContent.text writes it.

    Raises:
        Rejected: bad_value, with the place of the first broken rule.
    """
    fields = Fields.of(from_json(text), place="invoice", code=Code.BAD_VALUE)
    fields.only(_FIELDS)
    currency = fields.text("currency")
    minor_unit_places(currency)
    content = InvoiceContent(
        tenant=fields.text("tenant"),
        subscription=fields.text("subscription"),
        customer=fields.text("customer"),
        plan=fields.text("plan"),
        currency=currency,
        period=_period(fields.object("period")),
        lines=tuple(_line(item) for item in fields.objects("lines", count_max=PRICES_MAX)),
        total_minor=fields.integer("total_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
        pin=_pin(fields.object("pin")),
    )
    if content.text != text:
        raise Rejected(Code.BAD_VALUE, "invoice is not written in its canonical form")
    return content


def _period(fields: Fields) -> Period:
    fields.only(("start", "end"))
    start, end = fields.time("start"), fields.time("end")
    if start >= end:
        raise fields.refuse("end", "must lie after the start")
    return Period(start, end)


def _line(fields: Fields) -> InvoiceLine:
    fields.only((*_LINE_FIELDS, "is_estimate"))
    is_fee = fields.values.get("meter") == ""
    return InvoiceLine(
        price=fields.text("price"),
        form=fields.text("form"),
        meter="" if is_fee else fields.text("meter"),
        unit="" if is_fee else fields.text("unit"),
        quantity=_exact_text(fields, "quantity"),
        amount_unrounded=_exact_text(fields, "amount_unrounded"),
        amount_minor=fields.integer("amount_minor", minimum=0, maximum=AMOUNT_MINOR_MAX),
        steps=tuple(_step(item) for item in fields.objects("steps", count_max=TIERS_MAX)),
        is_estimate=fields.values.get("is_estimate") is True,
    )


def _step(fields: Fields) -> Step:
    fields.only(("label", "quantity", "rate", "per", "amount"))
    return Step(
        label=fields.text("label"),
        quantity=Decimal(_exact_text(fields, "quantity")),
        rate=Decimal(_exact_text(fields, "rate")),
        per=Decimal(_exact_text(fields, "per")),
        amount=Decimal(_exact_text(fields, "amount")),
    )


def _exact_text(fields: Fields, name: str) -> str:
    """Return a decimal text that is written in its shortest form."""
    value = fields.values.get(name)
    if (
        not isinstance(value, str)
        or _EXACT.fullmatch(value) is None
        or decimal_text(Decimal(value)) != value
    ):
        raise fields.refuse(name, "must be an exact decimal in its shortest form")
    return value


def _pin(fields: Fields) -> Pin:
    fields.only(_PIN_FIELDS)
    positions = fields.values.get("usage_positions")
    if (
        not isinstance(positions, list | tuple)
        or not 1 <= len(positions) <= PARTITIONS_MAX
        or not all(type(item) is int and 0 <= item <= POSITION_MAX for item in positions)
    ):
        raise fields.refuse("usage_positions", f"must be a list of 1 to {PARTITIONS_MAX} offsets")
    return Pin(
        catalogue_version=fields.integer("catalogue_version", minimum=1, maximum=POSITION_MAX),
        catalogue_sha256=hash_text(fields, "catalogue_sha256"),
        usage_positions=tuple(position for position in positions if isinstance(position, int)),
        account_partition=fields.integer("account_partition", minimum=0, maximum=PARTITIONS_MAX),
        account_position=fields.integer("account_position", minimum=0, maximum=POSITION_MAX),
        window_digest=hash_text(fields, "window_digest"),
    )


def hash_text(fields: Fields, name: str) -> str:
    """This function will read a SHA-256 in 64 lower-case hex digits (Rejected otherwise)."""
    value = fields.text(name)
    if _HASH.fullmatch(value) is None:
        raise fields.refuse(name, "must be a SHA-256 in 64 lower-case hex digits")
    return value


def require_totals(content: InvoiceContent) -> None:
    """This function will check that lines are rounded right and add up to the total (G-04).

    Raises:
        Rejected: totals_differ, naming the line or the total.
    """
    for line in content.lines:
        rounded = rounded_minor(line.amount_unrounded, currency=content.currency)
        if line.amount_minor != rounded:
            raise Rejected(
                Code.TOTALS_DIFFER,
                f"line {line.price!r} says {line.amount_minor} minor units, its exact amount "
                f"{line.amount_unrounded} rounds to {rounded}",
            )
    total = sum(line.amount_minor for line in content.lines)
    if content.total_minor != total:
        raise Rejected(
            Code.TOTALS_DIFFER,
            f"the total says {content.total_minor} minor units, the lines add up to {total}",
        )
