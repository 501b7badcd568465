"""Files that a command line names: what cannot be read or written is refused, with a code.

A catalogue file and an import say themselves what is wrong with theirs, with line and column.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import typer

from domain.codes import Code
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = "-"
"""As the name of a file: the standard input, or the standard output."""
TEXT_BYTES_MAX = 16_777_216
"""Largest file that is read as one text: it is held in memory."""


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """This function will open a file for reading, or the standard input for "-".

    Raises:
        Rejected: file_unreadable.
    """
    try:
        if str(file) == STANDARD:
            yield sys.stdin.buffer
            return
        with file.open("rb") as source:
            yield source
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def read_text(
    file: Path, *, bytes_max: int = TEXT_BYTES_MAX, encoding: Literal["UTF-8", "ASCII"] = "UTF-8"
) -> str:
    """This function will read a whole file, or the standard input for "-", as text.

    Raises:
        Rejected: file_unreadable; oversized, when it has more than bytes_max bytes.
    """
    with opened(file) as source:
        content = source.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise Rejected(Code.OVERSIZED, f"{file} has more than {bytes_max} bytes")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"it is no {encoding}") from error


@contextmanager
def written(output: str) -> Iterator[BinaryIO]:
    """This function will open a file for writing, and say at the end how much it was.

    Args:
        output: Path; "-" is the standard output, of which nothing is said.

    Raises:
        Rejected: file_unwritable.
    """
    if output == STANDARD:
        yield sys.stdout.buffer
        return
    try:
        with Path(output).open("wb") as file:
            yield file
            typer.echo(f"{output}: {file.tell():,} bytes", err=True)
    except OSError as error:
        raise _unwritable(output, error) from error


def require_writable(file: Path) -> None:
    """This function will see, before a long run, that its file can be put in place at the end.

    Raises:
        Rejected: file_unwritable.
    """
    try:
        if file.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise _unwritable(str(file), error) from error


def _unreadable(file: Path, reason: str) -> Rejected:
    return Rejected(Code.FILE_UNREADABLE, f"{file} cannot be read: {reason}")


def _unwritable(file: str, error: OSError) -> Rejected:
    reason = error.strerror or str(error)
    return Rejected(Code.FILE_UNWRITABLE, f"{file} cannot be written: {reason}")
