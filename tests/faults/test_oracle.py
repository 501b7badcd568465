"""The oracle is a stranger to the pipeline, agrees with it when it is right, and says when not."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from typing import Any

import pytest

from domain.usage.facts import UsageFacts
from domain.usage.fold import UsageFold
from schemas.usage_wire import from_wire_usage_source, to_wire_usage_facts
from tests.support import journal, poison, workload
from tests.support.checkout import ROOMS, ROOT
from tests.support.kafka_hash import partition_of
from tests.support.oracle import WINDOW_COLUMNS, Truth, judge_keys, new_database
from tests.support.oracle_facts import Chain, counted_keys, windows_of
from tests.support.oracle_log import FACTS, LogReader

NOW_MS = 1_790_000_000_000
PARTITION, PARTITIONS = 1, 4
OURS = {*ROOMS, "tidegauge"}
ORACLE = (
    "kafka_hash",
    "journal",
    "oracle",
    "oracle_log",
    "oracle_facts",
    "oracle_rating",
    "oracle_tables",
)


@pytest.mark.parametrize("name", ORACLE)
def test_it_imports_nothing_of_ours(name: str) -> None:
    tree = ast.parse((ROOT / "tests" / "support" / f"{name}.py").read_text(encoding="utf-8"))
    modules = {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    helpers = {m.rpartition(".")[2] for m in modules if m.startswith("tests.support.")}

    assert {module.split(".")[0] for module in modules} & OURS == set()
    assert helpers <= set(ORACLE)


def _log(seed: int) -> list[bytes | None]:
    """Records of one partition: a catalogue, batches, repeats, conflicts, strangers, poison."""
    draw = random.Random(seed)
    customers = [
        name
        for name in (f"acme-customer-{number:03d}" for number in range(40))
        if partition_of("acme", name, partitions=PARTITIONS) == PARTITION
    ]
    log: list[bytes | None] = [
        poison.catalogue(_place(draw, customers[0]), workload.catalogue(), version=1)
    ]
    for number in range(40):
        place = _place(draw, draw.choice(customers))
        batch = poison.batch(
            place,
            events=5,
            dimension_sets=[{"region": "eu"}, {"trace": "1", "region": "us"}],
            dimension_set=[1, 0, 2, 1, 2],
            scale=3,
            quantity=[draw.randrange(10**7) for _ in range(5)],
            occurred_at_ms=[NOW_MS - draw.randrange(10**8) for _ in range(5)],
        )
        log.append(poison.framed(poison.BATCH, batch))
        if number % 3 == 0:
            log.append(log[-1])
        if number % 7 == 0:
            log.append(poison.framed(poison.BATCH, batch | {"fingerprints": b"other678" * 5}))
        log.append(poison.single(place, key=draw.choice((draw.randbytes(16), b"k" * 16))))
    log += [poison.make(kind, _place(draw, customers[1])).value for kind in poison.KINDS]
    return log


def _place(draw: random.Random, customer: str) -> poison.Place:
    return poison.Place("acme", customer, PARTITION, PARTITIONS, NOW_MS, draw)


def _truth_of(log: list[bytes | None]) -> Truth:
    reader = LogReader(new_database(), PARTITIONS)
    reader.make_tables()
    for offset, value in enumerate(log):
        reader.take(partition=PARTITION, offset=offset, received_ms=NOW_MS, value=value)
    reader.flush()
    return Truth.of_reader(reader)


def _facts_of(log: list[bytes | None]) -> Iterator[UsageFacts]:
    """Fold the log with our own code, seven records at a time."""
    fold = UsageFold(partition=PARTITION, partitions=PARTITIONS)
    for start in range(0, len(log), 7):
        records = [
            from_wire_usage_source(value, offset=start + place, received_at_ms=NOW_MS)
            for place, value in enumerate(log[start : start + 7])
        ]
        yield fold.step(records, from_offset=start, to_offset=start + len(records))


def _chain_of(log: list[bytes | None]) -> Chain:
    chain = Chain("usage.facts")
    for facts in _facts_of(log):
        chain.take(PARTITION, to_wire_usage_facts(facts, writer="test"), schema_id=FACTS)
    return chain


@pytest.fixture(scope="module")
def log() -> list[bytes | None]:
    return _log(5)


@pytest.fixture(scope="module")
def truth(log: list[bytes | None]) -> Truth:
    return _truth_of(log)


@pytest.fixture
def chain(log: list[bytes | None]) -> Chain:
    return _chain_of(log)


def test_it_agrees_with_the_fold_in_every_row(truth: Truth, chain: Chain) -> None:
    truth.load_windows("found", windows_of(chain))

    assert truth.compare_windows("found") == (0, [])
    assert set(counted_keys(chain)) == truth.accepted_keys()
    assert truth.rows("SELECT count(*) FROM expected_window")[0][0] > 300


def test_it_agrees_with_the_fold_in_every_reject(truth: Truth, log: list[bytes | None]) -> None:
    found = {
        (item.tenant, PARTITION, item.offset, item.index, item.code.value, item.events)
        for facts in _facts_of(log)
        for item in facts.rejects
    }

    assert found == truth.rejects()


@pytest.mark.parametrize("column", range(5, len(WINDOW_COLUMNS.split(","))))
def test_one_wrong_value_is_one_wrong_row(truth: Truth, chain: Chain, column: int) -> None:
    rows = windows_of(chain)
    value: Any = rows[7][column]
    wrong = f"{int(value, 16) + 1:032x}" if isinstance(value, str) else value + 1
    rows[7] = (*rows[7][:column], wrong, *rows[7][column + 1 :])

    truth.load_windows("found", rows)

    assert truth.compare_windows("found")[0] == 1


def test_a_missing_and_a_surplus_row_are_two_wrong_rows(truth: Truth, chain: Chain) -> None:
    rows = windows_of(chain)
    rows[0] = ("acme", "nobody", *rows[0][2:])

    truth.load_windows("found", rows)

    assert truth.compare_windows("found")[0] == 2


def test_a_dropped_facts_record_breaks_the_chain_and_loses_keys(
    truth: Truth, log: list[bytes | None]
) -> None:
    chain = Chain("usage.facts")
    for number, facts in enumerate(_facts_of(log)):
        if number != 3:
            chain.take(PARTITION, to_wire_usage_facts(facts, writer="test"), schema_id=FACTS)
    summary = journal.Summary()
    for owner in truth.accepted_keys():
        summary.promises[owner] = journal.Promise({journal.COUNTED}, set(), 1, 1, 0)

    verdict = judge_keys(summary, counted_keys(chain))

    assert len(chain.faults) > 1
    assert len(verdict.lost) > 0


def test_a_repeated_facts_record_is_ignored_and_a_twice_counted_key_is_doubled(
    truth: Truth, log: list[bytes | None]
) -> None:
    chain = Chain("usage.facts")
    for facts in _facts_of(log):
        value = to_wire_usage_facts(facts, writer="test")
        chain.take(PARTITION, value, schema_id=FACTS)
        chain.take(PARTITION, value, schema_id=FACTS)
    keys = list(counted_keys(chain))
    summary = journal.Summary()

    verdict = judge_keys(summary, [*keys, keys[0]])

    assert chain.ignored == chain.accepted
    assert chain.faults == []
    assert set(keys) == truth.accepted_keys()
    assert verdict.doubled == {keys[0]}
    assert verdict.phantom == set(keys)


def test_mutilated_records_never_stop_a_fold() -> None:
    """1,500 records with flipped, inserted and missing bytes: rejects, never an exception."""
    draw = random.Random(7)
    codes = set()
    originals = [value for value in _log(6) if value]
    for _ in range(1_500):
        value = _mutilated(draw, draw.choice(originals))
        fold = UsageFold(partition=PARTITION, partitions=PARTITIONS)
        record = from_wire_usage_source(value, offset=0, received_at_ms=NOW_MS)
        facts = fold.step([record], from_offset=0, to_offset=1)
        to_wire_usage_facts(facts, writer="test")
        codes |= {reject.code.value for reject in facts.rejects}
        # What PostgreSQL takes as text: no NUL, and UTF-8 (a lone surrogate would raise here).
        assert all(b"\0" not in reject.reason.encode() for reject in facts.rejects)

    assert codes >= {"undecodable", "unknown_schema", "bad_value", "unknown_type"}


def _mutilated(draw: random.Random, value: bytes) -> bytes:
    data = bytearray(value)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at, kind = draw.randrange(len(data)), draw.randrange(4)
        if kind == 0:
            data[at] = draw.randrange(256)
        elif kind == 1:
            data[at:at] = b"\xff" * draw.randrange(1, 12) + b"\x01"
        elif kind == 2 and len(data) > 10:
            del data[at : at + draw.randrange(1, 5)]
        else:
            data[at:at] = draw.randbytes(draw.randrange(1, 6))
    return bytes(data)
