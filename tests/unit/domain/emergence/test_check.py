"""What `check` says a report would come to, and that the fold then does just that."""

from __future__ import annotations

import pytest

from domain.canonical import to_canonical_json
from domain.catalogue import parse_catalogue
from domain.emergence.check import Check, check
from domain.emergence.facts import Detected, ProjectKey
from domain.emergence.project import Project
from domain.emergence.records import NodeReported
from domain.errors import Rejected
from tests.support.emergence_world import (
    BUNDLE,
    PROJECT,
    SINGLES,
    TENANT,
    EmergenceWorld,
    node_data,
    s0,
    told,
)

BLUEPRINT, BOM, COMPLIANCE, INVESTMENT = SINGLES
CATALOGUE = parse_catalogue(to_canonical_json(s0()))


@pytest.fixture
def world() -> EmergenceWorld:
    """S0's catalogue in force, nothing reported."""
    return EmergenceWorld()


def checked(world: EmergenceWorld, data: str, *, node: str = "a") -> Check:
    """Check a report on the project as the fold has it."""
    key = ProjectKey(TENANT, PROJECT, "")
    project = world.fold._projects.get(key) or Project(key)
    report = NodeReported(TENANT, PROJECT, node, world.now_ms, data)
    return check(project=project, report=report, catalogue=CATALOGUE, now_ms=world.now_ms)


class TestCheck:
    def test_foretells_the_detection(self, world: EmergenceWorld) -> None:
        """The same id as the fold's, evidence and all, save for the offset."""
        found = checked(world, node_data(BLUEPRINT))
        (offer,) = found.offers
        (event,) = world.report(BLUEPRINT)
        assert isinstance(event, Detected)
        assert (event.detection, BLUEPRINT, True) == (
            offer.detection, offer.terms.code, offer.is_new
        )  # fmt: skip
        assert event.covers == found.detections[0].covers

    def test_changes_nothing(self, world: EmergenceWorld) -> None:
        """However often one asks."""
        world.report(BLUEPRINT)
        for _ in range(2):
            assert BUNDLE == checked(world, node_data(*SINGLES)).offers[0].terms.code
        assert world.open == {BLUEPRINT}
        assert told(world.report(*SINGLES))[-1] == ("detected", BUNDLE, "1")

    def test_shows_what_is_open_already(self, world: EmergenceWorld) -> None:
        """With its id, so that asking twice names one event."""
        world.report(BLUEPRINT)
        (offer,) = checked(world, node_data(BLUEPRINT), node="b").offers
        assert (world.detection(BLUEPRINT), False) == (offer.detection, offer.is_new)

    def test_names_failed_gates(self, world: EmergenceWorld) -> None:
        """S0-90: high fit score but no emergence."""
        found = checked(world, node_data(BLUEPRINT, finalized=False, emergence_status="draft"))
        assert found.judgement.failed_gates == ("not_finalized", "not_ready")
        assert found.offers == ()

    def test_keeps_what_rests_on_other_nodes_apart(self, world: EmergenceWorld) -> None:
        """The answer is about the node that was sent."""
        world.report(BLUEPRINT)
        found = checked(world, node_data(BLUEPRINT, fit="0.5"), node="b")
        assert (found.offers, [offer.terms.code for offer in found.others]) == ((), [BLUEPRINT])

    def test_answers_without_a_customer(self, world: EmergenceWorld) -> None:
        """S0-R5: it says what is reached, and there is no event."""
        found = checked(world, node_data(*SINGLES, customer=""))
        assert [(BUNDLE, "")] == [(offer.terms.code, offer.detection) for offer in found.offers]
        assert found.detections == ()

    def test_says_what_was_charged_or_declined(self, world: EmergenceWorld) -> None:
        """So that "no emergence" has its reason."""
        world.report(BLUEPRINT, BOM)
        world.settle(world.detection(BLUEPRINT), "charged")
        world.settle(world.detection(BOM), "declined")
        found = checked(world, node_data(BLUEPRINT, BOM))
        assert ((), (BLUEPRINT,), (BOM,)) == (found.offers, found.charged, found.declined)

    @pytest.mark.parametrize("data", ['{"fit_score": NaN}', '{"fit_score": "0,95"}', "[]"])
    def test_refuses_what_the_fold_would(self, world: EmergenceWorld, data: str) -> None:
        """With the field's name."""
        with pytest.raises(Rejected):
            checked(world, data)
