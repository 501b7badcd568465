"""A vault in a test's own database, and details to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from runtime.settings import Settings
from runtime.vault.details import Address, PersonalDetails
from runtime.vault.migrate import migrate
from runtime.vault.vault import Vault, require_vault, vault_of

KEY = "k1:" + "A" * 43
"""A master key of 32 zero bytes."""
OTHER_KEY = "k2:" + "E" * 43
ADA = PersonalDetails(
    name="Ada Canary Lovelace",
    email="ada.canary@example.com",
    phone="+44 20 5550 1815",
    tax_id="GB181552",
    address=Address(("12 St James's Square",), "London", "", "SW1Y 4JH", "GB"),
)
CANARIES = (
    "Ada Canary Lovelace",
    "ada.canary@example.com",
    "+44 20 5550 1815",
    "GB181552",
    "12 St James's Square",
    "SW1Y 4JH",
)
"""Every value of ADA that is not shared with half of a city."""


def with_vault(settings: Settings, key: str = KEY) -> Settings:
    """The settings with a master key, on a vault that is there."""
    keyed = settings_with(settings, vault_key=key)
    migrate(keyed)
    return keyed


def settings_with(settings: Settings, **more: object) -> Settings:
    """The settings with other values, checked like any."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return Settings.model_validate(values | more)


@contextmanager
def open_vault(settings: Settings) -> Iterator[Vault]:
    """The vault of these settings."""
    vault = require_vault(vault_of(settings))
    try:
        yield vault
    finally:
        vault.close()


def owner_connection(settings: Settings) -> psycopg.Connection:
    """A connection of the URL's role, inside the vault's schema."""
    return psycopg.connect(
        settings.database_url.get_secret_value(),
        autocommit=True,
        options=f"-c search_path={settings.vault_schema}",
    )
