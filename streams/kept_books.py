"""The state of the books in the store of their checkpoint, so that a restart replays few facts.

Before a micro-batch is decided, all that is in memory follows from acknowledged facts. Once
enough of them have come since the last time, what they changed is written then: in one batch with
the source position that it leads to, and without the records up to there. So a write takes as
long as the changes are many, however large the books are, and a crash leaves the one before.

Entries that change are written one by one, under their map, tenant and key. Those that never do
(first answers, ids that are taken) are appended, those of one write in one entry.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from domain.books.state import TenantState
from domain.codes import Code
from domain.errors import invariant
from runtime import failpoints
from streams.state_parts import StateParts
from streams.store import StoreLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from rocksdict import WriteBatch

    from domain.books.facts import BooksFacts
    from domain.books.fold import BooksFold
    from streams.checkpoint import Checkpoint
    from streams.state_parts import StateMap

_META, _TENANT, _ENTRY, _APPENDED = b"books", b"t", b"e", b"a"
_END = b"\xff" * 16
KEPT_FACTS = 5_000
"""Facts between two writes: some 30 ms to write, and 60 ms to apply again after a restart."""
PAGE_ENTRIES = 500
"""Entries read at once: about 2 ms of work."""
ROOMS = ("domain", "schemas", "streams")
"""Packages that say what follows from facts, and how it is kept."""


def made_by() -> str:
    """This function will return a hash of the code that says what follows from facts.

    State of other code is never read: it may look the same and still follow from other rules.
    """
    digest = hashlib.sha256()
    for room in ROOMS:
        _add_files(digest, resources.files(room))
    return digest.hexdigest()[:16]


def _add_files(digest: hashlib._Hash, folder: Traversable) -> None:
    for each in sorted(folder.iterdir(), key=lambda item: item.name):
        if each.is_dir():
            _add_files(digest, each)
        elif each.name.endswith((".py", ".avsc")):
            digest.update(each.name.encode() + b"\0" + each.read_bytes())


class KeptBooks:
    """What one partition's checkpoint has of its books.

    Args:
        checkpoint: The checkpoint; state and records change together.
        facts_between: Facts between two writes.
    """

    def __init__(self, checkpoint: Checkpoint, *, facts_between: int = KEPT_FACTS) -> None:
        self._checkpoint = checkpoint
        self._store = checkpoint.store
        self._facts_between = facts_between
        self._facts = 0
        self._parts = StateParts()
        self._states: list[TenantState] = []
        self._entries: list[int] = []
        self._writes = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def new_state(self, tenant: str) -> TenantState:
        """Return the empty books of a tenant that has none yet, which note what changes."""
        state = TenantState(tenant)
        self._parts.note_changes(state, len(self._states))
        self._states.append(state)
        self._entries.append(0)
        return state

    def count(self, facts: BooksFacts) -> None:
        """Count what was applied; a refusal is a fact, too."""
        self._facts += sum(1 + len(outcome.facts) for outcome in facts.outcomes)

    # ── writing ─────────────────────────────────────────────────────────────────────────────────

    def write_if_due(self, *, position: int, received_high_ms: int) -> None:
        """Write what changed when it has become much.

        Args:
            position: Source position that the state has reached by acknowledged facts alone.
            received_high_ms: Largest append time in it, milliseconds since 1970 UTC.

        Raises:
            StoreLost: It could not be written.
        """
        if self._facts < self._facts_between:
            return
        failpoints.pass_by("books.before_state")
        batch = self._store.batch()
        try:
            self._put_all(batch)
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreLost(f"the books cannot be kept: {error}") from error
        self._writes += 1
        meta = {
            "tenants": len(self._states),
            "entries": sum(self._entries),
            "writes": self._writes,
            "received_high_ms": received_high_ms,
        }
        batch.put(_META, json.dumps(meta).encode())
        self._checkpoint.write_with(batch, start=position)
        failpoints.pass_by("books.after_state")
        self._facts = 0

    def _put_all(self, batch: WriteBatch) -> None:
        """Let a batch write all that was noted."""
        touched: set[int] = set()
        for index, each in enumerate(self._parts.maps):
            touched.update(tenant for tenant, _ in each.noted)
            if each.is_growing:
                self._append(batch, _place(_APPENDED, index), each)
            else:
                self._put(batch, _place(_ENTRY, index), each)
            each.noted.clear()
        for tenant in touched:
            state = self._states[tenant]
            row = self._encode(self._parts.single_of(state))
            batch.put(_TENANT + tenant.to_bytes(4, "big"), row)
            self._entries[tenant] = self._parts.entries_of(state)

    def _append(self, batch: WriteBatch, place: bytes, part: StateMap) -> None:
        if part.noted:
            rows = [(*note, part.plain_at(self._states, note)) for note in part.noted]
            batch.put(place + self._writes.to_bytes(8, "big"), self._encode(rows))

    def _put(self, batch: WriteBatch, place: bytes, part: StateMap) -> None:
        for note in part.noted:
            tenant, key = note
            where = place + tenant.to_bytes(4, "big") + self._encode(key)
            if part.is_there(self._states, note):
                row = (tenant, key, part.plain_at(self._states, note))
                batch.put(where, self._encode(row))
            else:
                batch.delete(where)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    def load(self, fold: BooksFold) -> Iterator[None]:
        """Read the state in steps of a few milliseconds and let the fold take it on.

        Raises:
            Exception: The store is torn, whatever shows it.
        """
        meta = self._store.get(_META)
        invariant(
            (meta is None) == (self._checkpoint.start == 0),
            Code.STATE_CORRUPT,
            "the checkpoint begins where no state ends",
        )
        if meta is None:
            return
        fields = json.loads(meta)
        self._writes = fields["writes"]
        for page in self._pages(_TENANT):
            for _, row in page:
                tenant, *_ = values = self._parts.single_values(row)
                self._parts.set_single(self.new_state(tenant), values)
            yield
        for index, part in enumerate(self._parts.maps):
            yield from self._load_map(index, part)
        for tenant, state in enumerate(self._states):
            self._parts.complete(state)
            self._entries[tenant] = self._parts.entries_of(state)
        invariant(
            (len(self._states), sum(self._entries)) == (fields["tenants"], fields["entries"]),
            Code.STATE_CORRUPT,
            "tenants or entries are missing",
        )
        fold.resume(self._states, received_high_ms=fields["received_high_ms"])

    def _load_map(self, index: int, part: StateMap) -> Iterator[None]:
        if part.is_growing:
            for page in self._pages(_place(_APPENDED, index), limit=1):
                part.take(self._states, part.rows_of(page[0][1]))
                yield
            return
        for page in self._pages(_place(_ENTRY, index)):
            part.take(self._states, map(part.row_of, [row for _, row in page]))
            yield

    def _pages(
        self, prefix: bytes, *, limit: int = PAGE_ENTRIES
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        key, end = prefix, prefix + _END
        while page := self._store.scan(key, end, limit=limit):
            yield page
            key = page[-1][0] + b"\0"


def _place(kind: bytes, index: int) -> bytes:
    return kind + index.to_bytes(1, "big")
