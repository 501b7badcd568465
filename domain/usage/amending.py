"""Judging amendments among the events of a micro-batch, in source order.

However a partition is cut into micro-batches, an amendment sees the keys that were counted before
it and no others: those that the seen index had before, and those of earlier rows of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.codes import Code
from domain.usage.amendments import marker_key, replacement_key
from domain.usage.seen import rows_of
from domain.usage.taken import CODE_NUMBERS, COUNTED, DUPLICATE
from domain.usage.windows import Voids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.usage.amendments import EventAmended
    from domain.usage.seen import Int32s, Int64s
    from domain.usage.seen_index import SeenIndex
    from domain.usage.taken import Taken


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows of a table of events while amendments are judged.

    Args:
        owner: Owner number per row.
        fate: Fate per row; those of amendments are written here.
        columns: key_high, key_low, fingerprint and arrival_hour per row.
        seen: The index as it was before the table.
    """

    owner: Int32s
    fate: np.ndarray
    columns: Mapping[str, np.ndarray]
    seen: SeenIndex

    def fingerprint_before(self, row: int, key: bytes) -> int | None:
        """Return the fingerprint of a key that was counted before a row; None when it was not."""
        high, low = halves_of(key)
        asked = rows_of(
            owner=self.owner[row : row + 1],
            high=np.array([high], dtype=np.uint64),
            low=np.array([low], dtype=np.uint64),
            fingerprint=np.zeros(1, dtype=np.uint64),
            hour=self.columns["arrival_hour"][row : row + 1].astype(np.int32),
        )
        (found,) = self.seen.find(asked).tolist()
        if found[3]:
            return int(found[2])
        earlier = np.flatnonzero(
            (self.columns["key_low"][:row] == np.uint64(low))
            & (self.columns["key_high"][:row] == np.uint64(high))
            & (self.owner[:row] == self.owner[row])
            & (self.fate[:row] == COUNTED)
        )
        return int(self.columns["fingerprint"][earlier[0]]) if earlier.size else None


def judge_amendments(taken: Sequence[Taken], rows: JudgedRows) -> None:
    """This function will give amendments their fates: all parts of one have the same."""
    row = 0
    for item in taken:
        amending = item.amending
        if amending is not None and amending.is_void:
            parts = slice(row, row + (1 if amending.amended.replacement is None else 2))
            rows.fate[parts] = _fate_of(amending.amended, rows, row, parts)
        row += item.fate.size


def _fate_of(amended: EventAmended, rows: JudgedRows, row: int, parts: slice) -> int:
    """Return the fate of an amendment: the first part that is refused refuses it whole."""
    for fate in rows.fate[parts].tolist():
        if fate != COUNTED:
            return int(fate)
    known = rows.fingerprint_before(row, amended.key)
    if known != int.from_bytes(amended.original.fingerprint, "big"):
        return CODE_NUMBERS[Code.AMENDMENT_UNKNOWN]
    if rows.fingerprint_before(row, marker_key(amended.key)) is not None:
        return DUPLICATE
    is_taken = rows.fingerprint_before(row, replacement_key(amended.key)) is not None
    # Nobody has such a key by chance; whoever sends one gets no replacement.
    return CODE_NUMBERS[Code.CONFLICT] if is_taken else COUNTED


def voided_rows(taken: Sequence[Taken]) -> dict[int, EventAmended]:
    """This function will return the rows of the table of events that take one away."""
    amended: dict[int, EventAmended] = {}
    row = 0
    for item in taken:
        if item.amending is not None and item.amending.is_void:
            amended[row] = item.amending.amended
        row += item.fate.size
    return amended


def voids_of(taken: Sequence[Taken], event: Int64s, *, is_bare: np.ndarray) -> Voids | None:
    """This function will find the single deltas that take events away.

    Args:
        taken: The batches.
        event: Row of the table of events, per single delta.
        is_bare: Whether the delta's meter is not additive, per single delta.
    """
    amended = voided_rows(taken)
    at = np.flatnonzero(np.isin(event, list(amended))) if amended else ()
    if not len(at):
        return None
    voided = [amended[number] for number in event[at].tolist()]
    keys = np.array([halves_of(item.key) for item in voided], dtype=np.uint64)
    return Voids(
        row=np.asarray(at),
        key_high=keys[:, 0],
        key_low=keys[:, 1],
        offset=np.array([item.original_offset for item in voided], dtype=np.int64),
        is_bare=is_bare[at],
    )


def halves_of(key: bytes) -> tuple[int, int]:
    """This function will return a key's halves as numbers."""
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
