"""A catalogue is checked whole, and a refusal names the place."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from domain.aggregation.kinds import Aggregation
from domain.catalogue import is_newer, parse_catalogue
from domain.codes import Code
from domain.errors import Rejected
from tests.support import billing


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """The catalogue of S1 with one thing changed."""
    document = json.loads(billing.s1_document())
    change(document)
    return json.dumps(document)


def price(document: dict[str, Any]) -> dict[str, Any]:
    """The credit price of STARTER."""
    found: dict[str, Any] = document["plans"][0]["prices"][2]
    return found


def tiers(*values: dict[str, str]) -> Callable[[dict[str, Any]], object]:
    """Make the credit price of STARTER graduated."""

    def change(document: dict[str, Any]) -> None:
        entry = price(document)
        del entry["rate"]
        entry |= {"form": "graduated", "tiers": list(values)}

    return change


def named(name: str, *aliases: str) -> dict[str, Any]:
    """An entry of event_types."""
    return {"name": name, "aliases": list(aliases or ("other",))}


class TestParse:
    def test_s1_18_reads_plans_and_meters(self) -> None:
        """Every plan of S1 comes from data; a plan more is a row more."""
        catalogue = billing.s1_catalogue()
        assert [plan.code for plan in catalogue.plans] == [
            "STARTER",
            "PRO",
            "ENTERPRISE",
            "CUSTOM",
        ]
        assert catalogue.meter("assets").aggregation is Aggregation.LATEST
        assert [price.key for price in catalogue.plan("PRO").prices] == [
            "base",
            "asset_uplift",
            "credit_overage",
        ]

    def test_hash_does_not_depend_on_how_it_was_typed(self) -> None:
        """White space and key order change nothing; a rate does."""
        catalogue = billing.s1_catalogue()
        typed = json.dumps(json.loads(billing.s1_document()), indent=2, sort_keys=True)
        other = changed(lambda document: price(document).update(rate="0.0021"))
        assert catalogue.sha256 == parse_catalogue(typed).sha256
        assert catalogue.sha256 != parse_catalogue(other).sha256

    # The place in the reason, and what breaks there.
    FAULTS: tuple[tuple[str, Callable[[dict[str, Any]], object]], ...] = (
        ("catalogue.version", lambda d: d.update(version=0)),
        ("catalogue.version", lambda d: d.update(version=True)),
        ("catalogue.extra", lambda d: d.update(extra=1)),
        (r"'\x00'", lambda d: d.update({"\0": 1})),
        ("catalogue.event_types", lambda d: d.update(event_types=[named("unheard")])),
        ("catalogue.event_types", lambda d: d.update(event_types=[named("credits", "assets")])),
        ("catalogue.event_types", lambda d: d.update(event_types=[named("credits", "credits")])),
        (
            "catalogue.event_types",
            lambda d: d.update(event_types=[named("credits"), named("assets")]),
        ),
        (
            "catalogue.event_types",
            lambda d: d.update(event_types=[named("credits", "a"), named("credits", "b")]),
        ),
        (
            "catalogue.event_types[0].aliases",
            lambda d: d.update(event_types=[named("credits", "")]),
        ),
        (
            "catalogue.event_types[0].aliases",
            lambda d: d.update(event_types=[{"name": "credits", "aliases": []}]),
        ),
        (
            "catalogue.event_types[0].aliases",
            lambda d: d.update(event_types=[named("credits", *map(str, range(17)))]),
        ),
        ("catalogue.meters", lambda d: d["meters"].append(d["meters"][0])),
        ("catalogue.plans", lambda d: d["plans"].append(d["plans"][0])),
        ("catalogue.meters[0].aggregation", lambda d: d["meters"][0].update(aggregation="mean")),
        ("catalogue.meters[0].value", lambda d: d["meters"][0].update(value="property:")),
        ("catalogue.plans[0].currency", lambda d: d["plans"][0].update(currency="ABC")),
        ("catalogue.plans[0].prices[2].meter", lambda d: price(d).update(meter="unheard")),
        ("catalogue.plans[0].prices", lambda d: price(d).update(key="base")),
        ("catalogue.plans[0].prices[2].form", lambda d: price(d).update(form="volumes")),
        ("catalogue.plans[0].prices[2].rate", lambda d: price(d).update(rate="-1")),
        ("catalogue.plans[0].prices[2].rate", lambda d: price(d).update(rate=1)),
        ("catalogue.plans[0].prices[2].rate", lambda d: price(d).update(rate="1e3")),
        ("catalogue.plans[0].prices[2].rates", lambda d: price(d).update(rates="1")),
        ("catalogue.plans[0].prices[2].per", lambda d: price(d).update(per="0")),
        ("catalogue.plans[0].prices[2].per", lambda d: price(d).update(per="12")),
        ("catalogue.plans[0].prices[2].per", lambda d: price(d).update(per="0.1")),
        (
            "catalogue.plans[0].prices[2].per",
            lambda d: price(d).update(per="100000000000000000.000000000000000001"),
        ),
        ("catalogue.plans[0].prices[2].tiers", tiers()),
        ("catalogue.plans[0].prices[2].tiers", tiers({"up_to": "10", "rate": "1"})),
        ("catalogue.plans[0].prices[2].tiers", tiers({"rate": "1"}, {"rate": "1"})),
        (
            "catalogue.plans[0].prices[2].tiers",
            tiers({"up_to": "10", "rate": "1"}, {"up_to": "10", "rate": "1"}, {"rate": "1"}),
        ),
        (
            "catalogue.plans[0].prices[2].tiers",
            tiers({"up_to": "20", "rate": "1"}, {"up_to": "10", "rate": "1"}, {"rate": "1"}),
        ),
        (
            "catalogue.plans[0].prices[2].tiers",
            tiers({"up_to": "0", "rate": "1"}, {"rate": "1"}),
        ),
    )

    @pytest.mark.parametrize(("place", "change"), FAULTS)
    def test_refuses_a_broken_rule_with_its_place(
        self, place: str, change: Callable[[dict[str, Any]], object]
    ) -> None:
        """The reason says where, so that a person finds it."""
        with pytest.raises(Rejected) as caught:
            parse_catalogue(changed(change))
        assert caught.value.code is Code.CATALOGUE_INVALID
        assert place in caught.value.reason
        assert caught.value.reason.isprintable()

    @pytest.mark.parametrize("content", ["", "[]", "null", '{"version":1.5}', "{"])
    def test_refuses_what_is_no_object(self, content: str) -> None:
        """Whatever is wrong with the JSON, the code is the catalogue's."""
        with pytest.raises(Rejected) as caught:
            parse_catalogue(content)
        assert caught.value.code is Code.CATALOGUE_INVALID


class TestLookup:
    def test_finds_every_meter_of_an_event_type(self) -> None:
        """One event may feed several meters; an unknown type feeds none."""
        content = billing.document(
            1,
            meters=[
                billing.meter("tokens", event_type="request"),
                billing.meter("requests", event_type="request", aggregation="count"),
                billing.meter("seats"),
            ],
            plans=[],
        )
        catalogue = parse_catalogue(content)
        assert [meter.key for meter in catalogue.meters_of("request")] == ["tokens", "requests"]
        assert catalogue.meters_of("unheard") == ()

    def test_says_that_a_plan_is_unknown(self) -> None:
        """The code is the one that the API passes on."""
        with pytest.raises(Rejected) as caught:
            billing.s1_catalogue().plan("GOLD")
        assert caught.value.code is Code.PLAN_UNKNOWN


class TestAliases:
    def test_c_20_feed_the_meters_of_their_type(self) -> None:
        """Every meter of the type, and no other."""
        content = billing.document(
            1,
            meters=[
                billing.meter("tokens", event_type="request"),
                billing.meter("requests", event_type="request", aggregation="count"),
                billing.meter("seats"),
            ],
            plans=[],
        )
        document = json.loads(content)
        document["event_types"] = [named("request", "requests", "llm.request")]
        catalogue = parse_catalogue(json.dumps(document))
        for name in ("request", "requests", "llm.request"):
            assert ["tokens", "requests"] == [meter.key for meter in catalogue.meters_of(name)]
        assert ["seats"] == [meter.key for meter in catalogue.meters_of("seats")]
        assert {"request", "requests", "llm.request", "seats"} == catalogue.event_names
        assert 2 == catalogue.meters_per_type_max

    def test_do_not_raise_how_many_meters_one_event_feeds(self) -> None:
        """Eight meters of one type are taken, also with aliases; nine are not."""
        meters = [billing.meter(f"m{number}", event_type="call") for number in range(9)]
        names = [named("call", "calls", "API calls")]
        taken, refused = (
            json.dumps({"version": 1, "event_types": names, "meters": meters[:count]})
            for count in (8, 9)
        )
        catalogue = parse_catalogue(taken)
        assert (8, 8) == (catalogue.meters_per_type_max, len(catalogue.meters_of("calls")))
        with pytest.raises(Rejected, match="feed more than 8 from one event type"):
            parse_catalogue(refused)

    def test_of_nothing_leave_the_document_as_it_was(self) -> None:
        """What was published before there were aliases keeps its hash."""
        assert (
            "5d36c7d8f70a205bf9e8a10c8931da404cd5ff9f133725ea79d22d00b9beebc9"
            == billing.s1_catalogue().sha256
        )


class TestIsNewer:
    def test_first_and_higher_versions_replace(self) -> None:
        """Gaps between versions are allowed."""
        one, nine = billing.s1_catalogue(1), billing.s1_catalogue(9)
        assert is_newer(one, current=None, version=1)
        assert is_newer(nine, current=one, version=9)

    def test_same_again_changes_nothing(self) -> None:
        """A repeated publication is no error."""
        assert not is_newer(billing.s1_catalogue(), current=billing.s1_catalogue(), version=1)

    def test_refuses_older_taken_and_misnamed_versions(self) -> None:
        """Each has its own code."""
        one, nine = billing.s1_catalogue(1), billing.s1_catalogue(9)
        other = parse_catalogue(changed(lambda document: price(document).update(rate="9")))
        codes = []
        for catalogue, current, version in ((one, nine, 1), (other, one, 1), (one, None, 2)):
            with pytest.raises(Rejected) as caught:
                is_newer(catalogue, current=current, version=version)
            codes.append(caught.value.code)
        assert codes == [
            Code.CATALOGUE_VERSION_OLD,
            Code.CATALOGUE_VERSION_TAKEN,
            Code.CATALOGUE_INVALID,
        ]
