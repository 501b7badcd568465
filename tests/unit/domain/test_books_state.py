"""The state of a tenant's books: versions stay, and what names one must have it."""

import pytest
from msgspec import structs

from domain.books.state import TenantState
from domain.codes import Code
from domain.errors import Fatal
from domain.period import to_ms
from tests.support import billing
from tests.support.stories import Story, plan


def put(state: TenantState, version: int) -> None:
    """Put a version in force on New Year's day."""
    published_at = billing.moment("2025-01-01")
    state.put_catalogue(billing.s1_catalogue(version), published_at=published_at)


class TestCatalogues:
    def test_every_version_stays(self) -> None:
        """A correction may need the oldest of them."""
        state = TenantState("tenant")
        for version in (1, 2, 3):
            put(state, version)
        assert (sorted(state.catalogues), sorted(state.published_at)) == ([1, 2, 3], [1, 2, 3])
        assert state.catalogue is state.catalogues[3]

    def test_a_version_that_is_not_there_stops_the_fold(self) -> None:
        """No invoice of such a subscription could be made."""
        story = Story(plan("PRO", "9000"))
        story.subscribe("PRO", start="2025-01-01")
        subscription = story.subscription()
        phase = structs.replace(subscription.phases[0], catalogue_version=2)
        with pytest.raises(Fatal) as caught:
            story.state.put_subscription(structs.replace(subscription, phases=(phase,)))
        assert caught.value.code is Code.STATE_CORRUPT


class TestNow:
    def test_is_the_received_time_unless_the_tenant_has_a_clock(self) -> None:
        """A test tenant's decisions go by its clock alone."""
        state = TenantState("tenant")
        assert state.now_ms(7) == 7
        state.clock = billing.moment("2031-01-01")
        assert state.now_ms(7) == to_ms(billing.moment("2031-01-01"))
