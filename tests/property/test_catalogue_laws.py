"""Laws of catalogues: three readers of one shape agree, and another name changes no count."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli.catalogue_file import check_text
from cli.catalogue_text import document_text
from domain.catalogue import Catalogue, parse_catalogue, read_catalogue
from domain.catalogue_check import check_catalogue, shape_problems
from domain.catalogue_diff import diff_catalogues
from domain.catalogue_schema import schema_text
from domain.catalogue_shape import CATALOGUE
from domain.catalogue_versions import refused_changes
from domain.document_shape import Shape
from domain.errors import Rejected
from domain.pricing.forms import FORMS
from domain.usage.fold import UsageFold
from domain.usage.records import SourceRecord
from schemas.usage_wire import from_wire_usage_source, to_wire_catalogue
from tests.support.full_catalogue import GOOD
from tests.support.usage_facts import totals_of, windows_of
from tests.support.usage_truth import Event, batch_record

NUMBERS = "1 10 12 0 01 0.0020 1000.0 0010.00 1e3 -1 .5 5. 1_0 ٣"
LONG = ["x" * 200, "x" * 201, "1" * 18, "1" * 19, f"1.{'0' * 18}", f"1.{'0' * 19}"]
WORDS = (
    "x sum mean flat graduated volume USD USX usd call calls ms quantity property: property:ms "
    "books standard lifetime month year in_advance in_arrears warn units paid launch free all"
)
ODD = ["", "nul\0", "del\x7f", "a\n", "\x85"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**31, 2**31 + 1]),
    st.sampled_from([*NUMBERS.split(), *LONG, *WORDS.split(), *ODD]),
    st.lists(st.sampled_from(["a", "b", "", "call", "nul\0"]), max_size=20),
    st.lists(st.sampled_from([{}, {"rate": "1"}, {"up_to": "1", "rate": "1"}, 1]), max_size=3),
    st.sampled_from([{}, {"region": "eu"}, {"model": "a"}, {"amount": "1"}, {"a": 1}, {"": "x"}]),
)
FIELDS = (
    "version meters plans event_types key form meter rate per tiers included up_to amount unit"
)
SOLD_FIELDS = (
    "where tax overflow minimum maximum name interval fees discounts dimensions rates "
    "event_minimum value_bands fee size of weight limits code composites billing "
    "taxes add_ons periods"
)
WALLET_FIELDS = ["wallet", "suspicions", "kind", "within_hours", "credits", "refund_on_reversal"]
NAMES = st.sampled_from(
    [
        *FIELDS.split(),
        *SOLD_FIELDS.split(),
        *WALLET_FIELDS,
        "value",
        "group_by",
        "aliases",
        "name",
        "nul\0",
        "x",
    ]
)


def places(value: Any) -> list[Any]:
    """Every list and object within a value, the value first."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    below = [place for item in inner for place in places(item)]
    return [value, *below] if isinstance(value, dict | list) else []


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A good document with a few changes anywhere: dropped, repeated, added and other values."""
    document = deepcopy(GOOD)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places(document)))
        if isinstance(place, list):
            change = draw(st.sampled_from(["drop", "repeat", "add"]))
            if change == "add":
                place.append(deepcopy(draw(VALUES)))
            elif place:
                index = draw(st.integers(0, len(place) - 1))
                place[index : index + 1] = [deepcopy(place[index])] * 2 * (change == "repeat")
        elif place and draw(st.booleans()):
            name = draw(st.sampled_from(sorted(place)))
            if draw(st.booleans()):
                place[name] = deepcopy(draw(VALUES))
            else:
                del place[name]
        else:
            place[draw(NAMES)] = deepcopy(draw(VALUES))
    return document


NO_TIERS = deepcopy(GOOD)
NO_TIERS["plans"][0]["prices"][2]["tiers"] = []
NO_ALIASES = {**GOOD, "event_types": [{"name": "call", "aliases": []}]}


def is_published(document: Any) -> bool:
    """Whether the reader that folds and books use takes it."""
    try:
        parse_catalogue(json.dumps(document))
    except Rejected:
        return False
    return True


class TestThreeReaders:
    @given(documents())
    def test_check_finds_a_problem_exactly_where_publishing_would(self, document: Any) -> None:
        """What `check` passes is published, what it refuses is refused."""
        catalogue, problems = check_catalogue(document)
        assert is_published(document) == (not problems) == (catalogue is not None)
        assert all(problem.reason.startswith(problem.place) for problem in problems)

    @given(documents())
    def test_the_shape_refuses_nothing_that_is_published(self, document: Any) -> None:
        """It finds more at once, and never more than there is."""
        if shape_problems(document):
            assert read_catalogue(document)[0] is None

    @given(documents())
    @example(NO_TIERS)
    @example(NO_ALIASES)
    def test_the_schema_sees_what_the_shape_sees(self, document: Any) -> None:
        """An editor's red lines are the lines of `check`."""
        assert SCHEMA.is_valid(document) == (not shape_problems(document))

    def test_know_the_same_price_forms(self) -> None:
        """A new form needs its shape, or editors would call it wrong."""
        assert list(FORMS) == [shape.name for shape in _items("plans", "prices")]


def _items(*path: str) -> tuple[Shape, ...]:
    shapes: tuple[Shape, ...] = (CATALOGUE,)
    for name in path:
        (shapes,) = [field.items for field in shapes[0].fields if field.name == name]
    return shapes


def _of_texts(schema: Any) -> Any:
    """The schema for documents whose decimals are texts, as the reader of a file makes them."""
    if isinstance(schema, list):
        return [_of_texts(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _of_texts(item) for name, item in schema.items()}
    return changed | ({"type": "string"} if schema.get("type") == ["string", "number"] else {})


SCHEMA = jsonschema_rs.validator_for(_of_texts(json.loads(schema_text())))


class TestYaml:
    @given(documents())
    def test_written_and_read_again_is_the_same_content(self, document: Any) -> None:
        """`show` gives a file that publishes as what it shows."""
        catalogue, _ = check_catalogue(document)
        if catalogue is not None:
            again, findings = check_text(document_text(catalogue.content))
            assert ((), catalogue) == (findings, again)

    @pytest.mark.parametrize("text", ["yes", "null", "~", "1", "1e3", "010", "a: b", "# x", " x ",
                                      "\x85", "\u2028", "\ufeff", "\uffff", "😀", "'", '"', "=",
                                      "<<", "!x", "&a", "*a", "%x", "2026-01-01", "0x1", "-",
                                      "a\u2029b", "a\x85b"])  # fmt: skip
    def test_keeps_every_text(self, text: str) -> None:
        """Texts that YAML could take for something else come back as they were."""
        document = {**GOOD, "plans": [{**GOOD["plans"][0], "name": text, "code": text}]}
        content = parse_catalogue(json.dumps(document)).content
        again, _ = check_text(document_text(content))
        assert again is not None
        assert content == again.content


class TestVersions:
    @given(documents(), documents())
    def test_the_refusals_are_a_matter_of_meters_and_aliases(self, one: Any, other: Any) -> None:
        """A later version that keeps them, and its wallets, may change anything else; aloud."""
        before, after = (check_catalogue(each)[0] for each in (one, other))
        if before is None or after is None:
            return
        kept = {meter.key: meter for meter in after.meters}
        is_kept = all(kept.get(meter.key) == meter for meter in before.meters) and all(
            after.meters_of(alias) and _type_of(after, alias) == item.name
            for item in before.event_types
            for alias in item.aliases
        )
        is_kept = is_kept and _is_wallet_kept(before, after)
        is_kept = is_kept and {each.key for each in before.composites} <= {
            each.key for each in after.composites
        }
        assert is_kept == (not refused_changes(before=before, after=after))
        if _parts(before) != _parts(after):
            assert diff_catalogues(before=before, after=after).changes or _is_reordered(
                before, after
            )


def _parts(catalogue: Catalogue) -> tuple[object, ...]:
    return (
        catalogue.meters,
        catalogue.plans,
        catalogue.event_types,
        catalogue.wallet,
        catalogue.composites,
        catalogue.add_ons,
        catalogue.billing,
        frozenset(catalogue.taxes),
        frozenset(catalogue.discounts),
        frozenset(catalogue.kpis),
        catalogue.gain_share,
        frozenset(catalogue.suspicions),
    )


def _is_wallet_kept(before: Catalogue, after: Catalogue) -> bool:
    if before.wallet is None:
        return True
    return after.wallet is not None and before.wallet.currency == after.wallet.currency


def _type_of(catalogue: Catalogue, alias: str) -> str:
    found = [item.name for item in catalogue.event_types if alias in item.aliases]
    return found[0] if found else ""


def _is_reordered(before: Catalogue, after: Catalogue) -> bool:
    return {meter.key for meter in before.meters} == {meter.key for meter in after.meters}


class TestAliases:
    @given(
        st.lists(
            st.tuples(st.sampled_from(["call", "calls", "API calls", "other"]), st.integers(0, 9)),
            min_size=1,
            max_size=20,
        )
    )
    def test_c_20_counts_as_if_the_type_had_been_sent(self, sent: list[tuple[str, int]]) -> None:
        """Windows, totals and rejects are those of a log in which every alias is its type."""
        now_ms = 1_773_000_000_000
        logs = []
        for rename in ({}, {"calls": "call", "API calls": "call"}):
            fold = UsageFold(partition=0, partitions=1)
            published = to_wire_catalogue(tenant="acme", version=3, content=json.dumps(GOOD))
            plain = [
                Event(
                    key=number,
                    type=rename.get(name, name),
                    quantity=quantity,
                    occurred_ms=now_ms,
                    properties=(("ms", "1.5"),),
                )
                for number, (name, quantity) in enumerate(sent)
            ]
            records: list[SourceRecord] = [
                from_wire_usage_source(value, offset=offset, received_at_ms=now_ms)
                for offset, value in enumerate((published, batch_record(plain)))
            ]
            facts = fold.step(records, from_offset=0, to_offset=2)
            logs.append((windows_of([facts]), totals_of([facts])))
        assert logs[0] == logs[1]
        known = [name for name, _ in sent if name != "other"]
        assert len(known) == logs[0][1]["accepted"]

    def test_c_20_one_id_under_two_names_is_a_conflict(self) -> None:
        """The fingerprint covers the type as it was sent: nobody is billed twice, and it shows."""
        now_ms = 1_773_000_000_000
        event = Event(key=1, type="call", occurred_ms=now_ms, properties=(("ms", "1"),))
        other = replace(event, type="calls", fingerprint=2)
        published = to_wire_catalogue(tenant="acme", version=3, content=json.dumps(GOOD))
        fold = UsageFold(partition=0, partitions=1)
        records: list[SourceRecord] = [
            from_wire_usage_source(value, offset=offset, received_at_ms=now_ms)
            for offset, value in enumerate((published, batch_record([event, other])))
        ]
        totals = totals_of([fold.step(records, from_offset=0, to_offset=2)])
        assert (1, 1) == (totals["accepted"], totals["conflicts"])
