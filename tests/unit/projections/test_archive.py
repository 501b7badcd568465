"""The archive's folder: no SQL changes it, and what is gone from it is missed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import pytest

from domain.errors import Fatal
from projections.archive.check import CheckedPartition, _check_records
from projections.archive.decoded import EVENTS_SCHEMA
from projections.archive.files import end_of_chain, files_of
from projections.archive.identity import IDENTITY_FILE, begin_of, begins_of, note_begins
from projections.archive.views import open_views
from projections.archive.writing import RawRecord, _write, records_table

WRITES = (
    "COPY records TO '{file}' (FORMAT parquet)",
    "WITH w AS (COPY records TO '{file}' (FORMAT parquet)) SELECT * FROM w",
    "EXPLAIN ANALYZE COPY records TO '{file}' (FORMAT parquet)",
    "SELECT 1; COPY (SELECT 'gone') TO '{root}/archive.json' (FORMAT csv)",
    "ATTACH '{root}/new.db'",
    "EXPORT DATABASE '{root}/export'",
)
"""Statements that would change the folder; a SELECT and an EXPLAIN are among them."""


def write(root: Path, start: int, end: int) -> None:
    """Write one file of records of partition 3, and no events."""
    records = [RawRecord(offset, 1, b"k", b"v%d" % offset) for offset in range(start, end)]
    _write(root, "records", 3, (start, end), records_table(records))
    _write(root, "events", 3, (start, end), EVENTS_SCHEMA.empty_table())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / IDENTITY_FILE).write_text('{"topic": "usage.events"}')
    for start in (0, 100, 200):
        write(tmp_path, start, start + 100)
    return tmp_path


def bytes_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def checked(root: Path, *, low: int, noted: int | None) -> CheckedPartition:
    found = CheckedPartition(3, log_begins=low)
    _check_records(root, found, noted=noted)
    return found


class TestSql:
    @pytest.mark.parametrize("statement", WRITES)
    def test_changes_no_file(self, root: Path, statement: str) -> None:
        """Whoever may ask cannot overwrite what was archived."""
        before = bytes_of(root)
        file = files_of(root, "records", 3)[0].path
        connection = open_views(root)
        with pytest.raises(duckdb.PermissionException):
            connection.execute(statement.format(root=root, file=file)).fetchall()
        connection.close()
        assert before == bytes_of(root)

    def test_reads_the_rows_and_their_partition(self, root: Path) -> None:
        """Filters and types come through Arrow as from the files."""
        connection = open_views(root)
        query = """SELECT "offset", key, value, partition FROM records
                   WHERE "offset" >= 199 AND partition = 3 AND value < 'v201'::BLOB"""
        assert [(199, b"k", b"v199", 3), (200, b"k", b"v200", 3)] == sorted(
            connection.execute(query).fetchall()
        )
        types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE events").fetchall()}
        assert {"DECIMAL(38,9)", "BIGINT", "MAP(VARCHAR, VARCHAR)", "TIMESTAMP WITH TIME ZONE"} < {
            types[name] for name in ("quantity", "partition", "dimensions", "occurred_at")
        } | {"BLOB"}
        connection.close()

    def test_of_a_torn_file_names_the_check(self, root: Path) -> None:
        """Not a stack trace."""
        path = files_of(root, "records", 3)[0].path
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(Fatal, match=r"archive_corrupt.*archive check"):
            open_views(root)


class TestBegin:
    def test_that_is_lost_is_missed_and_written_again(self, root: Path) -> None:
        """The first file is missed like one in the middle, whether the log has it or not."""
        files_of(root, "records", 3)[0].path.unlink()
        files = files_of(root, "records", 3)
        assert 0 == end_of_chain(files, start=begin_of(0, files, low=0))
        assert ["offsets 0 to 99 are missing"] == checked(root, low=0, noted=0).problems
        found = checked(root, low=150, noted=0)
        assert (0, 0) == (found.begins, found.ends)
        assert "offsets 0 to 99 are neither here nor in the log" in found.problems

    def test_that_nobody_noted_is_the_logs(self, root: Path) -> None:
        """An archive of an earlier version: what the log has before the first file is written."""
        files_of(root, "records", 3)[0].path.unlink()
        assert ["offsets 40 to 99 are missing"] == checked(root, low=40, noted=None).problems
        assert (100, []) == (
            (found := checked(root, low=120, noted=None)).begins,
            found.problems,
        )

    def test_is_noted_beside_the_log_and_forced_onto_the_disk(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A rename of bytes that are not on the disk leaves an empty file after a power cut."""
        steps: list[str] = []
        sync, replace = os.fsync, Path.replace

        def synced(descriptor: int) -> None:
            steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            sync(descriptor)

        def replaced(path: Path, target: Path) -> Path:
            steps.append("rename")
            return replace(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(Path, "replace", replaced)
        note_begins(root, {3: 40, 4: 0})
        assert ["archive.draft", "rename", root.name] == steps
        assert {3: 40, 4: 0} == begins_of(root)
        assert "usage.events" == json.loads((root / IDENTITY_FILE).read_text())["topic"]
        note_begins(root, {4: 0, 3: 40})
        assert 3 == len(steps), "written again without need"

    @pytest.mark.parametrize("begins", ['"begins": [1]', '"begins": {"3": "x"}', '"begins": 7'])
    def test_that_is_no_offset_is_refused(self, root: Path, begins: str) -> None:
        """It is a file that people may edit."""
        (root / IDENTITY_FILE).write_text("{" + begins + "}")
        with pytest.raises(Fatal, match="archive_corrupt"):
            begins_of(root)
