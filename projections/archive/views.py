"""Asking the archive with SQL: DuckDB over its Parquet files, read only and nothing else.

Arrow opens the files and DuckDB gets the rows: it has no access to any file itself. To look at the
statement instead is not enough, because a SELECT can write: WITH w AS (COPY … TO …) SELECT …, and
so can EXPLAIN ANALYZE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from pyarrow import dataset

from domain.codes import Code
from domain.errors import Fatal, Rejected
from projections.archive.files import KINDS, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings

MEMORY = "1GB"
"""What DuckDB may take; larger sorts go to its temporary files."""
ROWS_MAX = 100_000
"""Rows of one answer: it is printed."""
_PARTITION = dataset.partitioning(pa.schema([pa.field("partition", pa.int64())]), flavor="hive")


def open_views(root: Path) -> duckdb.DuckDBPyConnection:
    """This function will open a database in memory with the views `events` and `records`.

    It sees no file, so no statement can read or write one, and it loads no extension.

    Raises:
        Rejected: not_found, when the archive holds no file yet.
        Fatal: archive_corrupt, when its first file cannot be opened.
    """
    connection = duckdb.connect(":memory:")
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET lock_configuration = true")
    for kind in KINDS:
        paths = sorted(str(path) for path in (root / kind).glob("partition=*/*.parquet"))
        if not paths:
            connection.close()
            raise Rejected(
                Code.NOT_FOUND,
                f"{root} holds no {kind} yet",
                next_step="Run `tidegauge archive run --until-end`",
            )
        connection.register(kind, _rows(root, kind, paths))
    return connection


def _rows(root: Path, kind: Kind, paths: list[str]) -> dataset.Dataset:
    """Return the rows of files; DuckDB hands its columns and filters down to it."""
    try:
        return dataset.dataset(
            paths,
            format="parquet",
            partitioning=_PARTITION,
            partition_base_dir=str(root / kind),
        )
    except (pa.ArrowException, OSError) as error:
        raise Fatal(
            Code.ARCHIVE_CORRUPT,
            f"{root} cannot be asked: {error}",
            next_step="`tidegauge archive check` names what is wrong",
        ) from error


def ask(settings: Settings, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """This function will answer one query.

    Returns:
        Names of the columns, and at most ROWS_MAX rows.

    Raises:
        Rejected: invalid_request, with what DuckDB says; not_found, when there is no archive.
    """
    connection = open_views(settings.archive_folder)
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or not _gives_rows(statements[0]):
            raise Rejected(Code.INVALID_REQUEST, "give one query that reads, such as a SELECT")
        found = connection.execute(statements[0])
        names = [column[0] for column in found.description or ()]
        return names, found.fetchmany(ROWS_MAX)
    except duckdb.Error as error:
        raise Rejected(
            Code.INVALID_REQUEST, f"DuckDB refuses the query: {error}"[:2000]
        ) from error
    finally:
        connection.close()


def _gives_rows(statement: duckdb.Statement) -> bool:
    """Say whether a statement is a question, so that no DROP VIEW seems to have done anything."""
    return duckdb.ExpectedResultType.QUERY_RESULT in statement.expected_result_type
