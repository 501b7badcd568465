"""S0's webhooks land on node.events: once, exactly as reported, and only when signed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from producers.gateway.log import unknown_delivery
from tests.support import gateway_world
from tests.support.gateway_world import PARTITIONS, TENANT, World, signed
from tests.support.kafka_hash import partition_of

NODE = {
    "project_id": "test-project",
    "node_id": "test-node",
    "fit_score": 0.95,
    "node_data": {
        "finalized": True,
        "emergence_status": "ready",
        "geometry_resolved": True,
        "specs_complete": True,
    },
}


@pytest.fixture
def world() -> Iterator[World]:
    with gateway_world.world() as world:
        yield world


def send(world: World, body: object, *, via: str = "emergence", **changes: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = signed(content, **changes)
    return world.client.post(f"/webhook/{via}", content=content, headers=headers)


class TestNodeUpdate:
    @pytest.mark.parametrize("via", ["node-update", "emergence"])
    def test_x_12_lands_whole_by_either_way(self, world: World, via: str) -> None:
        """S0-45 and S0-R7: the emergence address takes a node_update as the other does."""
        answer = send(world, {"event_type": "node_update", "data": NODE}, via=via)
        assert answer.status_code == 202
        (record,), (fields,) = world.log.records, world.log.decoded()
        assert (record.topic, record.key) == ("node.events", TENANT.encode())
        home = partition_of(TENANT, "test-project", partitions=PARTITIONS)
        assert (record.partition, answer.json()["partition"]) == (home, home)
        assert (fields["tenant"], fields["project"]) == (TENANT, "test-project")
        assert (fields["node"], fields["received_via"]) == ("test-node", via)
        assert fields["delivery_id"] == "d-1"
        assert json.loads(fields["data"]) == NODE

    def test_x_04_keeps_a_score_exactly(self, world: World) -> None:
        """0.899 stays 0.899 (S0-R8): nothing rounds it before it is judged."""
        send(world, b'{"event_type":"node_update","data":{"node_id":"n","fit_score":0.899}}')
        assert world.log.decoded()[0]["data"] == '{"node_id":"n","fit_score":0.899}'

    def test_needs_no_type_at_its_own_address(self, world: World) -> None:
        assert send(world, {"data": NODE}, via="node-update").status_code == 202

    def test_keeps_its_time(self, world: World) -> None:
        send(world, {"data": NODE, "time": "2026-01-31T12:00:00.5Z"}, via="node-update")
        assert world.log.decoded()[0]["occurred_at_ms"] == 1_769_860_800_500


class TestPulse:
    def test_s0_48_names_its_target(self, world: World) -> None:
        data = {"roi_complete": True, "target_node": "n", "project_id": "p", "pulse_id": "ecm-1"}
        assert send(world, {"event_type": "pulse", "data": data}, via="pulse").status_code == 202
        (fields,) = world.log.decoded()
        assert (fields["target_node"], fields["pulse"], fields["project"]) == ("n", "ecm-1", "p")
        assert json.loads(fields["data"])["roi_complete"] is True


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ([], "body"),
            ({}, "data"),
            ({"data": []}, "data"),
            ({"data": NODE}, "event_type"),
            ({"event_type": "other", "data": NODE}, "event_type"),
            ({"event_type": ["node_update"], "data": NODE}, "event_type"),
            ({"event_type": "node_update", "data": {}}, "data.node_id"),
            ({"event_type": "node_update", "data": {"node_id": 7}}, "data.node_id"),
            ({"event_type": "node_update", "data": {"node_id": "a\0"}}, "data.node_id"),
            ({"event_type": "node_update", "data": {**NODE, "project_id": "x" * 201}},
             "data.project_id"),
            ({"event_type": "node_update", "data": NODE, "date": 1}, "date"),
            ({"event_type": "node_update", "data": NODE, "time": "now"}, "time"),
            ({"event_type": "node_update", "data": NODE, "time": "0001-01-01T00:00:00+14:00"},
             "time"),
        ],
    )  # fmt: skip
    def test_name_the_field_and_may_come_again(
        self, world: World, body: object, param: str
    ) -> None:
        for _ in range(2):
            answer = send(world, body)
            assert (answer.status_code, answer.json()["param"]) == (422, param), answer.text
        assert world.log.records == []

    def test_of_a_foreign_secret(self, world: World) -> None:
        answer = send(world, {"data": NODE}, secret="not a secret of ours")
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook_unverified")

    def test_of_a_large_body_before_it_is_hashed(self, world: World) -> None:
        assert send(world, b" " * 300_000).status_code == 413


class TestReplay:
    def test_of_a_delivery_is_refused(self, world: World) -> None:
        """Also under another id: the copy has the same signature."""
        body = {"event_type": "node_update", "data": NODE}
        codes = [send(world, body, delivery=name).status_code for name in ("d-1", "d-1", "d-2")]
        assert codes == [202, 409, 409]
        assert len(world.log.records) == 1

    def test_after_an_unknown_outcome_is_taken(self, world: World) -> None:
        body = {"event_type": "node_update", "data": NODE}
        world.log.failure = unknown_delivery()
        failed = send(world, body)
        world.log.failure = None
        assert (failed.status_code, failed.json()["code"]) == (503, "delivery_unknown")
        assert send(world, body).status_code == 202
