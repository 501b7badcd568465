"""API keys: drawn, checked, found and forgotten."""

import asyncio

import pytest

from domain.books.state import read_id
from domain.codes import Code
from domain.fields import Fields
from runtime.web import authentication, keys
from runtime.web.authentication import Authenticator, Caller
from runtime.web.key_store import StoredKey
from runtime.web.problems import ProblemError


class TestNewApiKey:
    def test_has_the_form_that_is_accepted(self) -> None:
        key = keys.new_api_key()
        assert keys.is_key_text(key.key)
        assert key.key.startswith(f"tg_live_{key.key_id.removeprefix('key_')}_")
        assert key.secret_sha256 == keys.secret_sha256(key.key)

    def test_is_never_drawn_twice(self) -> None:
        drawn = [keys.new_api_key() for _ in range(1_000)]
        assert (
            len({key.key for key in drawn}) == len({key.secret_sha256 for key in drawn}) == 1_000
        )

    def test_has_an_id_that_the_books_take(self) -> None:
        key = keys.new_api_key()
        fields = Fields("body", {"key_id": key.key_id}, Code.COMMAND_INVALID)
        assert read_id(fields, "key_id", prefix="key") == key.key_id

    @pytest.mark.parametrize(
        "text",
        [
            *("", "tg_live_", "tg_test_abcdefgh_" + "a" * 32, "tg_live_abcdefgh_" + "a" * 31),
            *("tg_live_abcdefgh_" + "a" * 31 + "\n", "tg_live_abcdefgh_" + "ä" * 32, "x" * 10_000),
        ],
    )
    def test_is_told_from_other_texts(self, text: str) -> None:
        assert not keys.is_key_text(text)


class Ledger:
    """Keys, and how often they were asked for."""

    def __init__(self) -> None:
        self.known: dict[str, StoredKey] = {}
        self.asked = 0
        self.now_ms = 0

    def find(self, digest: str) -> StoredKey | None:
        self.asked += 1
        return self.known.get(digest)


class TestAuthenticator:
    def _call(self, authenticator: Authenticator, key: str) -> Caller:
        return asyncio.run(authenticator.caller(key))

    def test_remembers_a_key_and_forgets_it_in_time(self) -> None:
        """A revoked key works at most CACHE_MS longer, which is below the 60 s we promise."""
        ledger, key = Ledger(), keys.new_api_key()
        ledger.known[key.secret_sha256] = StoredKey("t", key.key_id)
        authenticator = Authenticator(ledger.find, now_ms=lambda: ledger.now_ms)

        assert self._call(authenticator, key.key) == Caller("t", key.key_id)
        ledger.known.clear()
        ledger.now_ms = authentication.CACHE_MS - 1
        assert self._call(authenticator, key.key).tenant == "t"
        assert ledger.asked == 1
        ledger.now_ms = authentication.CACHE_MS
        with pytest.raises(ProblemError):
            self._call(authenticator, key.key)
        assert authentication.CACHE_MS <= 60_000

    def test_asks_nobody_about_what_is_no_key(self) -> None:
        ledger = Ledger()
        with pytest.raises(ProblemError) as raised:
            self._call(Authenticator(ledger.find), "password")
        assert ledger.asked == 0
        assert raised.value.problem.status == 401

    def test_remembers_only_so_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "CACHE_KEYS_MAX", 2)
        ledger, drawn = Ledger(), [keys.new_api_key() for _ in range(3)]
        for key in drawn:
            ledger.known[key.secret_sha256] = StoredKey("t", key.key_id)
        authenticator = Authenticator(ledger.find, now_ms=lambda: 0)

        for key in (*drawn, drawn[2], drawn[0]):
            self._call(authenticator, key.key)

        assert ledger.asked == 4
