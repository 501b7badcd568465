"""Appending commands to the log: the only way anything outside a fold changes the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.records import Command
from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from domain.routing import partition_of
from runtime import clock
from runtime.appending import Append, Appender
from schemas.command_wire import to_wire_command
from schemas.topics import ACCOUNT_COMMANDS, NODE_EVENTS, USAGE_EVENTS
from schemas.usage_wire import to_wire_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runtime.settings import Settings

PART_BYTES_MAX = 8 * 1024 * 1024
"""Records of one append; more are sent in parts, each acknowledged before the next: what waits for
the broker stays small beside what the sender holds."""


class CommandSender:
    """Sends commands and waits until the broker has them.

    Sending blocks until the acknowledgement. It is idempotent by command_id: the books answer a
    repeated command with its first outcome. Success means the command is durable, not that it was
    accepted; the outcome is read from the projections.
    """

    def __init__(self, settings: Settings, *, actor: str) -> None:
        self._settings = settings
        self._actor = actor
        self._log = Appender(settings)

    def send(
        self,
        *,
        tenant: str,
        command_id: str,
        kind: str,
        body: Mapping[str, Json],
        actor: str = "",
    ) -> int:
        """Append one command and return its offset.

        Args:
            tenant: Tenant whose books are meant.
            command_id: Idempotency id within the tenant.
            kind: Command name.
            body: Its fields.
            actor: Who asks; empty for the sender's own actor.

        Raises:
            Rejected: oversized, before anything is sent.
            Retryable: broker_away, when the outcome is unknown; send again with the same id.
        """
        command = Command(tenant, command_id, kind, to_canonical_json(body))
        return self.send_all([command], actor=actor)[0]

    def send_all(self, commands: Sequence[Command], *, actor: str = "") -> list[int]:
        """Append commands in their order and return the offset of each.

        They are on their way together, so that many cost hardly more time than one.

        Args:
            commands: What is wished.
            actor: Who asks; empty for the sender's own actor.

        Raises:
            Rejected: oversized, before anything is sent.
            Retryable: broker_away, when some of them may not have arrived; send all again.
        """
        return self._append([self._record(command, actor) for command in commands])

    def send_fitting(self, commands: Sequence[Command]) -> list[int | Rejected]:
        """Append those of some commands that are not too large, in their order.

        Each is looked at on its own: one that can never be sent keeps no other waiting.

        Args:
            commands: What is wished.

        Returns:
            The offset of each; in the place of one that is too large why (oversized).

        Raises:
            Retryable: broker_away, when some of them may not have arrived; send all again.
        """
        fitting: list[Append] = []
        refused: dict[int, Rejected] = {}
        for number, command in enumerate(commands):
            try:
                fitting.append(self._record(command, self._actor))
            except Rejected as error:
                refused[number] = error
        offsets = iter(self._append(fitting))
        return [refused.get(number) or next(offsets) for number in range(len(commands))]

    def _record(self, command: Command, actor: str) -> Append:
        """Write a command as a record (Rejected oversized, when the topic does not take it)."""
        value = to_record_value(command, actor=actor or self._actor)
        partition = partition_of(command.tenant, partitions=self._settings.partitions)
        return Append(partition, command.tenant.encode(), value)

    def _append(self, records: Sequence[Append]) -> list[int]:
        return [
            offset
            for part in _parts(records)
            for offset in self._log.append(ACCOUNT_COMMANDS.name, part)
        ]

    def publish_catalogue(self, *, tenant: str, version: int, content: str) -> tuple[int, ...]:
        """Append a catalogue version in band to every partition of usage.events and node.events.

        Returns:
            The offset on each partition of usage.events. Safe to repeat: readers ignore a version
            they have.
        """
        value = to_wire_catalogue(tenant=tenant, version=version, content=content)
        everywhere = [
            Append(partition, tenant.encode(), value)
            for partition in range(self._settings.partitions)
        ]
        offsets = self._log.append(USAGE_EVENTS.name, everywhere)
        self._log.append(NODE_EVENTS.name, everywhere)
        return tuple(offsets)


def to_record_value(command: Command, *, actor: str) -> bytes:
    """This function will write a command as it is sent.

    Raises:
        Rejected: oversized, when the topic does not take it.
    """
    value = to_wire_command(command=command, actor=actor, issued_at_ms=clock.now_ms())
    if len(value) > ACCOUNT_COMMANDS.message_bytes_max:
        raise Rejected(
            Code.OVERSIZED,
            f"{command.kind} has {len(value)} bytes, at most "
            f"{ACCOUNT_COMMANDS.message_bytes_max} are taken",
        )
    return value


def _parts(records: Sequence[Append]) -> Iterator[list[Append]]:
    """Cut records by their size."""
    part: list[Append] = []
    size = 0
    for record in records:
        if part and size + len(record.value) > PART_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(record)
        size += len(record.value)
    if part:
        yield part
