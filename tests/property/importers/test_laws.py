"""Laws of the importers: nothing is lost or invented, wherever a run is cut."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from pathlib import Path

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.importers.content import read_content
from producers.importers.csv_rows import CsvReader
from producers.importers.prometheus.increases import Last, Ledger
from producers.importers.prometheus.samples import sample_of
from producers.importers.rows import START, Row
from tests.support.import_worlds import mapping_of

MAPPING = """
name: law
columns:
  customer: {column: a}
  type: {column: b}
  quantity: {constant: "1"}
  time: {column: c}
"""
NAMES = ("a", "b", "c")
FIELD = st.text(st.sampled_from(list('ab,"\n\r \u00e9')), max_size=6)
ROWS = st.lists(st.tuples(FIELD, FIELD, FIELD).filter(any), max_size=8)
BYTES = st.lists(
    st.sampled_from([b"a", b'"', b",", b"\n", b"\r\n", b"\xff", b"\x00", b'""', b"x,y,z\n"]),
    max_size=40,
).map(b"".join)


@contextmanager
def file_of(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(content)
        yield path


def reader_of(path: Path) -> CsvReader:
    mapping = mapping_of(MAPPING)
    return CsvReader(read_content(path, mapping.format), mapping)


def written(rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([NAMES, *rows])
    return text.getvalue().encode()


@given(ROWS)
def test_every_row_that_was_written_is_read(rows: list[tuple[str, str, str]]) -> None:
    with file_of(written(rows)) as path:
        read = [tuple((row.values or {}).values()) for row in reader_of(path).rows(START)]
    assert rows == read


@given(st.lists(st.tuples(*[st.text(st.sampled_from(list('ab,"é ')), min_size=1)] * 3)))
@settings(max_examples=50)
def test_duckdb_reads_the_same(rows: list[tuple[str, str, str]]) -> None:
    """An independent reader, on what both can read."""
    with file_of(written(rows)) as path:
        expected = duckdb.execute(
            "SELECT a, b, c FROM read_csv(?, header=true, all_varchar=true, auto_detect=false, "
            "delim=',', quote='\"', escape='\"', "
            "columns={'a': 'VARCHAR', 'b': 'VARCHAR', 'c': 'VARCHAR'})",
            [str(path)],
        ).fetchall()
        read = [tuple((row.values or {}).values()) for row in reader_of(path).rows(START)]
    assert expected == read


@given(BYTES)
def test_any_bytes_are_read_to_the_end_with_rising_lines(content: bytes) -> None:
    """No byte is lost: the raw bytes of all rows, and nothing but line ends, are the content."""
    with file_of(b"a,b,c\n" + content) as path:
        rows = list(reader_of(path).rows(START))
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    ends = bytes.maketrans(b"\r\n", b"\n\n")
    kept = b"".join(row.raw for row in rows).translate(ends).replace(b"\n", b"")
    assert content.translate(ends).replace(b"\n", b"") == kept
    assert all((row.values is None) == (row.fault is not None) for row in rows)


@given(BYTES, st.data())
def test_a_reader_goes_on_where_it_was(content: bytes, data: st.DataObject) -> None:
    with file_of(b"a,b,c\n" + content) as path:
        rows = list(reader_of(path).rows(START))
        if rows:
            cut = data.draw(st.integers(0, len(rows) - 1))
            rest: list[Row] = list(reader_of(path).rows(rows[cut].after))
            assert rows[cut + 1 :] == rest


COUNTER = st.lists(
    st.one_of(
        st.decimals(0, 10**12, allow_nan=False, places=11).map(str),
        st.floats(0, 1e15).map(repr),
        st.sampled_from(["NaN", "+Inf", "-1"]),
    ),
    max_size=20,
)


def rises(values: list[str]) -> Decimal:
    """The rule in its shortest form, in plain words: what it rose by, from 0 after a fall."""
    usable = [Decimal(value) for value in values if value not in ("NaN", "+Inf", "-1")]
    cut = [value.quantize(Decimal("1e-9"), ROUND_DOWN) for value in usable]
    return sum(
        (later - before if later >= before else later
         for before, later in pairwise(cut)),
        Decimal(0),
    )  # fmt: skip


@given(COUNTER, st.data())
def test_increases_add_up_wherever_the_importer_was_restarted(
    values: list[str], data: st.DataObject
) -> None:
    ledger, total, ids = Ledger(), Decimal(0), set[tuple[int, int]]()
    for number, value in enumerate(values, start=1):
        if data.draw(st.booleans()):  # a restart: only what is saved is left
            last = {name: Last(*each) for name, each in ledger.last.items()}
            ledger = Ledger(last=last, looked_at_ms=ledger.looked_at_ms)
        for found in ledger.take([sample_of({"a": "b"}, number, value)], looked_at_ms=number):
            assert found.amount > 0
            total += found.amount
            assert (found.from_ms, found.to_ms) not in ids
            ids.add((found.from_ms, found.to_ms))
    assert rises(values) == total
