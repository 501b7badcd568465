"""The state of one project: its customer, nodes, tiers and what the nodes reach.

Rows are the state; everything else here follows from them and the rules in force, and is made
again when either changes. Of a node the newest report counts, whatever order reports come in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.canonical import sha256_hex
from domain.codes import Code
from domain.emergence.facts import (
    NO_TIME,
    NodeRow,
    ProjectKey,
    ProjectRow,
    PulseStamp,
    TierRow,
)
from domain.emergence.rulebook import NO_RULEBOOK
from domain.emergence_rules.expressions import FieldType, Value
from domain.emergence_rules.judge import judge, read_values, value_text
from domain.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.emergence.reading import Reading
    from domain.emergence.records import NodeReported
    from domain.emergence.rulebook import Rulebook

NODES_MAX = 1_000
"""Nodes of a project: they are judged anew when the rules change, 11 µs each, and the API reads
all of them to check one."""
NODE_BYTES_MAX = 256 * 1024
"""Data of one node, bytes: what the gateway takes in one webhook."""
AHEAD_MS_MAX = 5 * 60 * 1000
"""How far ahead of its receipt an event is believed to have happened, ms. After a report of a
clock that runs ahead by a year nothing would be newer for a year, and nothing would be offered."""
PROJECT_BYTES_MAX = 8 * 1024 * 1024
"""Data of all nodes of a project, bytes: the fold and each check hold them in memory."""


class Project:
    """One project.

    Args:
        key: What it is called.
    """

    def __init__(self, key: ProjectKey) -> None:
        self.key = key
        self.named: ProjectRow | None = None
        self.nodes: dict[str, NodeRow] = {}
        self.tiers: dict[str, TierRow] = {}
        self.changed_nodes: set[str] = set()
        self.changed_tiers: set[str] = set()
        self.is_renamed = False
        self._book: Rulebook | None = None
        self._values: dict[str, dict[str, Value]] = {}
        self._reaching: dict[str, set[str]] = {}
        self._bytes = 0

    @property
    def customer(self) -> str:
        """Return who is charged; empty while nobody was named."""
        return "" if self.named is None else self.named.customer

    def copy(self) -> Project:
        """Return a project that changes by itself; rows do not change and are shared."""
        other = Project(self.key)
        other.named = self.named
        other.tiers = dict(self.tiers)
        for row in self.nodes.values():
            other.put_node(row)
        return other

    # ── rows as they were written ───────────────────────────────────────────────────────────────

    def put_node(self, row: NodeRow) -> None:
        """Take a node's row; what follows from it is made when the project is judged."""
        before = self.nodes.get(row.node)
        self._bytes += _size(row.data) - (0 if before is None else _size(before.data))
        self.nodes[row.node] = row
        self._book = None

    def put_tier(self, row: TierRow) -> None:
        """Take a tier's row."""
        self.tiers[row.code] = row

    # ── what nodes hold and reach ───────────────────────────────────────────────────────────────

    def use(self, book: Rulebook) -> None:
        """Judge by these rules from now on; nodes are read anew when they are others."""
        if self._book is not None and self._book.sha256 == book.sha256:
            return
        self._book = book
        self._values, self._reaching = {}, {}
        for name in self.nodes:
            self._judge_node(name)

    def values(self, node: str) -> dict[str, Value]:
        """Return the declared fields of a node in force; none for an unknown node."""
        return self._values.get(node, {})

    def evidence_of(self, tier: str) -> str:
        """Return the node that shows that a tier is reached, the same always; empty for none."""
        return min(self._reaching.get(tier) or ("",))

    def is_reached(self, code: str, book: Rulebook) -> bool:
        """Say whether a tier, or every tier of a bundle, is reached."""
        members = book.members.get(code, (code,))
        return all(self._reaching.get(member) for member in members)

    def _judge_node(self, name: str) -> None:
        book = self._book or NO_RULEBOOK
        self._values[name] = values = _values_in_force(self.nodes[name], book)
        reached = judge(values, book.rules).tiers
        for code in book.shown:
            nodes = self._reaching.setdefault(code, set())
            if code in reached:
                nodes.add(name)
            else:
                nodes.discard(name)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────

    def take_report(
        self, report: NodeReported, reading: Reading, *, offset: int, received_at_ms: int
    ) -> bool:
        """Take a report that was read by the rules in use.

        Returns:
            Whether it is the newest of its node; an older one changes no node.

        Raises:
            Rejected: project_limit; nothing changed.
        """
        before = self.nodes.get(report.node)
        occurred_at_ms = believed(report.occurred_at_ms, received_at_ms=received_at_ms)
        stamp = (reading.version, occurred_at_ms, offset)
        is_newer = before is None or _stamp(before) < stamp
        if is_newer:
            self._require_room(report.node, size=_size(report.data))
        self._name_customer(reading.customer, occurred_at_ms, offset)
        if not is_newer:
            return False
        self._put_changed(
            NodeRow(
                key=self.key,
                node=report.node,
                data=report.data,
                data_sha256=sha256_hex(report.data),
                version=reading.version,
                occurred_at_ms=occurred_at_ms,
                received_at_ms=received_at_ms,
                offset=offset,
                pulses={} if before is None else before.pulses,
                values={},
            )
        )
        return True

    def take_pulse(self, node: str, field: str, *, occurred_at_ms: int, offset: int) -> None:
        """Let a pulse set a field of a node, which is made when it is not there.

        Raises:
            Rejected: project_limit; nothing changed.
        """
        before = self.nodes.get(node)
        if before is None:
            self._require_room(node, size=0)
            before = NodeRow(
                key=self.key,
                node=node,
                data="",
                data_sha256=sha256_hex(""),
                version=-1,
                occurred_at_ms=NO_TIME,
                received_at_ms=NO_TIME,
                offset=-1,
                pulses={},
                values={},
            )
        stamp = PulseStamp(occurred_at_ms, offset)
        known = before.pulses.get(field)
        if known is None or known < stamp:
            self._put_changed(replace(before, pulses={**before.pulses, field: stamp}))

    def change_tier(self, row: TierRow) -> None:
        """Take a tier's new row."""
        self.tiers[row.code] = row
        self.changed_tiers.add(row.code)

    def tier(self, code: str) -> TierRow:
        """Return a tier's row, or the one it begins with."""
        return self.tiers.get(code) or TierRow(self.key, code)

    def _name_customer(self, customer: str, occurred_at_ms: int, offset: int) -> None:
        """Take a naming; versions of different nodes cannot be compared, so time decides."""
        known = self.named
        if not customer or (
            known is not None and (known.occurred_at_ms, known.offset) >= (occurred_at_ms, offset)
        ):
            return
        self.named = ProjectRow(self.key, customer, occurred_at_ms, offset)
        self.is_renamed = True

    def _put_changed(self, row: NodeRow) -> None:
        book = self._book
        self.put_node(row)
        self._book = book
        self._judge_node(row.node)
        texts = {name: value_text(value) for name, value in self._values[row.node].items()}
        self.nodes[row.node] = replace(row, values=texts)
        self.changed_nodes.add(row.node)

    def _require_room(self, node: str, *, size: int) -> None:
        before = self.nodes.get(node)
        if before is None and len(self.nodes) >= NODES_MAX:
            raise Rejected(Code.PROJECT_LIMIT, f"the project has {NODES_MAX} nodes already")
        after = self._bytes + size - (0 if before is None else _size(before.data))
        if size > NODE_BYTES_MAX or after > PROJECT_BYTES_MAX:
            raise Rejected(
                Code.PROJECT_LIMIT,
                f"{size} bytes of data: a node may have {NODE_BYTES_MAX}, a project "
                f"{PROJECT_BYTES_MAX}",
            )


def believed(occurred_at_ms: int, *, received_at_ms: int) -> int:
    """This function will return when an event counts as having happened, ms since 1970 UTC."""
    return min(occurred_at_ms, received_at_ms + AHEAD_MS_MAX)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _stamp(row: NodeRow) -> tuple[int, int, int]:
    return row.version, row.occurred_at_ms, row.offset


def _values_in_force(row: NodeRow, book: Rulebook) -> dict[str, Value]:
    """Read a node's declared fields, and let pulses set those that no newer report has."""
    values = reported_fields(row, book)
    for name in pulsed_fields(row, values, book):
        values[name] = True
    return values


def reported_fields(row: NodeRow, book: Rulebook) -> dict[str, Value]:
    """This function will return the declared fields of a node's report, by these rules."""
    try:
        return read_values(row.data, book.rules) if row.data else {}
    except Rejected:  # rules of a later version declare a field otherwise than it was reported
        return {}


def pulsed_fields(row: NodeRow, values: Iterable[str], book: Rulebook) -> tuple[str, ...]:
    """This function will return the fields of a node that are true because of a pulse.

    Args:
        row: The node.
        values: Fields that its report has.
        book: The rules: a field that they do not declare as boolean is left alone.
    """
    reported = frozenset(values)
    at = PulseStamp(row.occurred_at_ms, row.offset)
    flags = {field.name for field in book.rules.fields if field.type is FieldType.BOOLEAN}
    return tuple(
        name
        for name, stamp in sorted(row.pulses.items())
        if name in flags and (name not in reported or at < stamp)
    )
