"""What checks, detections, nodes and projects look like in answers."""

from __future__ import annotations

from pydantic import Field

from api.checks import Checked
from api.representations import (
    TIME,
    MoneyRepresentation,
    Representation,
    to_representation_money,
)
from api.representations_books import NULL_TIME, time_or_none
from domain.canonical import to_canonical_json
from domain.emergence.check import Offer
from domain.money import Money
from domain.period import time_text
from projections.queries.emergence import Detection, Node


class OfferRepresentation(Representation):
    """A tier or bundle that is offered."""

    tier: str
    name: str
    credits: int
    price: MoneyRepresentation
    delivers: list[str]
    detection: str | None = Field(
        description="Its detection, whose charge can be approved; null while the project names no "
        "customer, for then nothing is stored"
    )
    is_new: bool = Field(description="Whether this report makes it")


class CheckRepresentation(Representation):
    """What a report comes to."""

    is_detected: bool = Field(description="Whether anything is offered that rests on this node")
    offers: list[OfferRepresentation] = Field(description="Bundles first, in the rules' order")
    other_offers: list[OfferRepresentation] = Field(description="What else the project is offered")
    failed_gates: list[str] = Field(description="Keys of the catalogue's gates")
    tiers: list[str] = Field(description="Tiers that this node reaches")
    charged: list[str] = Field(description="Of them, those that were charged already")
    declined: list[str] = Field(description="Of them, those that wait for a fall and a rise")
    reason: str | None = Field(
        description="Why nothing is offered: key of the first failed gate, incomplete, charged, "
        "declined or no_rules"
    )


class DetectionRepresentation(Representation):
    """A tier or bundle that a project has reached."""

    detection: str
    project: str | None
    node: str | None = Field(description="The node that is a project of its own; else null")
    customer: str
    tier: str
    name: str
    generation: int
    credits: int
    price: MoneyRepresentation
    delivers: list[str]
    evidence: str = Field(description="Canonical JSON: per covered tier its node and where it is")
    rule_version: int
    rule_sha256: str
    partition: int = Field(description="Record of node.events that made it")
    source_offset: int
    detected_at: str = Field(description=TIME)
    ended_how: str | None = Field(description="reversed or superseded; null while it holds")
    ended_by: str | None = Field(description="Detection that supersedes it")
    ended_reason: str | None
    ended_at: str | None = Field(description=NULL_TIME)


class NodeRepresentation(Representation):
    """One node of a project."""

    node: str
    data: str = Field(description="Its newest report as it came; empty before the first")
    data_sha256: str
    values: dict[str, str] = Field(description="Declared fields in force")
    version: int | None
    occurred_at: str | None = Field(description=NULL_TIME)
    received_at: str | None = Field(description=NULL_TIME)
    partition: int
    source_offset: int | None
    pulses: list[str] = Field(description="Fields that a pulse has set")


class TierRepresentation(Representation):
    """Where a tier or bundle of a project stands."""

    tier: str
    is_reached: bool
    status: str
    generation: int = Field(description="How many detections it had")
    detection: str | None


class ProjectRepresentation(Representation):
    """One project, with its newest detections."""

    project: str | None
    node: str | None = Field(description="The node that is a project of its own; else null")
    customer: str | None
    nodes: list[NodeRepresentation]
    tiers: list[TierRepresentation]
    detections: list[DetectionRepresentation] = Field(description="Newest first, at most 50")


def to_representation_check(checked: Checked) -> CheckRepresentation:
    """This function will show a check."""
    found = checked.check
    return CheckRepresentation(
        is_detected=bool(found.offers),
        offers=[to_representation_offer(offer) for offer in found.offers],
        other_offers=[to_representation_offer(offer) for offer in found.others],
        failed_gates=list(found.judgement.failed_gates),
        tiers=list(found.judgement.tiers),
        charged=list(found.charged),
        declined=list(found.declined),
        reason=checked.reason or None,
    )


def to_representation_offer(offer: Offer) -> OfferRepresentation:
    """This function will show an offer."""
    terms = offer.terms
    return OfferRepresentation(
        tier=terms.code,
        name=terms.name,
        credits=terms.credits,
        price=to_representation_money(terms.price),
        delivers=list(terms.delivers),
        detection=offer.detection or None,
        is_new=offer.is_new,
    )


def to_representation_detection(found: Detection) -> DetectionRepresentation:
    """This function will show a detection."""
    return DetectionRepresentation(
        detection=found.detection,
        project=found.project or None,
        node=found.lone_node or None,
        customer=found.customer,
        tier=found.code,
        name=found.name,
        generation=found.generation,
        credits=found.credits,
        price=to_representation_money(Money(found.price_minor, found.currency)),
        delivers=found.delivers,
        evidence=to_canonical_json(found.evidence),
        rule_version=found.rule_version,
        rule_sha256=found.rule_sha256,
        partition=found.partition,
        source_offset=found.source_offset,
        detected_at=time_text(found.detected_at),
        ended_how=found.ended_how,
        ended_by=found.ended_by or None,
        ended_reason=found.ended_reason,
        ended_at=time_or_none(found.ended_at),
    )


def to_representation_node(node: Node) -> NodeRepresentation:
    """This function will show a node."""
    return NodeRepresentation(
        node=node.node,
        data=node.data,
        data_sha256=node.data_sha256,
        values=dict(node.values),
        version=None if node.version < 0 else node.version,
        occurred_at=time_or_none(node.occurred_at),
        received_at=time_or_none(node.received_at),
        partition=node.partition,
        source_offset=None if node.source_offset < 0 else node.source_offset,
        pulses=list(node.pulses),
    )
