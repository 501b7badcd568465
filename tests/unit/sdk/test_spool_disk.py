"""What a spool does with a disk that refuses, and when it asks it to confirm."""

import errno
import os
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tests.unit.sdk.spooling import (
    WAIT_S,
    a_meter,
    crash,
    quantities,
    record,
    run,
    until,
)
from tidegauge import (
    Spool,
    SpoolFailed,
)


class TestDisk:
    def test_that_is_full_is_told_and_leaves_no_half_event(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ENOSPC in the middle of a frame raises, is counted, and what follows is readable."""
        written = os.write

        def half(file: int, data: bytes) -> int:
            if len(data) > 50 and broken[0] == 1:
                broken[0] = 2
                return written(file, data[:30])
            if broken[0] == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return written(file, data)

        broken = [0]
        meter = a_meter(MemoryTransport(partitions=None), tmp_path)
        monkeypatch.setattr(os, "write", half)
        record(meter, 1)
        broken[0] = 1
        with pytest.raises(SpoolFailed) as caught:
            record(meter, 2)
        assert caught.value.code == "spool_write_failed"
        assert "No space left" in str(caught.value)
        broken[0] = 0
        record(meter, 3)
        counters = meter.counters
        assert (counters.recorded, counters.refused, counters.spool_errors) == (2, 1, 1)
        crash(meter)

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path) as again:
            assert again.counters.torn == 0
            assert again.flush(WAIT_S) == 0
        assert quantities(way_out) == [1, 3]

    def test_with_a_real_limit_keeps_what_was_recorded(self, tmp_path: Path) -> None:
        """The kernel's own refusal (a limit of file size) loses no event that was taken."""
        code = textwrap.dedent(f"""
            import os, resource, signal
            from tidegauge import Meter, SpoolFailed
            from tests.unit.sdk.memory_transport import MemoryTransport
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            way_out = MemoryTransport(partitions=None)
            meter = Meter("x", tenant="acme", source="checkout", spool={str(tmp_path)!r},
                way_out=lambda: way_out)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            taken = 0
            for n in range(1_000):
                try:
                    meter.record(customer="cus", type="requests", quantity=n)
                    taken += 1
                except SpoolFailed as error:
                    assert error.code == "spool_write_failed"
            assert meter.counters.spool_errors == 1_000 - taken > 0
            print(taken, flush=True)
            os._exit(0)
        """)
        taken = int(run(code))

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path) as again:
            assert again.counters.recovered == taken
            assert again.flush(WAIT_S) == 0
        assert quantities(way_out) == list(range(taken))

    def test_that_does_not_confirm_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With "always", EIO of a sync raises; the event is recorded and sent all the same."""

        def broken(file: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, Spool(tmp_path, fsync="always")) as meter:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", broken)
                with pytest.raises(SpoolFailed) as caught:
                    record(meter, 1)
            assert caught.value.code == "spool_sync_failed"
            assert meter.flush(WAIT_S) == 0
        assert quantities(way_out) == [1]

    def test_that_fails_behind_ones_back_is_told_by_the_next_event(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With "interval", the next record after a failed sync raises, and one after it works."""

        def broken(file: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with a_meter(MemoryTransport(), Spool(tmp_path, fsync_interval_ms=1)) as meter:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", broken)
                record(meter, 1)
                until(lambda: meter.counters.spool_errors > 0)
            until(lambda: meter._engine.buffer._folder._synced > 0)  # type: ignore[attr-defined]
            with pytest.raises(SpoolFailed):
                record(meter, 2)
            record(meter, 3)

    def test_is_synced_before_record_returns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With "always", each record has a sync behind its write; threads share syncs."""
        log: list[str] = []
        written, synced = os.write, os.fdatasync

        def write(file: int, data: bytes) -> int:
            log.append("write")
            return written(file, data)

        def slow(file: int) -> None:
            synced(file)
            time.sleep(0.002)
            log.append("sync")

        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(os, "fdatasync", slow)
        with a_meter(MemoryTransport(), Spool(tmp_path, fsync="always")) as meter:
            log.clear()
            record(meter, 0)
            assert log == ["write", "sync"]

            threads = [
                threading.Thread(target=lambda: [record(meter, n) for n in range(20)])
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
            assert log.count("write") == 161
            assert log.count("sync") < 120
            assert log[-1] == "sync"

    def test_is_synced_in_intervals_or_never(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ "interval" syncs by itself soon after; "never" leaves it to the kernel."""
        syncs: list[int] = []
        monkeypatch.setattr(os, "fdatasync", syncs.append)
        with a_meter(MemoryTransport(), Spool(tmp_path / "a", fsync_interval_ms=1)) as meter:
            syncs.clear()
            record(meter, 1)
            until(lambda: len(syncs) > 0)
        syncs.clear()
        with a_meter(MemoryTransport(), Spool(tmp_path / "b", fsync="never")) as meter:
            record(meter, 1)
            assert meter.flush(WAIT_S) == 0
        assert syncs == []
