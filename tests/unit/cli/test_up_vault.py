"""`up` sets a vault up by itself, and never for a database that it did not start."""

from pathlib import Path

import pytest

from cli import up_vault
from runtime.settings import Settings
from runtime.vault.master import new_master_key, read_master_keys

NAMES = ("TIDEGAUGE_DATABASE_URL", "TIDEGAUGE_VAULT_DATABASE_URL", "TIDEGAUGE_VAULT_KEY")


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Settings]:
    """The settings with which vaults were migrated; nothing is set, and no .env is near."""
    migrated: list[Settings] = []
    monkeypatch.setattr(up_vault, "migrate", migrated.append)
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return migrated


def test_a_key_is_drawn_once_and_only_its_owner_reads_it(
    migrated: list[Settings], tmp_path: Path
) -> None:
    first = up_vault.with_vault(Settings(), tmp_path / "cache").vault_key.get_secret_value()
    again = up_vault.with_vault(Settings(), tmp_path / "cache").vault_key.get_secret_value()
    assert first == again
    assert read_master_keys(first).current == up_vault.KEY_ID
    assert (tmp_path / "cache" / "vault.key").stat().st_mode & 0o077 == 0
    assert len(migrated) == 2


def test_a_key_that_is_set_is_taken(
    migrated: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_master_key("mine")
    monkeypatch.setenv("TIDEGAUGE_VAULT_KEY", key)
    assert key == up_vault.with_vault(Settings(), tmp_path).vault_key.get_secret_value()
    assert not (tmp_path / "vault.key").exists()
    assert len(migrated) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_named_database_gets_no_key_that_could_be_lost(
    migrated: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A folder of a cache is deleted lightly, a vault's master key must not be."""
    monkeypatch.setenv(name, "" if name.endswith("KEY") else "postgresql://somebody@else/where")
    assert not up_vault.with_vault(Settings(), tmp_path).vault_key.get_secret_value()
    assert not migrated
