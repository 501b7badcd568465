"""Small things every process stands on: ids, clock, failpoints, the graceful end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime

import pytest

from domain.codes import Code
from domain.derived_ids import derived_id
from domain.errors import Fatal
from runtime import clock, failpoints, ids
from runtime.shutdown import Shutdown


class TestIds:
    def test_a_uuid_of_version_7_carries_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """RFC 9562: 48 bits of milliseconds, version 7, variant 10."""
        now_ms = 1_773_000_000_123
        monkeypatch.setattr(clock, "now_ms", lambda: now_ms)
        found = ids.uuid7()
        assert (now_ms, 7, uuid.RFC_4122) == (found.int >> 80, found.version, found.variant)

    def test_ids_are_different_and_sort_by_their_time(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that an index on them grows at its end."""
        made = []
        for now_ms in range(1_773_000_000_000, 1_773_000_000_500):
            monkeypatch.setattr(clock, "now_ms", lambda at=now_ms: at)
            made.append(ids.new_id("sub"))
        assert sorted(set(made)) == made
        assert all(each.startswith("sub_") and len(each) == 36 for each in made)

    def test_a_derived_id_is_the_same_every_time(self) -> None:
        """Twice is harmless; parts do not run into each other."""
        assert derived_id("cmd", "a", "b") == derived_id("cmd", "a", "b")
        names = {derived_id("cmd", *parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""))}
        assert 3 == len(names)

    def test_salts_differ(self) -> None:
        """Nobody outside can foresee one."""
        assert ids.random_salt() != ids.random_salt()
        assert all(0 <= part < 2**64 for part in ids.random_salt())


class TestClock:
    def test_tells_utc(self) -> None:
        """Aware, and the same moment in both forms."""
        before, moment, after = clock.now_ms(), clock.now(), clock.now_ms()
        assert UTC == moment.tzinfo
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        assert before <= since.total_seconds() * 1000 + 1
        assert since.total_seconds() * 1000 <= after + 1

    def test_never_goes_back(self) -> None:
        """Waits are measured with it."""
        assert clock.monotonic_ms() <= clock.monotonic_ms()


class TestFailpoints:
    @pytest.mark.parametrize("text", ["nonsense", "fold.before_append:x", "fold.before_append:-1"])
    def test_refuses_what_would_never_fire(self, text: str) -> None:
        """A misspelt failpoint would make a fault test pass for nothing."""
        with pytest.raises(Fatal) as caught:
            failpoints.arm(text)
        assert Code.SETTING_INVALID == caught.value.code

    def test_kills_when_it_is_passed_often_enough(self) -> None:
        """With SIGKILL, so that nothing can tidy up."""
        script = (
            "from runtime import failpoints as f; f.arm('fold.after_append:3')\n"
            "for n in range(9): f.pass_by('fold.before_append'); f.pass_by('fold.after_append');"
            " print(n, flush=True)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert (-signal.SIGKILL, "0\n1\n") == (done.returncode, done.stdout)

    def test_does_nothing_unarmed(self) -> None:
        """In production none is armed."""
        failpoints.arm("")
        for name in failpoints.FAILPOINTS:
            failpoints.pass_by(name)


class TestShutdown:
    def test_is_asked_for_by_the_first_signal(self) -> None:
        """A loop then finishes its step; it is not torn out of it."""
        held = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for number in held:
                shutdown = Shutdown().install()
                assert not shutdown.is_requested
                os.kill(os.getpid(), number)
                assert shutdown.wait_ms(5_000)
                assert shutdown.is_requested
        finally:
            for number, handler in held.items():
                signal.signal(number, handler)

    def test_ends_a_wait_at_once(self) -> None:
        """Nobody sleeps through it."""
        shutdown = Shutdown()
        waiting = threading.Thread(target=lambda: shutdown.wait_ms(60_000))
        waiting.start()
        shutdown.request()
        waiting.join(5)
        assert not waiting.is_alive()
