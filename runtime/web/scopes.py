"""What an API key may do: the scopes that the API and the gateway ask for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from domain.codes import Code
from domain.errors import Rejected


class Scope(StrEnum):
    """One right of an API key; each address asks for one of them."""

    USAGE_WRITE = "usage:write"
    USAGE_BACKFILL = "usage:backfill"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    BILLING_ADMIN = "billing:admin"
    BILLING_PERSONAL = "billing:personal"
    SCHEMA_WRITE = "schema:write"


DESCRIPTIONS: dict[Scope, str] = {
    Scope.USAGE_WRITE: "report usage to the gateway",
    Scope.USAGE_BACKFILL: "report usage older than 35 days, beside usage:write",
    Scope.BILLING_READ: "read usage, customers, subscriptions and invoices",
    Scope.BILLING_WRITE: "create customers and subscriptions, approve charges, top up wallets",
    Scope.BILLING_ADMIN: "grant, take and refund credits, close suspicions, beside billing:write",
    Scope.BILLING_PERSONAL: "see and set names, addresses and other personal data of customers, "
    "beside billing:read or billing:write",
    Scope.SCHEMA_WRITE: "register new schemas, for all tenants of the log",
}

ONLY_WHEN_NAMED = frozenset(
    {Scope.USAGE_BACKFILL, Scope.BILLING_ADMIN, Scope.BILLING_PERSONAL, Scope.SCHEMA_WRITE}
)
"""What a key without scopes may not do. It may do all the rest, as keys could before there were
scopes. Old usage changes months that were billed, an admin makes credits out of nothing (S0-62),
personal data is nobody's business who does not need it, and a schema is there for all tenants and
for good, so these rights are given by name and never come along by themselves."""


def allows(scopes: frozenset[str], wanted: Scope) -> bool:
    """This function will say whether a key with these scopes may do something.

    Args:
        scopes: As they are stored; empty for everything but ONLY_WHEN_NAMED.
        wanted: What it wants to do.
    """
    return wanted in scopes if scopes else wanted not in ONLY_WHEN_NAMED


def checked(names: Iterable[str]) -> list[str]:
    """This function will check the scopes that somebody wants to give to a new key.

    Returns:
        Them, sorted, each once.

    Raises:
        Rejected: invalid_request, for one that nobody asks for, and for a right to old usage
            without the right to report any.
    """
    scopes = set(names)
    unknown = sorted(scopes - set(Scope))
    if unknown:
        raise Rejected(
            Code.INVALID_REQUEST,
            f"there is no scope {unknown[0][:60]!r}; there are {', '.join(Scope)}",
        )
    if Scope.USAGE_BACKFILL in scopes and Scope.USAGE_WRITE not in scopes:
        raise Rejected(
            Code.INVALID_REQUEST,
            f"{Scope.USAGE_BACKFILL} goes beside {Scope.USAGE_WRITE}; name both",
        )
    return sorted(scopes)
