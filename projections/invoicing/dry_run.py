"""Billing without sending: what a run would make, and what it could not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.errors import Rejected
from projections.invoicing.builder import BUILDER, built_of, finalize_command
from projections.invoicing.outcomes import await_projected
from projections.invoicing.snapshot import Snapshot
from runtime.commands import to_record_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from projections.invoicing.builder import Billed, Built, Scope
    from runtime.settings import Settings


def dry_run(settings: Settings, scope: Scope) -> Iterator[Billed]:
    """This function will build all that is due and send nothing.

    It sees one period of a subscription: the next one is open only when this one is invoiced.

    Yields:
        What would be sent; with the code of what keeps it from being made, where something does.

    Raises:
        As bill.
    """
    await_projected(settings, tenant=scope.tenant)
    with Snapshot(settings, tenant=scope.tenant) as snapshot:
        seen: list[str] = []
        while drafts := snapshot.due(
            as_of=scope.as_of, customer=scope.customer, month=scope.month, without=seen
        ):
            seen += [draft.key for draft in drafts]
            yield from (_unsent(each, as_of=scope.as_of) for each in built_of(snapshot, drafts))
        seen = []
        while scope.has_items and (
            drafts := snapshot.items_due(as_of=scope.as_of, customer=scope.customer, without=seen)
        ):
            seen += [draft.key for draft in drafts]
            yield from (_unsent(each, as_of=scope.as_of) for each in built_of(snapshot, drafts))


def _unsent(built: Built, *, as_of: datetime) -> Billed:
    """Return what would be sent; what is too large for a command, with why it never can be."""
    billed = built.billed
    if billed.built is None:
        return billed
    command = finalize_command(billed.invoice, billed.built, key=billed.key, as_of=as_of)
    try:
        to_record_value(command, actor=BUILDER)
    except Rejected as error:
        return replace(billed, code=error.code, reason=error.reason)
    return billed
