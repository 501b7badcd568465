"""What the emergence fold refuses: the field is named, and the project stays as it was."""

from __future__ import annotations

import pytest

from domain.codes import Code
from domain.emergence.project import NODE_BYTES_MAX, NODES_MAX
from domain.emergence.records import NodeReported
from domain.usage.records import Unreadable
from domain.wishes import commands_of
from schemas.command_wire import to_wire_command
from schemas.emergence_wire import to_wire_emergence_facts
from schemas.topics import ACCOUNT_COMMANDS
from tests.support.emergence_world import (
    PROJECT,
    SINGLES,
    TENANT,
    EmergenceWorld,
    node_data,
    s0,
    told,
)

BLUEPRINT = SINGLES[0]


@pytest.fixture
def world() -> EmergenceWorld:
    """S0's catalogue in force, nothing reported."""
    return EmergenceWorld()


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "named"),
        [
            ('{"fit_score": NaN}', "NaN"),
            ('{"fit_score": 1.7}', "fit_score"),
            ('{"fit_score": "0,95"}', "fit_score"),
            ('{"fit_score": 1e1000000000000000000000}', "JSON"),
            ('{"finalized": "yes"}', "finalized"),
            ('{"node_data": {"emergence_status": 5}}', "emergence_status"),
            ('{"emergence_status": "' + "x" * 201 + '"}', "emergence_status"),
            ('{"node_data": []}', "node_data"),
            ('{"customer_id": 5}', "customer_id"),
            ('{"customer_id": ""}', "customer_id"),
            ('{"node_version": "7"}', "node_version"),
            ('{"node_version": -1}', "node_version"),
            ('{"node_version": 1.5}', "node_version"),
            ("[]", "object"),
            ("", "JSON"),
            ("[" * 100_000, "JSON"),
        ],
    )
    def test_a_wrong_field_is_named_and_changes_nothing(
        self, world: EmergenceWorld, data: str, named: str
    ) -> None:
        """The node stays as it was."""
        world.report(BLUEPRINT)
        facts = world.take(NodeReported(TENANT, PROJECT, "a", world.now_ms, data))
        assert [Code.BAD_VALUE] == [reject.code for reject in facts.rejects]
        assert named in facts.rejects[0].reason
        assert (facts.events, facts.nodes, facts.tiers, facts.activity) == ((), (), (), ())

    def test_unknown_fields_are_kept(self, world: EmergenceWorld) -> None:
        """Exactly as they were written."""
        data = node_data(BLUEPRINT, colour=[1, {"deep": "1.50"}])
        world.report(data=data)
        assert world.last.nodes[0].data == data

    @pytest.mark.parametrize("moment", [-1, 253_402_300_800_000, 2**63 - 1])
    def test_impossible_times(self, world: EmergenceWorld, moment: int) -> None:
        """No table could hold them."""
        world.report(BLUEPRINT, at=moment)
        assert [Code.BAD_VALUE] == [reject.code for reject in world.last.rejects]

    def test_a_project_of_another_partition(self, world: EmergenceWorld) -> None:
        """Two folds would judge it apart."""
        world.fold._partitions = 64
        world.report(BLUEPRINT)
        assert [Code.MISROUTED] == [reject.code for reject in world.last.rejects]

    def test_an_unknown_settlement(self, world: EmergenceWorld) -> None:
        """Its status is named."""
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "paid")
        assert "status" in world.last.rejects[0].reason

    def test_bytes_that_are_no_record(self, world: EmergenceWorld) -> None:
        """Their reject has the tenant of the key."""
        facts = world.take(Unreadable(Code.UNDECODABLE, "no frame", TENANT))
        assert (Code.UNDECODABLE, TENANT) == (facts.rejects[0].code, facts.rejects[0].tenant)

    def test_more_than_a_project_may_hold(self, world: EmergenceWorld) -> None:
        """Nodes, and bytes of one node; a node that is there may still change."""
        for number in range(NODES_MAX):
            world.report(node=f"n{number}")
        world.report(node="one more")
        assert [Code.PROJECT_LIMIT] == [reject.code for reject in world.last.rejects]
        world.pulse("another")
        assert [Code.PROJECT_LIMIT] == [reject.code for reject in world.last.rejects]
        assert told(world.report(BLUEPRINT, node="n5")) == [("detected", BLUEPRINT, "1")]
        world.report(node="n5", text="x" * NODE_BYTES_MAX)
        assert [Code.PROJECT_LIMIT] == [reject.code for reject in world.last.rejects]


class TestTerms:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("price", "10000000000000.01"),
            ("price", "999999999999999999"),
            ("delivers", [f"file {number}" for number in range(101)]),
        ],
    )
    def test_that_no_fact_or_command_could_hold(self, name: str, value: object) -> None:
        """They would stop the fold or the policy with the first detection, for every tenant."""
        document = s0()
        document["tiers"][0][name] = value
        (reject,) = EmergenceWorld(document).last.rejects
        assert (Code.CATALOGUE_INVALID, True) == (reject.code, f"tiers[0].{name}" in reject.reason)

    def test_at_their_largest_fit_into_facts_and_commands(self) -> None:
        """The dearest tier with the longest texts, and all the evidence that there may be."""
        document = s0(price="10000000000000", name="\U0001f3e0" * 200)
        tier = document["tiers"][0]
        tier |= {
            "code": "\U0001f3e0" * 200,
            "delivers": [f"{n:03d}{chr(34) * 197}" for n in range(100)],
        }
        document["bundles"], document["pulses"] = [], []
        names = [f"text_{number}" for number in range(180)]
        document["node_fields"] += [{"name": name, "type": "text"} for name in names]
        gates = [
            " and ".join(f'{name} != ""' for name in names[at : at + 18])
            for at in range(0, 180, 18)
        ]
        document["gates"] += [{"key": f"g{n}", "when": when} for n, when in enumerate(gates)]
        world = EmergenceWorld(document)
        assert world.last.rejects == ()
        world.report(data=node_data(BLUEPRINT, **dict.fromkeys(names, '"' * 200)))
        assert to_wire_emergence_facts(world.last, writer="w")
        (command,) = commands_of(world.last)
        value = to_wire_command(command=command, actor="a", issued_at_ms=0)
        assert len(value) < ACCOUNT_COMMANDS.message_bytes_max
        world.report()
        assert commands_of(world.last)[0].kind == "WithdrawCharge"
