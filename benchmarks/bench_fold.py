"""CPU cost of the usage fold, from Kafka bytes to acknowledged facts.

Claim: at most 3.5 µs CPU per event in UsageBatch records of 500, at most 10 µs in UsageEvent
records; resident memory at most 150 MB plus 150 B per key held.
Method: the whole workload is on the topic first; then one process runs the fold engine alone on
all partitions until it is at the end, and its own process CPU time (all threads, librdkafka's too)
is taken from the first poll to the last acknowledgement. Beside it, in the same run, a process
that only consumes the same records: the floor no Python consumer gets under. Every window is
compared with the workload's truth. Broker on the same machine; its CPU is not counted.
Last result: see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.produce import batches, publish_catalogue, send, singles
from benchmarks.support import (
    count_wrong,
    settings_of_services,
    windows_in_facts,
    write_result,
)
from benchmarks.workload import make
from runtime import clock
from runtime.kafka import new_consumer, partition_ends
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from streams.engine import FoldEngine
from streams.usage import UsageBinding
from tests.support.topics import fresh_topics

if TYPE_CHECKING:
    from runtime.settings import Settings


def main() -> None:
    """Run both record forms and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default="")
    parser.add_argument("--child", choices=("fold", "consume"), default=None)
    arguments = parser.parse_args()
    settings = settings_of_services()
    if arguments.child:
        figures = {"fold": fold_child, "consume": consume_child}[arguments.child](settings)
        print(json.dumps(figures))
        return
    workload = make(
        events=arguments.events,
        seed=arguments.seed,
        end_ms=clock.now_ms() // 3_600_000 * 3_600_000,
    )
    result: dict[str, object] = {"events": workload.sent}
    for form, records in (("batched", batches), ("single", singles)):
        fresh_topics(settings)
        publish_catalogue(settings)
        messages = send(settings, records(settings, workload))
        consumed = run_child("consume")
        folded = run_child("fold")
        wrong = count_wrong(windows_in_facts(settings), workload)
        result[f"cpu_us_per_event_{form}"] = round(folded["cpu_s"] / workload.sent * 1e6, 2)
        result[f"events_per_s_{form}"] = round(workload.sent / folded["wall_s"])
        result[f"rss_mb_{form}"] = folded["rss_mb"]
        result[f"windows_wrong_{form}"] = wrong
        if form == "single":
            per_message = round(consumed["cpu_s"] / messages * 1e6, 2)
            result["cpu_us_per_message_consume_only"] = per_message
    result["rss_mb"] = max(int(str(result[f"rss_mb_{form}"])) for form in ("batched", "single"))
    result["windows_wrong"] = int(str(result["windows_wrong_batched"])) + int(
        str(result["windows_wrong_single"])
    )
    write_result(arguments, result)
    sys.exit(1 if result["windows_wrong"] else 0)


def run_child(kind: str) -> dict[str, float]:
    """Run one measured process and return its figures."""
    command = [sys.executable, "-m", "benchmarks.bench_fold", "--child", kind]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def ends_of(settings: Settings) -> dict[int, int]:
    """Return the end of every source partition."""
    consumer = new_consumer(settings, group="tidegauge.benchmark")
    ends = {
        partition: partition_ends(consumer, USAGE_EVENTS.name, partition)[1]
        for partition in range(settings.partitions)
    }
    consumer.close()
    return ends


def fold_child(settings: Settings) -> dict[str, float]:
    """Fold everything, once; measured from the first assignment to the last acknowledgement."""
    with tempfile.TemporaryDirectory() as state:
        own = settings.model_copy(update={"state_dir": Path(state)})
        ends = ends_of(own)
        shutdown = Shutdown()
        group = f"tidegauge.benchmark.{clock.now_ms()}"
        engine = FoldEngine(own, UsageBinding(own), shutdown, group=group)
        started = Stopwatch()
        engine.run(until=ends)
        return started.figures()


def consume_child(settings: Settings) -> dict[str, float]:
    """Read the same records and look at their bytes, nothing else."""
    from confluent_kafka import TopicPartition

    ends = ends_of(settings)
    consumer = new_consumer(settings, group="tidegauge.benchmark.consume")
    started = Stopwatch()
    consumer.assign([TopicPartition(USAGE_EVENTS.name, partition, 0) for partition in ends])
    left = sum(ends.values())
    total_bytes = 0
    while left:
        for message in consumer.consume(4_000, timeout=0.05):
            total_bytes += len(message.value() or b"")
            left -= 1
    figures = started.figures()
    consumer.close()
    return figures


class Stopwatch:
    """Takes this process's CPU and wall time from its making."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def figures(self) -> dict[str, float]:
        """Return CPU seconds, wall seconds and peak resident megabytes so far."""
        return {
            "cpu_s": time.process_time() - self._cpu,
            "wall_s": time.perf_counter() - self._wall,
            "rss_mb": peak_resident_mb(),
        }


def peak_resident_mb() -> int:
    """Return the peak resident memory since exec; ru_maxrss would count the parent too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
