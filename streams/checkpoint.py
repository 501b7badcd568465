"""A local copy of what a fold needs of its facts, so that a restart replays only the tail.

Kept in RocksDB: one entry per facts record, in its compact form, and the position they lead to,
all written in one batch. It holds only acknowledged records, so it is always a stretch of the
accepted chain: from its beginning, or from where the runs of a cold tier or the state of the books
in the same store end. A torn or foreign one is deleted; the facts topic has everything.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from runtime import ids
from runtime.logs import logger
from streams.store import Store, StoreLost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rocksdict import WriteBatch

_META = b"meta"
_RECORD = b"r"
_POSITION_MAX = 2**63 - 1
_LOCK = "/LOCK"
"""File that RocksDB names when another process, or this one, has the copy open."""
PENDING_MAX = 2_000
"""Records kept for the next write; a write of more would take too long."""
PENDING_BYTES_MAX = 16 * 1024 * 1024
"""Their bytes; bounds memory during a long restore."""
PAGE_RECORDS = 16
"""Records read at once, 1 MiB each at most: no iterator stays open between two slices of work."""


def _record_key(position: int) -> bytes:
    return _RECORD + position.to_bytes(8, "big")


class Checkpoint:
    """The checkpoint of one partition.

    Args:
        path: Directory of its own.
        identity: What the copy belongs to: topic id and state version. Another one means the
            copy is of another log or would be misread, and it is deleted.

    Raises:
        StoreLost: By every method, when the store cannot be read or written.
    """

    def __init__(self, path: Path, *, identity: str) -> None:
        self._identity = identity
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self.store = Store(path)
        self._begin()
        try:
            self._read_meta()
        except Exception:  # whatever the copy is, let go of its lock
            self.store.close()
            raise

    def _begin(self) -> None:
        self.start = 0
        """Source position at which the records begin; what came before is in runs, or in state."""
        self.position = 0
        """Source position at which the written records end."""
        self.facts_end = 0
        self._noted_end = 0
        self.noted = 0
        """Source position at which the records end, those that are not written yet included."""
        self.salt = ids.random_salt()
        """Mixes the hashes of what lies in this store."""

    def _read_meta(self) -> None:
        meta = self.store.get(_META)
        if meta is None:
            return
        fields = json.loads(meta)
        if fields["identity"] == self._identity:
            self.start, self.position = fields["start"], fields["position"]
            self.facts_end, self.salt = fields["facts_end"], tuple(fields["salt"])
            self.noted, self._noted_end = self.position, self.facts_end
        else:
            logger().info("checkpoint.foreign", found=fields["identity"], wanted=self._identity)
            self.clear()

    @classmethod
    def opened(cls, path: Path, *, identity: str) -> Checkpoint | None:
        """This function will open a checkpoint, or return None when there is none to be had.

        Another process may hold it, or the disk may refuse it: then all state stays in memory.
        """
        try:
            return cls(path, identity=identity)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with it, it can be made anew
            if _LOCK in str(error):
                logger().info("checkpoint.held_elsewhere", path=str(path))
                return None
            logger().warning("checkpoint.unreadable", path=str(path), error=str(error)[:200])
        shutil.rmtree(path, ignore_errors=True)
        try:
            return cls(path, identity=identity)
        except (OSError, StoreLost) as error:
            logger().error("checkpoint.lost", path=str(path), error=str(error)[:200])
            return None

    def records(self) -> Iterator[bytes]:
        """Yield the compact facts records in order; a torn store may end too early."""
        key, end = _record_key(self.start + 1), _record_key(_POSITION_MAX)
        while page := self.store.scan(key, end, limit=PAGE_RECORDS):
            for _, value in page:
                yield value
            key = page[-1][0] + b"\0"

    def note(self, *, facts_offset: int, compact: bytes, position: int) -> None:
        """Keep an acknowledged record for the next write.

        Args:
            facts_offset: Its offset in the facts topic.
            compact: The record.
            position: Source position that it leads to.
        """
        self._pending.append((position, compact))
        self._pending_bytes += len(compact)
        self._noted_end, self.noted = facts_offset + 1, position

    @property
    def is_due(self) -> bool:
        """Say whether so much is pending that it must be written now."""
        return len(self._pending) >= PENDING_MAX or self._pending_bytes >= PENDING_BYTES_MAX

    def write(self) -> None:
        """Write what is pending and the position it leads to, atomically."""
        if self._pending:
            self.write_with(self.store.batch(), start=self.start)

    def write_with(self, batch: WriteBatch, *, start: int) -> None:
        """Write a batch, what is pending and the position in one, and forget records up to start.

        Args:
            batch: Changes of others that belong to the same step.
            start: Source position up to which others now hold what the records held.
        """
        for position, compact in self._pending:
            if position > start:
                batch.put(_record_key(position), compact)
        if start > self.start:
            batch.delete_range(_record_key(0), _record_key(start + 1))
        fields = {
            "identity": self._identity,
            "start": start,
            "position": self.noted,
            "facts_end": self._noted_end,
            "salt": self.salt,
        }
        batch.put(_META, json.dumps(fields).encode())
        self.store.write(batch)
        self._pending.clear()
        self._pending_bytes = 0
        self.start, self.position, self.facts_end = start, self.noted, self._noted_end

    def clear(self) -> None:
        """Forget everything; the next restore reads the whole facts topic."""
        self._pending.clear()
        self._pending_bytes = 0
        self._begin()
        self.store.clear()

    def close(self) -> None:
        """Write what is pending and let go of the lock."""
        try:
            self.write()
        finally:
            self.store.close()
