"""O2, second half: what the log means, computed once more, in DuckDB.

Imports nothing of ours.

From the tables of the raw log come: the fate of every event, every window row, every intake count
and every reject. Integers and decimals only; a wrong row is a row that differs in any column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tests.support.journal import Owner, Summary
from tests.support.oracle_log import LogReader, canonical

HOUR_MS, FUTURE_MS, LATE_MS = 3_600_000, 300_000, 3_600_000
HORIZON_MS = 35 * 24 * HOUR_MS
_DECIMAL = re.compile(r"([0-9]{1,14})(?:\.([0-9]{1,18}))?", re.ASCII)

WINDOW_COLUMNS = (
    "tenant, customer, meter, dimensions, hour, events, late, sum, min, max, latest, "
    "latest_occurred_ms, latest_offset, first_offset, last_offset, key_digest"
)
WINDOW_KEY = ("tenant", "customer", "meter", "dimensions", "hour")
WINDOW_TABLE = """
    tenant VARCHAR, customer VARCHAR, meter VARCHAR, dimensions VARCHAR, hour BIGINT,
    events BIGINT, late BIGINT,
    sum DECIMAL(38,0), min DECIMAL(38,0), max DECIMAL(38,0), latest DECIMAL(38,0),
    latest_occurred_ms BIGINT, latest_offset BIGINT, first_offset BIGINT, last_offset BIGINT,
    key_digest VARCHAR
"""
_LIMBS = ", ".join(
    f"sum(('0x' || substr(hex(key), {1 + 8 * place}, 8))::HUGEINT) AS limb{place}"
    for place in range(4)
)


def digest_text(limb0: int, limb1: int, limb2: int, limb3: int) -> str:
    """Add sums of 32-bit limbs, the highest first, modulo 2^128; 32 hex digits."""
    total = (limb0 << 96) + (limb1 << 64) + (limb2 << 32) + limb3
    return f"{total % 2**128:032x}"


def new_database(folder: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB that spills to a folder, with the functions that the statements use."""
    database = duckdb.connect(str(folder / "oracle.duckdb") if folder else ":memory:")
    database.execute("SET threads = 2; SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    database.create_function("digest_text", digest_text, ["HUGEINT"] * 4, "VARCHAR")
    return database


@dataclass(slots=True)
class Truth:
    """What the log means: tables judged, accepted and expected_window in a DuckDB.

    Args:
        database: Holds the tables.
        reader: Read the log into it.
    """

    database: duckdb.DuckDBPyConnection
    reader: LogReader

    @classmethod
    def of_log(cls, bootstrap: str, *, partitions: int, folder: Path | None = None) -> Truth:
        """Read the raw topic and judge it."""
        reader = LogReader(new_database(folder), partitions)
        reader.read(bootstrap)
        return cls.of_reader(reader)

    @classmethod
    def of_reader(cls, reader: LogReader) -> Truth:
        """Judge what was read."""
        truth = cls(reader.database, reader)
        truth._load_meters()
        truth._judge()
        truth._make_windows("expected_window", where="true")
        return truth

    def _load_meters(self) -> None:
        """Table meter, and projection: what each meter keeps of each dimension map."""
        meters, projections = [], []
        sets = [row[0] for row in self.rows("SELECT DISTINCT dimensions FROM event")]
        for (tenant, version), document in self.reader.catalogues.items():
            for meter in document["meters"]:
                name = meter.get("value", "quantity").partition(":")[2]
                key, group_by = meter["key"], set(meter.get("group_by", []))
                meters.append((tenant, version, key, meter["event_type"], name))
                for text in sets:
                    pairs = json.loads(text)
                    kept = {name: pairs[name] for name in group_by & set(pairs)}
                    projections.append((tenant, version, key, text, canonical(kept)))
        self._table(
            "meter",
            "tenant VARCHAR, version BIGINT, meter VARCHAR, event_type VARCHAR, property VARCHAR",
            meters,
        )
        self._table(
            "projection",
            "tenant VARCHAR, version BIGINT, meter VARCHAR, dimensions VARCHAR, kept VARCHAR",
            projections,
        )
        self._load_property_values()

    def _load_property_values(self) -> None:
        """Table property_value: the exact billionths of every property a meter reads, if valid."""
        names = [row[0] for row in self.rows("SELECT DISTINCT property FROM meter") if row[0]]
        values = []
        for (text,) in self.rows("SELECT DISTINCT properties FROM event"):
            for name, value in json.loads(text).items():
                match = _DECIMAL.fullmatch(value) if name in names else None
                fraction = (match[2] or "").rstrip("0") if match else ""
                if match and len(fraction) <= 9:
                    nanos = int(match[1]) * 10**9 + int(fraction.ljust(9, "0"))
                    values.append((text, name, nanos))
        self._table(
            "property_value", "properties VARCHAR, property VARCHAR, nanos DECIMAL(38,0)", values
        )

    def _judge(self) -> None:
        """Table judged: each event with its fate; first come, first counted."""
        self.database.execute(f"""
            CREATE OR REPLACE TABLE checked AS
            SELECT event.*, CASE
                WHEN is_bad THEN 'bad_value'
                WHEN NOT EXISTS (FROM meter WHERE meter.tenant = event.tenant
                    AND meter.version = event.version AND meter.event_type = event.event_type)
                    THEN 'unknown_type'
                WHEN received_ms - occurred_ms > {HORIZON_MS} AND NOT backfill THEN 'too_late'
                WHEN occurred_ms - received_ms > {FUTURE_MS} THEN 'future'
                WHEN is_misrouted THEN 'misrouted'
                WHEN EXISTS (FROM meter WHERE meter.tenant = event.tenant
                    AND meter.version = event.version AND meter.event_type = event.event_type
                    AND meter.property <> '' AND NOT EXISTS (FROM property_value
                        WHERE property_value.properties = event.properties
                        AND property_value.property = meter.property)) THEN 'bad_value'
                END AS code
            FROM event""")
        self.database.execute("""
            CREATE OR REPLACE TABLE judged AS
            SELECT * EXCLUDE (code, turn, first_fingerprint), CASE
                WHEN code IS NOT NULL THEN code
                WHEN turn = 1 THEN 'accepted'
                WHEN fingerprint = first_fingerprint THEN 'duplicate'
                ELSE 'conflict' END AS fate
            FROM (SELECT *,
                row_number() OVER same_key AS turn,
                first_value(fingerprint) OVER same_key AS first_fingerprint
                FROM checked
                WINDOW same_key AS (PARTITION BY tenant, customer, key, code IS NULL
                    ORDER BY partition, source_offset, place))""")
        self.database.execute(
            "CREATE OR REPLACE VIEW accepted AS SELECT * FROM judged WHERE fate = 'accepted'"
        )

    def _make_windows(self, table: str, *, where: str) -> None:
        """Make a table of windows of the accepted events that fulfil a condition."""
        self.database.execute(f"""
            CREATE OR REPLACE TABLE {table} AS
            SELECT * EXCLUDE (limb0, limb1, limb2, limb3),
                digest_text(limb0, limb1, limb2, limb3) AS key_digest
            FROM (
                SELECT a.tenant, a.customer, meter.meter, kept AS dimensions,
                    a.occurred_ms // {HOUR_MS} AS hour,
                    count(*) AS events,
                    count(*) FILTER (received_ms - (a.occurred_ms // {HOUR_MS} + 1) * {HOUR_MS}
                        > {LATE_MS}) AS late,
                    sum(coalesce(value.nanos, a.nanos)) AS sum,
                    min(coalesce(value.nanos, a.nanos)) AS min,
                    max(coalesce(value.nanos, a.nanos)) AS max,
                    last(coalesce(value.nanos, a.nanos)
                        ORDER BY a.occurred_ms, source_offset, place) AS latest,
                    max(a.occurred_ms) AS latest_occurred_ms,
                    last(source_offset ORDER BY a.occurred_ms, source_offset) AS latest_offset,
                    min(source_offset) AS first_offset, max(source_offset) AS last_offset,
                    {_LIMBS}
                FROM accepted AS a
                JOIN meter USING (tenant, version, event_type)
                JOIN projection ON projection.tenant = a.tenant
                    AND projection.version = a.version AND projection.meter = meter.meter
                    AND projection.dimensions = a.dimensions
                LEFT JOIN property_value AS value ON meter.property <> ''
                    AND value.property = meter.property AND value.properties = a.properties
                WHERE {where}
                GROUP BY ALL)""")

    def customer_windows(
        self, *, tenant: str, customer: str, hours: tuple[int, int], before_offset: int
    ) -> list[dict[str, Any]]:
        """Return the windows of one customer's period, of the log before an offset only."""
        quoted = [text.replace("'", "''") for text in (tenant, customer)]
        where = (
            f"a.tenant = '{quoted[0]}' AND a.customer = '{quoted[1]}'"
            f" AND a.source_offset < {before_offset}"
            f" AND a.occurred_ms >= {hours[0] * HOUR_MS} AND a.occurred_ms < {hours[1] * HOUR_MS}"
        )
        self._make_windows("billed_window", where=where)
        found = self.database.execute(f"SELECT {WINDOW_COLUMNS} FROM billed_window")
        names = [item[0] for item in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def accepted_keys(self) -> set[Owner]:
        """Return what is to be counted, by owner."""
        return {
            (tenant, customer, key)
            for tenant, customer, key in self.rows(
                "SELECT tenant, customer, lower(hex(key)) FROM accepted"
            )
        }

    def fates(self) -> dict[str, int]:
        """Return how many events have each fate, refused records by their code too."""
        fates = dict(self.rows("SELECT fate, count(*) FROM judged GROUP BY fate"))
        for code, events in self.rows("SELECT code, sum(events) FROM refusal GROUP BY code"):
            fates[code] = fates.get(code, 0) + int(events)
        return fates

    def intake(self) -> dict[tuple[str, int, int], tuple[int, int, int, int, int]]:
        """Return received, accepted, duplicates, conflicts and rejected by tenant and hour."""
        rows = self.rows(f"""
            SELECT tenant, partition, received_ms // {HOUR_MS} AS hour,
                sum(events)::BIGINT,
                coalesce(sum(events) FILTER (fate = 'accepted'), 0)::BIGINT,
                coalesce(sum(events) FILTER (fate = 'duplicate'), 0)::BIGINT,
                coalesce(sum(events) FILTER (fate = 'conflict'), 0)::BIGINT,
                coalesce(sum(events) FILTER (fate NOT IN ('accepted', 'duplicate', 'conflict')),
                    0)::BIGINT
            FROM (SELECT tenant, partition, received_ms, 1 AS events, fate FROM judged
                UNION ALL SELECT tenant, partition, received_ms, events, code FROM refusal)
            GROUP BY ALL""")
        return {(row[0], row[1], row[2]): tuple(row[3:]) for row in rows}

    def rejects(self) -> set[tuple[str, int, int, int, str, int]]:
        """Return every reject: tenant, partition, offset, first event, code, number of events."""
        found = self.rows("""
            SELECT tenant, partition, source_offset, -1, code, events FROM refusal
            UNION ALL SELECT tenant, partition, source_offset, min(place), fate, count(*)
            FROM judged WHERE fate NOT IN ('accepted', 'duplicate', 'conflict')
            GROUP BY tenant, partition, source_offset, fate
            UNION ALL SELECT tenant, partition, source_offset, place, fate, 1
            FROM judged WHERE fate = 'conflict'""")
        return {tuple(row) for row in found}

    def compare_windows(self, actual: str) -> tuple[int, list[str]]:
        """Compare a table of windows with the truth, every row and column.

        Returns:
            How many rows are missing, surplus or different, and the first few in words.
        """
        columns = [name.strip() for name in WINDOW_COLUMNS.split(",")]
        differs = " OR ".join(
            f"e.{name} IS DISTINCT FROM a.{name}" for name in columns if name not in WINDOW_KEY
        )
        statement = f"""
            FROM expected_window AS e FULL JOIN {actual} AS a USING ({", ".join(WINDOW_KEY)})
            WHERE e.events IS NULL OR a.events IS NULL OR {differs}"""
        wrong = self.rows(f"SELECT count(*) {statement}")[0][0]
        samples = self.rows(
            f"SELECT {', '.join(WINDOW_KEY)}, e.events, a.events, e.sum, a.sum {statement} LIMIT 5"
        )
        return int(wrong), [
            f"{row[:5]}: events {row[5]} in the log, {row[6]} in {actual}; sum {row[7]}, {row[8]}"
            for row in samples
        ]

    def events_beyond(self, actual: str) -> tuple[int, int]:
        """Return events that windows miss and events they have too many, over all meters."""
        missing, surplus = self.rows(f"""
            SELECT coalesce(sum(greatest(d, 0)), 0), coalesce(sum(greatest(-d, 0)), 0)
            FROM (SELECT coalesce(e.events, 0) - coalesce(a.events, 0) AS d
                FROM expected_window AS e FULL JOIN {actual} AS a
                USING ({", ".join(WINDOW_KEY)}))""")[0]
        return int(missing), int(surplus)

    def load_windows(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Make a table of windows from rows in the order of WINDOW_COLUMNS."""
        self._table(table, WINDOW_TABLE, list(rows))

    def rows(self, statement: str) -> list[Any]:
        """Run a query."""
        return self.database.execute(statement).fetchall()

    def _table(self, name: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        """Make a table from rows, by way of arrow: single inserts would take minutes."""
        self.database.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
        if rows:
            texts = [
                pa.array([None if value is None else str(value) for value in column])
                for column in zip(*rows, strict=True)
            ]
            gathered = pa.table(texts, names=[f"c{number}" for number in range(len(texts))])
            self.database.execute(f"INSERT INTO {name} SELECT * FROM gathered")
            del gathered


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """O1, by key: what was acked is counted, what is counted was acked or is unknown."""

    acked: int
    unknown: int
    counted: int
    lost: frozenset[Owner] = field(default_factory=frozenset)
    phantom: frozenset[Owner] = field(default_factory=frozenset)
    doubled: frozenset[Owner] = field(default_factory=frozenset)


def judge_keys(journal: Summary, counted: Iterable[Owner]) -> KeyVerdict:
    """Compare what was counted, each time it was, with what the journal promised."""
    once: set[Owner] = set()
    doubled: set[Owner] = set()
    for owner in counted:
        (doubled if owner in once else once).add(owner)
    acked = journal.acked()
    return KeyVerdict(
        acked=len(acked),
        unknown=len(journal.unknown()),
        counted=len(once),
        lost=frozenset(acked - once),
        phantom=frozenset(once - journal.may_count()),
        doubled=frozenset(doubled),
    )
