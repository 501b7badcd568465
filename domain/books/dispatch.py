"""Which book answers which command, and which one a fact moves; a new book is lines here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from domain.books import api_keys, catalogues, customers, invoices, subscriptions
from domain.codes import Code
from domain.errors import Fatal, Rejected

if TYPE_CHECKING:
    from domain.books.facts import Fact
    from domain.books.records import Command
    from domain.books.state import TenantState


class Decide(Protocol):
    """Turns a command into facts, or refuses it (Rejected); changes nothing."""

    def __call__(
        self, *, state: TenantState, command: Command, received_at_ms: int
    ) -> tuple[Fact, ...]:
        """Return what the command changes."""


class Apply(Protocol):
    """Moves the state by a fact; decides nothing."""

    def __call__(self, *, state: TenantState, fact: Fact) -> None:
        """Move the state."""


COMMANDS: dict[str, Decide] = {
    "PublishCatalogue": catalogues.decide,
    "CreateCustomer": customers.decide,
    "CreateSubscription": subscriptions.decide,
    "FinalizeInvoice": invoices.decide,
    "CreateApiKey": api_keys.decide_create,
    "RevokeApiKey": api_keys.decide_revoke,
}
FACTS: dict[str, Apply] = {
    "CataloguePublished": catalogues.apply,
    "CustomerCreated": customers.apply,
    "SubscriptionCreated": subscriptions.apply_created,
    "SubscriptionRenewed": subscriptions.apply_renewed,
    "InvoiceFinalized": invoices.apply,
    "ApiKeyCreated": api_keys.apply_created,
    "ApiKeyRevoked": api_keys.apply_revoked,
}


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer a command from the books of its tenant.

    Args:
        state: Books of the command's tenant.
        command: The command.
        received_at_ms: Broker's append time, milliseconds since 1970 UTC.

    Returns:
        What changes, in the order to apply it.

    Raises:
        Rejected: command_unknown, command_invalid, or the refusal of the book.
    """
    book = COMMANDS.get(command.kind)
    if book is None:
        raise Rejected(Code.COMMAND_UNKNOWN, f"there is no command {command.kind!r}")
    return book(state=state, command=command, received_at_ms=received_at_ms)


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will move the books of a tenant by a fact that was decided before.

    Raises:
        Fatal: state_corrupt, when the fact is unknown or malformed: it was written by a newer
            version or damaged.
    """
    try:
        _book_of(fact)(state=state, fact=fact)
    except Rejected as error:
        raise Fatal(
            Code.STATE_CORRUPT,
            f"a fact of the books cannot be applied: {error.reason}",
            next_step="Start the version that wrote account.facts, or one newer",
            tenant=state.tenant,
            kind=fact.kind,
        ) from error


def _book_of(fact: Fact) -> Apply:
    book = FACTS.get(fact.kind)
    if book is None:
        raise Rejected(Code.STATE_CORRUPT, f"there is no fact {fact.kind!r}")
    return book
