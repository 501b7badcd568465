"""What a fold needs beside the runs, for the trimmed records no longer tell it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import invariant
from domain.usage.cold_tier import FoldBase
from domain.usage.facts import CatalogueApplied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rocksdict import WriteBatch

    from streams.store import Store

_OWNERS, _CATALOGUE, _SETS, _WATCHES = b"o", b"c", b"d", b"w"
_END = b"\xff" * 8
ITEMS_PER_ENTRY = 1_000
"""Owners or sets of one entry: an entry each would cost more than its content."""


class KeptBase:
    """Owners by number, catalogues by tenant, dimension sets and watches, as entries of a store.

    Rows of runs hold owner numbers, so these never change; sets are admitted for good.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.owners = 0
        """How many owners are written."""
        self.dimension_sets = 0
        """How many dimension sets are written."""
        self._versions: dict[str, int] = {}

    @property
    def catalogues(self) -> int:
        """Return how many catalogues are written."""
        return len(self._versions)

    def put(self, batch: WriteBatch, base: FoldBase) -> None:
        """Let a batch write what is new since the last one."""
        self.owners = _append(batch, _OWNERS, base.owners[self.owners :], written=self.owners)
        new = base.dimension_sets[self.dimension_sets :]
        self.dimension_sets = _append(
            batch,
            _SETS,
            [(tenant, meter, digest.hex()) for tenant, meter, digest in new],
            written=self.dimension_sets,
        )
        if base.watches is not None:
            batch.put(_WATCHES, base.watches.encode())
        for catalogue in base.catalogues:
            if self._versions.get(catalogue.tenant) != catalogue.version:
                entry = [catalogue.tenant, catalogue.version, catalogue.content]
                batch.put(_CATALOGUE + catalogue.tenant.encode(), json.dumps(entry).encode())
                self._versions[catalogue.tenant] = catalogue.version

    def load(self, *, owners: int, catalogues: int, dimension_sets: int) -> Iterator[FoldBase]:
        """Yield all of it in parts: owners in the order of their numbers.

        Args:
            owners: How many owners there must be.
            catalogues: How many catalogues.
            dimension_sets: How many dimension sets.

        Raises:
            Fatal: state_corrupt, when there are others.
        """
        for value in self._entries(_OWNERS):
            part = [(tenant, customer) for tenant, customer in json.loads(value)]
            self.owners += len(part)
            yield FoldBase(owners=part)
        for value in self._entries(_CATALOGUE):
            tenant, version, content = json.loads(value)
            self._versions[tenant] = version
            yield FoldBase(catalogues=(CatalogueApplied(tenant, version, content, 0),))
        for value in self._entries(_SETS):
            sets = [
                (tenant, meter, bytes.fromhex(digest))
                for tenant, meter, digest in json.loads(value)
            ]
            self.dimension_sets += len(sets)
            yield FoldBase(dimension_sets=sets)
        watches = self._store.get(_WATCHES)
        if watches is not None:
            yield FoldBase(watches=watches.decode())
        invariant(
            (owners, catalogues, dimension_sets)
            == (self.owners, self.catalogues, self.dimension_sets),
            Code.STATE_CORRUPT,
            "owners, catalogues or dimension sets are missing",
        )

    def _entries(self, prefix: bytes) -> Iterator[bytes]:
        key, end = prefix, prefix + _END
        while page := self._store.scan(key, end, limit=1):
            yield page[0][1]
            key = page[0][0] + b"\0"


def _append(batch: WriteBatch, prefix: bytes, new: Sequence[object], *, written: int) -> int:
    """Write new items behind those that are written, by number; return how many there are."""
    for start in range(0, len(new), ITEMS_PER_ENTRY):
        key = prefix + (written + start).to_bytes(8, "big")
        batch.put(key, json.dumps(new[start : start + ITEMS_PER_ENTRY]).encode())
    return written + len(new)
