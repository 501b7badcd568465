"""What PostgreSQL holds, read with plain SQL and compared with the truth.

Imports nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.support.oracle import Truth
from tests.support.oracle_facts import Chain
from tests.support.oracle_log import canonical
from tests.support.oracle_rating import wrong_lines

_WINDOWS = """
    SELECT w.tenant, s.customer, s.meter, s.dimensions::text,
        (extract(epoch FROM w.hour) / 3600)::bigint, w.events, w.late,
        (w.sum * 1000000000)::numeric(38,0)::text, (w.min * 1000000000)::numeric(38,0)::text,
        (w.max * 1000000000)::numeric(38,0)::text, (w.latest * 1000000000)::numeric(38,0)::text,
        w.latest_occurred_ms, w.latest_offset, w.first_offset, w.last_offset, w.key_digest::text
    FROM usage_window w JOIN usage_series s USING (tenant, series)
"""
_INTAKE = """
    SELECT tenant, partition, (extract(epoch FROM received_hour) / 3600)::bigint,
        received, accepted, duplicates, conflicts, rejected
    FROM intake_count
"""
_REJECTS = """
    SELECT tenant, partition, source_offset, event_index, code, events
    FROM reject WHERE topic = 'usage.events'
"""


@dataclass(slots=True)
class Tables:
    """One schema of projections.

    Args:
        url: The database, for a role that sees every tenant's rows.
        schema: Schema of the projections.
    """

    url: str
    schema: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query."""
        with self._connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def dicts(self, statement: str) -> list[dict[str, Any]]:
        """Run a query; rows by name."""
        with self._connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode()).fetchall()

    def positions(self, topic: str) -> dict[int, int]:
        """Return the next source offset per partition."""
        return {
            partition: next_offset
            for name, partition, next_offset in self.rows(
                "SELECT topic, partition, next_offset FROM position"
            )
            if name == topic
        }

    def windows(self) -> Iterator[tuple[Any, ...]]:
        """Yield every window in the order of oracle.WINDOW_COLUMNS."""
        for tenant, customer, meter, dimensions, *rest, digest in self.rows(_WINDOWS):
            kept = canonical(json.loads(dimensions))
            yield tenant, customer, meter, kept, *rest, f"{int(digest):032x}"

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(self.url, connect_timeout=5)
        connection.execute(
            sql.SQL("SET search_path = {}, public").format(sql.Identifier(self.schema))
        )
        return connection


@dataclass(slots=True)
class TableVerdict:
    """What differs between the tables and the truth."""

    windows_wrong: int = 0
    events_missing: int = 0
    events_surplus: int = 0
    rows: int = 0
    faults: list[str] = field(default_factory=list)


def judge_windows(truth: Truth, rows: Iterator[tuple[Any, ...]], name: str) -> TableVerdict:
    """Compare windows, wherever they come from, with the truth."""
    truth.load_windows(name, rows)
    wrong, samples = truth.compare_windows(name)
    missing, surplus = truth.events_beyond(name)
    count = truth.rows(f"SELECT count(*) FROM {name}")[0][0]
    return TableVerdict(wrong, missing, surplus, count, samples)


def judge_tables(truth: Truth, tables: Tables, *, chain: Chain) -> TableVerdict:
    """Compare windows, intake, rejects and positions with the truth (O2, O4, O8)."""
    verdict = judge_windows(truth, tables.windows(), "actual_window")
    verdict.faults += _intake_faults(truth, tables)
    verdict.faults += _reject_faults(truth, tables)
    positions = tables.positions(chain.topic)
    for partition, position in chain.positions.items():
        found = positions.get(partition, 0)
        if found not in chain.boundaries[partition]:
            verdict.faults.append(f"position {found} of {partition} is no boundary of the chain")
        if found != position:
            verdict.faults.append(f"position of {partition} is {found}, the chain's {position}")
    return verdict


def _intake_faults(truth: Truth, tables: Tables) -> list[str]:
    """O4: every row of intake_count, and in it received = the sum of what became of it."""
    found = {(row[0], row[1], row[2]): tuple(row[3:]) for row in tables.rows(_INTAKE)}
    expected = truth.intake()
    faults = [
        f"intake {key}: {row} does not add up"
        for key, row in found.items()
        if row[0] != sum(row[1:])
    ]
    for key in sorted(found.keys() | expected.keys()):
        nothing = (0, 0, 0, 0, 0)
        if found.get(key, nothing) != expected.get(key, nothing):
            faults.append(f"intake {key}: table {found.get(key)}, log {expected.get(key)}")
    return faults


def _reject_faults(truth: Truth, tables: Tables) -> list[str]:
    found, expected = set(tables.rows(_REJECTS)), truth.rejects()
    faults = [f"reject missing: {row}" for row in sorted(expected - found)[:5]]
    return faults + [f"reject too many: {row}" for row in sorted(found - expected)[:5]]


@dataclass(slots=True)
class InvoiceVerdict:
    """What differs between invoices and the log."""

    invoices: int = 0
    lines: int = 0
    lines_wrong: int = 0
    faults: list[str] = field(default_factory=list)


def judge_invoices(
    truth: Truth, tables: Tables, *, expected: Sequence[tuple[str, str]]
) -> InvoiceVerdict:
    """Compare every invoice line with the log; every expected period has exactly one invoice.

    Args:
        truth: The log.
        tables: Where the invoices are.
        expected: (tenant, subscription) pairs, each with one finished period.
    """
    invoices = tables.dicts(
        "SELECT tenant, invoice, number, subscription, total_minor, content FROM invoice"
        " ORDER BY tenant, number"
    )
    lines = tables.dicts(
        "SELECT tenant, invoice, price, quantity, amount_unrounded, amount"
        " FROM invoice_line ORDER BY tenant, invoice, line"
    )
    verdict = InvoiceVerdict(len(invoices), len(lines))
    billed = sorted((row["tenant"], row["subscription"]) for row in invoices)
    if billed != sorted(expected):
        verdict.lines_wrong += abs(len(billed) - len(expected)) or 1
        verdict.faults.append(f"{len(expected)} invoices expected, found {len(billed)}")
    for invoice in invoices:
        mine = [
            line
            for line in lines
            if (line["tenant"], line["invoice"]) == (invoice["tenant"], invoice["invoice"])
        ]
        faults = wrong_lines(
            truth, content_text=invoice["content"], rows=mine, total_minor=invoice["total_minor"]
        )
        verdict.lines_wrong += len(faults)
        verdict.faults += [f"{invoice['tenant']} {invoice['number']}: {f}" for f in faults]
    return verdict
