"""What survives a kill: how far an import is, written atomically, held by one process."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Fatal, Retryable

STATE_BYTES_MAX = 64 * 1024 * 1024
"""A state file that is larger was not written by us."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """One small JSON file that is replaced as a whole: readers see the old or the new one.

    Args:
        path: Where it is.
    """

    path: Path

    def read(self) -> dict[str, Json] | None:
        """Return the document, or None when there is none yet.

        Raises:
            Fatal: import_state_invalid.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(STATE_BYTES_MAX)
            document = json.loads(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise self.invalid(str(error)) from error
        if not isinstance(document, dict):
            raise self.invalid("no object")
        return document

    def write(self, document: dict[str, Json]) -> None:
        """Replace the document; returning means that it survives a power cut.

        Raises:
            Fatal: import_state_invalid, when the disk refuses.
        """
        fresh = self.path.with_suffix(".tmp")
        try:
            with fresh.open("w", encoding="ascii") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self.invalid(str(error)) from error

    def invalid(self, reason: str) -> Fatal:
        """Say what is wrong with the file."""
        return Fatal(
            Code.IMPORT_STATE_INVALID,
            f"{self.path}: {reason}",
            next_step="See to the disk. Removing the file starts from the beginning, which is "
            "safe while the events are younger than 35 days in the log: ids are stable",
        )


class Lock:
    """Keeps a second process from the same import; the kernel lets go when we die.

    Args:
        path: A file that is made and never removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        """This function will take the lock at once or refuse.

        Raises:
            Retryable: import_busy.
            Fatal: import_state_invalid, when the folder cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateFile(self._path).invalid(str(error)) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise Retryable(
                Code.IMPORT_BUSY,
                f"another process holds {self._path}",
                retry_after_ms=10_000,
                next_step="Wait until it has ended",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """This function will let go."""
        os.close(self._descriptor)
