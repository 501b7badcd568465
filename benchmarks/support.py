"""What every benchmark needs: services, fresh topics, arguments, and the facts it is judged by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from benchmarks.produce import customer_name
from benchmarks.workload import MODELS, REGIONS, Workload
from domain.acceptance import accepts
from runtime.kafka import read_partition
from runtime.settings import Settings
from schemas.topics import USAGE_FACTS_TOPIC
from schemas.usage_wire import from_wire_usage_facts
from tests.support.services import find_database, find_kafka

if TYPE_CHECKING:
    from argparse import Namespace

    from domain.usage.facts import UsageFacts


Windows = dict[tuple[int, int, int, int, int], tuple[int, int]]


def settings_of_services() -> Settings:
    """Return settings for the running services, from the environment or `./dev services up`."""
    return Settings(kafka=find_kafka(), database_url=SecretStr(find_database()))


def write_result(arguments: Namespace, result: dict[str, object]) -> None:
    """Print the figures, and write them as JSON where asked."""
    for name, value in result.items():
        print(f"{name:36} {value}")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def windows_in_facts(settings: Settings) -> Windows:
    """Return what the facts topic says, read by the acceptance rule, in the truth's own form."""
    numbers = {customer_name(number): number for number in range(10_000)}
    windows: Windows = {}
    for partition in range(settings.partitions):
        position = 0
        for message in read_partition(settings, USAGE_FACTS_TOPIC, partition):
            facts = from_wire_usage_facts(message.value())
            if accepts(
                position=position, from_offset=facts.from_offset, to_offset=facts.to_offset
            ):
                position = facts.to_offset
                _add(windows, facts, numbers)
    return windows


def _add(windows: Windows, facts: UsageFacts, numbers: dict[str, int]) -> None:
    series, deltas = facts.series, facts.windows
    keys = [
        (
            numbers[series.owners[owner][1]],
            int(series.meters[meter].removeprefix("meter_")),
            REGIONS.index(series.dimension_sets[dimensions]["region"]),
            MODELS.index(series.dimension_sets[dimensions]["model"]),
        )
        for owner, meter, dimensions in zip(
            series.owner.tolist(), series.meter.tolist(), series.dimensions.tolist(), strict=True
        )
    ]
    columns = (deltas.series, deltas.hour, deltas.events, deltas.sum_units, deltas.sum_nanos)
    for number, hour, events, units, nanos in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        key = (*keys[number], hour)
        before = windows.get(key, (0, 0))
        hundredths = units * 100 + nanos // 10_000_000
        windows[key] = (before[0] + events, before[1] + hundredths)


def count_wrong(windows: Windows, *workloads: Workload) -> int:
    """Return how many windows differ from the truth, in either direction.

    Args:
        windows: What was found.
        workloads: What was sent; no two share a window.
    """
    truth = {key: value for workload in workloads for key, value in workload.truth().items()}
    return sum(1 for key in truth.keys() | windows.keys() if truth.get(key) != windows.get(key))
