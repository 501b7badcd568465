"""What a mapping may say, and what becomes of times in every format and zone."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.errors import Rejected
from producers.importers.mapping import Subject, read_mapping
from producers.importers.rows import BadRow
from producers.importers.times import TimeForm, TimeFormat, time_of, zone_of
from tests.support.checkout import ROOT
from tests.support.import_worlds import MAPPING, mapping_of


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: test", "name: a/b", "letters, digits"),
        ("name: test", "nam: test", "does not know nam"),
        ("{column: who}", "{colum: who}", "does not know colum"),
        ("{column: who}", "{column: who, constant: ann}", "either a column or a constant"),
        ("{column: who}", "{}", "either a column or a constant"),
        ("{column: who}", "ann", "is no mapping"),
        ("  quantity: {column: amount}\n", "", "has no quantity"),
        ("{column: amount}", "{column: amount, float: round}", "refuse or exact-repr"),
        ("zone: UTC", "zone: Mars/Olympus", "not known on this machine"),
        ("zone: UTC", "zone: UTC, format: julian", "is one of"),
        ("name: test", "name: test\nformat: xlsx", "is one of csv, jsonl, parquet"),
        ("name: test", "name: test\ncsv: {delimiter: ';;'}", "2 characters"),
        ("name: test", 'name: test\ncsv: {quote: ","}', "two different"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_place(old: str, new: str, reason: str) -> None:
    assert old in MAPPING
    with pytest.raises(Rejected, match=reason):
        mapping_of(MAPPING.replace(old, new))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"a: &x [*x]", b"x" * 70_000])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.yaml"
    path.write_bytes(content)
    with pytest.raises(Rejected, match="import_mapping_invalid"):
        read_mapping(path)


def test_a_mapping_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="import_mapping_invalid"):
        read_mapping(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "producers/importers/examples").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_examples_can_be_read(path: Path) -> None:
    is_counter = "prometheus" in path.stem
    mapping = read_mapping(path, Subject.COUNTER if is_counter else Subject.FILE)
    assert f"import/{mapping.name}" == mapping.source


def form(format_: TimeFormat = TimeFormat.ISO, zone: str = "", pattern: str = "") -> TimeForm:
    return TimeForm(format_, pattern, zone_of(zone) if zone else None)


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        ("2026-11-20T10:00:00Z", form(), "2026-11-20T10:00:00+00:00"),
        ("2026-11-20 10:00:00.9799600", form(zone="UTC"), "2026-11-20T10:00:00.979960+00:00"),
        ("2026-11-20 10:00:00,5 +0530", form(), "2026-11-20T10:00:00.500000+05:30"),
        ("2026-11-20 10:00+02", form(zone="UTC"), "2026-11-20T10:00:00+02:00"),
        ("1700000000", form(TimeFormat.EPOCH_S), "2023-11-14T22:13:20+00:00"),
        ("1700000000.123", form(TimeFormat.EPOCH_S), "2023-11-14T22:13:20.123000+00:00"),
        ("1700000000123", form(TimeFormat.EPOCH_MS), "2023-11-14T22:13:20.123000+00:00"),
        ("1700000000123456789", form(TimeFormat.EPOCH_NS), "2023-11-14T22:13:20.123456+00:00"),
        ("2026-07-01 12:00:00", form(zone="Europe/Berlin"), "2026-07-01T12:00:00+02:00"),
        (
            "20/11/2026 10:00", form(TimeFormat.PATTERN, "+01:00", "%d/%m/%Y %H:%M"),
            "2026-11-20T10:00:00+01:00",
        ),
    ],
)  # fmt: skip
def test_a_time_is_read(text: str, how: TimeForm, expected: str) -> None:
    assert expected == time_of(text, how).isoformat()


@pytest.mark.parametrize(
    ("text", "how", "code"),
    [
        ("2026-11-20T10:00:00", form(), "time_zone_missing"),
        ("2026-10-25 02:30:00", form(zone="Europe/Berlin"), "time_ambiguous"),
        ("2026-03-29 02:30:00", form(zone="Europe/Berlin"), "time_nonexistent"),
        ("2026-11-20", form(zone="UTC"), "time_malformed"),
        ("2026-11-20T25:00:00Z", form(), "time_malformed"),
        ("٢٠٢٦-11-20T10:00:00Z", form(), "time_malformed"),
        ("1e9", form(TimeFormat.EPOCH_S), "time_malformed"),
        ("9" * 20, form(TimeFormat.EPOCH_S), "time_malformed"),
        ("NaN", form(TimeFormat.EPOCH_MS), "time_malformed"),
    ],
)
def test_a_time_that_is_none_is_never_guessed(text: str, how: TimeForm, code: str) -> None:
    with pytest.raises(BadRow) as refused:
        time_of(text, how)
    assert code == refused.value.code
