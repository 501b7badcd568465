"""The port behind the seen index: what keeps keys that left memory, and the state they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.usage.dimension_sets import KnownSet
    from domain.usage.facts import CatalogueApplied
    from domain.usage.seen import Rows, Salt, UInt64s


@dataclass(frozen=True, slots=True)
class FoldBase:
    """State of the usage fold beside its keys, whole or a part of it.

    Args:
        received_high_ms: Largest append time seen, milliseconds since 1970 UTC.
        owners: (tenant, customer) by owner number.
        catalogues: Catalogues in force.
        dimension_sets: Sets that meters keep apart, in the order in which they came.
        watches: What is watched for announced amendments, as text; None in parts without it.
    """

    received_high_ms: int = 0
    owners: Sequence[tuple[str, str]] = ()
    catalogues: tuple[CatalogueApplied, ...] = ()
    dimension_sets: Sequence[KnownSet] = ()
    watches: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """Keys that leave memory together.

    Args:
        rows: The keys, in no order.
        high_ms: Largest append time seen when the generation was closed.
        position: Source position at which it was closed: its keys came before, or before the
            generation that was closed earlier.
    """

    rows: Rows
    high_ms: int
    position: int


class ColdTier(Protocol):
    """Keys beyond memory. Both methods may block on a disk."""

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to find."""

    @property
    def salt(self) -> Salt:
        """Return what hashes are mixed with; the same as long as the tier has its keys."""

    def find(self, rows: Rows, hashes: UInt64s) -> Rows:
        """Look keys up, and change nothing.

        Args:
            rows: Keys wanted, with the arrival hours of the events that ask.
            hashes: Their hashes_of, by the tier's salt.

        Returns:
            The row kept of each key that is still remembered, zeros for the others.

        Raises:
            Retryable: store_lost. The tier cannot say, so nobody may go on as if it had.
        """

    def take(self, generation: Generation, *, base: FoldBase, position: int) -> None:
        """Keep the keys of a generation, and the state that leads on from them, all at once.

        It happened whole or not at all, whenever the process is killed. Success does not promise
        that the disk survives: the facts have everything.

        Args:
            generation: The keys.
            base: The state at the position.
            position: Source position reached. Every fact before it is acknowledged.

        Raises:
            Retryable: store_lost. The keys may be gone, so the fold is to be dropped.
        """
