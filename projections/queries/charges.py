"""Charges: what the books made of each detection, and what was delivered for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy

from domain.money import Money
from projections.queries.paging import PAGE_ROWS_MAX, Page, conditions, page_of

_COLUMNS = (
    "charge, customer, project, lone_node, tier, name, generation, covers, credits, price_minor,"
    " currency, delivers, evidence, rule_version, rule_sha256, status, requested_at, expires_at,"
    " approved_at, approved_by, captured_at, delivered_at, ended_at, end_reason, refunded_credits,"
    " refunded_minor, transaction, receipt"
)


@dataclass(frozen=True, slots=True)
class ChargeKey:
    """Place of a charge in the list, which shows the newest first.

    Args:
        requested_at: When it was requested, UTC.
        charge: Its id.
    """

    requested_at: datetime
    charge: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge; its id is the id of the detection it is for.

    Args:
        charge: Its id, emg_….
        customer: Who pays.
        project, lone_node: What has become real; one of them is empty.
        tier: Code of the tier or bundle.
        name: Its name for people.
        generation: Which detection of this tier of this project it is, from 1.
        covers: (tier, generation) pairs that it stands for.
        credits: Credits that are deducted.
        price: What they are worth in money (S0-R1).
        delivers: What is handed over after the charge, for people.
        evidence: What the detection rests on, per covered tier, as the fold wrote it.
        rule_version, rule_sha256: Catalogue that judged it.
        status: requested, approved, captured, delivered, declined, expired, withdrawn, refunded.
        requested_at: When approval was asked for, UTC.
        expires_at: From when on it can no longer be approved, UTC.
        approved_at, captured_at, delivered_at, ended_at: When that happened, UTC; None if not.
            ended_at is the time of a decline, expiry, withdrawal or full refund.
        approved_by: Who approved; "auto" for the customer's own setting; empty if nobody.
        end_reason: Why it ended, for people.
        refunded_credits: Credits given back so far.
        refunded: Money that they stand for.
        transaction: Its transaction.
        receipt: Number of its receipt; empty before the capture.
    """

    charge: str
    customer: str
    project: str
    lone_node: str
    tier: str
    name: str
    generation: int
    covers: tuple[tuple[str, int], ...]
    credits: int
    price: Money
    delivers: tuple[str, ...]
    evidence: tuple[Mapping[str, Any], ...]
    rule_version: int
    rule_sha256: str
    status: str
    requested_at: datetime
    expires_at: datetime
    approved_at: datetime | None
    approved_by: str
    captured_at: datetime | None
    delivered_at: datetime | None
    ended_at: datetime | None
    end_reason: str
    refunded_credits: int
    refunded: Money
    transaction: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Deliverable:
    """A reference to what a charge gives; its bytes are elsewhere.

    Args:
        name: Its name within the charge.
        kind: What it is, for example DXF.
        uri: Where it is.
        sha256: SHA-256 of its bytes, 64 hex digits.
        size_bytes: How long it is, bytes.
        registered_at: When it was registered, UTC.
    """

    name: str
    kind: str
    uri: str
    sha256: str
    size_bytes: int
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class DueCharge:
    """A charge whose time for approval is over.

    Args:
        tenant: Tenant.
        charge: Its id.
        expires_at: When its time was over, UTC.
    """

    tenant: str
    charge: str
    expires_at: datetime


def list_charges(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: ChargeKey | None,
    status: str | None = None,
    customer: str | None = None,
    project: str | None = None,
    lone_node: str | None = None,
) -> Page[Charge]:
    """This function will return charges, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last charge of the page before; None for the first page.
        status: Only those in this status; None for all.
        customer: Only those of this customer; None for all.
        project: Only those of this project; None for all.
        lone_node: Only those of this node without a project; None for all.
    """
    where = conditions(
        "(requested_at, charge) < (:requested_at, :charge)" if after is not None else "",
        "status = :status" if status is not None else "",
        "customer = :customer" if customer is not None else "",
        "project = :project" if project is not None else "",
        "lone_node = :lone_node" if lone_node is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_COLUMNS} FROM charge {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY requested_at DESC, charge DESC LIMIT :row_count"
        ),
        {
            "requested_at": None if after is None else after.requested_at,
            "charge": None if after is None else after.charge,
            "status": status,
            "customer": customer,
            "project": project,
            "lone_node": lone_node,
            "row_count": limit + 1,
        },
    )
    return page_of([_from_row(row) for row in rows], limit=limit)


def find_charge(connection: sqlalchemy.Connection, *, charge: str) -> Charge | None:
    """This function will return one charge, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_COLUMNS} FROM charge WHERE charge = :charge"),  # noqa: S608 -- fixed texts only
        {"charge": charge},
    ).one_or_none()
    return None if row is None else _from_row(row)


def list_deliverables(
    connection: sqlalchemy.Connection, *, charge: str
) -> tuple[Deliverable, ...]:
    """This function will return the deliverables of a charge by name, whatever its status.

    Whether they may be shown is the caller's question: only after the capture (S0-34).
    """
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT name, kind, uri, sha256, bytes, registered_at FROM deliverable"
            " WHERE charge = :charge ORDER BY name LIMIT :row_count"
        ),
        {"charge": charge, "row_count": PAGE_ROWS_MAX},
    )
    return tuple(Deliverable(*row) for row in rows)


def due_charges(
    connection: psycopg.Connection, *, as_of: datetime, limit: int
) -> tuple[DueCharge, ...]:
    """This function will return charges of all tenants whose time for approval is over.

    Args:
        connection: Connection of the role projector, which sees every tenant.
        as_of: The moment that counts as now, UTC.
        limit: Charges at most; the most overdue come first.
    """
    rows = connection.execute(
        "SELECT tenant, charge, expires_at FROM charge"
        " WHERE status IN ('requested', 'approved') AND expires_at <= %s"
        " ORDER BY expires_at, tenant, charge LIMIT %s",
        (as_of, limit),
    )
    return tuple(DueCharge(*row) for row in rows)


def _from_row(row: sqlalchemy.Row[Any]) -> Charge:
    fields = row._asdict()
    currency = fields.pop("currency")
    fields["price"] = Money(fields.pop("price_minor"), currency)
    fields["refunded"] = Money(fields.pop("refunded_minor"), currency)
    fields["covers"] = tuple((tier, generation) for tier, generation in row.covers)
    fields["delivers"] = tuple(row.delivers)
    fields["evidence"] = tuple(row.evidence)
    return Charge(**fields)
