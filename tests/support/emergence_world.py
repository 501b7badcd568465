"""An emergence fold in memory, with reports, pulses and what the books say written shortly."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.catalogue_file import read_catalogue_file
from domain.canonical import to_canonical_json
from domain.catalogue import parse_catalogue
from domain.emergence.facts import (
    Detected,
    EmergenceEvent,
    EmergenceFacts,
    Ended,
    Suspected,
    TierRow,
)
from domain.emergence.fold import EmergenceFold
from domain.emergence.records import DetectionSettled, NodeRecord, NodeReported, PulseReceived
from domain.usage.records import CataloguePublished, Unreadable
from tests.support import checkout

S0 = json.loads(
    parse_catalogue(
        read_catalogue_file(checkout.ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml")
    ).content
)
TENANT, PROJECT, CUSTOMER = "studio", "tower", "cus_ada"
HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000
FLAGS = {
    "blueprint_package": ("geometry_resolved", "specs_complete"),
    "bom_suppliers": ("material_complete", "component_logic_complete"),
    "compliance_package": ("region_resolved", "compliance_resolved"),
    "investment_report": ("investment_node_resolved", "project_roi_complete"),
}
SINGLES = tuple(FLAGS)
BUNDLE = "full_emergence_bundle"
Body = NodeReported | PulseReceived | DetectionSettled | CataloguePublished | Unreadable


def s0(*, wallet: Mapping[str, Any] | None = None, **terms: Any) -> dict[str, Any]:
    """The shipped catalogue, with these terms in every tier and bundle."""
    document: dict[str, Any] = copy.deepcopy(S0)
    for item in (*document["tiers"], *document["bundles"]):
        item.update(terms)
    document["wallet"] |= wallet or {}
    return document


def node_data(*tiers: str, fit: str = "0.95", customer: str = CUSTOMER, **more: Any) -> str:
    """A report that passes the gates and reaches these tiers."""
    flags = {name: True for tier in tiers for name in FLAGS[tier]}
    fields = {"finalized": True, "emergence_status": "ready", **flags, **more}
    fields["customer_id"] = customer or None
    return f'{{"fit_score": {fit}, {json.dumps(fields)[1:]}'


@dataclass
class EmergenceWorld:
    """One partition of one; every call is one record and one micro-batch of its own."""

    catalogue: Mapping[str, Any] = field(default_factory=s0)
    now_ms: int = NOW_MS
    offset: int = 0
    facts: list[EmergenceFacts] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fold = EmergenceFold(partition=0, partitions=1)
        self.publish(self.catalogue)

    def publish(self, document: Mapping[str, Any]) -> EmergenceFacts:
        """Publish a catalogue."""
        content = to_canonical_json(document)
        return self.take(CataloguePublished(TENANT, document["version"], content))

    def take(self, body: Body) -> EmergenceFacts:
        """Take one record."""
        record = NodeRecord(self.offset, self.now_ms, body)
        self.offset += 1
        facts = self.fold.step([record], from_offset=record.offset, to_offset=self.offset)
        self.facts.append(facts)
        return facts

    def report(
        self,
        *tiers: str,
        node: str = "a",
        project: str = PROJECT,
        at: int | None = None,
        data: str = "",
        **more: Any,
    ) -> tuple[EmergenceEvent, ...]:
        """Report a node that reaches these tiers; return what came of it."""
        occurred = self.now_ms if at is None else at
        text = data or node_data(*tiers, **more)
        return self.take(NodeReported(TENANT, project, node, occurred, text)).events

    def pulse(
        self, node: str = "a", *, data: str = '{"roi_complete": true}', at: int | None = None
    ) -> tuple[EmergenceEvent, ...]:
        """Send a pulse."""
        occurred = self.now_ms if at is None else at
        return self.take(PulseReceived(TENANT, PROJECT, node, occurred, data)).events

    def settle(self, detection: str, status: str) -> tuple[EmergenceEvent, ...]:
        """Let the books say what became of a detection."""
        return self.take(
            DetectionSettled(TENANT, PROJECT, "", detection, status, self.now_ms)
        ).events

    def wait(self, hours: int = 0, *, ms: int = 0) -> None:
        """Let time pass."""
        self.now_ms += hours * HOUR_MS + ms

    # ── looking ─────────────────────────────────────────────────────────────────────────────────

    @property
    def tiers(self) -> dict[str, TierRow]:
        """The newest row of each tier of the project."""
        rows = (row for facts in self.facts for row in facts.tiers)
        return {row.code: row for row in rows if row.key.project == PROJECT}

    @property
    def open(self) -> set[str]:
        """Codes that are open now."""
        return {code for code, row in self.tiers.items() if row.status == "detected"}

    def detection(self, code: str) -> str:
        """The newest detection of a tier."""
        return self.tiers[code].detection

    @property
    def last(self) -> EmergenceFacts:
        """The facts of the last record."""
        return self.facts[-1]


def told(events: tuple[EmergenceEvent, ...]) -> list[tuple[str, ...]]:
    """Events in short: what happened, to which code or detection."""
    return [_told(event) for event in events]


def _told(event: EmergenceEvent) -> tuple[str, ...]:
    match event:
        case Detected():
            return ("detected", event.code, str(event.generation))
        case Ended():
            return (event.how.value, event.reason.split()[0])
        case Suspected():
            return ("suspected", event.rule)
