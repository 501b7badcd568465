"""The proof of an erasure: every record, every row and every file given is searched for values.

Sealed texts are opened with whatever keys the vault still has, so that a value counts as found
when somebody who holds the vault could read it.
"""

from __future__ import annotations

import gzip
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import duckdb
import psycopg
from confluent_kafka import KafkaException
from psycopg import sql

from domain.books.details import SEALED_LENGTH_MAX
from domain.codes import Code
from domain.errors import Fatal, Rejected
from runtime.kafka import (
    ADMIN_TIMEOUT_S,
    broker_away,
    new_consumer,
    partition_ends,
    read_partition,
)
from runtime.postgres import ROLES, database_away
from runtime.vault.connection import url_of
from schemas.topics import SCHEMA_EXTERNAL, TOPICS, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from runtime.settings import Settings
    from runtime.vault.canaries import Canaries
    from runtime.vault.opener import Opener

BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes of a file that are searched at once."""
ROWS_AT_ONCE = 500
"""Rows of a table in memory; a row of ours has at most 1 MB."""
FINDINGS_MAX = 1_000
"""Findings that are told; more of them say nothing new."""

_TABLES = """
    SELECT n.nspname::text, c.relname::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'f') AND n.nspname !~ '^(pg_|_timescaledb_internal)'
        AND n.nspname NOT IN ('information_schema', %s)
    ORDER BY 1, 2
"""
"""Chunks of a hypertable are rows of their table, and are read there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that was found.

    Args:
        place: Where: topic/partition@offset, schema.table, or a file.
        value: Number of the value, from 1.
        form: In which form.
    """

    place: str
    value: int
    form: str


@dataclass(slots=True)
class Scanned:
    """What was searched.

    Args:
        records: Kafka records.
        rows: Rows of tables.
        files: Files.
        sealed: Different sealed texts that were met.
        opened: How many of them some key of the vault opens.
    """

    records: int = 0
    rows: int = 0
    files: int = 0
    sealed: int = 0
    opened: int = 0


class Scan:
    """One search for values.

    Args:
        settings: Where broker and databases are.
        canaries: What to look for.
        opener: Opens sealed texts with the keys of the vault.
    """

    def __init__(self, settings: Settings, canaries: Canaries, opener: Opener) -> None:
        self._settings = settings
        self._canaries = canaries
        self._opener = opener
        self.scanned = Scanned()

    def everything(self, files: Iterable[Path]) -> Iterator[Finding]:
        """Yield what is found in all topics, all tables, and the files and folders given.

        Raises:
            Retryable: broker_away or database_away: nothing is proven then.
            Rejected: import_file_unreadable or invalid_request.
        """
        for topic in (*TOPICS, SCHEMA_EXTERNAL):
            yield from self.topic(topic)
        for url in dict.fromkeys(
            (self._settings.database_url.get_secret_value(), url_of(self._settings))
        ):
            yield from self.tables(url)
        for path in files:
            yield from self.path(path)
        self.scanned.sealed, self.scanned.opened = self._opener.met, self._opener.opened

    def topic(self, topic: Topic) -> Iterator[Finding]:
        """Yield what is found in keys, values and headers of a topic's records.

        The client gives them decompressed, whatever a batch was packed with.
        """
        with closing(new_consumer(self._settings, group="tidegauge.reader")) as consumer:
            try:
                known = consumer.list_topics(topic.name, timeout=ADMIN_TIMEOUT_S).topics
            except KafkaException as error:
                raise broker_away(error) from error
            found = known.get(topic.name)
            numbers = [] if found is None or found.error else sorted(found.partitions)
            spans = {number: partition_ends(consumer, topic.name, number) for number in numbers}
        for number, (low, high) in spans.items():
            for message in read_partition(self._settings, topic, number, start=low, end=high):
                self.scanned.records += 1
                place = f"{topic.name}/{number}@{message.offset()}"
                yield from self._search(b"\n".join(_parts(message)), place)

    def tables(self, url: str) -> Iterator[Finding]:
        """Yield what is found in every row of every table of a database.

        Raises:
            Retryable: database_away.
            Fatal: setting_invalid, when a table cannot be read whole: what was not read is not
                proven.
        """
        chunks = f"{self._settings.database_schema}_chunks"
        try:
            with psycopg.connect(url, options="-c row_security=off") as connection:
                for schema, table in connection.execute(_TABLES, (chunks,)).fetchall():
                    yield from self._table(connection, schema, table)
                    connection.rollback()
        except psycopg.OperationalError as error:
            raise database_away(error) from error

    def _table(self, connection: psycopg.Connection, schema: str, table: str) -> Iterator[Finding]:
        query = sql.SQL("SELECT to_jsonb(t)::text FROM {} t").format(sql.Identifier(schema, table))
        self._as_reader(connection, schema, table)
        with connection.cursor(name="scan") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            for (row,) in cursor.execute(query):
                self.scanned.rows += 1
                yield from self._search(row.encode(), f"{schema}.{table}")

    def _as_reader(self, connection: psycopg.Connection, schema: str, table: str) -> None:
        """Become whoever sees every row of a table, or stop.

        row_security = off makes the server refuse what a policy would hide in silence; only of the
        projector, and of the vault's owner, is it known that their policies hide nothing.
        """
        readers = {
            self._settings.database_schema: str(ROLES["projector"]),
            self._settings.vault_schema: "none",
        }
        may_read = sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, table))
        try:
            with connection.transaction():
                connection.execute(may_read)
        except psycopg.errors.InsufficientPrivilege as error:
            if schema not in readers:
                raise _unreadable(schema, table, error) from error
            connection.execute("SET LOCAL row_security = on")
            connection.execute(
                sql.SQL("SET LOCAL ROLE {}").format(sql.SQL(readers[schema]))  # ours
            )
            try:
                with connection.transaction():
                    connection.execute(may_read)
            except psycopg.errors.InsufficientPrivilege as again:
                raise _unreadable(schema, table, again) from again

    def path(self, path: Path) -> Iterator[Finding]:
        """Yield what is found in a file, or in all files below a folder; packed ones unpacked.

        Raises:
            Rejected: import_file_unreadable.
        """
        files = (
            sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            self.scanned.files += 1
            try:
                for block in _blocks(file, overlap=max(self._canaries.overlap, SEALED_LENGTH_MAX)):
                    yield from self._search(block, str(file))
            except (OSError, EOFError, ValueError, duckdb.Error) as error:
                raise Rejected(
                    Code.IMPORT_FILE_UNREADABLE, f"{file} cannot be read: {error}"
                ) from error

    def _search(self, data: bytes, place: str) -> Iterator[Finding]:
        for needle in self._canaries.find(data):
            yield Finding(place, needle.value, needle.form)
        for plain, how in self._opener.plains(data):
            for needle in self._canaries.find(plain):
                yield Finding(place, needle.value, how)


def _parts(message: Message) -> Iterator[bytes]:
    yield message.key() or b""
    yield message.value() or b""
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    for name, value in headers:
        yield name.encode()
        yield value or b""


def _blocks(file: Path, *, overlap: int) -> Iterator[bytes]:
    """Yield a file in blocks that overlap, so that nothing hides on an edge.

    A file that is no packed one, whatever its name says, is searched as it is.
    """
    if file.suffix == ".parquet":
        yield from _parquet_rows(file)
        return
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        tail = b""
        while block := stream.read(BLOCK_BYTES):
            yield tail + block
            tail = (tail + block)[-overlap:]


def _parquet_rows(file: Path) -> Iterator[bytes]:
    """Yield the rows of a Parquet file, each with all its columns as text."""
    with closing(duckdb.connect()) as memory:
        found = memory.execute("SELECT * FROM read_parquet(?)", [str(file)])
        while rows := found.fetchmany(ROWS_AT_ONCE):
            yield b"\n".join(_cell(cell) for row in rows for cell in row)


def _cell(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


def _unreadable(schema: str, table: str, error: object) -> Fatal:
    return Fatal(
        Code.SETTING_INVALID,
        f"{schema}.{table} cannot be read whole: {error}",
        next_step="Scan with a database role that may read every row, for example a superuser",
    )
