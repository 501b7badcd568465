"""Requirements S0-06 … S0-27 and their examples, on the catalogue that the project ships."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cli.catalogue_file import read_catalogue_file
from domain.catalogue import parse_catalogue
from domain.emergence_rules.judge import judge, offers, read_values
from domain.errors import Rejected
from tests.support import checkout

RULES = parse_catalogue(
    read_catalogue_file(checkout.ROOT / "deploy" / "catalogues" / "s0_bem_emergence.yaml")
).emergence
GATES = {"finalized": True, "emergence_status": "ready"}
FLAGS = {
    "blueprint_package": ("geometry_resolved", "specs_complete"),
    "bom_suppliers": ("material_complete", "component_logic_complete"),
    "compliance_package": ("region_resolved", "compliance_resolved"),
    "investment_report": ("investment_node_resolved", "project_roi_complete"),
}
BLUEPRINT = dict.fromkeys(FLAGS["blueprint_package"], True)
ALL = dict.fromkeys((flag for flags in FLAGS.values() for flag in flags), True)


def report(data: Mapping[str, Any], fit: str = "0.95", *, without: tuple[str, ...] = ()) -> str:
    """A node's report; fit is written as it stands."""
    node = {key: value for key, value in {**GATES, **data}.items() if key not in without}
    text = json.dumps({"project_id": "test-project", "node_id": "test-node", "node_data": node})
    return f'{{"fit_score": {fit}, {text[1:]}'


def found(text: str) -> list[tuple[str, int, str]]:
    """What is offered: code, credits, fiat equivalent."""
    judgement = judge(read_values(text, RULES), RULES)
    assert not (judgement.failed_gates and judgement.tiers)
    return [
        (terms.code, terms.credits, terms.price.text()) for terms in offers(judgement.tiers, RULES)
    ]


def failed(text: str) -> tuple[str, ...]:
    return judge(read_values(text, RULES), RULES).failed_gates


class TestExamples:
    def test_x_01_the_blueprint_emerges(self) -> None:
        assert found(report(BLUEPRINT)) == [("blueprint_package", 50, "500.00")]

    def test_x_02_the_limit_is_included(self) -> None:
        assert found(report(BLUEPRINT, "0.90")) == [("blueprint_package", 50, "500.00")]

    @pytest.mark.parametrize("fit", ["0.89", "0.899", "0.8999999999"])
    def test_x_03_and_x_04_the_raw_score_is_compared(self, fit: str) -> None:
        """0.899 kept with two decimals would read 0.90."""
        assert found(report(BLUEPRINT, fit)) == []
        assert failed(report(BLUEPRINT, fit)) == ("fit_too_low",)

    @pytest.mark.parametrize(
        "text",
        [report(BLUEPRINT | {"finalized": False}), report(BLUEPRINT, without=("finalized",))],
    )
    def test_x_05_not_finalized(self, text: str) -> None:
        assert (found(text), failed(text)) == ([], ("not_finalized",))

    @pytest.mark.parametrize(
        "text",
        [report(BLUEPRINT | {"emergence_status": "pending"}),
         report(BLUEPRINT, without=("emergence_status",))],
    )  # fmt: skip
    def test_x_06_not_ready(self, text: str) -> None:
        assert (found(text), failed(text)) == ([], ("not_ready",))

    def test_x_07_one_flag_is_not_enough(self) -> None:
        assert found(report(BLUEPRINT | {"specs_complete": False})) == []

    def test_x_08_gates_guard_every_tier(self) -> None:
        assert found(report(ALL, "0.89")) == []

    @pytest.mark.parametrize(
        ("code", "cost", "price"),
        [("bom_suppliers", 30, "250.00"), ("compliance_package", 35, "300.00"),
         ("investment_report", 60, "700.00")],
    )  # fmt: skip
    def test_x_09_each_tier_alone(self, code: str, cost: int, price: str) -> None:
        assert found(report(dict.fromkeys(FLAGS[code], True))) == [(code, cost, price)]

    def test_x_10_all_flags_are_the_bundle(self) -> None:
        """120 credits, never the sum of 175."""
        assert found(report(ALL)) == [("full_emergence_bundle", 120, "1499.00")]

    def test_x_27_the_bundle_saves_55_credits_and_251_pesos(self) -> None:
        (bundle,) = RULES.bundles
        singles = [tier.terms for tier in RULES.tiers]
        assert sum(terms.credits for terms in singles) - bundle.terms.credits == 55
        saved = (
            sum(terms.price.amount_minor for terms in singles) - bundle.terms.price.amount_minor
        )
        assert saved == 25_100

    @pytest.mark.parametrize(
        ("code", "difference"),
        [("blueprint_package", 0), ("bom_suppliers", -50), ("compliance_package", -50),
         ("investment_report", 100), ("full_emergence_bundle", 299)],
    )  # fmt: skip
    def test_x_28_to_x_32_the_price_is_the_tiers_own(self, code: str, difference: int) -> None:
        """Ten pesos a credit agree with the Blueprint alone (S0-R1)."""
        (terms,) = [terms for terms in RULES.terms if terms.code == code]
        assert terms.price.amount_minor - terms.credits * 1_000 == difference * 100


class TestOffers:
    def test_leave_out_what_was_charged_and_the_bundle_with_it(self) -> None:
        """S0-28, S0-R4: the other tiers singly, in the catalogue's order."""
        reached = tuple(FLAGS)
        left = offers(reached, RULES, charged=["compliance_package"])
        assert [terms.code for terms in left] == [
            "blueprint_package", "bom_suppliers", "investment_report"
        ]  # fmt: skip

    def test_are_none_when_all_was_charged(self) -> None:
        assert offers(tuple(FLAGS), RULES, charged=tuple(FLAGS)) == ()


class TestBadReports:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (report({}, "1.7"), "fit_score must not be above 1"),
            (report({}, '"0,95"'), "fit_score must be a decimal"),
            (report({}, "NaN"), "NaN is no number"),
            (report({}, "-0.1"), "fit_score must be a decimal"),
            (report({}, "1e999999999"), "fit_score must be a decimal"),
            (report({}, "true"), "fit_score must be a decimal"),
            (report({"finalized": "yes"}), "finalized must be true or false"),
            (report({"finalized": 1}), "finalized must be true or false"),
            (report({"emergence_status": 1}), "emergence_status must be text"),
            ('{"node_data": []}', "node_data must be an object"),
            ("[]", "the report must be an object"), ("{", "no JSON"), ("[" * 100_000, "no JSON"),
        ],
    )  # fmt: skip
    def test_are_refused_with_the_fields_name(self, text: str, reason: str) -> None:
        with pytest.raises(Rejected, match="bad_value") as refused:
            read_values(text, RULES)
        assert reason in refused.value.reason

    def test_may_have_fields_that_nobody_declared(self) -> None:
        """They are kept on the log and not judged (unknown fields are no mistake)."""
        text = report({**BLUEPRINT, "colour": {"of": ["the", "day"]}, "weight": 1.5})
        assert found(text) == [("blueprint_package", 50, "500.00")]

    def test_a_null_is_a_missing_field(self) -> None:
        assert failed(report(BLUEPRINT | {"finalized": None})) == ("not_finalized",)
