"""The catalogue book: which version of the prices is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.books import exclusive_meters, own_prices
from domain.books.decision import Decision
from domain.books.facts import Fact, fields_of_fact
from domain.books.records import Command, fields_of_command
from domain.catalogue import is_newer, parse_catalogue
from domain.catalogue_versions import require_same_meters
from domain.codes import Code
from domain.errors import Rejected
from domain.period import from_ms, time_text

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
        Rejected: catalogue_invalid, also when a meter or alias of before is changed or missing,
            catalogue_version_old, catalogue_version_taken, or plan_in_use when a live subscription
            needs a plan or add-on that is missing or has another currency or interval, or two of
            a customer would price one meter, or a customer's seller is missing, or a price that a
            customer has differently is over another meter.
    """
    fields = fields_of_command(command, names=("content",))
    catalogue = parse_catalogue(fields.document("content"))
    if not is_newer(catalogue, current=state.catalogue, version=catalogue.version):
        return ()
    if state.catalogue is not None:
        require_same_meters(before=state.catalogue, after=catalogue)
        _require_plans(state, catalogue)
        _require_sellers(state, catalogue)
        exclusive_meters.require_apart(state=state, catalogue=catalogue)
        own_prices.require_same_meters(state=state, catalogue=catalogue)
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
    """Refuse a version without a seller that bills a customer: another's numbers would go on."""
    sellers = {each.key for each in catalogue.billing.sellers}
    for _, customer in sorted(state.customers.items()):
        if customer.seller and customer.seller not in sellers:
            raise Rejected(
                Code.PLAN_IN_USE,
                f"catalogue.billing.sellers: {customer.seller!r} bills customer "
                f"{customer.customer!r}; keep it until it bills nobody",
                param="catalogue.billing.sellers",
            )


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
