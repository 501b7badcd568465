"""Parquet: exact text of every type, floats refused or taken by their text, resumed by row."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from domain.errors import Rejected
from producers.importers import run as running
from tests.support.import_worlds import (
    MAPPING,
    KeepingOutlet,
    KilledError,
    job_of,
    mapping_of,
    nobody_watches,
)

SELECT = (
    "SELECT 'a' || i AS id, 'ann' AS who, 'llm' AS what, {amount} AS amount, {at} AS at, "
    "'m' AS model FROM range({rows}) t(i)"
)
AT = "TIMESTAMPTZ '2026-11-20 10:00:00.123456+02'"


def write(folder: Path, *, amount: str = "i", at: str = AT, rows: int = 3) -> Path:
    path = folder / "rows.parquet"
    select = SELECT.format(amount=amount, at=at, rows=rows)
    duckdb.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def run(
    folder: Path, path: Path, mapping: str = MAPPING, outlet: KeepingOutlet | None = None
) -> KeepingOutlet:
    outlet = outlet or KeepingOutlet()
    job = job_of(folder, path, mapping_of(mapping))
    running.Import(job, lambda: outlet, nobody_watches()).run()
    return outlet


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("i::BIGINT", "2"),
        ("i::DECIMAL(38,9) + 123456789.123456789::DECIMAL(38,9)", "123456791.123456789"),
        ("(i * 0.1)::DECIMAL(18,4)::VARCHAR", "0.2000"),
    ],
)
def test_a_quantity_is_its_exact_text(tmp_path: Path, amount: str, expected: str) -> None:
    (*_, last) = run(tmp_path, write(tmp_path, amount=amount)).events
    assert expected == last.quantity


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT"])
def test_a_float_quantity_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Rejected, match="import_float_column"):
        run(tmp_path, write(tmp_path, amount=f"(i * 0.1)::{kind}"))


def test_a_float_quantity_is_taken_by_its_shortest_text_when_the_mapping_says_so(
    tmp_path: Path,
) -> None:
    mapping = MAPPING.replace("{column: amount}", "{column: amount, float: exact-repr}")
    events = run(tmp_path, write(tmp_path, amount="(i / 10)::DOUBLE"), mapping).events
    assert ["0.0", "0.1", "0.2"] == [event.quantity for event in events]


def test_a_time_with_a_zone_needs_none_and_one_without_does(tmp_path: Path) -> None:
    zoneless = MAPPING.replace(", zone: UTC", "")
    (first, *_) = run(tmp_path, write(tmp_path), zoneless).events
    assert "2026-11-20T08:00:00.123456+00:00" == first.occurred_at.isoformat()
    outlet = run(tmp_path, write(tmp_path, at="TIMESTAMP '2026-11-20 10:00:00'"), zoneless)
    assert [] == outlet.events


def test_a_null_is_a_missing_value_and_a_nested_one_is_refused(tmp_path: Path) -> None:
    amount = "CASE WHEN i = 1 THEN NULL ELSE [i] END"
    outlet = run(tmp_path, write(tmp_path, amount=amount))
    assert [] == outlet.events
    (report,) = (tmp_path / "state").glob("*.report.jsonl")
    assert [
        ("value_not_scalar" in line, "value_missing" in line)
        for line in report.read_text().splitlines()
    ] == [(True, False), (False, True), (True, False)]


def test_a_killed_import_goes_on_at_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "STEP_ROWS_MAX", 1_000)
    path = write(tmp_path, rows=20_000)
    killed = KeepingOutlet()
    killed.fail_at = {8}
    with pytest.raises(KilledError):
        run(tmp_path, path, outlet=killed)
    rest = run(tmp_path, path)
    assert (7_000, 13_000) == (len(killed.settled), len(rest.events))
    assert [f"a{number}" for number in range(7_000, 20_000)] == [each.id for each in rest.events]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(Rejected, match="import_file_unreadable"):
        run(tmp_path, path)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    mapping = MAPPING.replace("{column: model}", "{column: modell}")
    with pytest.raises(Rejected, match="no column modell"):
        run(tmp_path, write(tmp_path), mapping)
