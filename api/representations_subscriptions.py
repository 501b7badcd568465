"""What customers, subscriptions and plans look like in answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.representations import TIME, Representation
from domain.books.customer import Customer
from domain.books.subscription import Phase
from domain.canonical import decimal_text, from_json
from domain.money import exact_text
from domain.period import time_text
from projections.queries.plans import SoldPlan
from projections.queries.subscriptions import Subscription, SubscriptionChange

STATUS = "scheduled, trialing, active, paused or cancelled, as of the tenant's time"


class CustomerTaxRepresentation(Representation):
    """What decides which taxes a customer pays."""

    treatment: str = Field(description="standard, exempt or reverse_charge")
    region: str = Field(description="As the catalogue's taxes name it; empty for the default")


class OverrideRepresentation(Representation):
    """A price that a customer has instead of the catalogue's."""

    plan: str | None = Field(description="Plan whose price it replaces; null for an add-on's")
    add_on: str | None = Field(description="Add-on whose price it replaces; null for a plan's")
    price: str = Field(description="Key of the price that it replaces")
    document: Any = Field(description="The price, in the form of a catalogue")


class CustomerRepresentation(Representation):
    """One customer."""

    customer: str
    currency: str
    seller: str | None = Field(description="Legal entity that bills; null for the first one")
    tax: CustomerTaxRepresentation
    due_days: int | None = Field(description="Days to pay; null for the catalogue's")
    grace_hours: int | None = Field(
        description="Hours that invoices wait for late usage; null for the catalogue's"
    )
    overrides: list[OverrideRepresentation]
    created_at: str = Field(description=TIME)


class OrganizationRepresentation(Representation):
    """A customer under S3's name, with S3's fields."""

    id: str
    currency: str
    seller: str | None = Field(description="Legal entity that bills; null for the first one")
    tax: CustomerTaxRepresentation
    due_days: int | None = Field(description="Days to pay; null for the catalogue's")
    grace_hours: int | None = Field(
        description="Hours that invoices wait for late usage; null for the catalogue's"
    )
    created_at: str = Field(description=TIME)


class AddOnRepresentation(Representation):
    """An add-on of a subscription."""

    code: str
    quantity: int


class PhaseRepresentation(Representation):
    """What holds of a subscription from a day on."""

    start: str = Field(description=TIME)
    plan: str
    interval: str = Field(description="month, quarter, year or lifetime")
    catalogue_version: int
    seats: int
    add_ons: list[AddOnRepresentation]
    is_paused: bool


class GrantedDiscountRepresentation(Representation):
    """A discount that a subscription has."""

    code: str
    name: str
    kind: str = Field(description="percent, amount or free_units")
    value: str = Field(description="Exact decimal text: percent, major units of money, or units")
    prices: list[str] = Field(description="Keys of the prices it is for; empty for all")
    invoices_left: int | None = Field(description="For how many more invoices; null for good")


class SubscriptionRepresentation(Representation):
    """One subscription and its open period [period_start, period_end)."""

    subscription: str
    customer: str
    status: str = Field(description=STATUS)
    plan: str
    interval: str = Field(description="month, quarter, year or lifetime")
    cycle: str = Field(description="anniversary or calendar")
    fees: str = Field(description="in_arrears or in_advance")
    seats: int
    add_ons: list[AddOnRepresentation]
    catalogue_version: int
    period_index: int = Field(description="Count of the open period, from 0")
    period_start: str = Field(description=TIME)
    period_end: str = Field(description=TIME)
    currency: str
    anchor: str = Field(description=f"{TIME}; start of a period, which sets the cycle")
    starts_at: str = Field(description=TIME)
    trial_ends_at: str | None = Field(description=f"{TIME}; null without a trial")
    ends_at: str | None = Field(description=f"{TIME}; null while it is not cancelled")
    next_invoice_at: str | None = Field(
        description=f"{TIME}; first moment of its next invoice, null when none is to come"
    )
    parked_reason: str | None = Field(description="Why its invoice waits for somebody to look")
    discounts: list[GrantedDiscountRepresentation]
    dimensions: dict[str, str] = Field(description="Values that usage must have to belong to it")
    phases: list[PhaseRepresentation] = Field(
        description="What holds when, from the open period on; changes ahead come last"
    )
    created_at: str = Field(description=TIME)


class SubscriptionChangeRepresentation(Representation):
    """One change in the life of a subscription."""

    kind: str
    change: Any = Field(description="What the books noted of it")
    changed_at: str = Field(description=TIME)


class LimitRepresentation(Representation):
    """What a plan allows of something."""

    key: str
    meter: str
    maximum: str = Field(description="Exact decimal text")
    overflow: str = Field(description="What going past it does: warn, or refuse")


class PlanRepresentation(Representation):
    """One plan of the catalogue in force."""

    plan: str
    name: str
    currency: str
    interval: str = Field(description="month, quarter, year or lifetime")
    fees: str = Field(description="in_arrears or in_advance")
    trial_days: int
    prices: list[Any] = Field(description="Each in the form of a catalogue")
    minimum: Any = Field(description="Least amount of a period; null for none")
    maximum: Any = Field(description="Largest amount of a period; null for none")
    discounts: list[str]
    limits: list[LimitRepresentation]
    is_popular: bool
    has_gain_share: bool
    seats_max: int = Field(description="Seats that a subscription to it can have")
    catalogue_version: int


def to_representation_customer(customer: Customer) -> CustomerRepresentation:
    """This function will show a customer."""
    return CustomerRepresentation(
        customer=customer.customer,
        currency=customer.currency,
        seller=customer.seller or None,
        tax=CustomerTaxRepresentation(
            treatment=customer.tax.treatment, region=customer.tax.region
        ),
        due_days=customer.due_days,
        grace_hours=customer.grace_hours,
        overrides=[
            OverrideRepresentation(
                plan=each.plan or None,
                add_on=each.add_on or None,
                price=each.price,
                document=from_json(each.document),
            )
            for each in customer.overrides
        ],
        created_at=time_text(customer.created_at),
    )


def to_representation_organization(
    customer: CustomerRepresentation,
) -> OrganizationRepresentation:
    """This function will show a customer as an organisation."""
    return OrganizationRepresentation(
        id=customer.customer,
        currency=customer.currency,
        seller=customer.seller,
        tax=customer.tax,
        due_days=customer.due_days,
        grace_hours=customer.grace_hours,
        created_at=customer.created_at,
    )


def to_representation_subscription(
    subscription: Subscription, *, now: datetime
) -> SubscriptionRepresentation:
    """This function will show a subscription.

    Args:
        subscription: The subscription.
        now: The tenant's time.
    """
    agreed = subscription.agreed
    held = agreed.phase_at(max(now, agreed.period.start))
    return SubscriptionRepresentation(
        subscription=agreed.subscription,
        customer=agreed.customer,
        status=agreed.status_at(now),
        plan=held.plan,
        interval=agreed.interval,
        cycle=agreed.cycle,
        fees=agreed.fees,
        seats=held.seats,
        add_ons=_add_ons(held),
        catalogue_version=held.catalogue_version,
        period_index=agreed.period_index,
        period_start=time_text(agreed.period.start),
        period_end=time_text(agreed.period.end),
        currency=agreed.currency,
        anchor=time_text(agreed.anchor),
        starts_at=time_text(agreed.starts_at),
        trial_ends_at=_time_or_none(agreed.trial_ends_at),
        ends_at=_time_or_none(agreed.ends_at),
        next_invoice_at=_time_or_none(subscription.next_invoice_at),
        parked_reason=agreed.parked_reason or None,
        discounts=[
            GrantedDiscountRepresentation(
                code=each.code,
                name=each.name,
                kind=each.kind,
                value=decimal_text(each.value),
                prices=list(each.prices),
                invoices_left=each.periods_left or None,
            )
            for each in agreed.discounts
        ],
        dimensions=dict(agreed.dimensions),
        phases=[
            PhaseRepresentation(
                start=time_text(phase.start),
                plan=phase.plan,
                interval=phase.interval,
                catalogue_version=phase.catalogue_version,
                seats=phase.seats,
                add_ons=_add_ons(phase),
                is_paused=phase.is_paused,
            )
            for phase in agreed.phases
        ],
        created_at=time_text(agreed.created_at),
    )


def to_representation_change(change: SubscriptionChange) -> SubscriptionChangeRepresentation:
    """This function will show a change of a subscription."""
    return SubscriptionChangeRepresentation(
        kind=change.kind, change=change.change, changed_at=time_text(change.changed_at)
    )


def to_representation_plan(sold: SoldPlan) -> PlanRepresentation:
    """This function will show a plan."""
    plan, document = sold.plan, sold.document
    return PlanRepresentation(
        plan=plan.code,
        name=plan.name,
        currency=plan.currency,
        interval=plan.interval,
        fees=sold.fees,
        trial_days=plan.trial_days,
        prices=list(sold.prices),
        minimum=document.get("minimum"),
        maximum=document.get("maximum"),
        discounts=list(plan.discounts),
        limits=[
            LimitRepresentation(
                key=limit.key,
                meter=limit.meter,
                maximum=exact_text(limit.maximum),
                overflow=limit.overflow,
            )
            for limit in plan.limits
        ],
        is_popular=plan.is_popular,
        has_gain_share=plan.has_gain_share,
        seats_max=plan.seats_max,
        catalogue_version=sold.version,
    )


def _add_ons(phase: Phase) -> list[AddOnRepresentation]:
    return [AddOnRepresentation(code=code, quantity=count) for code, count in phase.add_ons]


def _time_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)
