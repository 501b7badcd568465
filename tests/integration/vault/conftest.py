"""A database of each test's own with a vault in it."""

from collections.abc import Iterator

import psycopg
import pytest

from runtime.settings import Settings
from runtime.vault.vault import Vault
from tests.support import vault_world


@pytest.fixture
def settings(fresh_database: str) -> Settings:
    """Settings of a process whose vault is there; its broker is nobody's."""
    return vault_world.with_vault(
        Settings.model_validate({"database_url": fresh_database, "kafka": "127.0.0.1:1"})
    )


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    with vault_world.open_vault(settings) as vault:
        yield vault


@pytest.fixture
def owner(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection of the URL's role."""
    with vault_world.owner_connection(settings) as connection:
        yield connection
