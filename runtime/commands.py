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
    from collections.abc import Mapping, Sequence

    from runtime.settings import Settings


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
        issued_at_ms = clock.now_ms()
        records = []
        for command in commands:
            value = to_wire_command(
                command=command, actor=actor or self._actor, issued_at_ms=issued_at_ms
            )
            if len(value) > ACCOUNT_COMMANDS.message_bytes_max:
                raise Rejected(
                    Code.OVERSIZED,
                    f"{command.kind} has {len(value)} bytes, at most "
                    f"{ACCOUNT_COMMANDS.message_bytes_max} are taken",
                )
            partition = partition_of(command.tenant, partitions=self._settings.partitions)
            records.append(Append(partition, command.tenant.encode(), value))
        return self._log.append(ACCOUNT_COMMANDS.name, records)

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
