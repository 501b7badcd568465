"""Query parameters: what each list takes, checked before anything is asked of the database.

The models forbid unknown names: a misspelt filter that is silently ignored shows too much.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.cursors import CURSOR_LENGTH_MAX
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import TEXT_LENGTH_MAX, is_clean_text
from domain.period import Period, parse_time
from projections.queries.paging import PAGE_ROWS_MAX
from projections.queries.usage_events import DAYS_MAX as EVENT_DAYS_MAX
from projections.queries.usage_question import Granularity
from runtime.web.problems import invalid, not_found

PAGE_ROWS_DEFAULT = 50
DIMENSIONS_MAX = 5
"""Dimensions of one group_by; more than a chart or a table can show."""
BY_CUSTOMER = "customer"
"""The name in group_by that splits by customer instead of by a dimension."""

_TIME_MESSAGE = "must be an RFC 3339 time with its offset, for example 2026-01-31T00:00:00Z"


def _clean(text: str) -> str:
    if not is_clean_text(text):
        raise ValueError(f"must be 1 to {TEXT_LENGTH_MAX} printable characters")
    return text


def _whole_number(value: object) -> object:
    # pydantic would also read "1_0", "+5" and "5.0".
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):  # noqa: PLR2004 -- any limit of ours is shorter
        raise ValueError("must be a whole number")
    return value


def _time(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_time(value)
    except Rejected as error:
        raise ValueError(_TIME_MESSAGE) from error


Text = Annotated[
    str, AfterValidator(_clean), Field(json_schema_extra={"maxLength": TEXT_LENGTH_MAX})
]
Time = Annotated[datetime, BeforeValidator(_time)]
Limit = Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=PAGE_ROWS_MAX)]
Cursor = Annotated[str, Field(min_length=1, max_length=CURSOR_LENGTH_MAX)]


class ChargeStatus(StrEnum):
    """Where a charge stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    CAPTURED = "captured"
    DELIVERED = "delivered"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFUNDED = "refunded"


class TransactionKind(StrEnum):
    """What a transaction is about."""

    CHARGE = "charge"
    TOP_UP = "top_up"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


class TransactionStatus(StrEnum):
    """Where a transaction stands."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUNDED = "refunded"


class InvoiceStatus(StrEnum):
    """Where an invoice stands."""

    FINAL = "final"
    PAID = "paid"
    OVERDUE = "overdue"
    VOID = "void"


class ItemStatus(StrEnum):
    """Where an item stands."""

    PENDING = "pending"
    INVOICED = "invoiced"
    REMOVED = "removed"


class SuspicionStatus(StrEnum):
    """Whether somebody has looked at a suspicion."""

    OPEN = "open"
    CLOSED = "closed"


class Parameters(BaseModel):
    """What all lists have in common: no parameter that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageParameters(Parameters):
    """Parameters of a list."""

    limit: Limit = Field(PAGE_ROWS_DEFAULT, description="Rows of the page")
    cursor: Cursor | None = Field(None, description="next_cursor of the page before")


class SubscriptionParameters(PageParameters):
    """Parameters of the list of subscriptions."""

    customer: Text | None = Field(None, description="Only those of this customer")


class InvoiceParameters(PageParameters):
    """Parameters of the list of invoices."""

    customer: Text | None = Field(None, description="Only those of this customer")
    subscription: Text | None = Field(None, description="Only those of this subscription")
    status: InvoiceStatus | None = Field(None, description="Only those that stand so")


class ItemParameters(PageParameters):
    """Parameters of the list of items."""

    customer: Text | None = Field(None, description="Only those of this customer")
    status: ItemStatus | None = Field(None, description="Only those that stand so")


class OfInvoiceParameters(PageParameters):
    """Parameters of a list that belongs to invoices."""

    customer: Text | None = Field(None, description="Only those of this customer")
    invoice: Text | None = Field(None, description="Only those of this invoice")


class CustomerParameters(PageParameters):
    """Parameters of a list that belongs to customers."""

    customer: Text | None = Field(None, description="Only those of this customer")


class StreamParameters(Parameters):
    """Parameters of a stream of notices."""

    customer: Text | None = Field(None, description="Only those to this customer")


class ChargeParameters(CustomerParameters):
    """Parameters of the list of charges."""

    status: ChargeStatus | None = Field(None, description="Only those in this status")
    project: Text | None = Field(None, description="Only those of this project")


class TransactionParameters(PageParameters):
    """Parameters of the list of a customer's transactions."""

    kind: TransactionKind | None = Field(None, description="Only those of this kind")
    status: TransactionStatus | None = Field(None, description="Only those in this status")


class SuspicionParameters(CustomerParameters):
    """Parameters of the list of suspicions."""

    status: SuspicionStatus | None = Field(None, description="Only open, or only closed ones")


class DetectionParameters(CustomerParameters):
    """Parameters of the list of detections."""

    project: Text | None = Field(None, description="Only those of this project")


class RejectParameters(PageParameters):
    """Parameters of the list of rejects."""

    code: Code | None = Field(None, description="Only those with this code")


class IntakeParameters(Parameters):
    """Parameters of the intake counts."""

    start: Time | None = Field(
        None, alias="from", description="Received at or after this full hour"
    )
    end: Time | None = Field(None, alias="to", description="Received before this full hour")


HISTORY_LIMIT_DEFAULT = 12
HISTORY_LIMIT_MAX = 24
"""Past periods of one page: two years of months; each is added up from its windows."""


class CurrentUsageParameters(Parameters):
    """Parameters of the usage of running periods."""

    customer: Text = Field(description="Whose usage")


class UsageEventParameters(PageParameters):
    """Parameters of the list of events."""

    customer: Text = Field(description="Whose events")
    start: Time = Field(alias="from", description="Occurred at or after")
    end: Time = Field(
        alias="to", description=f"Occurred before; at most {EVENT_DAYS_MAX} days after from"
    )
    type: Text | None = Field(None, description="Only those of this event type, under any name")


class UsageHistoryParameters(CurrentUsageParameters):
    """Parameters of the usage of past periods."""

    subscription: Text | None = Field(None, description="Only its periods")
    limit: Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=HISTORY_LIMIT_MAX)] = (
        Field(HISTORY_LIMIT_DEFAULT, description="Periods of the page")
    )
    cursor: Cursor | None = Field(None, description="next_cursor of the page before")


class UsageParameters(Parameters):
    """Parameters of the usage."""

    start: Time = Field(alias="from", description="First hour that counts; a full hour")
    end: Time = Field(alias="to", description="First hour that no longer counts; a full hour")
    granularity: Granularity = Field(
        Granularity.HOUR,
        description="Length of a bucket, in UTC; from and to may cut one. period is a single one",
    )
    customer: Text | None = Field(None, description="Only this customer")
    meter: Text | None = Field(None, description="Only this meter")
    group_by: list[Text] = Field(
        [],
        max_length=DIMENSIONS_MAX,
        description="Dimension to split by; may be repeated. `customer` splits by customer",
    )


def read_period(start: datetime, end: datetime) -> Period:
    """This function will make a period of from and to.

    Raises:
        ProblemError: invalid_request with param to, when it ends before it starts.
    """
    if start >= end:
        raise invalid("to", "to must be later than from")
    return Period(start, end)


def read_id(text: str) -> str:
    """This function will take an id of a path; one that nothing can have is not found."""
    if not is_clean_text(text):
        raise not_found()
    return text


def refuse_repeats(request: Request) -> None:
    """This function will refuse a parameter that is given twice and is not a list.

    Which of the two would count, a reader could only guess.
    """
    names = [name for name, _ in request.query_params.multi_items() if name != "group_by"]
    for name in set(names):
        if names.count(name) > 1:
            raise invalid(name, "The parameter is given twice")


def refuse_query(request: Request) -> None:
    """This function will refuse any query parameter, where an address takes none."""
    for name in request.query_params:
        raise invalid(name, f"{name[:50]}: There is no such parameter")
