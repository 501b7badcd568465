"""Account credit of a customer: what may still be drawn, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy

from domain.money import Money

ENTRIES_MAX = 200
"""Entries that are shown, the newest first: as many as a page of any list."""
_BALANCE = """
    SELECT c.currency, coalesce(a.balance_minor, 0) AS balance_minor,
        coalesce(a.promotion_minor, 0) AS promotion_minor
    FROM customer c LEFT JOIN account_credit a USING (tenant, customer)
    WHERE c.customer = :customer
"""
_ENTRIES = """
    SELECT entry, kind, currency, amount_minor, balance_minor, reference, reason, booked_at
    FROM account_credit_entry WHERE customer = :customer
    ORDER BY booked_offset DESC, entry LIMIT :row_count
"""


@dataclass(frozen=True, slots=True)
class CreditEntry:
    """What came to an account credit, or was drawn from it.

    Args:
        entry: Id of the credit, or of the invoice that drew on it.
        kind: Why, in one word; "applied" when an invoice drew on it.
        amount: Below 0 when it was drawn.
        balance: What was left then.
        reference, reason: What it goes back to, and why.
        booked_at: When.
    """

    entry: str
    kind: str
    amount: Money
    balance: Money
    reference: str
    reason: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class AccountCredit:
    """What a customer has with the tenant.

    Args:
        balance: All of it.
        promotion: What of it was given for nothing; no refund pays it out.
        money: The rest: paid before, with its tax in it.
        entries: How it came about, the newest first; ENTRIES_MAX at most.
    """

    balance: Money
    promotion: Money
    money: Money
    entries: tuple[CreditEntry, ...]


def find_account_credit(
    connection: sqlalchemy.Connection, *, customer: str
) -> AccountCredit | None:
    """This function will return balance and newest entries; None without such a customer."""
    row = connection.execute(sqlalchemy.text(_BALANCE), {"customer": customer}).one_or_none()
    if row is None:
        return None
    entries = connection.execute(
        sqlalchemy.text(_ENTRIES), {"customer": customer, "row_count": ENTRIES_MAX}
    )
    return AccountCredit(
        balance=Money(row.balance_minor, row.currency),
        promotion=Money(row.promotion_minor, row.currency),
        money=Money(row.balance_minor - row.promotion_minor, row.currency),
        entries=tuple(
            CreditEntry(
                entry=each.entry,
                kind=each.kind,
                amount=Money(each.amount_minor, each.currency),
                balance=Money(each.balance_minor, each.currency),
                reference=each.reference,
                reason=each.reason,
                booked_at=each.booked_at,
            )
            for each in entries
        ),
    )
