"""O8: every facts partition replays by the acceptance rule; read by a stranger.
Imports nothing of ours.

Gives what the folds claim to have counted: keys and windows, from accepted records only, and how
many records the rule ignored (zombies, replays, late retries).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.journal import Owner
from tests.support.oracle_log import (
    BOOKS_FACTS,
    EMERGENCE_FACTS,
    FACTS,
    Refused,
    canonical,
    read_topic,
    schema_of,
    topic_ends,
    unframe,
)

_SCHEMAS = {
    FACTS: schema_of("usage_facts"),
    BOOKS_FACTS: schema_of("books_facts"),
    EMERGENCE_FACTS: schema_of("emergence_facts"),
}
_INT, _LONG, _UNSIGNED = "i", "q", "Q"
_WINDOW_NUMBERS = {
    "series": _INT,
    "hour": _INT,
    "events": _INT,
    "late": _INT,
    **{f"{name}_units": _LONG for name in ("sum", "min", "max", "latest")},
    **{f"{name}_nanos": _INT for name in ("sum", "min", "max", "latest")},
    "latest_occurred_ms": _LONG,
    "latest_offset": _LONG,
    "first_offset": _LONG,
    "last_offset": _LONG,
    "digest_high": _UNSIGNED,
    "digest_low": _UNSIGNED,
}


@dataclass(slots=True)
class Chain:
    """One facts topic, replayed.

    Args:
        positions: Next source offset per partition, as the chain leads there.
        boundaries: Every position the chain passed, per partition.
        accepted, ignored: Facts records let through, and not.
        writers: How many different processes wrote accepted records.
        faults: What breaks the chain, in words.
        records: The accepted records, decoded.
    """

    topic: str
    positions: dict[int, int] = field(default_factory=dict)
    boundaries: dict[int, set[int]] = field(default_factory=dict)
    accepted: int = 0
    ignored: int = 0
    writers: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of_topic(cls, bootstrap: str, *, facts: str, source: str, schema_id: int) -> Chain:
        """Replay a facts topic and compare its end with its source's end."""
        chain = cls(facts)
        for record in read_topic(bootstrap, facts):
            chain.take(record.partition, record.value, schema_id=schema_id)
        for partition, end in topic_ends(bootstrap, source).items():
            position = chain.positions.get(partition, 0)
            if position != end:
                fault = f"{facts}/{partition} leads to {position}, its source ends at {end}"
                chain.faults.append(fault)
        return chain

    def take(self, partition: int, value: bytes | None, *, schema_id: int) -> None:
        """Apply the rule to one record."""
        position = self.positions.setdefault(partition, 0)
        self.boundaries.setdefault(partition, {0})
        try:
            _, record = unframe(value, {schema_id: _SCHEMAS[schema_id]})
        except Refused as refused:
            self.faults.append(f"{self.topic}/{partition}: a record is {refused.code}")
            return
        if record["from_offset"] == position < record["to_offset"]:
            self.accepted += 1
            self.writers.add(record["writer"])
            self.positions[partition] = record["to_offset"]
            self.boundaries[partition].add(record["to_offset"])
            self.records.append(record)
        elif record["from_offset"] < position:
            self.ignored += 1
        else:
            gap = f"{record['from_offset']} to {record['to_offset']} after {position}"
            self.faults.append(f"{self.topic}/{partition}: {gap}")


def _numbers(data: bytes, kind: str) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize('<' + kind)}{kind}", data)


def _owners(record: dict[str, Any]) -> list[tuple[str, str]]:
    strings = record["strings"]
    pairs = zip(record["owner_tenant"], record["owner_customer"], strict=True)
    return [(strings[tenant], strings[customer]) for tenant, customer in pairs]


def counted_keys(chain: Chain) -> Iterator[Owner]:
    """Yield every key that the folds counted, each time they did."""
    for record in chain.records:
        owners = _owners(record)
        keys = record["accepted_keys"]
        for index, owner in enumerate(_numbers(record["accepted_owner"], _INT)):
            yield (*owners[owner], keys[16 * index : 16 * index + 16].hex())


def intake_of(chain: Chain) -> dict[str, int]:
    """Return received, accepted, duplicates, conflicts and rejected, over all tenants."""
    names = ("received", "accepted", "duplicates", "conflicts", "rejected")
    return {
        name: sum(count[name] for record in chain.records for count in record["counts"])
        for name in names
    }


Key = tuple[str, str, str, str, int]
"""Tenant, customer, meter, dimensions, hour."""


def windows_of(chain: Chain) -> list[tuple[Any, ...]]:
    """Merge all window deltas; rows in the order of oracle.WINDOW_COLUMNS."""
    windows: dict[Key, list[Any]] = {}
    for record in chain.records:
        for key, delta in _deltas(record):
            known = windows.get(key)
            windows[key] = delta if known is None else _merged(known, delta)
    return [(*key, *delta[:-1], f"{delta[-1] % 2**128:032x}") for key, delta in windows.items()]


def _deltas(record: dict[str, Any]) -> Iterator[tuple[Key, list[Any]]]:
    """Yield key, and events, late, sum, min, max, latest, its time and offset, offsets, digest."""
    owners = _owners(record)
    meters = [record["strings"][number] for number in record["meters"]]
    sets = [canonical(pairs) for pairs in record["dimension_sets"]]
    series = list(
        zip(
            *(
                _numbers(record[f"series_{name}"], _INT)
                for name in ("owner", "meter", "dimensions")
            ),
            strict=True,
        )
    )
    columns = {n: _numbers(record[f"window_{n}"], kind) for n, kind in _WINDOW_NUMBERS.items()}
    for i, number in enumerate(columns["series"]):
        owner, meter, dimensions = series[number]
        values = [
            columns[f"{name}_units"][i] * 10**9 + columns[f"{name}_nanos"][i]
            for name in ("sum", "min", "max", "latest")
        ]
        whole = ("latest_occurred_ms", "latest_offset", "first_offset", "last_offset")
        digest = (columns["digest_high"][i] << 64) + columns["digest_low"][i]
        yield (
            (*owners[owner], meters[meter], sets[dimensions], columns["hour"][i]),
            [
                columns["events"][i],
                columns["late"][i],
                *values,
                *(columns[name][i] for name in whole),
                digest,
            ],
        )


def _merged(one: list[Any], two: list[Any]) -> list[Any]:
    """Merge two deltas of a window, the second of later offsets."""
    latest = max(one, two, key=lambda delta: (delta[6], delta[7]))
    return [
        one[0] + two[0],
        one[1] + two[1],
        one[2] + two[2],
        min(one[3], two[3]),
        max(one[4], two[4]),
        *latest[5:8],
        min(one[8], two[8]),
        max(one[9], two[9]),
        one[10] + two[10],
    ]
