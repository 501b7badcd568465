"""Hostile Avro by the million: `./dev fuzz --mutations N --seed S`.

Valid records of usage.events are changed at random: bytes, bits, cuts, doubled parts, huge counts,
spliced records. Each goes through the reader, the fold, its facts and its dead letters, as in a
worker. Required: nothing raises, every event of a readable record has exactly one fate, whatever
was refused stands among the dead letters, and the process does not grow by more than 50 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from schemas.usage_wire import (
    from_wire_usage_facts,
    from_wire_usage_source,
    to_wire_catalogue,
    to_wire_usage_facts,
)
from streams.usage import UsagePartition
from tests.support.usage_truth import CATALOGUE, Event, batch_record, event_record

SEED = 20_261_121
GROWTH_MAX_KB = 50 * 1024
"""What the process may grow by, from the first thousand records on."""
STEP_RECORDS = 200
FOLD_RECORDS = 20_000
"""Records of one fold: its state grows with what it counts, and that is not what is asked here."""
WARM_UP_RECORDS = 2 * FOLD_RECORDS
NOW_MS = 1_773_000_000_000
_FRAME = 5


def seeds() -> list[bytes]:
    """Return valid records of every kind: rich, poor, and the largest that a mutation may grow."""
    events = [
        Event(
            key=number,
            type=("llm", "call", "disk")[number % 3],
            occurred_ms=NOW_MS - number * 60_000,
            quantity=number,
            dimensions=(("model", f"m{number % 4}"), ("region", "eu")),
            properties=(("ms", "12.5"),),
        )
        for number in range(1, 60)
    ]
    content = json.dumps({**CATALOGUE, "version": 2})
    return [
        batch_record(events),
        batch_record(events[:1]),
        batch_record(events[:7], backfill=True),
        *(event_record(event) for event in events[:3]),
        to_wire_catalogue(tenant="acme", version=2, content=content),
    ]


def _random_bytes(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del values
    return draw.randbytes(len(part))


def _nothing(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del draw, part, values
    return b""


def _repeated(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del values
    return part * draw.randint(2, 20)


def _ones_before(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del values
    return b"\xff" * draw.randint(1, 12) + part


def _huge_count_before(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del draw, values
    return b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + part


def _piece_of_another(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del part
    other = draw.choice(values)
    return other[draw.randrange(len(other)) :]


def _zeros(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del draw, values
    return bytes(len(part))


def _one_bit(draw: random.Random, part: bytes, values: list[bytes]) -> bytes:
    del values
    return bytes([part[0] ^ 1 << draw.randrange(8)]) + part[1:] if part else part


WAYS = (
    *(_random_bytes, _nothing, _repeated, _ones_before, _huge_count_before),
    *(_piece_of_another, _zeros),
    *[_one_bit] * 8,  # most of what gets past the reader
)
"""What a part of a record may become."""


def mutated(draw: random.Random, values: list[bytes]) -> bytes:
    """Return one record, changed in one to three places; its schema id stays one of ours."""
    value = draw.choice(values)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(_FRAME, max(_FRAME + 1, len(value)))
        end = at + draw.randint(1, 40)
        value = value[:at] + draw.choice(WAYS)(draw, value[at:end], values) + value[end:]
    return value


@dataclass
class Figures:
    """What a run found."""

    mutations: int = 0
    seconds: float = 0.0
    growth_kb: int = 0
    records_refused: int = 0
    records_counted: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run(*, mutations: int, seed: int) -> Figures:
    """Fold that many mutated records."""
    draw = random.Random(seed)
    values = seeds()
    figures = Figures()
    started_s = time.monotonic()
    base_kb = 0
    while figures.mutations < mutations:
        _one_fold(draw, values, min(FOLD_RECORDS, mutations - figures.mutations), figures)
        if figures.mutations <= WARM_UP_RECORDS:
            base_kb = _peak_kb()
    figures.seconds = time.monotonic() - started_s
    figures.growth_kb = _peak_kb() - base_kb
    return figures


def _one_fold(draw: random.Random, values: list[bytes], records: int, figures: Figures) -> None:
    fold = UsageFold(partition=0, partitions=1)
    partition = UsagePartition(fold, 0)
    published = to_wire_catalogue(tenant="acme", version=1, content=json.dumps(CATALOGUE))
    record = from_wire_usage_source(published, offset=0, received_at_ms=NOW_MS)
    fold.step([record], from_offset=0, to_offset=1)
    offset = 1
    for start in range(0, records, STEP_RECORDS):
        count = min(STEP_RECORDS, records - start)
        batch = [
            from_wire_usage_source(
                mutated(draw, values), offset=offset + place, received_at_ms=NOW_MS
            )
            for place in range(count)
        ]
        facts = fold.step(batch, from_offset=offset, to_offset=offset + count)
        again = from_wire_usage_facts(to_wire_usage_facts(facts, writer="fuzz"))
        letters = {letter.offset for letter in partition.dead_letters(again)}
        _judge(again, letters, figures)
        figures.mutations += count
        offset += count


def _judge(facts: UsageFacts, letters: set[int], figures: Figures) -> None:
    """Every refused record has its dead letter, and every event one fate."""
    refused = {reject.offset for reject in facts.rejects}
    if refused != letters:
        figures.faults.append(f"offsets {sorted(refused ^ letters)[:5]} have no dead letter")
    for count in facts.counts:
        fates = count.accepted + count.duplicates + count.conflicts + count.rejected
        if fates != count.received:
            figures.faults.append(f"{count} does not add up")
        figures.fates += Counter(
            accepted=count.accepted, duplicates=count.duplicates, conflicts=count.conflicts,
            rejected=count.rejected,
        )  # fmt: skip
    if facts.accepted.owner.size != sum(count.accepted for count in facts.counts):
        figures.faults.append(f"{facts.from_offset}: keys and counts differ")
    figures.records_refused += len(refused)
    figures.records_counted += facts.to_offset - facts.from_offset - len(refused)
    figures.codes.update(reject.code.value for reject in facts.rejects)


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    figures = run(mutations=arguments.mutations, seed=arguments.seed)
    shown = {
        "seed": arguments.seed,
        "mutations": figures.mutations,
        "seconds": round(figures.seconds, 1),
        "growth_mb": round(figures.growth_kb / 1024, 1),
        "records_refused": figures.records_refused,
        "records_not_refused": figures.records_counted,
        "events": dict(figures.fates),
        "codes": dict(sorted(figures.codes.items())),
        "faults": figures.faults[:10],
    }
    print(json.dumps(shown, indent=1))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(shown) + "\n", encoding="utf-8")
    if figures.faults or figures.growth_kb > GROWTH_MAX_KB:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
