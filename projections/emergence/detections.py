"""emergence_detection: every detection, and how the fold ended it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from domain.emergence.facts import Detected, Ended
from domain.period import from_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from domain.emergence.facts import EmergenceEvent, Evidence

_INSERT = """
    INSERT INTO emergence_detection (tenant, project, lone_node, detection, customer, code, name,
        generation, covers, credits, price_minor, currency, delivers, evidence, rule_version,
        rule_sha256, partition, source_offset, detected_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s,
        %s)
"""
_END = """
    UPDATE emergence_detection
    SET ended_how = %s, ended_by = %s, ended_reason = %s, ended_at = %s
    WHERE tenant = %s AND detection = %s
"""


def write_events(connection: psycopg.Connection, events: Iterable[EmergenceEvent]) -> int:
    """This function will insert detections and end them, in their order; it returns how many."""
    written = 0
    for event in events:
        if isinstance(event, Detected):
            connection.execute(_INSERT, _row_of(event))
        elif isinstance(event, Ended):
            how = (event.how.value, event.by, event.reason, from_ms(event.at_ms))
            connection.execute(_END, (*how, event.key.tenant, event.detection))
        else:
            continue  # suspicions go into tables by the books
        written += 1
    return written


def _row_of(event: Detected) -> tuple[object, ...]:
    return (
        *(*event.key, event.detection, event.customer, event.code, event.name, event.generation),
        json.dumps(event.covers),
        *(event.credits, event.price_minor, event.currency, list(event.delivers)),
        json.dumps([_evidence(each) for each in event.evidence], ensure_ascii=False),
        *(event.rule_version, event.rule_sha256, event.partition, event.offset),
        from_ms(event.detected_at_ms),
    )


def _evidence(evidence: Evidence) -> dict[str, object]:
    return {
        "tier": evidence.tier,
        "node": evidence.node,
        "partition": evidence.partition,
        "offset": evidence.offset,
        "data_sha256": evidence.data_sha256,
        "values": dict(evidence.values),
        "pulses": dict(evidence.pulses),
    }
