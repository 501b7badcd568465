"""What can be chosen about a spool, and what each choice may lose."""

import os
from dataclasses import dataclass
from typing import Literal, get_args

from tidegauge import errors, limits, options

Fsync = Literal["always", "interval", "never"]
WhenFull = Literal["raise", "block", "drop_oldest", "drop_newest"]

SLOT = "{slot}"
"""Stands in a path for the first number from 0 whose folder nobody has."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Keeps events on disk from `record` to their acknowledgement.

    `record` returning means that the event is in the spool: it was handed to the kernel with
    write(2), so `kill -9` of the process, an out-of-memory kill or a crash of the interpreter
    loses nothing, whatever `fsync` says. What the next meter with the same folder finds there, it
    sends in order, with the same keys and fingerprints; what had arrived already counts once.

    `fsync` is about the machine: a power cut or a kernel crash loses

    - `"always"`: nothing that `record` returned for. It waits for the disk, together with other
      threads that record at the same moment; that takes as long as the disk takes, 1 ms or more.
    - `"interval"`: events of the last `fsync_interval_ms` and the time of one sync.
    - `"never"`: what the kernel had not yet written by itself, usually the last 30 s.

    All of it holds as far as the disk tells the truth about what it has written.

    Args:
        path: A folder of its own; it is made when it is missing. One meter has it at a time, the
            next is refused. `{slot}` in it stands for the first number from 0 to 63 whose folder
            is free: for worker processes that share their options. A meter also takes over what
            lies in the folders of slots that nobody has.
        fsync: When events are forced to the disk.
        fsync_interval_ms: Pause between two syncs of `"interval"`, 1 ms to one minute.
        bytes_max: Size of all segments together, at least four segments, at most 64 GiB.
        segment_bytes: Size of one file, 64 KiB to 64 MiB. A crash resends what a segment holds
            when any of it was not acknowledged.
        when_full: `"raise"` SpoolFull; `"block"` for `block_ms` of the meter, then raise;
            `"drop_oldest"` lets go of the oldest segment that was not yet read back;
            `"drop_newest"` lets go of the new event, and `record` returns `""`. Each event let go
            of is counted as dropped and told to `on_drop`.

    Raises:
        InvalidOption: An option cannot be used; its message names it.
    """

    path: str | os.PathLike[str]
    fsync: Fsync = "interval"
    fsync_interval_ms: int = limits.SYNC_INTERVAL_MS
    bytes_max: int = limits.SPOOL_BYTES_MAX
    segment_bytes: int = limits.SEGMENT_BYTES
    when_full: WhenFull = "raise"

    def __post_init__(self) -> None:
        """This function will check the options."""
        path: object = self.path
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise errors.InvalidOption("option_invalid", "path of the spool is not a path")
        if self.fsync not in get_args(Fsync):
            raise errors.InvalidOption("option_invalid", f"fsync is none of {get_args(Fsync)}")
        if self.when_full not in get_args(WhenFull):
            detail = f"when_full is none of {get_args(WhenFull)}"
            raise errors.InvalidOption("option_invalid", detail)
        options.check_numbers(
            fsync_interval_ms=self.fsync_interval_ms,
            segment_bytes=self.segment_bytes,
            bytes_max=self.bytes_max,
        )
        if self.bytes_max < limits.SPOOL_SEGMENTS_MIN * self.segment_bytes:
            detail = f"bytes_max is below {limits.SPOOL_SEGMENTS_MIN} segments"
            raise errors.InvalidOption("option_invalid", detail)
