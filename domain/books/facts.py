"""What the books fold decides for a span of source offsets; the only thing that moves state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec import Struct

from domain import own_json
from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.usage.facts import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.fields import Fields

T = TypeVar("T")


class Fact(Struct, frozen=True, gc=False):
    """One change of a tenant's books.

    Args:
        kind: Name in the past tense, for example "CustomerCreated".
        body: Fields as canonical JSON.
    """

    kind: str
    body: str


class Outcome(Struct, frozen=True, gc=False):
    """The answer to one command.

    Args:
        offset: Source offset of the command.
        tenant: Tenant.
        command_id: Id of the command.
        kind: Command name.
        body_sha256: SHA-256 of kind 0x1f body, 32 bytes; tells a repeat from a conflict.
        code: Why it was refused; empty when it was accepted.
        reason: What was wrong, for people.
        repeat: Whether the id was answered before; then code and reason are the first answer's.
        facts: What changed; empty for repeats, and for refusals that are not noted. A noted
            refusal carries what is kept of it: a failed transaction, a suspicion. Those facts
            never move credits.
        received_at_ms: Broker's append time of the command, milliseconds since 1970 UTC.
    """

    offset: int
    tenant: str
    command_id: str
    kind: str
    body_sha256: bytes
    code: Code | Literal[""]
    reason: str
    repeat: bool
    facts: tuple[Fact, ...]
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class BooksFacts:
    """One facts record of the books fold, covering source offsets [from_offset, to_offset).

    Args:
        from_offset: First source offset covered.
        to_offset: One past the last source offset covered.
        received_high_ms: Largest append time seen so far, milliseconds since 1970 UTC.
        outcomes: Answers, in command order.
        rejects: Records that were no readable command.
    """

    from_offset: int
    to_offset: int
    received_high_ms: int
    outcomes: tuple[Outcome, ...] = ()
    rejects: tuple[Reject, ...] = ()


class NotedRefusal(Rejected):
    """A refusal that leaves something on record.

    Args:
        code: Stable code.
        reason: What was wrong.
        facts: What is kept of it.
    """

    def __init__(self, code: Code, reason: str, *, facts: tuple[Fact, ...]) -> None:
        super().__init__(code, reason)
        self.facts = facts


def fact_of(kind: str, body: Mapping[str, Json]) -> Fact:
    """This function will make a fact with its body in canonical form."""
    return Fact(kind, to_canonical_json(body))


def fields_of_fact(fact: Fact) -> Fields:
    """This function will open a fact's body for reading; a refusal means that it is corrupt."""
    return own_json.opened(fact.body, place=fact.kind)


def read_fact(kind: type[T], fact: Fact) -> T:
    """This function will read of a fact's body what a type asks for (Rejected when it is corrupt).

    The rest is passed over unread, documents within it as well.
    """
    return own_json.read_as(kind, fact.body, place=fact.kind)
