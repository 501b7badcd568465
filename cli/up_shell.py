"""What a shell needs so that commands typed there speak to a running `up`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.settings import Settings


def shell_text(settings: Settings, *, given: Settings) -> str:
    """This function will write the lines that a shell reads with `.`.

    A master key of the vault stands there only when `up` drew it itself: it lies in the same
    folder then. One that somebody set stays where they keep it.

    Args:
        settings: What the processes of `up` run with.
        given: What the environment says.
    """
    values = {
        "TIDEGAUGE_KAFKA": settings.kafka,
        "TIDEGAUGE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TIDEGAUGE_TENANT": settings.tenant,
    }
    if settings.vault_key != given.vault_key:
        values["TIDEGAUGE_VAULT_KEY"] = settings.vault_key.get_secret_value()
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    programs = shlex.quote(str(Path(sys.executable).parent))
    return "\n".join([*lines, f'export PATH={programs}:"$PATH"', ""])
