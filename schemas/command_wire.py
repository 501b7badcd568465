"""Commands and books facts between wire and domain: from_wire_ and to_wire_, nothing else."""

from __future__ import annotations

from typing import Any

from domain.books.facts import BooksFacts, Fact, Outcome
from domain.books.records import Command, CommandRecord
from domain.codes import Code
from domain.errors import Rejected
from domain.usage.records import Unreadable
from schemas.codec import Decoder, encode, tenant_of_key
from schemas.registry import BOOKS_FACTS, COMMAND
from schemas.topics import ACCOUNT_COMMANDS, ACCOUNT_FACTS
from schemas.usage_wire import from_wire_reject, to_wire_reject

_SOURCE = Decoder(ACCOUNT_COMMANDS)
_FACTS = Decoder(ACCOUNT_FACTS)


def to_wire_command(*, command: Command, actor: str, issued_at_ms: int) -> bytes:
    """This function will write a command as a record of account.commands.

    Args:
        command: What is wished.
        actor: Who asks, for people who read the log.
        issued_at_ms: Sender's clock, for diagnosis only, milliseconds since 1970 UTC.
    """
    return encode(
        COMMAND,
        {
            "tenant": command.tenant,
            "command_id": command.command_id,
            "kind": command.kind,
            "body": command.body,
            "actor": actor,
            "issued_at_ms": issued_at_ms,
        },
    )


def from_wire_command(
    value: bytes | None, *, offset: int, received_at_ms: int, key: bytes | None = None
) -> CommandRecord:
    """This function will decode a record of account.commands; a bad one becomes Unreadable."""
    try:
        _, fields = _SOURCE.decode(value)
    except Rejected as error:
        return CommandRecord(
            offset, received_at_ms, Unreadable(error.code, error.reason, tenant_of_key(key))
        )
    command = Command(
        tenant=fields["tenant"],
        command_id=fields["command_id"],
        kind=fields["kind"],
        body=fields["body"],
        actor=fields["actor"],
    )
    return CommandRecord(offset, received_at_ms, command)


def to_wire_books_facts(facts: BooksFacts, *, writer: str) -> bytes:
    """This function will write a facts record of the books fold.

    Args:
        facts: What the fold decided.
        writer: Random id of the writing process, for people who read the log.
    """
    return encode(
        BOOKS_FACTS,
        {
            "writer": writer,
            "from_offset": facts.from_offset,
            "to_offset": facts.to_offset,
            "received_high_ms": facts.received_high_ms,
            "outcomes": [_to_wire_outcome(outcome) for outcome in facts.outcomes],
            "rejects": [to_wire_reject(reject) for reject in facts.rejects],
        },
    )


def _to_wire_outcome(outcome: Outcome) -> dict[str, Any]:
    fields = {name: getattr(outcome, name) for name in Outcome.__struct_fields__}
    fields["facts"] = [{"kind": fact.kind, "body": fact.body} for fact in outcome.facts]
    return fields


def from_wire_books_facts(value: bytes | None) -> BooksFacts:
    """This function will read a facts record of the books fold.

    Raises:
        Rejected: When the bytes are no such record, which in a facts topic means corruption.
    """
    _, fields = _FACTS.decode(value)
    return BooksFacts(
        from_offset=fields["from_offset"],
        to_offset=fields["to_offset"],
        received_high_ms=fields["received_high_ms"],
        outcomes=tuple(_from_wire_outcome(item) for item in fields["outcomes"]),
        rejects=tuple(from_wire_reject(item) for item in fields["rejects"]),
    )


def _from_wire_outcome(fields: dict[str, Any]) -> Outcome:
    code = fields["code"]
    return Outcome(
        offset=fields["offset"],
        tenant=fields["tenant"],
        command_id=fields["command_id"],
        kind=fields["kind"],
        body_sha256=fields["body_sha256"],
        code=Code(code) if code else "",
        reason=fields["reason"],
        repeat=fields["repeat"],
        facts=tuple([Fact(item["kind"], item["body"]) for item in fields["facts"]]),
        received_at_ms=fields["received_at_ms"],
    )
