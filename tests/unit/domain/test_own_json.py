"""Own JSON: what we wrote is read by its types, and damage is refused by its place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import structs

from domain import own_json
from domain.books import dispatch
from domain.books.facts import BooksFacts, Fact
from domain.books.fold import BooksFold
from domain.books.state import TenantState
from domain.codes import Code
from domain.errors import Fatal, Rejected
from tests.support.kept_books import canonical, restored, two_tenants


class Part(msgspec.Struct):
    name: own_json.Name
    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    at: own_json.Moment | None = None


class TestReadAs:
    def test_passes_over_what_the_type_lacks(self) -> None:
        """A newer version may write more."""
        assert Part("a", 2) == own_json.read_as(Part, '{"x":[{}],"count":2,"name":"a"}', place="p")

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("{", "truncated"),
            ("[]", "array"),
            ("{}", "name"),
            ('{"name":""}', r"\$\.name"),
            ('{"name":7}', r"\$\.name"),
            ('{"count":1.5,"name":"a"}', r"\$\.count"),
            ('{"count":-1,"name":"a"}', r"\$\.count"),
            ('{"count":true,"name":"a"}', r"\$\.count"),
            ('{"at":"2025-01-01T00:00:00","name":"a"}', r"\$\.at"),
        ],
    )
    def test_refuses_what_is_damaged_and_says_where(self, text: str, place: str) -> None:
        """The place of the value comes first, then the field within it."""
        with pytest.raises(Rejected, match=f"part is malformed: .*{place}") as caught:
            own_json.read_as(Part, text, place="part")
        assert caught.value.code is Code.STATE_CORRUPT

    def test_an_open_object_is_read_likewise(self) -> None:
        """Tables read it out of a fact that is open already."""
        fields = own_json.opened('{"p":{"count":3,"name":"a"}}', place="fact")
        assert Part("a", 3) == own_json.taken_as(Part, fields.object("p"))
        for text in ('{"p":{}}', '{"count":"3","name":"a"}'):
            with pytest.raises(Rejected, match=r"fact is malformed: ") as caught:
                own_json.taken_as(Part, own_json.opened(text, place="fact"))
            assert caught.value.code is Code.STATE_CORRUPT


class TestOpened:
    def test_whole_numbers_of_any_size_stay_whole(self) -> None:
        """Credits are kept in billionths."""
        number = 10**30 + 1
        assert {"n": number} == own_json.opened(f'{{"n":{number}}}', place="fact").values

    @pytest.mark.parametrize("text", ["", "{", "[]", '"\ud800"', "{}{}", "[" * 100_000])
    def test_refuses_what_is_no_object(self, text: str) -> None:
        """It is called by the name of what it should be."""
        with pytest.raises(Rejected, match="fact") as caught:
            own_json.opened(text, place="fact")
        assert caught.value.code is Code.STATE_CORRUPT


def first_of_each_kind() -> dict[str, tuple[list[BooksFacts], str, Fact]]:
    """Return the records before the first fact of each kind with the command's other facts."""
    found: dict[str, tuple[list[BooksFacts], str, Fact]] = {}
    log = two_tenants()
    for place, record in enumerate(log):
        for outcome in record.outcomes:
            for index, fact in enumerate(outcome.facts):
                before = structs.replace(outcome, facts=outcome.facts[:index], repeat=True)
                half = replace(record, outcomes=(before,))
                found.setdefault(fact.kind, ([*log[:place], half], outcome.tenant, fact))
    return found


KINDS = first_of_each_kind()
READ = {
    "CustomerCreated": {"document.customer", "document.currency", "document.created_at"},
    "SubscriptionRenewed": {
        *("document.period.start", "document.phases[0].catalogue_version", "document.anchor"),
        *("document.billed_meters[0].until", "document.interval", "document.dimensions"),
    },
    "InvoiceFinalized": {"number", "due_at", "total_minor", "kept.lines", "kept.nets[0]"},
    "MoneyPosted": {"customer", "legs[0].amount_minor", "legs[0].account", "promotion_minor"},
    "ItemAdded": {"document"},
    "PaymentRecorded": {"payment", "invoice", "paid_minor"},
}
"""Fields, among others, that a fact of the kind must have, and undamaged."""


def damaged(value: Any, place: str = "") -> list[tuple[str, Any]]:
    """Return a value with each of its parts damaged: (place, the whole)."""
    if isinstance(value, dict):
        parts = [(f"{place}.{key}" if place else key, key) for key in value]
    elif isinstance(value, list):
        parts = [(f"{place}[{key}]", key) for key in range(min(1, len(value)))]
    else:
        return []
    made = []
    for where, key in parts:
        for inner, part in [(where, [["damaged"]]), *damaged(value[key], where)]:
            whole = value.copy()
            whole[key] = part
            made.append((inner, whole))
    return made


def without(value: Any, place: str) -> Any:
    """Return a value without one of its fields."""
    name, _, rest = place.partition(".")
    if name.endswith("[0]"):
        name = name.removesuffix("[0]")
        return value | {name: [without(value[name][0], rest), *value[name][1:]]}
    if rest:
        return value | {name: without(value[name], rest)}
    return {key: part for key, part in value.items() if key != name}


def books_of(records: list[BooksFacts], tenant: str) -> TenantState:
    fold: BooksFold = restored(records)
    state = fold._tenants.get(tenant)
    return TenantState(tenant) if state is None else state


def refusal_of(state: TenantState, fact: Fact) -> Fatal | None:
    try:
        dispatch.apply(state=state, fact=fact)
    except Fatal as error:
        return error
    return None


class TestFacts:
    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_a_damaged_field_stops_the_books_or_is_none_of_theirs(self, kind: str) -> None:
        """Never does it make other books."""
        before, tenant, fact = KINDS[kind]
        state = books_of(before, tenant)
        dispatch.apply(state=state, fact=fact)
        expected, refused = canonical(state), set()
        for place, body in damaged(json.loads(fact.body)):
            state = books_of(before, tenant)
            refusal = refusal_of(state, Fact(kind, json.dumps(body)))
            if refusal is None:
                assert canonical(state) == expected, place
            else:
                assert (Code.STATE_CORRUPT, kind) == (refusal.code, refusal.fields["kind"]), place
                refused.add(place)
        assert refused >= READ.get(kind, set())

    @pytest.mark.parametrize(
        ("kind", "place"),
        [
            (kind, place)
            for kind, places in sorted(READ.items())
            for place in sorted(places)
            if not place.endswith("[0]")
        ],
    )
    def test_a_missing_field_stops_the_books(self, kind: str, place: str) -> None:
        """Nothing takes the place of what a decision may rest on."""
        before, tenant, fact = KINDS[kind]
        body = without(json.loads(fact.body), place)
        refusal = refusal_of(books_of(before, tenant), Fact(kind, json.dumps(body)))
        assert refusal is not None
        assert Code.STATE_CORRUPT == refusal.code
