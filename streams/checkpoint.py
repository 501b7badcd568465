"""A local copy of what a fold needs of its facts, so that a restart replays only the tail.

Kept in RocksDB: one entry per facts record, in its compact form, and the position they lead to,
all written in one WriteBatch. It holds only acknowledged records, so it is always a prefix of the
accepted chain. A torn or foreign one is deleted; the facts topic has everything.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from rocksdict import AccessType, Options, Rdict, WriteBatch

from runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_META = b"meta"
_RECORD = b"r"
_LOCK = "/LOCK"
"""File that RocksDB names when another process, or this one, has the copy open."""
PENDING_MAX = 2_000
"""Records kept for the next write; bounds memory when the disk is slow."""


class Checkpoint:
    """The checkpoint of one partition.

    Args:
        path: Directory of its own.
        identity: What the copy belongs to: topic id and state version. Another one means the
            copy is of another log or would be misread, and it is deleted.
    """

    def __init__(self, path: Path, *, identity: str) -> None:
        self._path = path
        self._identity = identity
        self.position = 0
        self.facts_end = 0
        self._pending: list[tuple[int, bytes, int]] = []
        self._database = self._open()
        try:
            self._read_meta()
        except Exception:  # whatever the copy is, let go of its lock
            self._database.close()
            raise

    def _read_meta(self) -> None:
        meta = self._database.get(_META)
        if meta is None:
            return
        fields = json.loads(meta)
        if fields["identity"] == self._identity:
            self.position, self.facts_end = fields["position"], fields["facts_end"]
        else:
            self.clear()

    @classmethod
    def opened(cls, path: Path, *, identity: str) -> Checkpoint | None:
        """This function will open a checkpoint, or return None when another process holds it."""
        try:
            return cls(path, identity=identity)
        except Exception as error:  # noqa: BLE001 -- rocksdict raises bare Exception
            if _LOCK in str(error):
                logger().info("checkpoint.held_elsewhere", path=str(path))
                return None
            logger().warning("checkpoint.unreadable", path=str(path), error=str(error)[:200])
            shutil.rmtree(path, ignore_errors=True)
            return cls(path, identity=identity)

    def _open(self) -> Rdict:
        self._path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(create_if_missing=True)
        options.set_write_buffer_size(2 * 1024 * 1024)
        options.set_max_write_buffer_number(2)
        options.set_keep_log_file_num(2)
        return Rdict(str(self._path), options, access_type=AccessType.read_write())

    def records(self) -> Iterator[bytes]:
        """Yield the compact facts records in order."""
        for key, value in self._database.items(from_key=_RECORD):
            if not isinstance(key, bytes) or not key.startswith(_RECORD):
                return
            yield value

    def note(self, *, facts_offset: int, compact: bytes, position: int) -> None:
        """Keep an acknowledged record for the next write."""
        self._pending.append((facts_offset, compact, position))

    @property
    def is_due(self) -> bool:
        """Say whether so much is pending that it must be written now."""
        return len(self._pending) >= PENDING_MAX

    def write(self) -> None:
        """Write what is pending and the position it leads to, atomically."""
        if not self._pending:
            return
        batch = WriteBatch(raw_mode=True)
        for facts_offset, compact, position in self._pending:
            batch.put(_RECORD + facts_offset.to_bytes(8, "big"), compact)
            self.facts_end, self.position = facts_offset + 1, position
        batch.put(_META, self._meta())
        self._database.write(batch)
        self._pending.clear()

    def _meta(self) -> bytes:
        return json.dumps(
            {
                "identity": self._identity,
                "position": self.position,
                "facts_end": self.facts_end,
            }
        ).encode()

    def clear(self) -> None:
        """Forget everything; the next restore reads the whole facts topic."""
        self._pending.clear()
        self._database.close()
        shutil.rmtree(self._path, ignore_errors=True)
        self._database = self._open()
        self.position = self.facts_end = 0

    def close(self) -> None:
        """Write what is pending and let go of the lock."""
        self.write()
        self._database.close()
