"""Named points where a test may kill the process, to prove that a crash there loses nothing."""

from __future__ import annotations

import os
import signal
from typing import Literal, get_args

from domain.codes import Code
from domain.errors import Fatal

Failpoint = Literal[
    "fold.before_append",
    "fold.after_append",
    "fold.before_checkpoint",
    "fold.after_checkpoint",
    "fold.before_run",
    "fold.after_blocks",
    "fold.after_run",
    "books.before_state",
    "books.after_state",
    "projector.before_commit",
    "projector.after_commit",
    "archive.before_events",
    "archive.before_records",
    "archive.after_records",
    "builder.before_command",
    "builder.after_command",
]
FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)

_armed: dict[str, int] = {}


def arm(text: str) -> None:
    """This function will arm one point from the setting failpoint, "name:n"; empty arms none."""
    _armed.clear()
    if text:
        name, _, count = text.partition(":")
        if name not in FAILPOINTS or not (count or "1").isdecimal():
            raise Fatal(
                Code.SETTING_INVALID,
                f"there is no failpoint {text!r}",
                next_step=f"Give name:n with a name of {', '.join(FAILPOINTS)}",
            )
        _armed[name] = int(count or 1)


def pass_by(name: Failpoint) -> None:
    """This function will kill the process (SIGKILL) when the armed point is passed n times."""
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
