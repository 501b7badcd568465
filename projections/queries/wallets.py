"""Wallets: balances, the grants they are made of, postings and transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy

from domain.money import Money
from projections.queries.paging import PAGE_ROWS_MAX, Page, conditions, page_of

GRANTS_SHOWN_MAX = PAGE_ROWS_MAX
"""Grants of one answer: those that burn first; a wallet has a handful."""
_WALLET = (
    "customer, currency, available, held, total_spent_minor, auto_approval_credits, opened_at"
)
_TRANSACTION = (
    "transaction, kind, customer, charge, reference, credits, amount_minor, currency, status,"
    " receipt, payment_reference, code, reason, actor, recorded_at, changed_at"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits of one origin that are not used up.

    Args:
        grant: Its id.
        kind: Posting that made it: signup_bonus, top_up, grant or refund.
        priority: Smaller burns first.
        expires_at: From when on they are gone, UTC; None for never.
        credits: What it began with.
        available: What can be spent of it.
        held: What approved charges hold of it.
    """

    grant: str
    kind: str
    priority: int
    expires_at: datetime | None
    credits: int
    available: int
    held: int


@dataclass(frozen=True, slots=True)
class Wallet:
    """A customer's wallet.

    Args:
        customer: Whose it is.
        available: Credits that can be spent, by the postings.
        held: Credits that approved charges hold.
        total_spent: Prices of captured charges, less refunds (S0-R12).
        auto_approval_credits: Charges up to this are approved by themselves; 0 for none.
        opened_at: When it was opened, UTC.
        grants: What the balance is made of, in the order in which it burns.
    """

    customer: str
    available: int
    held: int
    total_spent: Money
    auto_approval_credits: int
    opened_at: datetime
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of a posting.

    Args:
        account: available, held, spent, issued, sold, expired or adjusted.
        grant: Grant that is moved; empty for the tenant's own accounts.
        credits: By how much the account changes.
    """

    account: str
    grant: str
    credits: int


@dataclass(frozen=True, slots=True)
class PostingKey:
    """Place of a posting in the list, which shows the newest first.

    Args:
        booked_offset: Place of its command in account.commands; a tenant has one partition.
        booked_index: Its number among the postings of the command, from 0.
    """

    booked_offset: int
    booked_index: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One movement of credits; its legs add up to 0.

    Args:
        key: Its place.
        posting: Its id, pst_….
        booked_at: Received time of its command, UTC.
        kind: signup_bonus, top_up, grant, adjustment, hold, capture, release, refund or expiry.
        reference: Charge, top-up, grant or adjustment that caused it.
        available, held: Balances after it.
        legs: Its lines.
    """

    key: PostingKey
    posting: str
    booked_at: datetime
    kind: str
    reference: str
    available: int
    held: int
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class TransactionKey:
    """Place of a transaction in the list, which shows the newest first.

    Args:
        recorded_at: When it was first recorded, UTC.
        transaction: Its id.
    """

    recorded_at: datetime
    transaction: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """One deal with a customer (S0-03, S0-63).

    Args:
        transaction: Its id.
        kind: charge, top_up, refund or adjustment.
        customer: With whom.
        charge: Charge it is about; empty for none.
        reference: Id of the top-up, grant or adjustment, or the charge.
        credits: Credits moved.
        amount: What they are worth or were paid for.
        status: pending, completed, failed or refunded (S0-R13).
        receipt: Number of its receipt; empty for none.
        payment_reference: What the payment is called elsewhere; empty for none.
        code: Why it failed; else empty.
        reason: Why, for people; also an admin's reason.
        actor: Who asked for it.
        recorded_at: When it was first recorded, UTC.
        changed_at: When its status changed last, UTC.
    """

    transaction: str
    kind: str
    customer: str
    charge: str
    reference: str
    credits: int
    amount: Money
    status: str
    receipt: str
    payment_reference: str
    code: str
    reason: str
    actor: str
    recorded_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DueGrants:
    """A customer who has credits that are past their time.

    Args:
        tenant: Tenant.
        customer: Customer.
        expires_at: When the first of them was over, UTC.
    """

    tenant: str
    customer: str
    expires_at: datetime


def find_wallet(connection: sqlalchemy.Connection, *, customer: str) -> Wallet | None:
    """This function will return a wallet with its grants, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(f"SELECT {_WALLET} FROM wallet WHERE customer = :customer"),  # noqa: S608 -- fixed texts only
        {"customer": customer},
    ).one_or_none()
    if row is None:
        return None
    grants = connection.execute(
        sqlalchemy.text(
            "SELECT grant_id, kind, priority, expires_at, credits, available, held"
            " FROM wallet_grant WHERE customer = :customer AND available + held > 0"
            " ORDER BY priority, expires_at NULLS LAST, age LIMIT :row_count"
        ),
        {"customer": customer, "row_count": GRANTS_SHOWN_MAX},
    )
    return Wallet(
        customer=row.customer,
        available=row.available,
        held=row.held,
        total_spent=Money(row.total_spent_minor, row.currency),
        auto_approval_credits=row.auto_approval_credits,
        opened_at=row.opened_at,
        grants=tuple(
            Grant(
                grant=grant.grant_id,
                kind=grant.kind,
                priority=grant.priority,
                expires_at=grant.expires_at,
                credits=grant.credits,
                available=grant.available,
                held=grant.held,
            )
            for grant in grants
        ),
    )


def list_postings(
    connection: sqlalchemy.Connection, *, customer: str, limit: int, after: PostingKey | None
) -> Page[Posting]:
    """This function will return the postings of a wallet, the newest first.

    Args:
        connection: Connection of one tenant.
        customer: Whose.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last posting of the page before; None for the first page.
    """
    where = conditions(
        "customer = :customer",
        "leg = 0",
        "(booked_offset, booked_index) < (:booked_offset, :booked_index)"
        if after is not None
        else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT posting, kind, reference, available_after, held_after, booked_at,"  # noqa: S608 -- fixed texts only
            " booked_offset, booked_index, (SELECT json_agg("
            "json_build_array(l.account, l.grant_id, l.credits) ORDER BY l.leg)"
            " FROM wallet_posting l WHERE l.tenant = p.tenant"
            f" AND l.posting = p.posting) AS legs FROM wallet_posting p {where}"
            " ORDER BY booked_offset DESC, booked_index DESC LIMIT :row_count"
        ),
        {
            "customer": customer,
            "booked_offset": None if after is None else after.booked_offset,
            "booked_index": None if after is None else after.booked_index,
            "row_count": limit + 1,
        },
    )
    return page_of([_posting_from_row(row) for row in rows], limit=limit)


def list_transactions(
    connection: sqlalchemy.Connection,
    *,
    limit: int,
    after: TransactionKey | None,
    customer: str | None = None,
    charge: str | None = None,
    kind: str | None = None,
    status: str | None = None,
) -> Page[Transaction]:
    """This function will return transactions, the newest first.

    Args:
        connection: Connection of one tenant.
        limit: Rows of the page, 1 to PAGE_ROWS_MAX.
        after: Key of the last transaction of the page before; None for the first page.
        customer: Only those of this customer; None for all.
        charge: Only those of this charge; None for all.
        kind: Only those of this kind; None for all.
        status: Only those in this status; None for all.
    """
    where = conditions(
        "(recorded_at, transaction) < (:recorded_at, :transaction)" if after is not None else "",
        "customer = :customer" if customer is not None else "",
        "charge = :charge" if charge is not None else "",
        "kind = :kind" if kind is not None else "",
        "status = :status" if status is not None else "",
    )
    rows = connection.execute(
        sqlalchemy.text(
            f"SELECT {_TRANSACTION} FROM wallet_transaction {where}"  # noqa: S608 -- fixed texts only
            " ORDER BY recorded_at DESC, transaction DESC LIMIT :row_count"
        ),
        {
            "recorded_at": None if after is None else after.recorded_at,
            "transaction": None if after is None else after.transaction,
            "customer": customer,
            "charge": charge,
            "kind": kind,
            "status": status,
            "row_count": limit + 1,
        },
    )
    return page_of([_transaction_from_row(row) for row in rows], limit=limit)


def find_transaction(connection: sqlalchemy.Connection, *, transaction: str) -> Transaction | None:
    """This function will return one transaction, or None when there is no such one."""
    row = connection.execute(
        sqlalchemy.text(
            f"SELECT {_TRANSACTION} FROM wallet_transaction WHERE transaction = :transaction"  # noqa: S608 -- fixed texts only
        ),
        {"transaction": transaction},
    ).one_or_none()
    return None if row is None else _transaction_from_row(row)


def due_grants(
    connection: psycopg.Connection, *, as_of: datetime, limit: int
) -> tuple[DueGrants, ...]:
    """This function will return customers of all tenants who have credits past their time.

    Args:
        connection: Connection of the role projector, which sees every tenant.
        as_of: The moment that counts as now, UTC.
        limit: Customers at most; the most overdue come first.
    """
    rows = connection.execute(
        "SELECT tenant, customer, min(expires_at) AS first_at FROM wallet_grant"
        " WHERE expires_at <= %s AND available > 0 GROUP BY tenant, customer"
        " ORDER BY first_at, tenant, customer LIMIT %s",
        (as_of, limit),
    )
    return tuple(DueGrants(*row) for row in rows)


def _posting_from_row(row: sqlalchemy.Row[Any]) -> Posting:
    return Posting(
        key=PostingKey(row.booked_offset, row.booked_index),
        posting=row.posting,
        booked_at=row.booked_at,
        kind=row.kind,
        reference=row.reference,
        available=row.available_after,
        held=row.held_after,
        legs=tuple(Leg(*leg) for leg in row.legs),
    )


def _transaction_from_row(row: sqlalchemy.Row[Any]) -> Transaction:
    return Transaction(
        transaction=row.transaction,
        kind=row.kind,
        customer=row.customer,
        charge=row.charge or "",
        reference=row.reference,
        credits=row.credits,
        amount=Money(row.amount_minor, row.currency),
        status=row.status,
        receipt=row.receipt,
        payment_reference=row.payment_reference,
        code=row.code,
        reason=row.reason,
        actor=row.actor,
        recorded_at=row.recorded_at,
        changed_at=row.changed_at,
    )
