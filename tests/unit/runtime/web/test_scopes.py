"""Scopes of API keys: what a key may do, and which a new key may be given."""

import pytest

from domain.codes import Code
from domain.errors import Rejected
from runtime.web.scopes import DESCRIPTIONS, ONLY_WHEN_NAMED, Scope, allows, checked


class TestAKey:
    @pytest.mark.parametrize("scope", Scope)
    def test_without_scopes_may_do_all_but_what_must_be_named(self, scope: Scope) -> None:
        assert allows(frozenset(), scope) is (scope not in ONLY_WHEN_NAMED)

    @pytest.mark.parametrize("scope", Scope)
    @pytest.mark.parametrize("wanted", Scope)
    def test_with_a_scope_may_do_that_alone(self, scope: Scope, wanted: Scope) -> None:
        assert allows(frozenset({scope}), wanted) is (scope is wanted)

    def test_may_not_send_old_usage_by_itself(self) -> None:
        assert Scope.USAGE_BACKFILL in ONLY_WHEN_NAMED


class TestANewKey:
    def test_gets_each_scope_once(self) -> None:
        assert checked(["usage:write", "billing:read", "usage:write"]) == [
            "billing:read",
            "usage:write",
        ]
        assert checked([]) == []
        assert checked(Scope) == sorted(Scope)

    @pytest.mark.parametrize("name", ["", "usage", "USAGE:WRITE", "usage:write ", "*"])
    def test_gets_none_that_nobody_asks_for(self, name: str) -> None:
        """A misspelt scope would make a key that can do nothing, and nobody would know why."""
        with pytest.raises(Rejected) as refused:
            checked(["usage:write", name])
        assert refused.value.code is Code.INVALID_REQUEST
        for scope in Scope:
            assert scope in refused.value.reason

    def test_gets_the_right_to_old_usage_beside_that_to_any(self) -> None:
        with pytest.raises(Rejected, match="usage:write"):
            checked(["usage:backfill"])

    def test_can_read_what_each_scope_is_for(self) -> None:
        assert DESCRIPTIONS.keys() == set(Scope)
