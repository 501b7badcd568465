"""What the emergence fold reads, one value per record of node.events, already decoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.usage.records import CataloguePublished, Unreadable


@dataclass(frozen=True, slots=True)
class NodeReported:
    """A node reported its state.

    Args:
        tenant: Tenant that owns the project.
        project: Project of the node; empty when the sender named none: then the node is a
            project of its own.
        node: The node.
        occurred_at_ms: When it happened, by the sender, milliseconds since 1970 UTC.
        data: All that was reported, a JSON object as text, numbers as written.
    """

    tenant: str
    project: str
    node: str
    occurred_at_ms: int
    data: str


@dataclass(frozen=True, slots=True)
class PulseReceived:
    """A pulse of the main system.

    Args:
        tenant, project, occurred_at_ms, data: As in NodeReported.
        target_node: Node that it is about; empty for none.
    """

    tenant: str
    project: str
    target_node: str
    occurred_at_ms: int
    data: str


class Settlement(StrEnum):
    """What became of a detection in the books."""

    CHARGED = "charged"
    DECLINED = "declined"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    """In full: a partial refund leaves it charged."""
    UNBILLED = "unbilled"
    """The books refused the request, for example because they do not know the customer."""


@dataclass(frozen=True, slots=True)
class DetectionSettled:
    """What became of a detection, as the policy settle_detections appends it.

    Args:
        tenant, project, lone_node: Key of the project.
        detection: The detection, which is the charge's id too.
        status: A Settlement as text; another one is refused.
        settled_at_ms: When the books took what settled it, milliseconds since 1970 UTC.
    """

    tenant: str
    project: str
    lone_node: str
    detection: str
    status: str
    settled_at_ms: int


NodeEvent = NodeReported | PulseReceived | DetectionSettled


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One record of node.events.

    Args:
        offset: Source offset.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.
        body: What it holds.
    """

    offset: int
    received_at_ms: int
    body: NodeEvent | CataloguePublished | Unreadable
