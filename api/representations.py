"""What answers look like: to_representation_ turns values of the queries into these, nothing else.

Money is whole minor units, its currency and the decimal text; quantities are decimal text; times
are RFC 3339 in UTC. No float is made on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import decimal_text
from domain.money import Money
from domain.period import time_text
from domain.quantity import nanos_text
from projections.queries.rejects import IntakeCounts, Reject
from projections.queries.usage import UsageBucket

if TYPE_CHECKING:
    from decimal import Decimal

Item = TypeVar("Item")
DECIMAL = "Exact decimal text"
TIME = "RFC 3339 time in UTC"


class Representation(BaseModel):
    """A JSON object of ours: exactly these members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ListRepresentation(Representation, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    has_more: bool
    next_cursor: str | None = Field(description="cursor of the next page; null on the last one")


class MoneyRepresentation(Representation):
    """An amount of money."""

    amount_minor: int = Field(description="Whole minor units, for example cents")
    currency: str = Field(description="ISO 4217 code")
    amount: str = Field(description="The same amount in major units, decimal text")


class UsageRepresentation(Representation):
    """One meter's usage of one bucket and group."""

    start: str = Field(description=f"Start of the bucket; {TIME}")
    meter: str
    customer: str | None = Field(description="Set when asked for, or split by")
    group: dict[str, str | None] = Field(description="Value of each dimension of group_by")
    sum: str = Field(description=DECIMAL)
    min: str | None = Field(description=f"{DECIMAL}; null without events")
    max: str | None = Field(description=f"{DECIMAL}; null without events")
    latest: str | None = Field(
        description=f"{DECIMAL}; value of the event that occurred last; null without events"
    )
    events: int = Field(description="Events counted")
    late_events: int = Field(description="Of them, those that arrived after their hour")
    aggregation: str | None = Field(description="How the meter adds up")
    value: str | None = Field(
        description=f"{DECIMAL}; what the meter comes to by its aggregation: for unique the "
        "number of different values, for time_weighted value times hours"
    )
    is_estimate: bool = Field(
        description="Whether value is near the true one instead of equal to it: a percentile, to "
        "1 % of the value; a unique number above 4,096, to about 2 % of it"
    )


class RejectRepresentation(Representation):
    """One reject or conflict; its raw bytes lie in the dead-letter topic."""

    received_at: str = Field(description=TIME)
    topic: str
    partition: int
    source_offset: int
    event_index: int = Field(description="First event of the record meant, -1 for all of it")
    code: str
    events: int = Field(description="Events of the record that share the code")
    customer: str | None
    reason: str


class IntakeRepresentation(Representation):
    """What became of all events: received = accepted + duplicates + conflicts + rejected."""

    received: int
    accepted: int
    duplicates: int
    conflicts: int
    rejected: int
    events_by_code: dict[str, int] = Field(description="Rejects and conflicts by code")


class HealthRepresentation(Representation):
    """That the process lives."""

    status: str


class ReadinessRepresentation(Representation):
    """Whether the process can answer, and what each part it needs says."""

    status: str
    parts: dict[str, str]


def to_representation_money(money: Money) -> MoneyRepresentation:
    """This function will show an amount."""
    return MoneyRepresentation(
        amount_minor=money.amount_minor, currency=money.currency, amount=money.text()
    )


def to_representation_usage(bucket: UsageBucket) -> UsageRepresentation:
    """This function will show a bucket."""
    return UsageRepresentation(
        start=time_text(bucket.start),
        meter=bucket.meter,
        customer=bucket.customer,
        group=dict(bucket.group),
        sum=decimal_text(bucket.sum),
        min=_text_or_none(bucket.minimum),
        max=_text_or_none(bucket.maximum),
        latest=_text_or_none(bucket.latest),
        events=bucket.events,
        late_events=bucket.late_events,
        aggregation=bucket.aggregation,
        value=None if bucket.value is None else nanos_text(bucket.value.nanos),
        is_estimate=bucket.value is not None and bucket.value.is_estimate,
    )


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def to_representation_reject(reject: Reject) -> RejectRepresentation:
    """This function will show a reject."""
    return RejectRepresentation(
        received_at=time_text(reject.key.received_at),
        topic=reject.key.topic,
        partition=reject.key.partition,
        source_offset=reject.key.source_offset,
        event_index=reject.key.event_index,
        code=reject.key.code,
        events=reject.events,
        customer=reject.customer or None,
        reason=reject.reason,
    )


def to_representation_intake(counts: IntakeCounts) -> IntakeRepresentation:
    """This function will show the intake counts."""
    return IntakeRepresentation(
        received=counts.received,
        accepted=counts.accepted,
        duplicates=counts.duplicates,
        conflicts=counts.conflicts,
        rejected=counts.rejected,
        events_by_code=dict(counts.events_by_code),
    )


class UsageEventRepresentation(Representation):
    """One counted event, as it was sent."""

    id: str = Field(description="Its UUID, or the hash of its id in UUID form")
    customer: str
    type: str = Field(description="Its type, or the alias that was sent")
    quantity: str = Field(description=DECIMAL)
    occurred_at: str = Field(description=TIME)
    received_at: str = Field(description=f"When it reached the log; {TIME}")
    dimensions: dict[str, str]
    properties: dict[str, str]
    is_amended: bool = Field(description="Whether it was voided or replaced since")
