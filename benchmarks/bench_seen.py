"""CPU and memory of the seen index with 35 days of keys behind it.

Claim: with 50 million UUIDv7 keys and 10 million random keys on one partition, at most 1.5 µs CPU
per new UUIDv7 key and 6 µs per new random key, at most 1 GiB resident, every verdict right, and
what is forgotten leaves the disk.
Method: one process adds all keys in micro-batches of 10,000, each of one sort, spread over 35 days
of arrival hours, and lets generations go to the disk as the fold does; acknowledged keys are noted
in the checkpoint. CPU is that of the whole process, RocksDB's threads too, from the first key on;
what it costs to let generations go is shared by all keys alike. Making the keys is not counted.
The figure of a sort is that of the last tenth of the keys, when the index is fullest; the mean of
all stands beside it. Then keys of all ages are repeated, with their fingerprint and another, over
a restart and after their time. No broker and no database take part.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.bench_fold import peak_resident_mb
from benchmarks.support import write_result
from domain.usage.cold_tier import FoldBase
from domain.usage.seen import REMEMBERED_HOURS, Int8s, Rows, Verdict, rows_of
from domain.usage.seen_index import SeenIndex
from streams.checkpoint import Checkpoint
from streams.seen_runs import SeenRuns

MICRO_BATCH = 10_000
HOUR_MS, DAYS = 3_600_000, 35
START_HOUR = 490_000
SAMPLE_EVERY = 97
"""One of so many keys of a micro-batch is kept for the verdicts; at most SAMPLES_MAX in all."""
SAMPLES_MAX = 40_000
TIMED, UNTIMED = "uuid7", "random"


@dataclass
class Partition:
    """The seen index of one partition with its checkpoint, driven as the fold drives it."""

    path: Path
    position: int = 0
    received_ms: int = START_HOUR * HOUR_MS
    take_s: float = 0.0
    largest_slice_s: float = 0.0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Open the checkpoint and read back what it holds."""
        checkpoint = Checkpoint.opened(self.path, identity="benchmark")
        assert checkpoint is not None
        self.checkpoint, self.runs = checkpoint, SeenRuns(checkpoint)
        started = time.perf_counter()
        for _ in self.runs.load():
            now = time.perf_counter()
            self.largest_slice_s, started = max(self.largest_slice_s, now - started), now
        self.index = SeenIndex(cold=self.runs)
        self.position = checkpoint.start
        for value in checkpoint.records():
            self._make_room()
            self.index.put(np.frombuffer(value, dtype=np.uint64).reshape(-1, 4))
            self.position += 1

    def _make_room(self) -> None:
        leaving = self.index.make_room(high_ms=self.received_ms, position=self.position)
        if leaving is not None:
            started = time.process_time()
            base = FoldBase(received_high_ms=self.received_ms)
            self.runs.take(leaving, base=base, position=self.position)
            self.take_s += time.process_time() - started

    def add(self, rows: Rows, *, received_ms: int) -> Int8s:
        """Judge a micro-batch and acknowledge it."""
        self._make_room()
        self.received_ms = received_ms
        verdicts = self.index.add(rows)
        self.position += 1
        self.checkpoint.note(
            facts_offset=self.position,
            compact=rows[verdicts == Verdict.NEW].tobytes(),
            position=self.position,
        )
        if self.checkpoint.is_due:
            self.checkpoint.write()
        return verdicts

    def disk_mb(self) -> int:
        """Return what lies on the disk, megabytes."""
        return sum(file.stat().st_size for file in self.path.iterdir()) // 1_000_000


@dataclass
class Load:
    """Makes keys, and keeps a sample of them."""

    random: np.random.Generator
    samples: dict[str, list[Rows]] = field(default_factory=lambda: {TIMED: [], UNTIMED: []})

    def rows(self, sort: str, size: int, received_ms: int) -> Rows:
        """Return new keys of one sort, made within the second before they arrive."""
        high, low, fingerprint = self.random.integers(
            0, 2**64, size=(3, size), dtype=np.uint64, endpoint=False
        )
        if sort == TIMED:
            made = received_ms - self.random.integers(0, 1_000, size=size)
            high = (
                made.astype(np.uint64) << np.uint64(16)
                | np.uint64(0x7000)
                | high & np.uint64(0xFFF)
            )
            low = low >> np.uint64(2) | np.uint64(2 << 62)
        hour = np.full(size, received_ms // HOUR_MS, dtype=np.int32)
        owner = self.random.integers(0, 1_000, size=size).astype(np.int32)
        rows = rows_of(owner=owner, high=high, low=low, fingerprint=fingerprint, hour=hour)
        self.samples[sort].append(rows[::SAMPLE_EVERY].copy())
        return rows


def plan_of(timed: int, untimed: int) -> list[tuple[str, int]]:
    """Return the micro-batches: both sorts, spread evenly over each other."""
    plan = []
    for sort, keys in ((TIMED, timed), (UNTIMED, untimed)):
        sizes = [MICRO_BATCH] * (keys // MICRO_BATCH) + [keys % MICRO_BATCH]
        plan += [((at + 0.5) / len(sizes), sort, size) for at, size in enumerate(sizes) if size]
    return [(sort, size) for _, sort, size in sorted(plan)]


def fill(partition: Partition, load: Load, plan: list[tuple[str, int]]) -> dict[str, object]:
    """Add all keys; return the cost of a new key by sort."""
    spent = {(sort, late): [0.0, 0] for sort in (TIMED, UNTIMED) for late in (False, True)}
    wrong = 0
    for number, (sort, size) in enumerate(plan):
        received_ms = START_HOUR * HOUR_MS + number * DAYS * 24 * HOUR_MS // len(plan)
        rows = load.rows(sort, size, received_ms)
        before, taken_s = time.process_time(), partition.take_s
        verdicts = partition.add(rows, received_ms=received_ms)
        own_s = time.process_time() - before - (partition.take_s - taken_s)
        wrong += int(np.count_nonzero(verdicts != Verdict.NEW))
        cell = spent[sort, number >= len(plan) * 9 // 10]
        cell[0], cell[1] = cell[0] + own_s, cell[1] + size
    keys = sum(size for _, size in plan)
    share_us = partition.take_s / max(1, keys) * 1e6
    result: dict[str, object] = {"cpu_us_per_key_leaving_memory": round(share_us, 3)}
    for sort in (TIMED, UNTIMED):
        (early_s, early), (late_s, late) = spent[sort, False], spent[sort, True]
        if early + late:
            mean_us = (early_s + late_s) / (early + late) * 1e6 + share_us
            result[f"cpu_us_per_new_{sort}_key_mean"] = round(mean_us, 3)
        if late:
            result[f"cpu_us_per_new_{sort}_key"] = round(late_s / late * 1e6 + share_us, 3)
    return {**result, "verdicts_wrong_new": wrong}


def ask_again(partition: Partition, load: Load, *, after_hours: int, expected: Verdict) -> float:
    """Repeat the sample in micro-batches of one sort; return µs CPU per key, -1 when wrong.

    Args:
        partition: Whom to ask.
        load: The sample.
        after_hours: How much later than their own arrival hour the keys come again; 0 for now.
        expected: The verdict that is right; for a conflict the fingerprint is changed.
    """
    wrong, asked, spent_s = 0, 0, 0.0
    for batches in load.samples.values():
        rows = np.concatenate(batches or [np.zeros((0, 4), dtype=np.uint64)])
        rows = rows[:: max(1, len(rows) * 2 // SAMPLES_MAX)].copy()
        hour = partition.received_ms // HOUR_MS + after_hours
        rows[:, 3] = (rows[:, 3] >> np.uint64(32) << np.uint64(32)) + np.uint64(hour + 1)
        if expected is Verdict.CONFLICT:
            rows[:, 2] ^= np.uint64(1)
        started = time.process_time()
        for start in range(0, len(rows), MICRO_BATCH):
            part = rows[start : start + MICRO_BATCH]
            verdicts = partition.add(part, received_ms=hour * HOUR_MS)
            wrong += int(np.count_nonzero(verdicts != expected))
        spent_s += time.process_time() - started
        asked += len(rows)
    return -1.0 if wrong else round(spent_s / max(1, asked) * 1e6, 1)


def forget(partition: Partition, load: Load) -> int:
    """Add fresh keys after everybody's time until no old run is left; return how many keys."""
    added, oldest = 0, partition.received_ms // HOUR_MS - REMEMBERED_HOURS
    while any(run.newest_hour < oldest for group in partition.runs._groups for run in group.runs):
        rows = load.rows(TIMED, MICRO_BATCH, partition.received_ms)
        partition.add(rows, received_ms=partition.received_ms)
        added += len(rows)
    return added


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timed", type=int, default=50_000_000)
    parser.add_argument("--untimed", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    load = Load(np.random.default_rng(arguments.seed))
    with tempfile.TemporaryDirectory() as folder:
        partition = Partition(Path(folder) / "0")
        result: dict[str, object] = {"timed": arguments.timed, "untimed": arguments.untimed}
        result |= fill(partition, load, plan_of(arguments.timed, arguments.untimed))
        result |= {
            "rss_mb": peak_resident_mb(),
            "runs": partition.runs.runs,
            "filters_mb": partition.runs.filter_bytes // 1_000_000,
            "disk_mb": partition.disk_mb(),
        }
        again = {"after_hours": 0, "expected": Verdict.DUPLICATE}
        result["cpu_us_per_duplicate"] = ask_again(partition, load, **again)  # type: ignore[arg-type]
        partition.checkpoint.close()
        started = time.process_time()
        partition.open()
        result["cpu_s_restart"] = round(time.process_time() - started, 2)
        result["ms_restart_largest_slice"] = round(partition.largest_slice_s * 1e3, 1)
        result["cpu_us_per_conflict"] = ask_again(
            partition, load, after_hours=0, expected=Verdict.CONFLICT
        )
        result["cpu_us_per_forgotten"] = ask_again(
            partition, load, after_hours=REMEMBERED_HOURS + 1, expected=Verdict.NEW
        )
        result["keys_until_all_dropped"] = forget(partition, load)
        result["disk_mb_after"] = partition.disk_mb()
        result["rss_mb_peak"] = peak_resident_mb()
        partition.checkpoint.close()
    verdicts = ("verdicts_wrong_new", "cpu_us_per_duplicate", "cpu_us_per_conflict")
    is_wrong = result["verdicts_wrong_new"] or -1.0 in [
        result[name] for name in (*verdicts, "cpu_us_per_forgotten")
    ]
    result["verdicts_wrong"] = int(bool(is_wrong))
    write_result(arguments, result)
    sys.exit(1 if is_wrong else 0)


if __name__ == "__main__":
    main()
