"""Asset snapshots over HTTP: one request, one batch, each site beside the whole (S1-06, S1-56)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from producers.gateway.asset_snapshots import SITES_MAX
from tests.support import gateway_world
from tests.support.gateway_world import TIME, World

SNAPSHOTS = "/api/v1/billing/asset-snapshots"
S1_SNAPSHOTS = "/rest/v1/asset_snapshots"
JSON = "application/json"
NANOS = 10**9


@pytest.fixture
def world() -> Iterator[World]:
    with gateway_world.world() as world:
        yield world


def sent(world: World, body: dict[str, Any], url: str = SNAPSHOTS, **headers: str) -> Any:
    """Post a snapshot that is taken and return the answer."""
    answer = world.post(body, kind=JSON, url=url, **headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def counted(world: World) -> list[tuple[str, str, int]]:
    """Return type, site and units of every event on the log."""
    return [
        (event["type"], event["dimensions"].get("site", ""), event["nanos"] // NANOS)
        for event in world.log.events()
    ]


class TestASnapshot:
    def test_x_48_of_two_sites_is_150_assets_and_2_sites(self, world: World) -> None:
        """The assets are the sum of the sites when no other count is given."""
        body = {"tenant_id": "plant", "site_breakdown": {"site1": 50, "site2": 100}}
        answer = sent(world, body, S1_SNAPSHOTS, apikey="public")
        assert (150, 4) == (answer["asset_count"], answer["events"])
        assert [
            ("asset_snapshot", "", 150),
            ("asset_sites", "", 2),
            ("asset_site", "site1", 50),
            ("asset_site", "site2", 100),
        ] == counted(world)

    def test_s1_56_takes_the_count_that_is_given(self, world: World) -> None:
        """S1's own sample has 1,200 assets and names 150 of them by site."""
        body = {
            "tenant_id": "plant",
            "asset_count": 1200,
            "site_breakdown": {"site1": 50, "site2": 100},
            "captured_at": TIME,
        }
        sent(world, body, S1_SNAPSHOTS)
        assert ("asset_snapshot", "", 1200) == counted(world)[0]
        (moment,) = {event["occurred_at_ms"] for event in world.log.events()}
        assert 1_769_860_800_000 == moment

    def test_without_sites_says_nothing_of_them(self, world: World) -> None:
        """A count alone must not make the sites of before disappear."""
        sent(world, {"customer": "plant", "asset_count": 7})
        assert [("asset_snapshot", "", 7)] == counted(world)

    def test_of_no_site_says_that_there_is_none(self, world: World) -> None:
        """An empty breakdown is an answer, a missing one is none."""
        sent(world, {"customer": "plant", "asset_count": 7, "site_breakdown": {}})
        assert [("asset_snapshot", "", 7), ("asset_sites", "", 0)] == counted(world)

    def test_is_one_record_of_the_log(self, world: World) -> None:
        """All of it is taken or nothing."""
        sites = {f"site-{number}": number for number in range(SITES_MAX)}
        sent(world, {"customer": "plant", "site_breakdown": sites})
        assert 1 == len(world.log.records)
        assert SITES_MAX + 2 == len(world.log.events())

    def test_that_is_sent_again_has_the_same_keys(self, world: World) -> None:
        """The fold then counts it once: keys and fingerprints are equal."""
        body = {"customer": "plant", "site_breakdown": {"a": 1}, "captured_at": TIME, "id": "n-1"}
        sent(world, body)
        sent(world, body)
        events = [(event["key"], event["fingerprint"]) for event in world.log.events()]
        assert events[:3] == events[3:]
        assert 3 == len(set(events))

    def test_of_another_site_has_other_keys(self, world: World) -> None:
        """Sites and counts of one snapshot never share a key."""
        body = {"customer": "plant", "site_breakdown": {"a": 1, "b": 1}, "captured_at": TIME}
        sent(world, {**body, "id": "n-1"})
        sent(world, {**body, "id": "n-2"})
        assert 8 == len({event["key"] for event in world.log.events()})

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"asset_count": -1}, "asset_count"),
            ({"asset_count": "7"}, "asset_count"),
            ({"asset_count": True}, "asset_count"),
            ({"asset_count": 1.5}, "asset_count"),
            ({"asset_count": None}, "asset_count"),
            ({"site_breakdown": {"a": -1}}, "site_breakdown"),
            ({"site_breakdown": {"a": "1"}}, "site_breakdown"),
            ({"site_breakdown": {"a": False}}, "site_breakdown"),
            ({"site_breakdown": {"": 1}}, "site_breakdown"),
            ({"site_breakdown": [50]}, "site_breakdown"),
            (
                {"site_breakdown": {str(number): 1 for number in range(SITES_MAX + 1)}},
                "site_breakdown",
            ),
            ({"captured_at": "yesterday"}, "captured_at"),
            ({"customer": ""}, "customer"),
            ({"tenant_id": "plant"}, "tenant_id"),
            ({"id": 7}, "id"),
            ({"assets": 7}, "assets"),
        ],
    )
    def test_that_is_malformed_is_refused_whole(
        self, world: World, change: dict[str, Any], param: str
    ) -> None:
        """The field is named and the log has nothing."""
        body = {"customer": "plant", "asset_count": 7, **change}
        answer = world.post(body, kind=JSON, url=SNAPSHOTS)
        assert (422, param) == (answer.status_code, answer.json()["param"]), answer.text
        assert not world.log.records

    def test_without_any_count_is_refused(self, world: World) -> None:
        """Neither a count nor sites say how many assets there are."""
        answer = world.post({"customer": "plant"}, kind=JSON, url=SNAPSHOTS)
        assert (422, "asset_count") == (answer.status_code, answer.json()["param"])

    def test_s1_r20_needs_a_key_of_its_tenant(self, world: World) -> None:
        """A public apikey alone writes nothing."""
        answer = world.client.post(
            S1_SNAPSHOTS, json={"tenant_id": "t", "asset_count": 1}, headers={"apikey": "public"}
        )
        assert 401 == answer.status_code
        assert not world.log.records
