"""Analytics of emergence billing (S0-52 to S0-59), read from the tables of fold and books.

Every question about a present takes it from the caller; nothing asks the database what time it is.
Sums are exact: whole minor units and credits, added up by currency.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy

from domain.period import Period
from projections.queries.analytics_values import (
    ActivityDay,
    Credits,
    CustomerFigures,
    CustomerKey,
    Preference,
    Revenue,
    Segments,
    Step,
    TierFigures,
    Waiting,
)
from projections.queries.paging import Page, conditions, page_of

TREND_DAYS_MAX = 400
"""Days of one trend: a year, and a little to compare with."""
TIERS_MAX = 1_000
"""Tiers and currencies of one answer; a catalogue has at most 60, and a few versions differ."""

_REVENUE = """
    SELECT date_trunc(:step, at AT TIME ZONE 'UTC')::date AS start, currency,
        sum(charges) AS charges, sum(charged) AS charged, sum(refunded) AS refunded,
        sum(top_up) AS top_up
    FROM (
        SELECT captured_at AS at, currency, 1 AS charges, price_minor AS charged, 0 AS refunded,
            0 AS top_up
        FROM charge WHERE captured_at >= :start AND captured_at < :end
        UNION ALL
        SELECT recorded_at, currency, 0, 0,
            CASE kind WHEN 'refund' THEN abs(amount_minor) ELSE 0 END,
            CASE kind WHEN 'top_up' THEN amount_minor ELSE 0 END
        FROM wallet_transaction
        WHERE recorded_at >= :start AND recorded_at < :end AND kind IN ('refund', 'top_up')
            AND status <> 'failed'
    ) AS booked
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def revenue(
    connection: sqlalchemy.Connection, *, period: Period, step: Step
) -> tuple[Revenue, ...]:
    """This function will return revenue by day or month and currency, in order (S0-56).

    Steps without any booking are left out.

    Args:
        connection: Connection of one tenant.
        period: What is asked for; at most TREND_DAYS_MAX days, the caller sees to it.
        step: Length of a step.
    """
    rows = connection.execute(
        sqlalchemy.text(_REVENUE),
        {"start": period.start, "end": period.end, "step": step.value},
    )
    return tuple(
        Revenue(
            start=row.start,
            currency=row.currency,
            charges=int(row.charges),
            charged_minor=int(row.charged),
            refunded_minor=int(row.refunded),
            top_up_minor=int(row.top_up),
        )
        for row in rows
    )


_TIERS = """
    SELECT tier, currency,
        (array_agg(name ORDER BY requested_at DESC, charge DESC))[1] AS name,
        count(*) AS requested,
        count(captured_at) AS captured,
        count(*) FILTER (WHERE captured_at IS NULL AND status IN ('requested', 'approved'))
            AS waiting,
        coalesce(sum(credits - refunded_credits) FILTER (WHERE captured_at IS NOT NULL), 0)
            AS credits,
        coalesce(sum(price_minor) FILTER (WHERE captured_at IS NOT NULL), 0) AS charged,
        coalesce(sum(refunded_minor) FILTER (WHERE captured_at IS NOT NULL), 0) AS refunded,
        count(DISTINCT customer) FILTER (WHERE captured_at IS NOT NULL) AS customers
    FROM charge {where} GROUP BY tier, currency
"""


def tier_figures(
    connection: sqlalchemy.Connection, *, period: Period | None = None
) -> tuple[TierFigures, ...]:
    """This function will return what each tier came to, by currency and rank (S0-57).

    Args:
        connection: Connection of one tenant.
        period: Only charges that were requested in it; None for all.
    """
    where = conditions(
        "requested_at >= :start AND requested_at < :end" if period is not None else ""
    )
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT *, rank() OVER (PARTITION BY currency ORDER BY charged - refunded DESC)"  # noqa: S608 -- fixed texts only
            f" AS place FROM ({_TIERS.format(where=where)}) AS figures"
            " ORDER BY currency, place, tier LIMIT :row_count"
        ),
        {
            "start": period.start if period else None,
            "end": period.end if period else None,
            "row_count": TIERS_MAX,
        },
    )
    return tuple(
        TierFigures(
            tier=row.tier,
            name=row.name,
            currency=row.currency,
            requested=row.requested,
            captured=row.captured,
            refused=row.requested - row.captured - row.waiting,
            waiting=row.waiting,
            credits=int(row.credits),
            charged_minor=int(row.charged),
            refunded_minor=int(row.refunded),
            customers=row.customers,
            rank=row.place,
        )
        for row in rows
    )


def preferences(
    connection: sqlalchemy.Connection, *, customer: str | None = None
) -> tuple[Preference, ...]:
    """This function will return the tiers charged most, of one customer or of all (S0-53)."""
    where = conditions(
        "captured_at IS NOT NULL", "customer = :customer" if customer is not None else ""
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT tier, count(*) AS charges FROM charge {where}"  # noqa: S608 -- fixed texts only
            " GROUP BY tier ORDER BY charges DESC, tier LIMIT :row_count"
        ),
        {"customer": customer, "row_count": TIERS_MAX},
    )
    return tuple(Preference(tier=row.tier, charges=row.charges) for row in rows)


_CUSTOMERS = """
    SELECT * FROM (
        SELECT customer.customer, coalesce(wallet.currency, customer.currency) AS currency,
            coalesce(wallet.total_spent_minor, 0) AS spent,
            coalesce(wallet.available, 0) AS available, coalesce(wallet.held, 0) AS held,
            charged.charges, charged.credits,
            greatest(acted.last_at, booked.last_at) AS last_active_at
        FROM customer
        LEFT JOIN wallet USING (tenant, customer)
        CROSS JOIN LATERAL (
            SELECT count(*) AS charges, coalesce(sum(credits - refunded_credits), 0) AS credits
            FROM charge WHERE charge.tenant = customer.tenant
                AND charge.customer = customer.customer AND captured_at IS NOT NULL
        ) AS charged
        CROSS JOIN LATERAL (
            SELECT max(last_at) AS last_at FROM node_activity
            WHERE node_activity.tenant = customer.tenant
                AND node_activity.customer = customer.customer
        ) AS acted
        CROSS JOIN LATERAL (
            SELECT max(recorded_at) AS last_at FROM wallet_transaction
            WHERE wallet_transaction.tenant = customer.tenant
                AND wallet_transaction.customer = customer.customer
        ) AS booked
    ) AS figures {where}
    ORDER BY currency, spent DESC, customer LIMIT :row_count
"""


def customer_figures(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: CustomerKey | None = None,
    customer: str | None = None,
) -> Page[CustomerFigures]:
    """This function will return customers by lifetime value, the highest of a currency first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Last customer of the page before; None for the first page.
        customer: Only this one.
    """
    where = conditions(
        "(currency, -spent, customer) > (:currency, -:spent, :after)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(_CUSTOMERS.format(where=where)),
        {
            "currency": after.currency if after else None,
            "spent": after.spent_minor if after else None,
            "after": after.customer if after else None,
            "customer": customer,
            "row_count": limit + 1,
        },
    )
    return page_of([_customer(row) for row in rows], limit=limit)


def _customer(row: sqlalchemy.Row[Any]) -> CustomerFigures:
    return CustomerFigures(
        customer=row.customer,
        currency=row.currency,
        spent_minor=row.spent,
        charges=row.charges,
        credits_spent=int(row.credits),
        available=row.available,
        held=row.held,
        last_active_at=row.last_active_at,
    )


def credit_sums(connection: sqlalchemy.Connection) -> Credits:
    """This function will return where all credits of the tenant are (S0-55)."""
    row = connection.execute(
        sqlalchemy.text(
            "SELECT (SELECT coalesce(sum(credits - refunded_credits), 0) FROM charge"
            " WHERE captured_at IS NOT NULL) AS spent,"
            " coalesce(sum(available), 0) AS available, coalesce(sum(held), 0) AS held"
            " FROM wallet"
        )
    ).one()
    return Credits(spent=int(row.spent), available=int(row.available), held=int(row.held))


_ACTIVITY = """
    SELECT day, max(customers) AS customers, sum(updates) AS updates, sum(pulses) AS pulses,
        sum(transactions) AS transactions
    FROM (
        SELECT day, count(DISTINCT customer) FILTER (WHERE customer <> '') AS customers,
            sum(updates) AS updates, sum(pulses) AS pulses, 0 AS transactions
        FROM node_activity WHERE day >= :first AND day <= :last {of_customer} GROUP BY day
        UNION ALL
        SELECT (recorded_at AT TIME ZONE 'UTC')::date, 0, 0, 0, count(*)
        FROM wallet_transaction
        WHERE recorded_at >= :first_at AND recorded_at < :end_at {of_customer} GROUP BY 1
    ) AS happened
    GROUP BY day ORDER BY day
"""


def activity(
    connection: sqlalchemy.Connection, *, first: date, last: date, customer: str | None = None
) -> tuple[ActivityDay, ...]:
    """This function will return what happened on each day, of one customer or of all (S0-54).

    Args:
        connection: Connection of one tenant.
        first: First day that counts.
        last: Last day that counts; at most TREND_DAYS_MAX days, the caller sees to it.
        customer: Only this one.
    """
    of_customer = "AND customer = :customer" if customer is not None else ""
    rows = connection.execute(
        sqlalchemy.text(_ACTIVITY.format(of_customer=of_customer)),
        {
            "first": first,
            "last": last,
            "first_at": f"{first.isoformat()}T00:00:00Z",
            "end_at": f"{(last + timedelta(days=1)).isoformat()}T00:00:00Z",
            "customer": customer,
        },
    )
    return tuple(
        ActivityDay(
            day=row.day,
            customers=int(row.customers),
            updates=int(row.updates),
            pulses=int(row.pulses),
            transactions=int(row.transactions),
        )
        for row in rows
    )


_SEGMENTS = """
    SELECT count(*) AS customers,
        count(*) FILTER (WHERE
            EXISTS (SELECT FROM node_activity AS acted WHERE acted.tenant = customer.tenant
                AND acted.customer = customer.customer
                AND acted.last_at >= :since AND acted.first_at <= :as_of)
            OR EXISTS (SELECT FROM wallet_transaction AS booked
                WHERE booked.tenant = customer.tenant AND booked.customer = customer.customer
                AND booked.recorded_at >= :since AND booked.recorded_at <= :as_of)
        ) AS active,
        count(*) FILTER (WHERE explored.is_explorer) AS explorers,
        count(*) FILTER (WHERE explored.is_explorer AND
            EXISTS (SELECT FROM charge AS paid WHERE paid.tenant = customer.tenant
                AND paid.customer = customer.customer
                AND paid.captured_at <= :as_of AND paid.refunded_credits < paid.credits)
        ) AS payers
    FROM customer
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM node_activity AS acted WHERE acted.tenant = customer.tenant
            AND acted.customer = customer.customer AND acted.first_at <= :as_of) AS is_explorer
    ) AS explored
    WHERE customer.created_at <= :as_of
"""


def segments(connection: sqlalchemy.Connection, *, as_of: datetime, days: int) -> Segments:
    """This function will count customers, active ones, and those that pay (S0-58, S0-59, S0-R14).

    Args:
        connection: Connection of one tenant.
        as_of: The present, from the caller; what was booked later does not count.
        days: Length of the window before it in which somebody active did something, 1 and more.
    """
    row = connection.execute(
        sqlalchemy.text(_SEGMENTS), {"as_of": as_of, "since": as_of - timedelta(days=days)}
    ).one()
    return Segments(
        customers=row.customers, active=row.active, explorers=row.explorers, payers=row.payers
    )


def waiting(connection: sqlalchemy.Connection) -> Waiting:
    """This function will return what waits for somebody."""
    row = connection.execute(
        sqlalchemy.text(
            "SELECT count(*) AS approvals, coalesce(sum(charge.credits), 0) AS credits,"
            " count(DISTINCT charge.customer)"
            "  FILTER (WHERE charge.credits > coalesce(wallet.available, 0)) AS unaffordable,"
            " (SELECT count(*) FROM suspicion WHERE is_open) AS suspicions"
            " FROM charge LEFT JOIN wallet USING (tenant, customer)"
            " WHERE charge.status = 'requested'"
        )
    ).one()
    return Waiting(
        approvals=row.approvals,
        credits=int(row.credits),
        unaffordable_customers=row.unaffordable,
        suspicions=row.suspicions,
    )
