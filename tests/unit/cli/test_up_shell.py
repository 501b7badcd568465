"""The lines by which a shell speaks to a running `up`."""

from __future__ import annotations

import subprocess

from pydantic import SecretStr

from cli.up_shell import shell_text
from runtime.settings import Settings

RUNNING = Settings().model_copy(
    update={
        "kafka": "127.0.0.1:9999",
        "database_url": SecretStr("postgresql://a:b'c$(d)@127.0.0.1/e"),
        "vault_key": SecretStr("up:drawn"),
    }
)


def _read_by_a_shell(text: str, name: str) -> str:
    script = f'{text}\nprintf %s "${name}"'
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"}
    )
    return done.stdout


def test_a_shell_reads_every_value_as_it_is() -> None:
    """A password may hold whatever means something to a shell."""
    text = shell_text(RUNNING, given=Settings())
    assert _read_by_a_shell(text, "TIDEGAUGE_DATABASE_URL") == "postgresql://a:b'c$(d)@127.0.0.1/e"
    assert _read_by_a_shell(text, "TIDEGAUGE_KAFKA") == "127.0.0.1:9999"
    assert _read_by_a_shell(text, "TIDEGAUGE_VAULT_KEY") == "up:drawn"
    assert _read_by_a_shell(text, "PATH").endswith(":/bin")


def test_a_key_that_somebody_set_is_not_written_down() -> None:
    """It stays where they keep it."""
    given = Settings().model_copy(update={"vault_key": RUNNING.vault_key})
    assert "drawn" not in shell_text(RUNNING, given=given)
