"""Plans that the catalogue in force sells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import sqlalchemy

from domain.billing_terms import Fees
from domain.canonical import Json, from_json
from domain.catalogue import parse_catalogue
from domain.period import Interval
from domain.plan import Plan
from projections.queries.catalogues import find_catalogue


@dataclass(frozen=True, slots=True)
class SoldPlan:
    """A plan as the catalogue in force has it.

    Args:
        plan: The plan.
        document: The same as the catalogue's JSON has it.
        fees: When its fees are billed: the plan's word, or else the catalogue's.
        version: Catalogue version.
    """

    plan: Plan
    document: Mapping[str, Json]
    fees: Fees
    version: int

    @property
    def prices(self) -> Sequence[Json]:
        """Return its prices as the catalogue's JSON has them."""
        return cast("Sequence[Json]", self.document["prices"])


def list_plans(connection: sqlalchemy.Connection) -> tuple[SoldPlan, ...]:
    """This function will return the plans of the catalogue in force, in its order.

    Args:
        connection: Connection of one tenant.

    Returns:
        At most domain.plan.PLANS_MAX plans; none before a catalogue is published.
    """
    published = find_catalogue(connection, version=None)
    if published is None:
        return ()
    catalogue = parse_catalogue(published.content)
    document = cast("Mapping[str, Json]", from_json(published.content))
    plans = cast("Sequence[Mapping[str, Json]]", document.get("plans", ()))
    return tuple(
        SoldPlan(
            plan=plan,
            document=written,
            fees=_fees(plan, default=catalogue.billing.fees),
            version=catalogue.version,
        )
        for plan, written in zip(catalogue.plans, plans, strict=True)
    )


def _fees(plan: Plan, *, default: Fees) -> Fees:
    if plan.interval is Interval.LIFETIME:
        return Fees.IN_ADVANCE
    return plan.fees or default
