"""Counting wrong keys at the console's door."""

import pytest

from api import wrong_keys
from api.wrong_keys import WRONG_KEYS_PER_MINUTE_MAX, WrongKeys
from runtime.web.problems import ProblemError


class Clock:
    def __init__(self) -> None:
        self.now_ms = 5_000_000

    def __call__(self) -> int:
        return self.now_ms


def _wrong(counted: WrongKeys, address: str, times: int) -> None:
    for _ in range(times):
        counted.require_room(address)
        counted.add(address)


class TestWrongKeys:
    def test_are_refused_after_so_many_in_a_minute_and_taken_again_after_it(self) -> None:
        clock = Clock()
        counted = WrongKeys(clock)
        _wrong(counted, "a", WRONG_KEYS_PER_MINUTE_MAX)
        clock.now_ms += 20_000
        with pytest.raises(ProblemError) as refused:
            counted.require_room("a")
        assert refused.value.problem.status == 429
        assert ("Retry-After", "40") in refused.value.problem.headers
        clock.now_ms += 40_000
        _wrong(counted, "a", WRONG_KEYS_PER_MINUTE_MAX)

    def test_of_one_address_leave_others_alone(self) -> None:
        counted = WrongKeys(Clock())
        _wrong(counted, "a", WRONG_KEYS_PER_MINUTE_MAX)
        counted.require_room("b")

    def test_are_remembered_for_a_bounded_number_of_addresses(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one that was wrong longest ago is forgotten, not the one that tries most."""
        monkeypatch.setattr(wrong_keys, "ADDRESSES_MAX", 3)
        counted = WrongKeys(Clock())
        _wrong(counted, "busy", WRONG_KEYS_PER_MINUTE_MAX - 1)
        for number in range(3):
            counted.add(f"other {number}")
            if number == 1:
                counted.add("busy")
        with pytest.raises(ProblemError):
            counted.require_room("busy")
        counted.require_room("other 0")
