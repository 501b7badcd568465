"""The API key book: which keys open a tenant's API; a key itself is never here, only its hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.books.state import ApiKey, read_id
from domain.codes import Code
from domain.errors import Rejected
from domain.invoice import hash_text
from domain.period import from_ms, time_text

if TYPE_CHECKING:
    from domain.books.state import TenantState

SCOPES_MAX = 20
"""Scopes of one key; each request checks them."""


def decide_create(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer CreateApiKey.

    Args:
        state: Books of the tenant.
        command: {key_id: key_…, secret_sha256: 64 hex digits, label, scopes: list, may be absent}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ApiKeyCreated.

    Raises:
        Rejected: api_key_exists, also for the id of a revoked key.
    """
    fields = fields_of_command(command, names=("key_id", "secret_sha256", "label", "scopes"))
    key_id = read_id(fields, "key_id", prefix="key")
    scopes = fields.texts("scopes")
    if len(scopes) > SCOPES_MAX:
        raise fields.refuse("scopes", f"must be at most {SCOPES_MAX}")
    body = {
        "key_id": key_id,
        "secret_sha256": hash_text(fields, "secret_sha256"),
        "label": fields.text("label"),
        "scopes": sorted(scopes),
        "created_at": time_text(from_ms(received_at_ms)),
    }
    if key_id in state.api_keys:
        raise Rejected(Code.API_KEY_EXISTS, f"the id {key_id} is taken")
    return (fact_of("ApiKeyCreated", body),)


def decide_revoke(
    *, state: TenantState, command: Command, received_at_ms: int
) -> tuple[Fact, ...]:
    """This function will answer RevokeApiKey.

    Args:
        state: Books of the tenant.
        command: {key_id: key_…}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        ApiKeyRevoked; nothing when the key is revoked already.

    Raises:
        Rejected: api_key_unknown.
    """
    fields = fields_of_command(command, names=("key_id",))
    key_id = read_id(fields, "key_id", prefix="key")
    key = state.api_keys.get(key_id)
    if key is None:
        raise Rejected(Code.API_KEY_UNKNOWN, f"there is no API key {key_id}")
    if key.is_revoked:
        return ()
    revoked_at = time_text(from_ms(received_at_ms))
    return (fact_of("ApiKeyRevoked", {"key_id": key_id, "revoked_at": revoked_at}),)


def apply_created(*, state: TenantState, fact: Fact) -> None:
    """This function will add the key."""
    key_id = fields_of_fact(fact).text("key_id")
    state.api_keys[key_id] = ApiKey(key_id, is_revoked=False)


def apply_revoked(*, state: TenantState, fact: Fact) -> None:
    """This function will mark the key as revoked; its id stays taken."""
    key_id = fields_of_fact(fact).text("key_id")
    state.api_keys[key_id] = ApiKey(key_id, is_revoked=True)
