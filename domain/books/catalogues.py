"""The catalogue book: which version of the prices is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.catalogue import is_newer, parse_catalogue

if TYPE_CHECKING:
    from domain.books.state import TenantState


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer PublishCatalogue.

    Args:
        state: Books of the tenant.
        command: {content: the catalogue as JSON text}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CataloguePublished; nothing when the same version with the same content is in force.

    Raises:
        Rejected: catalogue_invalid, catalogue_version_old or catalogue_version_taken.
    """
    del received_at_ms  # a catalogue applies from its offset on, whenever that was
    fields = fields_of_command(command, names=("content",))
    catalogue = parse_catalogue(fields.document("content"))
    if not is_newer(catalogue, current=state.catalogue, version=catalogue.version):
        return ()
    return (
        fact_of(
            "CataloguePublished",
            {
                "version": catalogue.version,
                "content": catalogue.content,
                "content_sha256": catalogue.sha256,
            },
        ),
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will put the published version in force."""
    state.put_catalogue(parse_catalogue(fields_of_fact(fact).document("content")))
