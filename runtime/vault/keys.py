"""Keys inside the vault: found, made once, and unwrapped, inside a transaction of one tenant."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import sqlalchemy

from domain.codes import Code
from domain.errors import Rejected
from domain.routing import SEPARATOR
from runtime.ids import random_bytes
from runtime.vault.details import same_address
from runtime.vault.seal import KEY_BYTES, DataKey

if TYPE_CHECKING:
    from collections.abc import Collection

    from runtime.vault.master import MasterKeys

TOKEN_BYTES = 32
"""A token of an address is so long because the books take 64 hex digits."""

_LOCK = sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")
_ERASED = sqlalchemy.text(
    "SELECT count(*) FROM erasure WHERE tenant = :tenant AND customer = :customer"
)
_KEYS = sqlalchemy.text(
    "SELECT version, master_key, wrapped FROM data_key"
    " WHERE tenant = :tenant AND customer = :customer AND version = ANY(:versions)"
)
_NEWEST = sqlalchemy.text(
    "SELECT version, master_key, wrapped FROM data_key"
    " WHERE tenant = :tenant AND customer = :customer ORDER BY version DESC LIMIT 1"
)
_ADD_KEY = sqlalchemy.text(
    "INSERT INTO data_key (tenant, customer, version, master_key, wrapped)"
    " VALUES (:tenant, :customer, :version, :master_key, :wrapped)"
)
_LOOKUP_KEY = sqlalchemy.text("SELECT master_key, wrapped FROM lookup_key WHERE tenant = :tenant")
_ADD_LOOKUP_KEY = sqlalchemy.text(
    "INSERT INTO lookup_key (tenant, master_key, wrapped) VALUES (:tenant, :master_key, :wrapped)"
    " ON CONFLICT DO NOTHING"
)
_TOKEN = sqlalchemy.text(
    "SELECT token FROM address WHERE tenant = :tenant AND lookup = :lookup LIMIT 1"
)
_ADD_TOKEN = sqlalchemy.text(
    "INSERT INTO address (tenant, lookup, customer, token)"
    " VALUES (:tenant, :lookup, :customer, :token) ON CONFLICT DO NOTHING"
)


def data_purpose(tenant: str, customer: str, version: int) -> tuple[str, ...]:
    """This function will say what a customer's key is for, so that it unwraps for nobody else."""
    return ("data", tenant, customer, str(version))


def lookup_purpose(tenant: str) -> tuple[str, ...]:
    """This function will say what a tenant's key of addresses is for."""
    return ("lookup", tenant)


def take_turn(connection: sqlalchemy.Connection, *what: str) -> None:
    """This function will wait for whoever changes the same thing, until the transaction ends."""
    connection.execute(_LOCK, {"what": SEPARATOR.join(what)})


def is_erased(connection: sqlalchemy.Connection, *, tenant: str, customer: str) -> bool:
    """This function will say whether a customer was erased."""
    found = connection.execute(_ERASED, {"tenant": tenant, "customer": customer})
    return bool(found.scalar_one())


def sealing_key(
    connection: sqlalchemy.Connection, masters: MasterKeys, *, tenant: str, customer: str
) -> DataKey:
    """This function will return a customer's newest key, making the first one where there is none.

    Raises:
        Rejected: customer_erased: a key made anew would bring back what was promised to be gone.
        Fatal: vault_key_wrong.
    """
    take_turn(connection, "customer", tenant, customer)
    if is_erased(connection, tenant=tenant, customer=customer):
        raise Rejected(Code.CUSTOMER_ERASED, f"customer {customer!r} was erased")
    whose = {"tenant": tenant, "customer": customer}
    row = connection.execute(_NEWEST, whose).one_or_none()
    if row is not None:
        purpose = data_purpose(tenant, customer, row.version)
        secret = masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
        return DataKey(secret, version=row.version)
    secret = random_bytes(KEY_BYTES)
    wrapped = masters.wrap(secret, purpose=data_purpose(tenant, customer, 1))
    connection.execute(
        _ADD_KEY, {**whose, "version": 1, "master_key": masters.current, "wrapped": wrapped}
    )
    return DataKey(secret, version=1)


def opening_keys(
    connection: sqlalchemy.Connection,
    masters: MasterKeys,
    *,
    tenant: str,
    customer: str,
    versions: Collection[int],
) -> dict[int, DataKey]:
    """This function will return the wanted versions of a customer's key, as far as they are there.

    Raises:
        Fatal: vault_key_wrong.
    """
    rows = connection.execute(
        _KEYS, {"tenant": tenant, "customer": customer, "versions": sorted(versions)}
    )
    found: dict[int, DataKey] = {}
    for row in rows:
        purpose = data_purpose(tenant, customer, row.version)
        secret = masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
        found[row.version] = DataKey(secret, version=row.version)
    return found


def address_token(
    connection: sqlalchemy.Connection,
    masters: MasterKeys,
    *,
    tenant: str,
    customer: str,
    email: str,
) -> str:
    """This function will return the token that stands for an e-mail address in the books.

    It is drawn by lot when the address is first named and forgotten with its customers, so the log
    holds nothing that could be tried out. The vault finds it by a keyed hash of the address.
    """
    secret = _lookup_key(connection, masters, tenant=tenant)
    lookup = hmac.digest(secret, same_address(email).encode(), hashlib.sha256)
    take_turn(connection, "address", tenant, lookup.hex())
    where = {"tenant": tenant, "lookup": lookup}
    token = connection.execute(_TOKEN, where).scalar_one_or_none()
    token = token if token is not None else random_bytes(TOKEN_BYTES).hex()
    connection.execute(_ADD_TOKEN, {**where, "customer": customer, "token": token})
    return str(token)


def _lookup_key(connection: sqlalchemy.Connection, masters: MasterKeys, *, tenant: str) -> bytes:
    purpose = lookup_purpose(tenant)
    row = connection.execute(_LOOKUP_KEY, {"tenant": tenant}).one_or_none()
    if row is None:
        wrapped = masters.wrap(random_bytes(KEY_BYTES), purpose=purpose)
        connection.execute(
            _ADD_LOOKUP_KEY,
            {"tenant": tenant, "master_key": masters.current, "wrapped": wrapped},
        )
        row = connection.execute(_LOOKUP_KEY, {"tenant": tenant}).one()
    return masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
