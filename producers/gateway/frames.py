"""Framed UsageBatch bytes of the SDK: looked at, and passed on as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.codes import Code
from domain.errors import Rejected
from domain.usage.records import EVENTS_PER_BATCH_MAX
from producers.gateway.log import Record
from producers.gateway.partitions import partition_of_customer
from runtime.web.authentication import Caller
from runtime.web.problems import Problem, ProblemError
from runtime.web.scopes import Scope
from schemas.codec import Decoder
from schemas.registry import USAGE_BATCH
from schemas.topics import USAGE_EVENTS

MEDIA_TYPE = "application/vnd.tidegauge.usage-batch"

_DECODER = Decoder(USAGE_EVENTS)
_KEY_BYTES, _FINGERPRINT_BYTES = 16, 8


@dataclass(frozen=True, slots=True)
class Frame:
    """A batch that may be appended.

    Args:
        record: Its bytes as they came, and where they go.
        events: How many events it holds.
    """

    record: Record
    events: int


def read_frame(
    body: bytes, *, caller: Caller, partitions: int, traceparents: tuple[str, ...] = ()
) -> Frame:
    """This function will check a framed batch; values of events are the fold's to judge.

    Args:
        body: The bytes as they will stand in usage.events.
        caller: Whose batch it must be.
        partitions: Partitions of usage.events.
        traceparents: Those of the request, for the record's headers.

    Raises:
        Rejected: oversized, undecodable or unknown_schema.
        ProblemError: tenant_mismatch, misrouted or scope_missing.
    """
    schema, fields = _DECODER.decode(body)
    if schema is not USAGE_BATCH:
        raise Rejected(Code.UNKNOWN_SCHEMA, f"{schema.name} does not come this way")
    if fields["tenant"] != caller.tenant:
        raise ProblemError(
            Problem(403, Code.TENANT_MISMATCH, "The batch names another tenant than the API key")
        )
    if fields["backfill"]:
        caller.require(Scope.USAGE_BACKFILL)
    events = _events_of(fields)
    record = Record(
        USAGE_EVENTS.name,
        _partition_of(fields, partitions=partitions),
        caller.tenant.encode(),
        body,
        traceparents,
    )
    return Frame(record, events)


def _events_of(fields: dict[str, Any]) -> int:
    """Return the number of events (Rejected undecodable when the columns do not agree on it)."""
    columns = ("customer", "type", "dimension_set", "quantity", "occurred_at_ms")
    lengths = {len(fields[name]) for name in columns}
    events: int = len(fields["occurred_at_ms"])
    is_even = (
        len(lengths) == 1
        and len(fields["keys"]) == events * _KEY_BYTES
        and len(fields["fingerprints"]) == events * _FINGERPRINT_BYTES
    )
    if not is_even or not 1 <= events <= EVENTS_PER_BATCH_MAX:
        raise Rejected(
            Code.UNDECODABLE,
            f"a batch has 1 to {EVENTS_PER_BATCH_MAX} events, the same number in every column",
        )
    return events


def _partition_of(fields: dict[str, Any], *, partitions: int) -> int:
    strings = fields["strings"]
    indexes = set(fields["customer"])
    if not all(0 <= index < len(strings) for index in indexes):
        raise Rejected(Code.UNDECODABLE, "a customer's index points to nothing")
    found = {
        partition_of_customer(fields["tenant"], strings[index], partitions) for index in indexes
    }
    if len(found) > 1:
        raise ProblemError(
            Problem(
                409,
                Code.MISROUTED,
                f"The batch's customers belong to {len(found)} partitions of {partitions}; ask "
                "GET /api/v1/events/partitions",
            )
        )
    return found.pop()
