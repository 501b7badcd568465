"""API keys: who may speak for which tenant."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key that is in force.

    Args:
        tenant: Tenant it speaks for.
        key_id: Its public part, for logs and the books.
    """

    tenant: str
    key_id: str


def find_api_key(connection: sqlalchemy.Connection, *, secret_sha256: str) -> ApiKey | None:
    """This function will return the key with this hash, or None when it is unknown or revoked.

    The hash of a secret of 190 random bits is looked up by index; what time tells about the index
    tells nothing about a secret, so no comparison in constant time is needed.

    Args:
        connection: Connection that may see this one key (secret_connection).
        secret_sha256: SHA-256 of the whole key, 64 lower-case hex digits.
    """
    row = connection.execute(
        sqlalchemy.text(
            "SELECT tenant, key_id FROM api_key"
            " WHERE secret_sha256 = :secret_sha256 AND revoked_at IS NULL"
        ),
        {"secret_sha256": secret_sha256},
    ).one_or_none()
    return None if row is None else ApiKey(tenant=row.tenant, key_id=row.key_id)
