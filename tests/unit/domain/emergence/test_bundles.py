"""Bundles and their tiers in the emergence fold: who stands for what, and what comes after."""

from __future__ import annotations

import pytest

from domain.emergence.facts import Detected
from tests.support.emergence_world import (
    BUNDLE,
    SINGLES,
    EmergenceWorld,
    s0,
    told,
)

BLUEPRINT, BOM, COMPLIANCE, INVESTMENT = SINGLES


@pytest.fixture
def world() -> EmergenceWorld:
    """S0's catalogue in force, nothing reported."""
    return EmergenceWorld()


class TestBundles:
    def test_take_over_what_is_open(self, world: EmergenceWorld) -> None:
        """The customer is asked once for everything."""
        world.report(BLUEPRINT)
        assert told(world.report(*SINGLES)) == [("superseded", BUNDLE), ("detected", BUNDLE, "1")]
        assert world.tiers[BLUEPRINT].status == "superseded"

    def test_are_lost_by_a_single_charge(self, world: EmergenceWorld) -> None:
        """S0-R4: none of the four was charged."""
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "charged")
        assert told(world.report(*SINGLES)) == [
            ("detected", code, "1") for code in (BOM, COMPLIANCE, INVESTMENT)
        ]

    def test_give_way_to_a_charge_that_crossed_them(self, world: EmergenceWorld) -> None:
        """Blueprint was approved while the bundle took over: the money moved."""
        world.report(BLUEPRINT)
        single = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        events = world.settle(single, "charged")
        assert told(events) == [
            ("superseded", BLUEPRINT),
            *(("detected", code, "1") for code in (BOM, COMPLIANCE, INVESTMENT)),
        ]

    @pytest.mark.parametrize("how", ["refunded", "cooling down"])
    def test_wait_for_a_tier_that_waits(self, how: str) -> None:
        """The others are offered meanwhile, and taken over afterwards."""
        world = EmergenceWorld(s0(cool_down_hours=5 if how == "cooling down" else 0))
        world.report(BLUEPRINT)
        if how == "refunded":
            world.settle(world.detection(BLUEPRINT), "charged")
            world.settle(world.detection(BLUEPRINT), "refunded")
        else:
            world.report()
        world.report(*SINGLES)
        assert world.open == {BOM, COMPLIANCE, INVESTMENT}
        world.report(BOM, COMPLIANCE, INVESTMENT)
        world.wait(5)
        world.report(*SINGLES)
        assert world.open == {BUNDLE}

    def test_keep_what_was_paid_from_moving_on(self, world: EmergenceWorld) -> None:
        """The bundle falls, by new rules, at the very record that tells of the single charge."""
        world.report(BLUEPRINT)
        single = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        newer = s0() | {"version": 2}
        newer["tiers"][2]["when"] = "not finalized"
        world.publish(newer)
        assert told(world.settle(single, "charged"))[0] == ("reversed", BUNDLE)
        assert BLUEPRINT not in world.open
        assert world.report(BLUEPRINT, node="b") == ()

    def test_leave_a_charge_on_its_way_its_claim(self, world: EmergenceWorld) -> None:
        """The single charge crossed the bundle, which fell: what stays reached is paid once."""
        world.report(BLUEPRINT)
        single = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        events = world.report(BLUEPRINT, BOM, COMPLIANCE)
        assert told(events)[:2] == [("reversed", BUNDLE), ("detected", BLUEPRINT, "2")]
        assert told(world.settle(single, "charged")) == [("superseded", BLUEPRINT)]
        assert world.report(BLUEPRINT, BOM, COMPLIANCE) == ()
        assert world.open == {BOM, COMPLIANCE}

    def test_stand_for_what_was_paid_under_other_members(self) -> None:
        """A newer catalogue gives the bundle other tiers: the old ones are not asked for again."""
        world = EmergenceWorld(s0(once_per_project=False))
        world.report(*SINGLES)
        world.settle(world.detection(BUNDLE), "charged")
        world.wait(1_000)
        newer = s0(once_per_project=False) | {"version": 2}
        newer["tiers"] += [
            newer["tiers"][0] | {"code": "extra", "when": "not geometry_resolved"},
            newer["tiers"][1] | {"code": "more"},
        ]
        newer["bundles"][0]["tiers"] = ["extra", "more"]
        world.publish(newer)
        world.report(*SINGLES)
        world.report(BOM, node="b")
        world.report(BOM, node="b")
        assert world.open == {"extra", "more"}

    def test_that_overlap_go_by_their_order(self) -> None:
        """An earlier one takes over what a later one has open, and never the other way."""
        document = s0()
        half = document["bundles"][0] | {"code": "half", "tiers": [BLUEPRINT, BOM], "credits": 70}
        document["bundles"].append(half)
        world = EmergenceWorld(document)
        assert told(world.report(BLUEPRINT, BOM)) == [("detected", "half", "1")]
        assert told(world.report(*SINGLES)) == [("superseded", BUNDLE), ("detected", BUNDLE, "1")]
        assert world.report(*SINGLES, node="b") == ()

    def test_leave_their_tiers_when_declined(self, world: EmergenceWorld) -> None:
        """They are offered singly, and the bundle waits for a fall and a rise."""
        world.report(*SINGLES)
        events = world.settle(world.detection(BUNDLE), "declined")
        assert told(events) == [("detected", code, "1") for code in SINGLES]
        assert world.report(*SINGLES) == ()
        world.report(BLUEPRINT, BOM, COMPLIANCE)
        assert told(world.report(*SINGLES))[-1] == ("detected", BUNDLE, "2")

    def test_come_again_when_expired(self, world: EmergenceWorld) -> None:
        """At the next report; its tiers are not offered in between."""
        world.report(*SINGLES)
        assert world.settle(world.detection(BUNDLE), "expired") == ()
        (event,) = world.report(*SINGLES)
        assert isinstance(event, Detected)
        assert (BUNDLE, 2, ((BUNDLE, 1),)) == (event.code, event.generation, event.covers[:1])

    def test_fall_apart_with_one_tier(self, world: EmergenceWorld) -> None:
        """Charged and given back; the three that stay are offered, of the same claims."""
        world.report(*SINGLES)
        world.settle(world.detection(BUNDLE), "charged")
        events = world.report(BLUEPRINT, BOM, COMPLIANCE)
        assert told(events) == [
            ("reversed", BUNDLE),
            *(("detected", code, "1") for code in (BLUEPRINT, BOM, COMPLIANCE)),
        ]
        assert [event.covers for event in events[1:]] == [  # type: ignore[union-attr]
            ((code, 1),) for code in (BLUEPRINT, BOM, COMPLIANCE)
        ]

    def test_hold_their_tiers_when_charged(self, world: EmergenceWorld) -> None:
        """Nothing of them is offered again."""
        world.report(*SINGLES)
        world.settle(world.detection(BUNDLE), "charged")
        assert world.report(*SINGLES, node="b") == ()

    def test_of_long_ago_hold_all_but_what_rose_anew(self) -> None:
        """The tier that fell and rose is offered alone: the others were paid for."""
        world = EmergenceWorld(s0(once_per_project=False))
        world.report(*SINGLES)
        world.settle(world.detection(BUNDLE), "charged")
        world.wait(73)
        assert world.report(BLUEPRINT, BOM, COMPLIANCE) == ()
        assert told(world.report(*SINGLES)) == [("detected", INVESTMENT, "1")]

    def test_wait_as_a_whole_when_refunded(self, world: EmergenceWorld) -> None:
        """What was given back is not asked for again one by one."""
        world.report(*SINGLES)
        world.settle(world.detection(BUNDLE), "charged")
        assert world.settle(world.detection(BUNDLE), "refunded") == ()
        assert world.report(*SINGLES) == ()
