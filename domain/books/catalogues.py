"""The catalogue book: which version of the prices is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.billing_terms import DEFAULT_TERMS
from domain.books import exclusive_meters, own_prices
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.catalogue import is_newer, parse_catalogue
from domain.catalogue_versions import require_same_meters
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms, time_text
from domain.sellers import owners_of, refused_prefixes
from domain.sold import useless_discounts

if TYPE_CHECKING:
    from domain.books.state import TenantState
    from domain.catalogue import Catalogue


def decide(*, state: TenantState, command: Command, received_at_ms: int) -> tuple[Fact, ...]:
    """This function will answer PublishCatalogue.

    Args:
        state: Books of the tenant.
        command: {content: the catalogue as JSON text}.
        received_at_ms: When the command was received, milliseconds since 1970 UTC.

    Returns:
        CataloguePublished; nothing when the same version with the same content is in force.

    Raises:
        Rejected: catalogue_invalid, also when a meter or alias of before is changed or missing or
            a discount is for add-ons alone,
            catalogue_version_old, catalogue_version_taken, or plan_in_use when a live subscription
            needs a plan or add-on that is missing or has another currency or interval, or two of
            a customer would price one meter, or a customer's seller is missing, or a price that a
            customer has differently is over another meter or could not be theirs;
            catalogue_invalid, also when a prefix of numbers was another seller's, or another kind
            of document's.
    """
    fields = fields_of_command(command, names=("content",))
    catalogue = parse_catalogue(fields.document("content"))
    if not is_newer(catalogue, current=state.catalogue, version=catalogue.version):
        return ()
    _require_prefixes(state, catalogue)
    for refusal in useless_discounts(plans=catalogue.plans, discounts=catalogue.discounts):
        raise refusal
    if state.catalogue is not None:
        require_same_meters(before=state.catalogue, after=catalogue)
        _require_plans(state, catalogue)
        _require_sellers(state, catalogue)
        exclusive_meters.require_apart(state=state, catalogue=catalogue)
        own_prices.require_kept(state=state, catalogue=catalogue)
    decision = Decision(state, command, received_at_ms)
    decision.add(
        "CataloguePublished",
        {
            "version": catalogue.version,
            "content": catalogue.content,
            "content_sha256": catalogue.sha256,
            "published_at": time_text(from_ms(received_at_ms)),
        },
    )
    return decision.made()


def _require_sellers(state: TenantState, catalogue: Catalogue) -> None:
    """Refuse a version without a seller that customers name: it bills them from now on as well."""
    sellers = {each.key for each in catalogue.billing.sellers}
    for _, customer in sorted(state.customers.items()):
        if customer.seller and customer.seller not in sellers:
            raise Rejected(
                Code.PLAN_IN_USE,
                f"catalogue.billing.sellers: {customer.seller!r} bills customer "
                f"{customer.customer!r}; keep it until it bills nobody",
                param="catalogue.billing.sellers",
            )


def _require_prefixes(state: TenantState, catalogue: Catalogue) -> None:
    """Refuse a prefix that stood for something else: its numbers would go on as another's."""
    for version, owners in _owners_by_version(state).items():
        for place, reason in refused_prefixes(owners=owners, after=catalogue.billing):
            raise Rejected(
                Code.CATALOGUE_INVALID,
                f"catalogue.{place}: {reason}, as of version {version}",
                param=f"catalogue.{place}",
            )


def _owners_by_version(state: TenantState) -> dict[int, dict[str, tuple[str, str]]]:
    """Return whose the prefixes of each version are, the oldest first.

    What was billed before the first one, items alone, has numbers of the default terms: prefixes
    that were given out and that no version has are theirs, as of version 0. While no version has
    their seller either, so are those of documents that are still to come.
    """
    found = {
        version: owners_of(state.catalogues[version].billing)
        for version in sorted(state.catalogues)
    }
    given = {prefix for prefix, _ in state.billing.numbers} - {
        prefix for owners in found.values() for prefix in owners
    }
    default = owners_of(DEFAULT_TERMS)
    keys = {key for owners in found.values() for key, _ in owners.values()}
    is_whole = bool(given & set(default)) and DEFAULT_TERMS.default_seller.key not in keys
    first = {prefix: default[prefix] for prefix in default if is_whole or prefix in given}
    return {0: first, **found}


def _require_plans(state: TenantState, catalogue: Catalogue) -> None:
    """Refuse a version that no longer sells what a live subscription is on, or goes on to."""
    plans = {plan.code: (plan.currency, plan.interval) for plan in catalogue.plans}
    add_ons = {add_on.code: add_on.currency for add_on in catalogue.add_ons}
    for _, subscription in sorted(state.subscriptions.items()):
        if subscription.is_over:
            continue
        name, currency = subscription.subscription, subscription.currency
        for phase in subscription.phases:
            if plans.get(phase.plan) != (currency, phase.interval):
                raise Rejected(
                    Code.PLAN_IN_USE,
                    f"catalogue.plans: {name} is on plan {phase.plan!r} in {currency} by the "
                    f"{phase.interval}; keep it as it is until nobody is",
                    param="catalogue.plans",
                )
            for code, _ in phase.add_ons:
                if add_ons.get(code) != currency:
                    raise Rejected(
                        Code.PLAN_IN_USE,
                        f"catalogue.add_ons: {name} has add-on {code!r} in {currency}; "
                        "keep it as it is until nobody has",
                        param="catalogue.add_ons",
                    )


def apply(*, state: TenantState, fact: Fact) -> None:
    """This function will put the published version in force."""
    fields = fields_of_fact(fact)
    state.put_catalogue(
        parse_catalogue(fields.document("content")), published_at=fields.time("published_at")
    )
