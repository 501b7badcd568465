"""Owners and catalogues beside the runs: what a fold needs that the trimmed records told it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.codes import Code
from domain.errors import invariant
from domain.usage.cold_tier import FoldBase
from domain.usage.facts import CatalogueApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rocksdict import WriteBatch

    from streams.store import Store

_OWNERS, _CATALOGUE = b"o", b"c"
_END = b"\xff" * 8
OWNERS_PER_ENTRY = 1_000
"""Owners of one entry: an entry each would cost more than its content."""


class KeptBase:
    """Owners by number and catalogues by tenant, as entries of a store.

    Rows of runs hold owner numbers, so these never change.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.owners = 0
        """How many owners are written."""
        self._versions: dict[str, int] = {}

    @property
    def catalogues(self) -> int:
        """Return how many catalogues are written."""
        return len(self._versions)

    def put(self, batch: WriteBatch, base: FoldBase) -> None:
        """Let a batch write what is new since the last one."""
        owners = list(base.owners[self.owners :])
        for start in range(0, len(owners), OWNERS_PER_ENTRY):
            part = owners[start : start + OWNERS_PER_ENTRY]
            number = self.owners + start
            batch.put(_OWNERS + number.to_bytes(8, "big"), json.dumps(part).encode())
        self.owners = len(base.owners)
        for catalogue in base.catalogues:
            if self._versions.get(catalogue.tenant) != catalogue.version:
                entry = [catalogue.tenant, catalogue.version, catalogue.content]
                batch.put(_CATALOGUE + catalogue.tenant.encode(), json.dumps(entry).encode())
                self._versions[catalogue.tenant] = catalogue.version

    def load(self, *, owners: int, catalogues: int) -> Iterator[FoldBase]:
        """Yield all of it in parts: owners in the order of their numbers.

        Args:
            owners: How many owners there must be.
            catalogues: How many catalogues.

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
        invariant(
            (owners, catalogues) == (self.owners, self.catalogues),
            Code.STATE_CORRUPT,
            "owners or catalogues are missing",
        )

    def _entries(self, prefix: bytes) -> Iterator[bytes]:
        key, end = prefix, prefix + _END
        while page := self._store.scan(key, end, limit=1):
            yield page[0][1]
            key = page[0][0] + b"\0"
