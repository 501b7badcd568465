"""Buyers on final invoices of erased customers: kept as long as the law asks, under own keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy

from runtime.ids import random_bytes
from runtime.vault.details import PersonalDetails, from_values, to_values
from runtime.vault.seal import KEY_BYTES, DataKey, Owner

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from domain.canonical import Json
    from runtime.vault.master import MasterKeys

_ADD = sqlalchemy.text(
    "INSERT INTO kept_buyer (tenant, customer, version, master_key, wrapped, sealed, keep_until)"
    " VALUES (:tenant, :customer, :version, :master_key, :wrapped, :sealed, :keep_until)"
)
_FIND = sqlalchemy.text(
    "SELECT version, master_key, wrapped, sealed FROM kept_buyer"
    " WHERE tenant = :tenant AND customer = :customer AND version = :version"
    " AND keep_until >= :today"
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """What an invoice says of its buyer.

    Args:
        version: Number of the details that were in force when it was issued.
        details: The details; buyer_of leaves what no invoice needs out.
        keep_until: Last day on which it may be read.
    """

    version: int
    details: PersonalDetails
    keep_until: date


def kept_purpose(tenant: str, customer: str, version: int) -> tuple[str, ...]:
    """This function will say what the key of one kept buyer is for."""
    return ("kept", tenant, customer, str(version))


def owner_of(tenant: str, customer: str) -> Owner:
    """This function will say whose a kept buyer is, as its seal is bound to it."""
    return Owner(tenant, customer, "kept")


def keep(
    connection: sqlalchemy.Connection,
    masters: MasterKeys,
    buyers: Iterable[Buyer],
    *,
    tenant: str,
    customer: str,
) -> None:
    """This function will keep buyers, each under a key of its own that goes with its row."""
    for buyer in buyers:
        secret = random_bytes(KEY_BYTES)
        key = DataKey(secret, version=buyer.version)
        # What no invoice has to say is not kept: mail and phone.
        values = to_values(replace(buyer.details, email="", phone=""))
        purpose = kept_purpose(tenant, customer, buyer.version)
        connection.execute(
            _ADD,
            {
                "tenant": tenant,
                "customer": customer,
                "version": buyer.version,
                "master_key": masters.current,
                "wrapped": masters.wrap(secret, purpose=purpose),
                "sealed": key.seal(values, owner=owner_of(tenant, customer), context="kept"),
                "keep_until": buyer.keep_until,
            },
        )


def find_kept(
    connection: sqlalchemy.Connection,
    masters: MasterKeys,
    *,
    tenant: str,
    customer: str,
    version: int,
    today: date,
) -> PersonalDetails | None:
    """This function will open a kept buyer; None when there is none, or its time is over."""
    where = {"tenant": tenant, "customer": customer, "version": version, "today": today}
    row = connection.execute(_FIND, where).one_or_none()
    if row is None:
        return None
    purpose = kept_purpose(tenant, customer, version)
    secret = masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
    values = DataKey(secret, version=version).open(row.sealed, owner=owner_of(tenant, customer))
    return from_values(_object(values))


def _object(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, dict) else {}
