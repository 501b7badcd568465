"""A subscription as the books keep it: what was agreed, phase by phase.

A phase says what holds from a day on. Changes never edit the past: they put a phase in, or change
those from a day on. The open period is the next one to be invoiced; time may be further along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, structs

from domain import own_json
from domain.billing_terms import Cycle, Fees
from domain.books.charged import CATEGORIES_MAX, Charged
from domain.canonical import Json, to_canonical_json
from domain.catalogue import METERS_MAX, VERSION_MAX
from domain.codes import Code
from domain.errors import invariant
from domain.fields import TEXT_LENGTH_MAX
from domain.invoice_reading import POSITION_MAX
from domain.invoice_terms import DIMENSIONS_MAX, GRANTED_MAX, GrantedDiscount
from domain.own_json import Name
from domain.period import (
    Interval,
    Period,
    calendar_anchor,
    cycle_period,
    parse_time,
    time_text,
)
from domain.plan import SEATS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.fields import Fields

PHASES_MAX = 100
"""Phases of the open period and after it: three changes a day for a month, 200 bytes each."""
ADD_ONS_MAX = 50
"""Add-ons of one subscription, each with a quantity."""
QUANTITY_MAX = 1_000_000
"""Of one add-on."""
INDEX_MAX = 12 * 8_000
"""Periods of one subscription: more than fit between its first start and the last as_of."""


class Phase(Struct, frozen=True, gc=False, array_like=True):
    """What holds of a subscription from a day on.

    Args:
        start: 00:00 UTC of its first day.
        plan: Plan code.
        interval: How long periods of the plan are.
        catalogue_version: Catalogue version that prices it (G-07).
        seats: Seats that the plan's seat prices count.
        add_ons: (code, quantity) of each add-on, by code.
        is_paused: Whether nothing is charged and no usage is billed.
    """

    start: datetime
    plan: str
    interval: Interval
    catalogue_version: int
    seats: int = 1
    add_ons: tuple[tuple[str, int], ...] = ()
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A period of a subscription with the whole cycle period that it is, or is a part of.

    Args:
        index: Number of the period, from 0.
        whole: The cycle's period; a part of it counts by its days.
        period: What of it the subscription is there for.
        anchor: Start of a cycle period from which the following ones are counted.
        interval: How long it is.
    """

    index: int
    whole: Period
    period: Period
    anchor: datetime
    interval: Interval


class Subscription(Struct, frozen=True, gc=False, array_like=True):
    """A customer on a plan, and the period that is to be invoiced next.

    Args:
        subscription: Id, sub_….
        customer: Who pays.
        currency: Currency of its plans and of the customer.
        anchor: Start of a cycle period; periods are counted from it (G-05).
        anchor_day: Day of the month on which periods start where the month has it, 1 to 31.
        starts_at: First day of service; a trial begins here.
        interval: How long the open period is.
        cycle: From where periods are counted.
        fees: Whether fees are billed for the period to come or the one that is over.
        trial_ends_at: Where the trial ends and period 0 begins; None without a trial.
        period_index: Number of the open period, from 0.
        period: The open period, next to be invoiced; it ends where the subscription ends.
        opening_due: Whether the fees of the open period are still to be invoiced in advance.
        phases: What holds when; those that ended before the open period are let go of.
        ends_at: Where the subscription ends, 00:00 UTC; None while it is not cancelled.
        discounts: What was granted, in the order in which it applies.
        dimensions: Dimension values that usage must have to belong to it; empty for all usage.
        parked_reason: Why its invoice waits for somebody to look at it; empty when it does not.
        created_at: When it was created.
        charged: What was charged in advance for the open period; None while nothing was.
        posted: Of a lifetime, what changes have charged beside its invoice: (tax category, minor
            units). It gives nothing back, so what comes next is charged only above this.
        billed_meters: (meter, until when its invoices have the usage of it), sorted.
        discounts_had: Codes of all discounts it was ever granted, sorted: a plan's own are granted
            once, however often one comes back to it.
    """

    subscription: str
    customer: str
    currency: str
    anchor: datetime
    anchor_day: int
    starts_at: datetime
    interval: Interval
    cycle: Cycle
    fees: Fees
    trial_ends_at: datetime | None
    period_index: int
    period: Period
    opening_due: bool
    phases: tuple[Phase, ...]
    ends_at: datetime | None
    discounts: tuple[GrantedDiscount, ...]
    dimensions: tuple[tuple[str, str], ...]
    parked_reason: str
    created_at: datetime
    charged: Charged | None = None
    posted: tuple[tuple[str, int], ...] = ()
    billed_meters: tuple[tuple[str, datetime], ...] = ()
    discounts_had: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Say whether nothing of it is left to be invoiced."""
        return self.is_lifetime_paid or (
            self.ends_at is not None and self.ends_at <= self.period.start
        )

    @property
    def is_lifetime_paid(self) -> bool:
        """Say whether it is a lifetime whose one invoice was made (S4-R19)."""
        return self.interval is Interval.LIFETIME and not self.opening_due

    def phase_at(self, moment: datetime) -> Phase:
        """Return what holds at a moment from the first phase on."""
        found = [phase for phase in self.phases if phase.start <= moment]
        invariant(
            bool(found),
            Code.STATE_CORRUPT,
            "no phase holds at a moment of the subscription",
            subscription=self.subscription,
            moment=time_text(moment),
        )
        return found[-1]

    def status_at(self, moment: datetime) -> str:
        """Return scheduled, trialing, active, paused or cancelled, as it is at a moment."""
        if self.ends_at is not None and self.ends_at <= moment:
            return "cancelled"
        if moment < self.starts_at:
            return "scheduled"
        if self.trial_ends_at is not None and moment < self.trial_ends_at:
            return "trialing"
        phase = self.phase_at(max(moment, self.phases[0].start))
        return "paused" if phase.is_paused else "active"

    @property
    def open_period(self) -> BillingPeriod:
        """Return the open period with the cycle period that it is a part of."""
        whole = cycle_period(
            self.anchor,
            interval=self.interval,
            moment=self.period.start,
            anchor_day=self.anchor_day,
        )
        return BillingPeriod(self.period_index, whole, self.period, self.anchor, self.interval)

    def periods(self) -> Iterator[BillingPeriod]:
        """Return the open period and those after it, without end unless the subscription has one.

        A phase of another interval begins a cycle of its own at the end of the period before it.
        """
        if self.ends_at is not None and self.ends_at <= self.period.start:
            return
        current = self.open_period
        while True:
            yield current
            start = current.whole.end
            if current.interval is Interval.LIFETIME or (
                self.ends_at is not None and self.ends_at <= start
            ):
                return
            current = self._period_from(start, after=current)

    def period_at(self, moment: datetime) -> BillingPeriod | None:
        """Return the period that a moment lies in, from the open one on; None when in none."""
        for each in self.periods():
            if each.period.contains(moment):
                return each
            if each.period.start > moment:
                break
        return None

    def _period_from(self, start: datetime, *, after: BillingPeriod) -> BillingPeriod:
        interval, anchor = self.phase_at(start).interval, after.anchor
        if interval is not after.interval:
            calendar = self.cycle is Cycle.CALENDAR
            anchor = calendar_anchor(start, interval=interval) if calendar else start
        whole = cycle_period(anchor, interval=interval, moment=start, anchor_day=self.anchor_day)
        return BillingPeriod(
            after.index + 1, whole, self.clipped(Period(start, whole.end)), anchor, interval
        )

    def clipped(self, period: Period) -> Period:
        """Return a period up to where the subscription ends."""
        if self.ends_at is None or not period.start < self.ends_at < period.end:
            return period
        return Period(period.start, self.ends_at)

    def following(self) -> BillingPeriod | None:
        """Return the period after the open one; None when there is none."""
        periods = self.periods()
        next(periods, None)
        return next(periods, None)

    def to_json(self) -> dict[str, Json]:
        """Return the document as JSON values; facts carry it."""
        return {
            "subscription": self.subscription,
            "customer": self.customer,
            "currency": self.currency,
            "anchor": time_text(self.anchor),
            "anchor_day": self.anchor_day,
            "starts_at": time_text(self.starts_at),
            "interval": self.interval,
            "cycle": self.cycle,
            "fees": self.fees,
            "trial_ends_at": _time_or_none(self.trial_ends_at),
            "period_index": self.period_index,
            "period": {
                "start": time_text(self.period.start),
                "end": time_text(self.period.end),
            },
            "opening_due": self.opening_due,
            "phases": [_phase_json(phase) for phase in self.phases],
            "ends_at": _time_or_none(self.ends_at),
            "discounts": [discount.to_json() for discount in self.discounts],
            "dimensions": dict(self.dimensions),
            "parked_reason": self.parked_reason,
            "created_at": time_text(self.created_at),
            "charged": None if self.charged is None else self.charged.to_json(),
            "posted": [{"tax": tax, "amount_minor": minor} for tax, minor in self.posted],
            "billed_meters": [
                {"meter": meter, "until": time_text(until)} for meter, until in self.billed_meters
            ],
            "discounts_had": list(self.discounts_had),
        }

    @property
    def document(self) -> str:
        """Return the whole subscription as canonical JSON."""
        return to_canonical_json(self.to_json())

    @classmethod
    def from_document(cls, document: str) -> Subscription:
        """Read what document wrote (Rejected state_corrupt when it is malformed)."""
        return own_json.read_as(SubscriptionDocument, document, place="subscription").value()

    @classmethod
    def from_fields(cls, fields: Fields) -> Subscription:
        """Read the document as facts carry it (Rejected state_corrupt likewise)."""
        return own_json.taken_as(SubscriptionDocument, fields).value()


class _Span(Struct):
    start: str
    end: str


class _AddOn(Struct):
    code: Name
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]


class _Phase(Struct):
    start: str
    plan: Name
    interval: Interval
    catalogue_version: Annotated[int, Meta(ge=1, le=VERSION_MAX)]
    seats: Annotated[int, Meta(ge=0, le=SEATS_MAX)]
    is_paused: bool
    add_ons: Annotated[tuple[_AddOn, ...], Meta(max_length=ADD_ONS_MAX)] = ()

    def value(self) -> Phase:
        return Phase(
            start=parse_time(self.start),
            plan=self.plan,
            interval=self.interval,
            catalogue_version=self.catalogue_version,
            seats=self.seats,
            add_ons=tuple([(each.code, each.quantity) for each in self.add_ons]),
            is_paused=self.is_paused,
        )


class _Posted(Struct):
    tax: Name
    amount_minor: Annotated[int, Meta(ge=0, le=POSITION_MAX)]


class _BilledMeter(Struct):
    meter: Name
    until: str


class SubscriptionDocument(Struct):
    """A subscription as its document has it; times are read with those read before."""

    subscription: Name
    customer: Name
    currency: Name
    anchor: str
    anchor_day: Annotated[int, Meta(ge=1, le=31)]
    starts_at: str
    interval: Interval
    cycle: Cycle
    fees: Fees
    trial_ends_at: str | None
    period_index: Annotated[int, Meta(ge=0, le=INDEX_MAX)]
    period: _Span
    opening_due: bool
    phases: Annotated[tuple[_Phase, ...], Meta(max_length=PHASES_MAX)]
    ends_at: str | None
    dimensions: Annotated[dict[Name, Name], Meta(max_length=DIMENSIONS_MAX)]
    parked_reason: Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
    created_at: str
    discounts: Annotated[tuple[GrantedDiscount, ...], Meta(max_length=GRANTED_MAX)] = ()
    charged: Charged | None = None
    posted: Annotated[tuple[_Posted, ...], Meta(max_length=CATEGORIES_MAX)] = ()
    billed_meters: Annotated[tuple[_BilledMeter, ...], Meta(max_length=METERS_MAX)] = ()
    discounts_had: tuple[Name, ...] = ()

    def value(self) -> Subscription:
        """Return the subscription (Rejected bad_value when a time is none)."""
        return Subscription(
            subscription=self.subscription,
            customer=self.customer,
            currency=self.currency,
            anchor=parse_time(self.anchor),
            anchor_day=self.anchor_day,
            starts_at=parse_time(self.starts_at),
            interval=self.interval,
            cycle=self.cycle,
            fees=self.fees,
            trial_ends_at=_optional_time(self.trial_ends_at),
            period_index=self.period_index,
            period=Period(parse_time(self.period.start), parse_time(self.period.end)),
            opening_due=self.opening_due,
            phases=tuple([phase.value() for phase in self.phases]),
            ends_at=_optional_time(self.ends_at),
            discounts=self.discounts,
            dimensions=tuple(sorted(self.dimensions.items())),
            parked_reason=self.parked_reason,
            created_at=parse_time(self.created_at),
            charged=self.charged,
            posted=tuple([(each.tax, each.amount_minor) for each in self.posted]),
            billed_meters=tuple(
                [(each.meter, parse_time(each.until)) for each in self.billed_meters]
            ),
            discounts_had=self.discounts_had,
        )


def with_phases(subscription: Subscription, phases: tuple[Phase, ...]) -> Subscription:
    """This function will give a subscription other phases, without those that change nothing."""
    kept: list[Phase] = []
    for phase in phases:
        if kept and structs.replace(phase, start=kept[-1].start) == kept[-1]:
            continue
        kept.append(phase)
    return structs.replace(subscription, phases=tuple(kept))


def _phase_json(phase: Phase) -> Json:
    return {
        "start": time_text(phase.start),
        "plan": phase.plan,
        "interval": phase.interval,
        "catalogue_version": phase.catalogue_version,
        "seats": phase.seats,
        "add_ons": [{"code": code, "quantity": quantity} for code, quantity in phase.add_ons],
        "is_paused": phase.is_paused,
    }


def _time_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
