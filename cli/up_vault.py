"""The vault of `up`: a developer's machine takes personal data without setting it up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import SecretStr

from runtime.settings import Settings
from runtime.vault.master import new_master_key
from runtime.vault.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path

KEY_ID = "up"


def with_vault(settings: Settings, folder: Path) -> Settings:
    """This function will return the settings with a master key, on a vault that is there.

    Without TIDEGAUGE_VAULT_KEY a key is drawn once and kept in the folder, but only for a database
    that `up` itself started: of a database that somebody named, the vault may outlive this folder,
    and it would be lost with it. Such a one stays closed until a key is set.

    Args:
        settings: Settings of the processes.
        folder: Cache of `up`; it lies where the data of its services lies.

    Raises:
        Retryable: database_away.
    """
    given = Settings()
    if not settings.vault_key.get_secret_value():
        if given.model_fields_set & {"database_url", "vault_database_url", "vault_key"}:
            return settings
        settings = settings.model_copy(update={"vault_key": SecretStr(_kept_key(folder))})
    migrate(settings)
    return settings


def _kept_key(folder: Path) -> str:
    """Read the key of the last start, or draw one; only its owner may read the file."""
    file = folder / "vault.key"
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        key = new_master_key(KEY_ID)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(key + "\n")
        return key
