"""The catalogue book: which version of the prices is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books.facts import Fact, fact_of, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.catalogue import is_newer, parse_catalogue
from domain.catalogue_versions import require_same_meters
from domain.period import from_ms, time_text

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
        Rejected: catalogue_invalid, also when a meter or alias of before is changed or missing,
            catalogue_version_old or catalogue_version_taken.
    """
    fields = fields_of_command(command, names=("content",))
    catalogue = parse_catalogue(fields.document("content"))
    if not is_newer(catalogue, current=state.catalogue, version=catalogue.version):
        return ()
    if state.catalogue is not None:
        require_same_meters(before=state.catalogue, after=catalogue)
    return (
        fact_of(
            "CataloguePublished",
            {
                "version": catalogue.version,
                "content": catalogue.content,
                "content_sha256": catalogue.sha256,
                "published_at": time_text(from_ms(received_at_ms)),
            },
        ),
    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will put the published version in force."""
    fields = fields_of_fact(fact)
    state.put_catalogue(
        parse_catalogue(fields.document("content")), published_at=fields.time("published_at")
    )
