"""Catalogues, windows and commands for tests of rating, invoices and books."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from domain import catalogue, invoice, invoice_usage, money, quantity, rating
from domain.aggregation.kinds import Aggregation
from domain.aggregation.measure import Span
from domain.aggregation.window_row import WindowRow
from domain.billing_terms import TaxTreatment
from domain.books import facts, fold, records
from domain.canonical import Json
from domain.codes import Code
from domain.composite import Counted
from domain.credit_balance import NO_CREDIT, CreditBalance
from domain.fields import Fields
from domain.invoice_taxes import resolved_taxes
from domain.invoice_terms import (
    GrantedDiscount,
    InvoiceKind,
    InvoiceTerms,
    Item,
    Segment,
)
from domain.meter import Meter
from domain.overrides import Override
from domain.period import HOUR_MS, Period, to_ms
from domain.plan import price_over
from domain.pricing.price import WHOLE, Price, PriceUsage, Quantity, Share, amount_of
from domain.usage.segment_rows import segment_rows

NANOS = quantity.NANOS_PER_UNIT


def units(text: str) -> int:
    """Billionths of any plain decimal, also one that is too large for a single event."""
    whole, _, fraction = text.partition(".")
    return int(whole) * NANOS + int(fraction.ljust(quantity.SCALE, "0"))


def moment(text: str) -> datetime:
    """A day or a moment in UTC, for example "2025-01-01"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start: str, end: str) -> Period:
    return Period(moment(start), moment(end))


def hours(first: int, end: int) -> Span:
    """Hours [first, end), as hours since 1970 UTC."""
    return Span(first * HOUR_MS, end * HOUR_MS)


def document(version: int, *, meters: Sequence[Json], plans: Sequence[Json]) -> str:
    return json.dumps({"version": version, "meters": meters, "plans": plans})


def meter(key: str, *, aggregation: str = "sum", event_type: str = "", unit: str = "unit") -> Json:
    return {
        "key": key,
        "event_type": event_type or key,
        "aggregation": aggregation,
        "unit": unit,
    }


def plan(code: str, *, currency: str, prices: Sequence[Json]) -> Json:
    return {"code": code, "name": code.title(), "currency": currency, "prices": prices}


def s1_plan(code: str, *, base: str, assets: tuple[str, str], credits_: tuple[str, str]) -> Json:
    """A plan of S1: a base fee, and (included, rate) of assets and credits."""
    return plan(
        code,
        currency="CAD",
        prices=[
            {"key": "base", "form": "flat", "amount": base},
            {
                "key": "asset_uplift",
                "form": "per_unit",
                "meter": "assets",
                "included": assets[0],
                "rate": assets[1],
            },
            {
                "key": "credit_overage",
                "form": "per_unit",
                "meter": "credits",
                "included": credits_[0],
                "rate": credits_[1],
            },
        ],
    )


S1_METERS: list[Json] = [
    meter("assets", aggregation="latest", unit="asset"),
    meter("credits", unit="credit"),
]
S1_PLANS = [
    s1_plan("STARTER", base="4000", assets=("200", "3.00"), credits_=("250000", "0.0020")),
    s1_plan("PRO", base="9000", assets=("1000", "3.00"), credits_=("1000000", "0.0020")),
    s1_plan("ENTERPRISE", base="18000", assets=("3000", "2.50"), credits_=("5000000", "0.0015")),
    s1_plan("CUSTOM", base="25000.00", assets=("5000", "2.00"), credits_=("10000000", "0.0010")),
]


def s1_document(version: int = 1) -> str:
    return document(version, meters=S1_METERS, plans=S1_PLANS)


def s1_catalogue(version: int = 1) -> catalogue.Catalogue:
    return catalogue.parse_catalogue(s1_document(version))


def window(
    meter_key: str,
    *,
    at: str = "2025-01-01",
    hours: int = 0,
    value: str = "1",
    dimensions: Mapping[str, str] | None = None,
    offset: int = 0,
    hour: int | None = None,
    sketch: bytes = b"",
) -> WindowRow:
    """A window that counted one event, `hours` after `at`, or in the hour given."""
    if hour is None:
        hour = to_ms(moment(at)) // HOUR_MS + hours
    nanos = units(value)
    return WindowRow(
        meter=meter_key,
        dimensions=tuple(sorted((dimensions or {}).items())),
        hour=hour,
        events=1,
        sum_nanos=nanos,
        min_nanos=nanos,
        max_nanos=nanos,
        latest_nanos=nanos,
        latest_occurred_ms=hour * HOUR_MS,
        latest_offset=offset,
        first_offset=offset,
        last_offset=offset,
        key_digest=offset + 1,
        late=0,
        sketch=sketch,
    )


METER = Meter(
    key="m",
    event_type="m",
    value_property="",
    aggregation=Aggregation.SUM,
    group_by=("model", "region"),
    unit="unit",
)
"""What prices of tests are over."""


def price(form: str, **fields: Json) -> Price:
    """A price as a catalogue has it, called "price" and over METER; `value_bands` are METER's."""
    bands = fields.pop("value_bands", ())
    assert isinstance(bands, list | tuple)
    own: Mapping[str, Json] = {} if form in {"flat", "seats"} else {"meter": "m"}
    meter = replace(METER, value_bands=tuple(units(str(bound)) for bound in bands))
    read = Fields.of(
        {"key": "price", "form": form, **own, **fields},
        place="price",
        code=Code.CATALOGUE_INVALID,
    )
    return price_over(read, counted=Counted(meters={"m": meter}))


def tiers(*steps: tuple[str, str], what: str = "rate") -> list[Json]:
    """Tiers of (up_to, rate); "" leaves the last one open."""
    return [({"up_to": up_to} if up_to else {}) | {what: rate} for up_to, rate in steps]


def used(
    quantity: str | Fraction,
    *,
    events: int = 0,
    groups: Mapping[tuple[tuple[str, str], ...], tuple[str, int]] | None = None,
    is_flow: bool = True,
) -> PriceUsage:
    """What a price is asked to charge; groups as values to (quantity, events)."""
    return PriceUsage(
        Quantity(Fraction(quantity), Fraction(events)),
        tuple(
            (where, Quantity(Fraction(value), Fraction(count)))
            for where, (value, count) in (groups or {}).items()
        ),
        is_flow,
    )


def cost(of: Price, usage: PriceUsage, *, share: Share = WHOLE) -> Fraction:
    """What a price charges."""
    return amount_of(of.charge(usage, share=share))


def segment(
    *,
    prices: catalogue.Catalogue,
    billed: Period,
    plan_code: str = "PRO",
    of_days: int = 0,
    seats: int = 1,
    add_ons: tuple[tuple[str, int], ...] = (),
    is_paused: bool = False,
) -> Segment:
    """A part of a period on one plan; by default the part is the whole."""
    days = (billed.end - billed.start).days
    return Segment(
        start=billed.start,
        end=billed.end,
        plan=plan_code,
        catalogue_version=prices.version,
        catalogue_sha256=prices.sha256,
        days=days,
        of_days=of_days or days,
        seats=seats,
        add_ons=add_ons,
        is_paused=is_paused,
    )


def terms_of(
    *parts: Segment,
    prices: catalogue.Catalogue,
    fees: Segment | None = None,
    tenant: str = "tenant",
    subscription: str = "sub_1",
    customer: str = "acme",
    overrides: tuple[Override, ...] = (),
    discounts: tuple[GrantedDiscount, ...] = (),
    items: tuple[Item, ...] = (),
    credit: CreditBalance = NO_CREDIT,
    dimensions: tuple[tuple[str, str], ...] = (),
) -> InvoiceTerms:
    """The terms of a period's invoice over its parts; by default with the first part's fees."""
    charged = fees or replace(parts[0], end=parts[-1].end, days=1, of_days=1)
    terms = prices.billing
    return InvoiceTerms(
        kind=InvoiceKind.PERIOD,
        tenant=tenant,
        subscription=subscription,
        customer=customer,
        seller=terms.default_seller.key,
        currency=prices.plan(charged.plan).currency,
        period=Period(parts[0].start, parts[-1].end),
        period_index=0,
        segments=parts,
        fees=(charged,),
        overrides=overrides,
        discounts=discounts,
        items=items,
        taxes=resolved_taxes(rates=prices.taxes, treatment=TaxTreatment.STANDARD, region=""),
        credit=credit,
        dimensions=dimensions,
        rounding=terms.rounding,
        credits=terms.credits,
        tax_rounding=terms.tax_rounding,
        due_days=terms.due_days,
    )


def rated(
    terms: InvoiceTerms, *, prices: catalogue.Catalogue, rows: Sequence[WindowRow] = ()
) -> tuple[rating.RatedLine, ...]:
    """The lines of an invoice before discounts, from hourly windows."""
    catalogues = {prices.version: prices}
    parts = invoice_usage.parts_of(terms, catalogues=catalogues)
    usage = rating.usage_entries(
        terms=terms, rows=segment_rows(rows, parts=parts), catalogues=catalogues
    )
    return rating.rate(terms=terms, usage=usage, catalogues=catalogues)


def minor(line: rating.RatedLine, places: int = 2) -> int:
    """A line's amount as an invoice that rounds by line says it."""
    return money.round_half_up(line.amount_exact, places=places)


def content_of(
    *,
    subscription: str = "sub_1",
    customer: str = "acme",
    plan_code: str = "PRO",
    prices: catalogue.Catalogue,
    billed: Period,
    rows: Sequence[WindowRow] = (),
    tenant: str = "tenant",
    terms: InvoiceTerms | None = None,
) -> invoice.InvoiceContent:
    """The content of a whole period's invoice, or of the terms given."""
    terms = terms or terms_of(
        segment(prices=prices, billed=billed, plan_code=plan_code),
        prices=prices,
        tenant=tenant,
        subscription=subscription,
        customer=customer,
    )
    catalogues = {prices.version: prices}
    parts = invoice_usage.parts_of(terms, catalogues=catalogues)
    return invoice_usage.content_of(
        terms=terms,
        rows=segment_rows(rows, parts=parts),
        catalogues=catalogues,
        usage_positions=(10, 20),
        account_partition=0,
        account_position=7,
    )


def finalize(content: invoice.InvoiceContent, *, as_of: str, invoice_id: str) -> dict[str, Json]:
    """The body of FinalizeInvoice."""
    return {
        "invoice": invoice_id,
        "as_of": as_of,
        "content": content.text,
        "content_sha256": content.sha256,
    }


class Books:
    """A books fold over one partition, driven command by command.

    Everything that goes in and comes out is kept, so that a test can replay it.
    """

    def __init__(self, *, tenant: str = "tenant") -> None:
        self.tenant = tenant
        self.fold = fold.BooksFold(partition=0, partitions=1)
        self.records: list[records.CommandRecord] = []
        self.facts: list[facts.BooksFacts] = []

    def send(
        self,
        kind: str,
        body: Mapping[str, Json] | str,
        *,
        command_id: str = "",
        received_at: str = "2025-01-01",
    ) -> facts.Outcome:
        """Append one command, by default under an id of its own, and return its outcome."""
        offset = len(self.records)
        record = records.CommandRecord(
            offset=offset,
            received_at_ms=to_ms(moment(received_at)) + offset,
            body=records.Command(
                tenant=self.tenant,
                command_id=command_id or f"cmd_{offset}",
                kind=kind,
                body=body if isinstance(body, str) else json.dumps(body),
            ),
        )
        self.records.append(record)
        made = self.fold.step([record], from_offset=offset, to_offset=offset + 1)
        self.facts.append(made)
        return made.outcomes[0]

    def subscribed(self, *, start: str = "2025-01-01T00:00:00Z", plan_code: str = "PRO") -> None:
        """Publish the catalogue of S1 and subscribe acme as sub_1."""
        for kind, body in (
            ("PublishCatalogue", {"content": s1_document()}),
            ("CreateCustomer", {"customer": "acme", "currency": "CAD"}),
            (
                "CreateSubscription",
                {
                    "subscription": "sub_1",
                    "customer": "acme",
                    "plan": plan_code,
                    "start": start,
                },
            ),
        ):
            assert self.send(kind, body).code == ""


def bodies(outcome: facts.Outcome) -> list[tuple[str, dict[str, object]]]:
    """The facts of an outcome, opened."""
    return [(fact.kind, json.loads(fact.body)) for fact in outcome.facts]
