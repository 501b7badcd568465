"""The emergence fold by example: S0's rules, and every way in which a detection can end."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from domain.codes import Code
from domain.emergence.facts import Detected, How
from domain.emergence.fold import EmergenceFold
from domain.emergence.project import AHEAD_MS_MAX
from domain.emergence.records import DetectionSettled, NodeReported
from domain.usage.records import CataloguePublished
from tests.support.emergence_world import (
    BUNDLE,
    CUSTOMER,
    HOUR_MS,
    PROJECT,
    SINGLES,
    TENANT,
    EmergenceWorld,
    node_data,
    s0,
    told,
)

BLUEPRINT, BOM, COMPLIANCE, INVESTMENT = SINGLES


@pytest.fixture
def world() -> EmergenceWorld:
    """S0's catalogue in force, nothing reported."""
    return EmergenceWorld()


class TestDetecting:
    def test_x_01_a_blueprint_with_its_evidence(self, world: EmergenceWorld) -> None:
        """Price, covers, rule and evidence are in the fact: the books need nothing else."""
        (event,) = world.report(BLUEPRINT)
        assert isinstance(event, Detected)
        assert (BLUEPRINT, 50, 50_000, "PHP") == (
            event.code, event.credits, event.price_minor, event.currency
        )  # fmt: skip
        assert (CUSTOMER, 1, ((BLUEPRINT, 1),)) == (event.customer, event.generation, event.covers)
        (evidence,) = event.evidence
        digest = hashlib.sha256(node_data(BLUEPRINT).encode()).hexdigest()
        assert ("a", 0, 1, digest) == (
            evidence.node, evidence.partition, evidence.offset, evidence.data_sha256
        )  # fmt: skip
        assert evidence.values == {
            "fit_score": "0.95", "finalized": "true", "emergence_status": "ready",
            "geometry_resolved": "true", "specs_complete": "true",
        }  # fmt: skip

    @pytest.mark.parametrize("fit", ["0.89", "0.899", "0"])
    def test_x_04_nothing_below_the_raw_threshold(self, world: EmergenceWorld, fit: str) -> None:
        """0.899 is not 0.90."""
        assert world.report(*SINGLES, fit=fit) == ()

    def test_x_10_the_bundle_alone(self, world: EmergenceWorld) -> None:
        """120 credits, never 175; it covers its four tiers and itself."""
        (event,) = world.report(*SINGLES)
        assert isinstance(event, Detected)
        assert (BUNDLE, 120, 149_900) == (event.code, event.credits, event.price_minor)
        assert event.covers == tuple((code, 1) for code in (BUNDLE, *SINGLES))
        assert [item.tier for item in event.evidence] == list(SINGLES)

    def test_x_11_a_pulse_completes_the_investment(self, world: EmergenceWorld) -> None:
        """Only with the field true, and only for the tiers that it names."""
        half: dict[str, Any] = {"investment_node_resolved": True}
        world.report(**half)
        assert world.pulse(data='{"roi_complete": false}') == ()
        assert world.pulse(data="{}") == ()
        (event,) = world.pulse()
        assert isinstance(event, Detected)
        assert event.code == INVESTMENT
        assert event.evidence[0].pulses == {"project_roi_complete": 4}

    def test_once_while_it_stays(self, world: EmergenceWorld) -> None:
        """However often the same is reported, and by whichever node."""
        world.report(BLUEPRINT)
        for node in ("a", "b", "a"):
            assert world.report(BLUEPRINT, node=node) == ()

    def test_apart_for_each_project(self, world: EmergenceWorld) -> None:
        """And a node that names no project is one of its own."""
        events = [
            *world.report(BLUEPRINT),
            *world.report(BLUEPRINT, project="bridge"),
            *world.report(BLUEPRINT, project=""),
            *world.report(BLUEPRINT, project="", node="b"),
        ]
        keys = [event.key for event in events]
        assert keys == [
            (TENANT, "tower", ""), (TENANT, "bridge", ""), (TENANT, "", "a"), (TENANT, "", "b"),
        ]  # fmt: skip
        assert len({event.detection for event in events if isinstance(event, Detected)}) == 4

    def test_when_a_customer_is_named(self, world: EmergenceWorld) -> None:
        """Until then it waits; a later report of any node may name one."""
        assert world.report(BLUEPRINT, customer="") == ()
        assert told(world.report(node="b")) == [("detected", BLUEPRINT, "1")]

    def test_with_tiers_of_several_nodes(self, world: EmergenceWorld) -> None:
        """The evidence of each tier is the first node by name that reaches it."""
        world.report(BLUEPRINT, BOM, node="z")
        (_, _, event) = world.report(COMPLIANCE, INVESTMENT, BOM, node="b")
        assert isinstance(event, Detected)
        assert [item.node for item in event.evidence] == ["z", "b", "b", "b"]


class TestOrder:
    def test_the_newest_report_counts(self, world: EmergenceWorld) -> None:
        """By the time it happened, not by the time it came."""
        world.report(BLUEPRINT, at=world.now_ms)
        assert world.report(at=world.now_ms - 1) == ()
        assert told(world.report(at=world.now_ms + 1)) == [("reversed", BLUEPRINT)]

    def test_a_node_version_wins_over_time(self, world: EmergenceWorld) -> None:
        """Clocks of machines differ; a counter does not."""
        world.report(BLUEPRINT, node_version=7)
        assert world.report(at=world.now_ms + 9, node_version=6) == ()
        assert world.open == {BLUEPRINT}

    def test_a_clock_that_runs_ahead_holds_nobody_up(self, world: EmergenceWorld) -> None:
        """Five minutes of it are believed; then the next report counts, and names who pays."""
        far = world.now_ms + 365 * 24 * HOUR_MS
        world.report(at=far, customer="wrong")
        world.pulse(at=far)
        world.wait(ms=AHEAD_MS_MAX - 1)
        assert world.report(BLUEPRINT) == ()
        world.wait(ms=1)
        (event,) = world.report(BLUEPRINT, INVESTMENT, project_roi_complete=False)
        assert isinstance(event, Detected)
        assert (BLUEPRINT, CUSTOMER) == (event.code, event.customer)

    def test_a_newer_report_wins_over_a_pulse_that_it_contradicts(
        self, world: EmergenceWorld
    ) -> None:
        """An older pulse does not win over it; a report without the field says nothing of it."""
        now = world.now_ms
        half: dict[str, Any] = {"investment_node_resolved": True}
        world.report(at=now, **half)
        world.pulse(at=now + 1)
        assert world.open == {INVESTMENT}
        world.report(at=now + 2, **half)
        assert world.open == {INVESTMENT}, "a report without the field leaves the pulse in force"
        world.report(at=now + 3, project_roi_complete=False, **half)
        assert world.open == set()
        world.pulse(at=now + 2)
        assert world.open == set(), "the pulse is older than the report that denies it"
        world.pulse(at=now + 4)
        assert world.open == {INVESTMENT}

    def test_a_pulse_offers_the_bundle_that_it_completes(self, world: EmergenceWorld) -> None:
        """Asked for singly first, the bundle would be lost."""
        world.report(BLUEPRINT, BOM, COMPLIANCE, investment_node_resolved=True)
        assert told(world.pulse()) == [
            *[("superseded", BUNDLE)] * 3,
            ("detected", BUNDLE, "1"),
        ]

    def test_a_pulse_leaves_other_tiers_to_the_next_report(self, world: EmergenceWorld) -> None:
        """It offers what it names; what expired, say, waits for a report."""
        world.report(BLUEPRINT, data=node_data(BLUEPRINT, investment_node_resolved=True))
        world.settle(world.detection(BLUEPRINT), "expired")
        assert told(world.pulse()) == [("detected", INVESTMENT, "1")]
        assert told(world.report(node="b")) == [("detected", BLUEPRINT, "2")]


class TestReversing:
    def test_evidence_that_goes_away_in_time(self, world: EmergenceWorld) -> None:
        """The last moment counts still; the next rise is a generation of the same claim."""
        first = world.report(BLUEPRINT)[0]
        world.wait(72)
        (ended,) = world.report()
        assert (first.detection, How.REVERSED) == (ended.detection, ended.how)  # type: ignore[union-attr]
        (again,) = world.report(BLUEPRINT)
        assert isinstance(again, Detected)
        assert (2, ((BLUEPRINT, 1),)) == (again.generation, again.covers)

    @pytest.mark.parametrize("is_once", [True, False])
    def test_evidence_that_goes_away_later(self, *, is_once: bool) -> None:
        """The offer stands, for the next rise too: it is not asked for twice."""
        world = EmergenceWorld(s0(once_per_project=is_once))
        world.report(BLUEPRINT)
        world.wait(72, ms=1)
        assert world.report() == world.report(BLUEPRINT) == ()
        world.settle(world.detection(BLUEPRINT), "charged")
        assert world.report(BLUEPRINT) == ()

    def test_never_where_the_terms_say_so(self) -> None:
        """reversal_hours: 0."""
        world = EmergenceWorld(s0(reversal_hours=0))
        world.report(BLUEPRINT)
        assert world.report() == ()

    def test_a_charge_in_time(self, world: EmergenceWorld) -> None:
        """It is given back by the books; afterwards all begins anew."""
        world.report(BLUEPRINT)
        charged = world.detection(BLUEPRINT)
        world.settle(charged, "charged")
        assert told(world.report()) == [("reversed", BLUEPRINT)]
        world.settle(charged, "refunded")
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_a_charge_that_is_not_given_back(self) -> None:
        """With refund_on_reversal off it stays charged, and once is once."""
        world = EmergenceWorld(s0(wallet={"refund_on_reversal": False}))
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "charged")
        assert world.report() == world.report(BLUEPRINT) == ()

    def test_a_charge_that_was_superseded_when_it_fell(self, world: EmergenceWorld) -> None:
        """The news of it came last; it is given back as if it had come in time."""
        world.report(BLUEPRINT)
        single = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        assert told(world.report()) == [("reversed", BUNDLE)]
        assert told(world.settle(single, "charged")) == [("reversed", BLUEPRINT)]
        assert world.settle(single, "refunded") == ()
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_goes_by_the_rules_of_its_detection(self, world: EmergenceWorld) -> None:
        """As the books do: what was promised then holds, whatever is published later."""
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "charged")
        world.publish(s0(wallet={"refund_on_reversal": False}) | {"version": 2})
        assert told(world.report()) == [("reversed", BLUEPRINT)]

    def test_news_of_a_charge_that_crossed_the_reversal(self) -> None:
        """Without refunds it counts: what follows shares its claim, so it is paid once."""
        world = EmergenceWorld(s0(wallet={"refund_on_reversal": False}))
        (first,) = world.report(BLUEPRINT)
        world.report()
        (second,) = world.report(BLUEPRINT)
        assert isinstance(first, Detected)
        assert isinstance(second, Detected)
        assert first.covers == second.covers
        events = world.settle(first.detection, "charged")
        assert told(events) == [("superseded", BLUEPRINT)]
        assert world.tiers[BLUEPRINT].detection == first.detection
        assert world.report(BLUEPRINT) == ()
        world.settle(second.detection, "charged")
        assert world.tiers[BLUEPRINT].detection == first.detection, "one charge is enough"


class TestGenerations:
    def test_wait_for_the_cool_down(self) -> None:
        """Counted from the detection before."""
        world = EmergenceWorld(s0(cool_down_hours=5))
        world.report(BLUEPRINT)
        world.wait(1)
        world.report()
        world.wait(4, ms=-1)
        assert world.report(BLUEPRINT) == ()
        world.wait(ms=1)
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_come_after_a_charge_of_long_ago(self) -> None:
        """Unless the tier is charged once per project."""
        for is_once, expected in ((True, []), (False, [("detected", BLUEPRINT, "2")])):
            world = EmergenceWorld(s0(once_per_project=is_once))
            world.report(BLUEPRINT)
            world.settle(world.detection(BLUEPRINT), "charged")
            world.wait(73)
            world.report()
            assert told(world.report(BLUEPRINT)) == expected

    def test_are_not_made_by_a_charged_tier_that_stays(self) -> None:
        """Only a fall makes room for the next."""
        world = EmergenceWorld(s0(once_per_project=False))
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "charged")
        world.wait(1_000)
        assert world.report(BLUEPRINT) == ()


class TestSettlements:
    @pytest.mark.parametrize(
        ("status", "repeated"),
        [("charged", []), ("declined", []), ("expired", [("detected", BLUEPRINT, "2")])],
    )
    def test_what_the_next_report_brings(
        self, world: EmergenceWorld, status: str, repeated: list[tuple[str, ...]]
    ) -> None:
        """Only what expired comes again while it stays reached."""
        world.report(BLUEPRINT)
        assert world.settle(world.detection(BLUEPRINT), status) == ()
        assert told(world.report(BLUEPRINT)) == repeated

    def test_of_what_was_followed_by_another_change_nothing(self) -> None:
        """It expired, and came again without any cool-down, for it never fell."""
        world = EmergenceWorld(s0(cool_down_hours=5))
        (first,) = world.report(BLUEPRINT)
        assert isinstance(first, Detected)
        world.settle(first.detection, "expired")
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]
        assert world.settle(first.detection, "charged") == ()
        assert world.open == {BLUEPRINT}

    def test_of_two_that_were_paid_one_after_the_other(self, world: EmergenceWorld) -> None:
        """The first one was given back; the second, superseded meanwhile, is what stands."""
        world.report(BLUEPRINT)
        first = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        world.report(BLUEPRINT)
        second = world.detection(BLUEPRINT)
        world.report(*SINGLES)
        for detection, status in (
            (first, "charged"),
            (first, "refunded"),
            (second, "charged"),
        ):
            world.settle(detection, status)
        row = world.tiers[BLUEPRINT]
        assert (second, "charged") == (row.detection, row.status)

    def test_of_another_tier_bring_nothing_back(self, world: EmergenceWorld) -> None:
        """What expired waits for a report, not for whatever the books say next."""
        world.report(BLUEPRINT, BOM)
        world.settle(world.detection(BLUEPRINT), "expired")
        assert world.settle(world.detection(BOM), "declined") == ()

    @pytest.mark.parametrize("status", ["declined", "refunded"])
    def test_what_waits_for_a_fall(self, world: EmergenceWorld, status: str) -> None:
        """Then it may be asked for anew."""
        world.report(BLUEPRINT)
        if status == "refunded":
            world.settle(world.detection(BLUEPRINT), "charged")
        world.settle(world.detection(BLUEPRINT), status)
        world.report(BLUEPRINT)
        assert world.open == set()
        world.report()
        (event,) = world.report(BLUEPRINT)
        assert isinstance(event, Detected)
        # The books have what was given back free again (S0's tiers are once per project).
        assert (2, ((BLUEPRINT, 1),)) == (event.generation, event.covers)

    def test_a_refund_after_the_work_went_away(self, world: EmergenceWorld) -> None:
        """It has fallen already: the next rise is offered."""
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "charged")
        world.wait(73)
        world.report()
        world.settle(world.detection(BLUEPRINT), "refunded")
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_a_refund_of_a_charge_that_crossed_its_reversal(self) -> None:
        """It is as if it had never been charged: nothing waits but the cool-down."""
        world = EmergenceWorld(s0(cool_down_hours=5))
        world.report(BLUEPRINT)
        world.report()
        world.settle(world.detection(BLUEPRINT), "charged")
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "refunded")
        world.wait(5)
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_unbilled_waits_a_moment(self, world: EmergenceWorld) -> None:
        """So that a busy node of an unknown customer does not ask with every report."""
        world.report(BLUEPRINT)
        world.settle(world.detection(BLUEPRINT), "unbilled")
        world.wait(ms=4_999)
        assert world.report(BLUEPRINT) == ()
        world.wait(ms=1)
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]

    def test_repeated_and_unknown_ones_change_nothing(self, world: EmergenceWorld) -> None:
        """A policy says things at least once, and never takes them back."""
        world.report(BLUEPRINT)
        detection = world.detection(BLUEPRINT)
        for status in ("charged", "refunded"):
            world.settle(detection, status)
        before = world.tiers
        for status in ("charged", "refunded", "declined", "expired"):
            assert world.settle(detection, status) == ()
            assert world.last.tiers == ()
        world.settle("emg_unknown", "charged")
        world.take(DetectionSettled(TENANT, "elsewhere", "", detection, "charged", 1))
        assert world.tiers == before
        assert not any(facts.rejects for facts in world.facts)

    def test_a_decline_after_the_work_went_away(self, world: EmergenceWorld) -> None:
        """It has fallen already: the next rise is offered."""
        world.report(BLUEPRINT)
        world.wait(100)
        world.report()
        world.settle(world.detection(BLUEPRINT), "declined")
        assert told(world.report(BLUEPRINT)) == [("detected", BLUEPRINT, "2")]


class TestRules:
    def test_of_a_newer_version_judge_from_the_next_record_on(self, world: EmergenceWorld) -> None:
        """Nodes are read again; the fact names the version that judged."""
        world.report(BLUEPRINT, fit="0.85")
        newer = s0()
        newer["version"] = 2
        newer["gates"][0]["when"] = "fit_score >= 0.80"
        world.publish(newer)
        (event,) = world.report(node="b")
        assert isinstance(event, Detected)
        assert (BLUEPRINT, 2, "a") == (event.code, event.rule_version, event.evidence[0].node)

    def test_that_refuse_what_a_node_has_leave_it_without_values(
        self, world: EmergenceWorld
    ) -> None:
        """It falls, and nothing else happens."""
        world.report(BLUEPRINT)
        newer = s0()
        newer["version"] = 2
        newer["node_fields"][0]["maximum"] = "0.92"
        world.publish(newer)
        assert told(world.report(node="b", fit="0.91")) == [("reversed", BLUEPRINT)]

    def test_of_an_old_or_damaged_version_are_refused(self, world: EmergenceWorld) -> None:
        """The one in force stays."""
        facts = world.take(CataloguePublished(TENANT, 1, "{"))
        assert [Code.CATALOGUE_INVALID] == [reject.code for reject in facts.rejects]
        assert world.report(BLUEPRINT) != ()

    def test_that_are_missing_judge_nothing(self) -> None:
        """Nodes are kept until somebody publishes some."""
        world = EmergenceWorld()
        facts = world.take(NodeReported("other", PROJECT, "a", 1, node_data(BLUEPRINT)))
        assert facts.events == ()
        assert facts.nodes[0].values == {}


class TestSuspicions:
    @pytest.mark.parametrize(
        ("old", "new", "hours", "is_suspect"),
        [
            ("0.80", "0.90", 24, True),
            ("0.80", "0.92", 1, True),
            ("0.80", "0.921", 1, False),
            ("0.81", "0.90", 1, False),
            ("0.90", "0.91", 1, False),
            ("0.10", "0.90", 25, False),
        ],
    )
    def test_a_score_that_jumps_just_over(
        self, world: EmergenceWorld, old: str, new: str, hours: int, *, is_suspect: bool
    ) -> None:
        """From below to at most 0.02 above, by 0.10 or more, within a day."""
        world.report(fit=old)
        world.wait(hours)
        assert told(world.report(fit=new)) == [("suspected", "just_over")] * is_suspect


class TestActivity:
    def test_is_counted_by_customer_project_and_day(self, world: EmergenceWorld) -> None:
        """Reports, also older ones, and pulses, also ones that say nothing."""
        world.report(at=world.now_ms - 1)
        assert (CUSTOMER, 1, 0) == _activity(world)
        world.report(at=world.now_ms - 2)
        assert (CUSTOMER, 1, 0) == _activity(world)
        world.pulse("")
        assert (CUSTOMER, 0, 1) == _activity(world)


def _activity(world: EmergenceWorld) -> tuple[str, int, int]:
    (count,) = world.last.activity
    return count.customer, count.updates, count.pulses


class TestTime:
    def test_never_goes_back_over_a_restore(self, world: EmergenceWorld) -> None:
        """Brokers' clocks differ a little; a cool-down must not begin anew with a restart."""
        high = world.now_ms
        for is_restored in (False, True):
            if is_restored:
                world.fold = EmergenceFold(partition=0, partitions=1)
                for facts in world.facts:
                    world.fold.restore(facts)
            world.now_ms = high - 5
            world.report(BLUEPRINT, node=f"{is_restored}")
            assert world.last.received_high_ms == high
