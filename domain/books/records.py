"""What the books fold reads, one value per source record, already decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.canonical import from_json
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import Fields
from domain.usage.records import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Command:
    """A wish to change a tenant's books.

    Args:
        tenant: Tenant whose books are meant.
        command_id: Idempotency id within the tenant.
        kind: Name in the imperative, for example "CreateCustomer".
        body: Fields as JSON text, decimals as text.
        actor: Who asks, as the sender says; kept where somebody decides, and no part of what makes
            two commands the same.
    """

    tenant: str
    command_id: str
    kind: str
    body: str
    actor: str = ""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One record of account.commands.

    Args:
        offset: Source offset.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.
        body: What it holds.
    """

    offset: int
    received_at_ms: int
    body: Command | Unreadable


def fields_of_command(command: Command, *, names: Iterable[str]) -> Fields:
    """This function will open a command's body for reading.

    Args:
        command: The command.
        names: The fields it may have.

    Raises:
        Rejected: command_invalid, when the body is no JSON object or has another field.
    """
    try:
        document = from_json(command.body)
    except Rejected as error:
        raise Rejected(Code.COMMAND_INVALID, f"{command.kind} is {error.reason}") from error
    fields = Fields.of(document, place=command.kind, code=Code.COMMAND_INVALID)
    fields.only(names)
    return fields
