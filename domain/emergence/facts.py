"""What the emergence fold decides for a span of source offsets; the only thing that moves state.

Rows are whole: the newest row of a key says all about it. So a fold is restored by taking rows,
tables are filled by putting them, and neither cares how the source was cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from domain.usage.facts import CatalogueApplied, Reject


class ProjectKey(NamedTuple):
    """What emergence is judged for.

    Args:
        tenant: Tenant.
        project: Project; empty for a node that named none.
        lone_node: That node; else empty.
    """

    tenant: str
    project: str
    lone_node: str


class Cover(NamedTuple):
    """A claim on one tier or bundle: what may be charged once.

    Args:
        code: Code of the tier or bundle.
        claim: Counts, from 1, what may be charged for it; generations of one claim exclude each
            other, and the books charge no cover twice unless it was given back in full.
    """

    code: str
    claim: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why one covered tier counts as reached.

    Args:
        tier: Code of the tier.
        node: The node that reaches it.
        partition: Partition of node.events.
        offset: Offset of the node's report; -1 when only a pulse has named it.
        data_sha256: SHA-256 of the node's data, 64 hex digits.
        values: Fields that the gates and the tier's condition name, as text; left out, in all
            entries, where they would not fit (EVIDENCE_BYTES_MAX).
        pulses: Fields that a pulse set, and its offset.
    """

    tier: str
    node: str
    partition: int
    offset: int
    data_sha256: str
    values: Mapping[str, str]
    pulses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Detected:
    """A tier or bundle of a project was reached and is offered to its customer.

    Args:
        offset: Source offset of the record that made it so.
        detection: Its id, derived from key, code and generation.
        key: The project.
        customer: Who is asked.
        code, name: The tier or bundle.
        generation: Counts its detections in this project, from 1.
        covers: What it stands for: itself, and the members of a bundle.
        credits, price_minor, currency, delivers: What it costs and gives, by the rules then.
        evidence: One entry for each covered tier.
        rule_version, rule_sha256: The catalogue that it was judged by.
        partition: Partition of node.events.
        detected_at_ms: Append time, milliseconds since 1970 UTC.
    """

    offset: int
    detection: str
    key: ProjectKey
    customer: str
    code: str
    name: str
    generation: int
    covers: tuple[Cover, ...]
    credits: int
    price_minor: int
    currency: str
    delivers: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    rule_version: int
    rule_sha256: str
    partition: int
    detected_at_ms: int


class How(StrEnum):
    """How a detection ends without the books."""

    REVERSED = "reversed"
    """Its evidence went away in time; a charge made for it is given back."""
    SUPERSEDED = "superseded"
    """Another detection stands for the same work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A detection holds no longer; its charge is withdrawn.

    Args:
        offset: Source offset of the record that ended it.
        detection: The detection.
        key: The project.
        how: Reversed or superseded.
        by: Detection that supersedes it; else empty.
        reason: For people.
        at_ms: Append time, milliseconds since 1970 UTC.
    """

    offset: int
    detection: str
    key: ProjectKey
    how: How
    by: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Suspected:
    """A report is what a suspicion rule of the catalogue looks for.

    Args:
        offset: Source offset of the report.
        suspicion: Id, derived from rule, node and offset.
        key: The project.
        customer: Its customer; nothing is suspected before one is named.
        node: The node.
        rule: Key of the rule.
        detail: For people: from what to what the value rose.
        at_ms: Append time, milliseconds since 1970 UTC.
    """

    offset: int
    suspicion: str
    key: ProjectKey
    customer: str
    node: str
    rule: str
    detail: str
    at_ms: int


EmergenceEvent = Detected | Ended | Suspected


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """Who is charged for a project: the newest naming.

    Args:
        key: The project.
        customer: The customer.
        occurred_at_ms, offset: Of the report that named it; the larger pair wins.
    """

    key: ProjectKey
    customer: str
    occurred_at_ms: int
    offset: int


class PulseStamp(NamedTuple):
    """When a pulse set a field; the larger one wins."""

    occurred_at_ms: int
    offset: int


NO_TIME = -1
"""A time that is not there: of a node without a report, of a tier never detected."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """The newest state of a node.

    Args:
        key: The project.
        node: The node.
        data: Its newest report as it came; empty when only pulses have named it.
        data_sha256: SHA-256 of that text, 64 hex digits.
        version: `node_version` of the report, -1 for none.
        occurred_at_ms, received_at_ms: Of the report; NO_TIME for none.
        offset: Of the report; -1 for none.
        pulses: Field → the newest pulse that set it.
        values: Declared fields in force as text, by the rules when the row was written; for
            people: who judges reads the data anew.
    """

    key: ProjectKey
    node: str
    data: str
    data_sha256: str
    version: int
    occurred_at_ms: int
    received_at_ms: int
    offset: int
    pulses: Mapping[str, PulseStamp]
    values: Mapping[str, str]


class TierStatus(StrEnum):
    """Where the newest detection of a tier or bundle stands."""

    IDLE = "idle"
    """There is none, or it ended when the evidence went away."""
    DETECTED = "detected"
    """It is open: the customer has it to decide."""
    SUPERSEDED = "superseded"
    CHARGED = "charged"
    DECLINED = "declined"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    UNBILLED = "unbilled"


class Earlier(NamedTuple):
    """An earlier detection that the fold ended, and that the books may have charged meanwhile."""

    detection: str
    detected_at_ms: int
    covers: tuple[Cover, ...]


@dataclass(frozen=True, slots=True)
class TierRow:
    """One tier or bundle of a project.

    Args:
        key: The project.
        code: Code of the tier or bundle.
        is_reached: Whether it is reached now.
        has_fallen: Whether it was not reached at some time since its newest detection.
        claim: What may be charged for it now, once (Cover).
        generation: How many detections it had.
        status: Where the newest one stands.
        detection: Its id; empty when there is none.
        detected_at_ms: When it was detected; NO_TIME for none.
        covers: What it stands for.
        is_refundable: Whether a charge made for it is given back when it is reversed, by the
            rules when it was detected.
        is_reversed: Whether the fold reversed it.
        settled: What the books last said of it; empty for nothing.
        settled_at_ms: Append time of that; NO_TIME for none.
        earlier: Earlier detections of the same claim that the fold ended and the books have not
            settled, oldest first, at most EARLIER_MAX.
    """

    key: ProjectKey
    code: str
    is_reached: bool = False
    has_fallen: bool = False
    claim: int = 1
    generation: int = 0
    status: TierStatus = TierStatus.IDLE
    detection: str = ""
    detected_at_ms: int = NO_TIME
    covers: tuple[Cover, ...] = ()
    is_refundable: bool = False
    is_reversed: bool = False
    settled: str = ""
    settled_at_ms: int = NO_TIME
    earlier: tuple[Earlier, ...] = ()


@dataclass(slots=True)
class ActivityCount:
    """What came for one customer's project on one day of receipt, in this span of offsets.

    Args:
        tenant, customer, project: Whose; the customer is empty while nobody had named one.
        day: Days since 1970 UTC.
        updates, pulses: Reports and pulses taken.
        first_at_ms, last_at_ms: First and last append time, milliseconds since 1970 UTC.
    """

    tenant: str
    customer: str
    project: str
    day: int
    updates: int
    pulses: int
    first_at_ms: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class EmergenceFacts:
    """One facts record of the emergence fold, covering source offsets [from_offset, to_offset).

    Args:
        from_offset: First source offset covered.
        to_offset: One past the last source offset covered.
        received_high_ms: Largest append time seen so far, milliseconds since 1970 UTC.
        events: What policies act on, in source order.
        projects, nodes, tiers: New state of what changed, one row per key.
        activity: What came, to be added up.
        catalogues: Versions that took effect.
        rejects: Records that were refused.
    """

    from_offset: int
    to_offset: int
    received_high_ms: int
    events: tuple[EmergenceEvent, ...] = ()
    projects: tuple[ProjectRow, ...] = ()
    nodes: tuple[NodeRow, ...] = ()
    tiers: tuple[TierRow, ...] = ()
    activity: tuple[ActivityCount, ...] = ()
    catalogues: tuple[CatalogueApplied, ...] = ()
    rejects: tuple[Reject, ...] = ()
