"""subscription, subscription_change: what the books hold of a subscription, and how it came so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.subscription import Subscription
from projections.books.rows import json_of
from projections.texts import storable

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from domain.fields import Fields
    from projections.books.rows import Booking

_PUT = """
    INSERT INTO subscription (tenant, subscription, customer, currency, created_at, starts_at,
        trial_ends_at, plan, interval, cycle, fees, seats, anchor, catalogue_version, period_index,
        period_start, period_end, ends_at, opening_due, parked_reason, document, next_invoice_at,
        status, changed_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        %s, %s)
    ON CONFLICT (tenant, subscription) DO UPDATE SET plan = excluded.plan,
        interval = excluded.interval, seats = excluded.seats, anchor = excluded.anchor,
        catalogue_version = excluded.catalogue_version, period_index = excluded.period_index,
        period_start = excluded.period_start, period_end = excluded.period_end,
        ends_at = excluded.ends_at, opening_due = excluded.opening_due,
        parked_reason = excluded.parked_reason, document = excluded.document,
        next_invoice_at = excluded.next_invoice_at, status = excluded.status,
        changed_at = excluded.changed_at
"""
_CHANGE = """
    INSERT INTO subscription_change (tenant, subscription, source_offset, fact_index, kind, change,
        changed_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


def project(connection: psycopg.Connection, booking: Booking) -> None:
    """This function will put a subscription in the place of what it was, and note the change.

    Plan, seats and catalogue version of the row are those that hold when it changed, or with the
    open period where that begins later.
    """
    fields = booking.fields
    subscription = Subscription.from_fields(fields.object("document"))
    changed_at = fields.time("changed_at")
    held = subscription.phase_at(max(changed_at, subscription.period.start))
    connection.execute(
        _PUT,
        (
            *(booking.tenant, subscription.subscription, subscription.customer),
            *(subscription.currency, subscription.created_at, subscription.starts_at),
            *(subscription.trial_ends_at, held.plan, subscription.interval, subscription.cycle),
            *(subscription.fees, held.seats, subscription.anchor, held.catalogue_version),
            *(subscription.period_index, subscription.period.start, subscription.period.end),
            *(subscription.ends_at, subscription.opening_due, subscription.parked_reason),
            storable(subscription.document),
            *(_optional_time(fields, "next_invoice_at"), fields.text("status"), changed_at),
        ),
    )
    change = fields.object("change")
    connection.execute(
        _CHANGE,
        (
            *(booking.tenant, subscription.subscription),
            *(booking.source_offset, booking.fact_index),
            *(change.text("kind"), json_of(fields, "change"), changed_at),
        ),
    )


def _optional_time(fields: Fields, name: str) -> datetime | None:
    return None if fields.values.get(name) is None else fields.time(name)
