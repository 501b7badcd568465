"""The state of a tenant's books keeps exactly the catalogue versions that are needed."""

from dataclasses import replace

import pytest

from domain.books.state import Subscription, TenantState
from domain.codes import Code
from domain.errors import Fatal
from tests.support import billing

SUBSCRIPTION = Subscription(
    subscription="sub_1",
    customer="acme",
    plan="PRO",
    currency="CAD",
    anchor=billing.moment("2025-01-01"),
    period_index=0,
    period=billing.period("2025-01-01", "2025-02-01"),
    catalogue_version=1,
)


def put(state: TenantState, version: int) -> None:
    """Put a version in force on New Year's day."""
    published_at = billing.moment("2025-01-01")
    state.put_catalogue(billing.s1_catalogue(version), published_at=published_at)


class TestCatalogues:
    def test_keeps_a_version_until_its_last_user_leaves(self) -> None:
        """Two subscriptions on version 1: it goes with the second, not with the first."""
        state = TenantState("tenant")
        put(state, 1)
        other = replace(SUBSCRIPTION, subscription="sub_2")
        state.put_subscription(SUBSCRIPTION)
        state.put_subscription(other)
        put(state, 2)
        kept = []
        for subscription in (SUBSCRIPTION, other):
            state.put_subscription(replace(subscription, catalogue_version=2))
            kept.append(sorted(state.catalogues))
        assert kept == [[1, 2], [2]]

    def test_keeps_the_version_in_force_without_users(self) -> None:
        """The next subscription needs it, even when the only one went back to an older version."""
        state = TenantState("tenant")
        put(state, 1)
        state.put_subscription(SUBSCRIPTION)
        put(state, 2)
        other = replace(SUBSCRIPTION, subscription="sub_2", catalogue_version=2)
        state.put_subscription(other)
        state.put_subscription(replace(other, catalogue_version=1))
        assert sorted(state.catalogues) == [1, 2]

    def test_a_version_that_is_not_kept_stops_the_fold(self) -> None:
        """No invoice of such a subscription could be checked."""
        with pytest.raises(Fatal) as caught:
            TenantState("tenant").put_subscription(SUBSCRIPTION)
        assert caught.value.code is Code.STATE_CORRUPT
