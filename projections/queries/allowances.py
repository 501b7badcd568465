"""What a subscription has used and has left of its running period, live from the windows.

One statement reads the windows, merged by series in the database as for an invoice
(projections.invoicing.rows): it costs what one line of a preview costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy

from domain.allowances import Allowance, Standing, allowances_of, standing_at
from domain.books.customer import Customer
from domain.books.subscription import Subscription
from domain.period import from_ms
from domain.plan_limits import LimitUse
from domain.rating import UsageEntry, usage_entries
from projections.invoicing.rows import Wanted, read_rows
from projections.queries.connection import driver_of
from schemas.topics import USAGE_FACTS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.usage.segment_rows import SegmentRow
    from projections.published import Published

SUBSCRIPTIONS_MAX = 100
"""Subscriptions of one customer that are looked through for the one that an event belongs to."""
_SUBSCRIPTIONS = """
    SELECT s.document, c.document AS payer
    FROM subscription AS s
    JOIN customer AS c ON c.tenant = s.tenant AND c.customer = s.customer
    WHERE (s.subscription = :subscription OR :subscription = '')
        AND (s.customer = :customer OR :customer = '')
    ORDER BY s.subscription LIMIT :row_count
"""
_POSITION = "SELECT next_offset FROM position WHERE topic = :topic AND partition = :partition"


@dataclass(frozen=True, slots=True)
class State:
    """A subscription's allowances at a moment.

    Args:
        standing: What holds.
        customer: Who pays.
        allowances: In the order of the prices.
        limits: In the order of the plan.
        usage: What the prices of the part that runs read, meter by meter.
    """

    standing: Standing
    customer: str
    allowances: tuple[Allowance, ...]
    limits: tuple[LimitUse, ...]
    usage: tuple[UsageEntry, ...]


def find_states(
    connection: sqlalchemy.Connection,
    *,
    tenant: str,
    moment: datetime,
    published: Published,
    subscription: str = "",
    customer: str = "",
) -> tuple[State, ...]:
    """This function will return the allowances of subscriptions that run at a moment.

    Args:
        connection: Connection of one tenant.
        tenant: That tenant.
        moment: The moment.
        published: Its catalogues.
        subscription: Only this one; empty for all.
        customer: Only those of this customer; empty for all.

    Returns:
        By subscription id, at most SUBSCRIPTIONS_MAX; those that do not run are left out.
    """
    rows = connection.execute(
        sqlalchemy.text(_SUBSCRIPTIONS),
        {"subscription": subscription, "customer": customer, "row_count": SUBSCRIPTIONS_MAX},
    ).all()
    standings = []
    for row in rows:
        payer = Customer.from_document(row.payer)
        found = standing_at(
            moment,
            subscription=Subscription.from_document(row.document),
            customer=payer,
            catalogues=published.catalogues,
            published_at=published.published_at,
            tenant=tenant,
        )
        if found is not None:
            standings.append((found, payer.customer))
    return _states(connection, standings, published)


def _states(
    connection: sqlalchemy.Connection,
    standings: Sequence[tuple[Standing, str]],
    published: Published,
) -> tuple[State, ...]:
    wanted: list[Wanted] = []
    places: list[tuple[int, int]] = []
    for number, (standing, customer) in enumerate(standings):
        for segment, part in enumerate(standing.parts):
            if part.meters:
                places.append((number, segment))
                wanted.append(
                    Wanted(
                        number=len(wanted),
                        customer=customer,
                        start=from_ms(part.span.start_ms),
                        end=from_ms(part.span.end_ms),
                        meters=part.meters,
                        sketched=part.sketched,
                        carried=part.carried,
                        extreme=part.extreme,
                    )
                )
    windows: list[list[SegmentRow]] = [[] for _ in standings]
    for place, found in read_rows(driver_of(connection), wanted).items():
        number, segment = places[place]
        windows[number] += [(segment, row) for row in found]
    states = []
    for (standing, customer), rows in zip(standings, windows, strict=True):
        allowances, limits = allowances_of(standing, rows=rows, catalogues=published.catalogues)
        usage = usage_entries(
            terms=standing.terms,
            rows=rows,
            catalogues=published.catalogues,
        )
        now = tuple(entry for entry in usage if entry.segment == standing.number)
        states.append(State(standing, customer, allowances, limits, now))
    return tuple(states)


def is_projected(connection: sqlalchemy.Connection, *, partition: int, offset: int) -> bool:
    """This function will say whether the windows hold what a record of usage.events counted.

    Args:
        connection: Connection of one tenant; in a transaction with one view, so that what follows
            reads the same windows.
        partition: Partition of usage.events.
        offset: The record's offset.
    """
    next_offset = connection.execute(
        sqlalchemy.text(_POSITION), {"topic": USAGE_FACTS_TOPIC.name, "partition": partition}
    ).scalar_one_or_none()
    return next_offset is not None and int(next_offset) > offset
