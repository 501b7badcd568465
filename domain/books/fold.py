"""The books fold: commands of one partition in, one facts record out.

State is the books of the partition's tenants and the first answer to each command id; it is a
function of the partition's prefix alone, so every reader who replays it reaches the same.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from domain.books import dispatch
from domain.books.facts import BooksFacts, Fact, NotedRefusal, Outcome
from domain.books.records import Command, CommandRecord
from domain.books.state import FirstOutcome, TenantState
from domain.codes import Code
from domain.errors import Rejected
from domain.fields import is_clean_text
from domain.routing import SEPARATOR, partition_of
from domain.usage.facts import REASON_LENGTH_MAX, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FACTS_BYTES_MAX = 15 * 2**20
"""Bytes of what follows from one command: a record of account.facts takes 16 MiB, with names."""


class BooksFold:
    """Decides commands once each.

    Args:
        partition: Partition this fold reads.
        partitions: Partition count of account.commands.
        new_state: Makes the empty books of a tenant.
    """

    def __init__(
        self,
        *,
        partition: int,
        partitions: int,
        new_state: Callable[[str], TenantState] = TenantState,
    ) -> None:
        self._partition = partition
        self._partitions = partitions
        self._new_state = new_state
        self._tenants: dict[str, TenantState] = {}
        self._received_high_ms = 0

    @property
    def received_high_ms(self) -> int:
        """Return the largest append time seen so far, milliseconds since 1970 UTC."""
        return self._received_high_ms

    def resume(self, states: Iterable[TenantState], *, received_high_ms: int) -> None:
        """This function will take on books that were kept, in place of the facts up to them."""
        self._tenants.update((state.tenant, state) for state in states)
        self._received_high_ms = max(self._received_high_ms, received_high_ms)

    def step(
        self, records: Sequence[CommandRecord], *, from_offset: int, to_offset: int
    ) -> BooksFacts:
        """This function will fold a micro-batch and move the state.

        Args:
            records: The records of [from_offset, to_offset), in order.
            from_offset: First source offset covered.
            to_offset: One past the last source offset covered.

        Returns:
            The facts to append; when the append fails the fold is to be dropped.
        """
        outcomes: list[Outcome] = []
        rejects: list[Reject] = []
        for record in records:
            self._received_high_ms = max(self._received_high_ms, record.received_at_ms)
            body = record.body
            if not isinstance(body, Command):
                rejects.append(
                    _reject(record, tenant=body.tenant, code=body.code, reason=body.reason)
                )
                continue
            fault = self._fault_of(body)
            if fault is not None:
                rejects.append(
                    _reject(record, tenant=body.tenant, code=fault.code, reason=fault.reason)
                )
                continue
            outcomes.append(self._answer(record, body))
        return BooksFacts(
            from_offset=from_offset,
            to_offset=to_offset,
            received_high_ms=self._received_high_ms,
            outcomes=tuple(outcomes),
            rejects=tuple(rejects),
        )

    def restore(self, facts: BooksFacts) -> None:
        """This function will apply a facts record that was accepted before.

        Raises:
            Fatal: state_corrupt, when a fact is unknown or malformed.
        """
        self._received_high_ms = max(self._received_high_ms, facts.received_high_ms)
        for outcome in facts.outcomes:
            self._take(outcome)

    def _fault_of(self, command: Command) -> Rejected | None:
        """Say why a command cannot even have an outcome: its names are unusable, or not ours."""
        for name, value in (
            ("tenant", command.tenant),
            ("command_id", command.command_id),
            ("kind", command.kind),
            # Facts keep who decided, and no table can hold a NUL; nobody at all is all right.
            ("actor", command.actor or "nobody"),
        ):
            if not is_clean_text(value):
                return Rejected(Code.COMMAND_INVALID, f"{name} is empty, too long or unprintable")
        owner = partition_of(command.tenant, partitions=self._partitions)
        if owner != self._partition:
            return Rejected(Code.MISROUTED, f"the tenant belongs to partition {owner}")
        return None

    def _answer(self, record: CommandRecord, command: Command) -> Outcome:
        """Answer a command as its id was answered first, or decide it."""
        state = self._state_of(command.tenant)
        digest = _digest(command)
        first = state.outcomes.get(command.command_id)
        code: Code | Literal[""] = ""
        reason = ""
        facts: tuple[Fact, ...] = ()
        if first is None:
            try:
                facts = dispatch.decide(
                    state=state, command=command, received_at_ms=record.received_at_ms
                )
                _require_writable(facts)
            except Rejected as error:
                code, reason = error.code, _placed(error, kind=command.kind)[:REASON_LENGTH_MAX]
                facts = error.facts if isinstance(error, NotedRefusal) else ()
        elif first.body_sha256 == digest:
            code, reason = first.code, first.reason
        else:
            code = Code.IDEMPOTENCY_CONFLICT
            reason = f"command id {command.command_id!r} was used before with another body"
        outcome = Outcome(
            offset=record.offset,
            tenant=command.tenant,
            command_id=command.command_id,
            kind=command.kind,
            body_sha256=digest,
            code=code,
            reason=reason,
            repeat=first is not None and code is not Code.IDEMPOTENCY_CONFLICT,
            facts=facts,
            received_at_ms=record.received_at_ms,
        )
        self._take(outcome)
        return outcome

    def _take(self, outcome: Outcome) -> None:
        """Move the state by an outcome; the only place that does, for step and restore alike."""
        state = self._state_of(outcome.tenant)
        for fact in outcome.facts:
            dispatch.apply(state=state, fact=fact)
        if not outcome.repeat and outcome.code != Code.IDEMPOTENCY_CONFLICT:
            state.outcomes[outcome.command_id] = FirstOutcome(
                outcome.body_sha256, outcome.code, outcome.reason
            )

    def _state_of(self, tenant: str) -> TenantState:
        state = self._tenants.get(tenant)
        if state is None:
            state = self._tenants[tenant] = self._new_state(tenant)
        return state


def _require_writable(facts: tuple[Fact, ...]) -> None:
    """Refuse what a facts record could not hold: it would stop the partition at each restart."""
    # A character has at most 4 bytes, and hardly any command comes near.
    if 4 * sum(len(fact.body) for fact in facts) <= FACTS_BYTES_MAX:
        return
    found = sum(len(fact.body.encode()) for fact in facts)
    if found > FACTS_BYTES_MAX:
        raise Rejected(
            Code.OVERSIZED,
            f"what follows has {found} bytes, at most {FACTS_BYTES_MAX} fit into a record",
        )


def _placed(error: Rejected, *, kind: str) -> str:
    """Return a reason that begins with its place, where the refusal has one.

    A field alone is one of the command: "plan" of a ChangePlan is "ChangePlan.plan: …".
    """
    place = error.fields.get("param")
    if not isinstance(place, str) or not place or error.reason.startswith(place):
        return error.reason
    return f"{kind}.{place}: {error.reason}"


def _digest(command: Command) -> bytes:
    return hashlib.sha256(f"{command.kind}{SEPARATOR}{command.body}".encode()).digest()


def _reject(record: CommandRecord, *, tenant: str, code: Code, reason: str) -> Reject:
    """Return the reject of a whole record; an unusable tenant stays empty."""
    return Reject(
        offset=record.offset,
        index=-1,
        events=1,
        tenant=tenant if is_clean_text(tenant) else "",
        customer="",
        code=code,
        reason=reason[:REASON_LENGTH_MAX],
        received_at_ms=record.received_at_ms,
    )
