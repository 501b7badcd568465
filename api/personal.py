"""Personal details at the edge: opened for who may see them, erased where the key is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy

from projections.queries.connection import tenant_connection
from projections.queries.customer_details import SealedDetails, find_details
from runtime import clock
from runtime.vault.details import NOTHING, PersonalDetails
from runtime.vault.vault import Unsealed, Vault

Status = Literal["open", "none", "erased", "closed"]
NOTHING_UNSEALED = Unsealed(NOTHING)


@dataclass(frozen=True, slots=True)
class Opened:
    """Details of a customer, as far as they can be shown.

    Args:
        status: "open"; "none" when nothing is known; "erased" when the customer's key is gone;
            "closed" when this process has no vault.
        details: The details; nothing unless status is "open", or a copy is kept for invoices.
        version: Their number; 0 when none were ever set.
        set_at: When the books took them up, UTC; None when none were ever set.
        broken: Fields whose sealed text does not open: it was altered or moved.
    """

    status: Status
    details: PersonalDetails = NOTHING
    version: int = 0
    set_at: datetime | None = None
    broken: tuple[str, ...] = ()


def find_opened(
    engine: sqlalchemy.Engine, vault: Vault | None, *, tenant: str, customer: str
) -> Opened | None:
    """This function will open a customer's details as they are now; None for no such customer.

    Raises:
        Retryable: database_away or not_ready.
        Fatal: vault_key_wrong.
    """
    sealed = _find(engine, tenant=tenant, customer=customer, at=clock.now())
    return None if sealed is None else _opened(vault, sealed, tenant=tenant)


def has_customer(engine: sqlalchemy.Engine, *, tenant: str, customer: str) -> bool:
    """This function will say whether the tables have a customer.

    Raises:
        Retryable: database_away or not_ready.
    """
    return _find(engine, tenant=tenant, customer=customer, at=clock.now()) is not None


def find_buyer(
    engine: sqlalchemy.Engine,
    vault: Vault | None,
    *,
    tenant: str,
    customer: str,
    at: datetime | None,
) -> Opened:
    """This function will open what a document says of its buyer.

    Args:
        engine: Engine of the role app.
        vault: The vault; None where there is none.
        tenant: Tenant.
        customer: Who pays.
        at: When the invoice was finalised (received time): the document shows the details of then;
            None for those of now.

    Returns:
        Status "open", also for an erased customer whose name and address are kept for this
        invoice; else there is nothing to show but the customer's id.

    Raises:
        Retryable: database_away or not_ready.
        Fatal: vault_key_wrong.
    """
    sealed = _find(engine, tenant=tenant, customer=customer, at=at or clock.now())
    if sealed is None:
        return Opened("none")
    opened = _opened(vault, sealed, tenant=tenant)
    if opened.status != "erased" or vault is None:
        return opened
    kept = vault.find_kept(tenant=tenant, customer=customer, version=sealed.version)
    if kept is None:
        return opened
    return Opened("open", kept, version=sealed.version, set_at=sealed.set_at)


def _find(
    engine: sqlalchemy.Engine, *, tenant: str, customer: str, at: datetime
) -> SealedDetails | None:
    with tenant_connection(engine, tenant=tenant) as connection:
        return find_details(connection, customer=customer, at=at)


def _opened(vault: Vault | None, sealed: SealedDetails, *, tenant: str) -> Opened:
    def opened(status: Status, found: Unsealed = NOTHING_UNSEALED) -> Opened:
        return Opened(status, found.details, sealed.version, sealed.set_at, found.broken)

    if sealed.is_erased:
        return opened("erased")
    if vault is None:
        return opened("closed")
    if not sealed.sealed:
        is_erased = vault.is_erased(tenant=tenant, customer=sealed.customer)
        return opened("erased" if is_erased else "none")
    found = vault.open(tenant=tenant, customer=sealed.customer, sealed=sealed.sealed)
    return opened("erased" if found.is_gone else "open", found)
