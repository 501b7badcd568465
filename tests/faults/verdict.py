"""After the faults: every oracle, the rebuild, the invoices; figures and a verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.faults.world import Stage
from tests.support import workload
from tests.support.journal import Summary, read_journal
from tests.support.oracle import Truth, judge_keys
from tests.support.oracle_facts import Chain, counted_keys, intake_of, windows_of
from tests.support.oracle_log import BOOKS_FACTS, FACTS, read_topic
from tests.support.oracle_tables import Tables, judge_invoices, judge_tables, judge_windows

SCHEMA, REBUILT = "tidegauge", "rebuilt"
REPLAYS = 4
"""Invoices replayed by `tidegauge invoice replay`, each from the log alone."""


@dataclass(slots=True)
class Verdict:
    """All figures of the oracles; anything in faults makes the run fail."""

    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, where: str, found: list[str]) -> None:
        """Note what is wrong, under the name of its oracle."""
        self.faults += [f"{where}: {text}" for text in found]


class Judge:
    """Asks the oracles of one run.

    Args:
        stage: The run, drained: nothing is written any more.
        journal: The load's journal.
    """

    def __init__(self, stage: Stage, journal: Path) -> None:
        self._stage = stage
        self._kafka = stage.settings["kafka"]
        self.verdict = Verdict()
        self._journal: Summary = read_journal(journal)
        folder = stage.folder / "oracle"
        folder.mkdir(exist_ok=True)
        self.truth = Truth.of_log(
            self._kafka, partitions=int(stage.settings["partitions"]), folder=folder
        )
        self._facts = Chain.of_topic(
            self._kafka, facts="usage.facts", source="usage.events", schema_id=FACTS
        )

    def judge_facts(self) -> None:
        """O1, O2 and O8 on the facts: what the folds counted, without any database."""
        verdict, facts = self.verdict, self._facts
        verdict.fault("O8 chain", facts.faults)
        books = Chain.of_topic(
            self._kafka, facts="account.facts", source="account.commands", schema_id=BOOKS_FACTS
        )
        verdict.fault("O8 chain", books.faults)
        keys = judge_keys(self._journal, counted_keys(facts))
        windows = judge_windows(self.truth, iter(windows_of(facts)), "facts_window")
        verdict.fault("O2 windows of the facts", windows.faults)
        verdict.fault("O1 lost", [str(owner) for owner in sorted(keys.lost)[:5]])
        verdict.fault("O1 phantom", [str(owner) for owner in sorted(keys.phantom)[:5]])
        verdict.fault("O1 doubled", [str(owner) for owner in sorted(keys.doubled)[:5]])
        fates = self.truth.fates()
        verdict.fault("O4 intake", _intake_faults(fates, intake_of(facts)))
        verdict.fault("E5 poison", _poison_faults(self._journal, self.truth))
        verdict.figures |= {
            "acked": keys.acked,
            "unknown": keys.unknown,
            "refused": len(self._journal.promises) - keys.acked - keys.unknown,
            "counted": keys.counted,
            "lost": len(keys.lost),
            "double": len(keys.doubled),
            "phantom": len(keys.phantom),
            "facts_windows_wrong": windows.windows_wrong,
            "attempts": self._journal.total("attempts"),
            "attempts_unknown": self._journal.total("unknown") + self._journal.total("open"),
            "log_records": self.truth.reader.records,
            "fates": dict(sorted(fates.items())),
            "facts_records": facts.accepted,
            "zombie_records_ignored": facts.ignored + books.ignored,
            "writers": len(facts.writers),
        }

    def judge_database(self) -> None:
        """O2, O4 and O8 on the tables."""
        tables = Tables(self._stage.database_url, SCHEMA)
        found = judge_tables(self.truth, tables, chain=self._facts)
        self.verdict.fault("O2 tables", found.faults)
        figures = self.verdict.figures
        figures |= {"windows": found.rows, "windows_wrong": found.windows_wrong}
        # An event that the tables miss or have twice is as lost or doubled as in the facts.
        figures["lost"] += found.events_missing
        figures["double"] += found.events_surplus

    def judge_dead_letters(self) -> None:
        """Every refused record lies in the dead-letter topic with its bytes and code, no other."""
        raw = {
            (record.partition, record.offset): record.value
            for record in read_topic(self._kafka, "usage.events")
        }
        wanted = {(row[1], row[2], row[4]) for row in self.truth.rejects()}
        found, faults = set(), []
        for letter in read_topic(self._kafka, "usage.dead"):
            headers = letter.headers
            place = (int(headers["partition"]), int(headers["offset"]))
            found.add((*place, headers["code"]))
            if letter.value != raw[place] or headers["topic"] != "usage.events":
                faults.append(f"the dead letter of {place} has other bytes")
        faults += [f"missing {item}" for item in sorted(wanted - found)[:5]]
        faults += [f"too many {item}" for item in sorted(found - wanted)[:5]]
        self.verdict.fault("dead letters", faults)
        self.verdict.figures["dead_letters"] = len(found)

    def judge_commands(self, sent: set[tuple[str, str]]) -> None:
        """Every command that the broker took was answered, accepted, once; repeats say so."""
        rows = Tables(self._stage.database_url, SCHEMA).rows(
            "SELECT tenant, command_id, code, repeat FROM command_outcome"
        )
        first = [(tenant, command) for tenant, command, _, repeat in rows if not repeat]
        faults = [
            f"{command} of {tenant} has code {code}" for tenant, command, code, _ in rows if code
        ]
        faults += [f"{item} has no outcome" for item in sorted(sent - set(first))[:5]]
        if len(first) != len(set(first)):
            faults.append("a command was decided twice")
        self.verdict.fault("commands", faults)
        self.verdict.figures["commands"] = len(first)

    def judge_invoices(self, *, as_of: datetime) -> None:
        """Bill, twice, compare every line with the log, and replay from the log alone."""
        moment = f"{as_of:%Y-%m-%dT%H:%M:%SZ}"
        for _ in range(2):  # H1: the second call must find nothing to do
            for tenant in workload.TENANTS:
                self._stage.tidegauge("bill", "--ahead", "--as-of", moment, "--tenant", tenant)
        tables = Tables(self._stage.database_url, SCHEMA)
        found = judge_invoices(self.truth, tables, expected=self._stage.subscriptions)
        self.verdict.fault("O2 invoices", found.faults)
        self.verdict.figures |= {
            "invoices": found.invoices,
            "lines": found.lines,
            "lines_wrong": found.lines_wrong,
        }
        self._replay(tables)

    def _replay(self, tables: Tables) -> None:
        rows = tables.rows("SELECT tenant, number, content_sha256 FROM invoice ORDER BY 1, 2")
        faults = []
        for tenant, number, sha256 in rows[:: max(1, len(rows) // REPLAYS)]:
            said = self._stage.try_tidegauge("invoice", "replay", number, "--tenant", tenant)
            if f"replayed sha256 {sha256}" not in said:
                faults.append(f"{tenant} {number} replays to another hash:\n{said[-300:]}")
        self.verdict.fault("invoice replay", faults)
        self.verdict.figures["invoices_replayed"] = len(rows[:: max(1, len(rows) // REPLAYS)])

    def judge_rebuild(self) -> None:
        """O5: a rebuild into another schema gives the same dump, and so does one over itself."""
        live = json.loads(self._stage.tidegauge("dump-hash"))
        self._stage.tidegauge(
            "rebuild", "--yes", database_schema=REBUILT, projector_rows_max="3000"
        )
        rebuilt = json.loads(self._stage.tidegauge("dump-hash", database_schema=REBUILT))
        self.verdict.figures |= {"dump_live": live, "dump_rebuilt": rebuilt}
        if live != rebuilt:
            self.verdict.fault("O5 rebuild", [f"live {live}, rebuilt {rebuilt}"])


def _intake_faults(fates: dict[str, int], intake: dict[str, int]) -> list[str]:
    """O4: received = what became of it, by the folds' own counts and by the log."""
    fate_of = {"accepted": "accepted", "duplicate": "duplicates", "conflict": "conflicts"}
    expected = dict.fromkeys(("accepted", "duplicates", "conflicts", "rejected"), 0)
    for fate, events in fates.items():
        expected[fate_of.get(fate, "rejected")] += events
    expected["received"] = sum(fates.values())
    return [
        f"{name}: {intake[name]} counted, {expected[name]} in the log"
        for name in intake
        if intake[name] != expected[name]
    ]


def _poison_faults(journal: Summary, truth: Truth) -> list[str]:
    """What was injected is what was refused: between acknowledged and that plus unknown."""
    refused = dict(truth.rows("SELECT code, count(*) FROM refusal GROUP BY code"))
    of_strangers = truth.rows("""
        SELECT fate, count(DISTINCT (partition, source_offset)) FROM judged
        WHERE fate NOT IN ('accepted', 'duplicate', 'conflict') GROUP BY fate""")
    found = {**dict(of_strangers), **refused}
    faults = []
    for code, least in journal.poisons.items():
        most = least + journal.poisons_unknown[code]
        # The load itself holds refused events of these codes too.
        is_shared = code in {"bad_value", "unknown_type", "too_late", "future"}
        count = found.get(code, 0)
        if count < least or (count > most and not is_shared):
            faults.append(f"{code}: {count} refused, {least} to {most} injected")
    return faults
