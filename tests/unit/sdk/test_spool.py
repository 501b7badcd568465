"""What a spool promises about events on disk when a process dies."""

import errno
import os
import shutil
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.memory_transport import MemoryTransport
from tests.unit.sdk.spooling import (
    LONG,
    SMALL,
    WAIT_S,
    a_meter,
    crash,
    files,
    is_balanced,
    quantities,
    record,
    run,
    until,
)
from tidegauge import (
    Drop,
    InvalidOption,
    Spool,
    limits,
)
from tidegauge.intake import Intake
from tidegauge.spool import frames
from tidegauge.spool.buffer import SpoolBuffer
from tidegauge.spool.segments import Folder


class TestCrash:
    @pytest.mark.parametrize("fsync", ["always", "interval", "never"])
    def test_loses_nothing_that_record_returned_for(self, tmp_path: Path, fsync: Any) -> None:
        """The next meter sends all of it in order, with the same keys and fingerprints."""
        spool = Spool(tmp_path, fsync=fsync)
        away = MemoryTransport(partitions=None)
        first = a_meter(away, spool)
        ids = [record(first, n, id=f"order-{n}" if n % 2 else None) for n in range(100)]
        crash(first)

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, spool) as second:
            assert second.counters.recovered == 100
            assert second.flush(WAIT_S) == 0
            assert is_balanced(second.counters)

        assert quantities(way_out) == list(range(100))
        (batch,) = way_out.batches()
        foreign = {item["index"]: item["id"] for item in batch["foreign_ids"]}
        assert foreign == {n: ids[n] for n in range(1, 100, 2)}
        assert batch["keys"][:16].hex() == ids[0].replace("-", "")
        assert files(tmp_path) == []

    def test_resends_the_same_bytes_of_what_had_arrived(self, tmp_path: Path) -> None:
        """A crash between acknowledgement and deletion doubles keys, and changes no payload."""
        way_out = MemoryTransport(partitions=1)
        meter = a_meter(way_out, tmp_path)
        for n in range(10):
            record(meter, n, dimensions={"region": "eu"}, properties={"note": f"{n}"})
        assert meter.flush(WAIT_S) == 0
        shutil.copytree(tmp_path, tmp_path / "copy")
        meter.close()
        (tmp_path / "copy" / "lock").unlink()

        with a_meter(way_out, tmp_path / "copy") as again:
            assert again.flush(WAIT_S) == 0

        before, after = way_out.batches()
        same = ("keys", "fingerprints", "quantity", "occurred_at_ms", "properties")
        assert {name: before[name] for name in same} == {name: after[name] for name in same}

    def test_may_tear_the_last_frame_anywhere(self, tmp_path: Path) -> None:
        """Whatever part of the last frame is on disk, the others arrive and it is counted."""
        meter = a_meter(MemoryTransport(partitions=None), tmp_path / "first")
        for n in range(3):
            record(meter, n)
        crash(meter)
        (file,) = files(tmp_path / "first")
        whole = file.read_bytes()
        frame = (len(whole) - len(frames.header(tenant="acme", source="checkout"))) // 3

        for cut in range(1, frame):
            folder = tmp_path / f"cut-{cut}"
            folder.mkdir()
            (folder / file.name).write_bytes(whole[:-cut])
            drops: list[Drop] = []
            way_out = MemoryTransport(partitions=1)
            with a_meter(way_out, folder, on_drop=drops.append) as again:
                assert (again.counters.recovered, again.counters.torn) == (2, 1)
                assert again.flush(WAIT_S) == 0
            assert quantities(way_out) == [0, 1]
            assert [drop.reason for drop in drops] == ["spool_damaged"]

    def test_in_the_first_frame_leaves_an_empty_file_behind(self, tmp_path: Path) -> None:
        """A segment that was only begun holds no event and is removed."""
        (tmp_path / f"{7:016x}.spool").write_bytes(b"\x10\x00\x00")

        with a_meter(MemoryTransport(), tmp_path) as meter:
            assert (meter.counters.recovered, meter.counters.torn) == (0, 1)
            assert [path.name for path in files(tmp_path)] == [f"{1:016x}.spool"]

    def test_repeated_keeps_everything(self, tmp_path: Path) -> None:
        """Ten crashes in a row, each with its own segment: nothing is lost and order is kept."""
        for life in range(10):
            meter = a_meter(MemoryTransport(partitions=None), tmp_path)
            for n in range(5):
                record(meter, life * 5 + n)
            crash(meter)

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path) as last:
            assert last.flush(WAIT_S) == 0
        assert quantities(way_out) == list(range(50))


class TestDamage:
    def test_costs_only_the_frames_it_hit(self, tmp_path: Path) -> None:
        """A flipped bit in the middle drops one event, tells it, and keeps the file aside."""
        meter = a_meter(MemoryTransport(partitions=None), tmp_path)
        for n in range(5):
            record(meter, n)
        crash(meter)
        (file,) = files(tmp_path)
        data = bytearray(file.read_bytes())
        data[data.index(b"cus\x1frequests\x1f", len(data) // 2)] ^= 1
        file.write_bytes(data)

        drops: list[Drop] = []
        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path, on_drop=drops.append) as again:
            assert again.flush(WAIT_S) == 0
            assert (again.counters.dropped, again.counters.torn) == (1, 1)
            assert again.counters.acknowledged == 4
            assert is_balanced(again.counters)
        assert [(drop.reason, drop.events) for drop in drops] == [("spool_damaged", 1)]
        assert len(list(tmp_path.glob("*.damaged"))) == 1

    def test_of_the_disk_while_reading_is_counted_and_stepped_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """EIO on reading back costs the segment, loudly, and not the meter."""
        meter = a_meter(MemoryTransport(partitions=None), tmp_path)
        for n in range(5):
            record(meter, n)
        crash(meter)

        read = os.pread
        broken = [True]

        def pread(file: int, size: int, at: int) -> bytes:
            if broken.pop() if broken else False:
                raise OSError(errno.EIO, "Input/output error")
            return read(file, size, at)

        monkeypatch.setattr(os, "pread", pread)
        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path) as again:
            record(again, 9)
            assert again.flush(WAIT_S) == 0
            assert (again.counters.dropped, again.counters.spool_errors) == (5, 1)
            assert is_balanced(again.counters)
        assert quantities(way_out) == [9]
        assert len(list(tmp_path.glob("*.damaged"))) == 1


class TestFolder:
    def test_has_one_meter_at_a_time(self, tmp_path: Path) -> None:
        """A second meter, here or in another process, is refused by a code."""
        with a_meter(MemoryTransport(), tmp_path):
            with pytest.raises(InvalidOption) as caught:
                a_meter(MemoryTransport(), tmp_path)
            assert caught.value.code == "spool_in_use"
            code = textwrap.dedent(f"""
                from tidegauge import InvalidOption, Meter
                try:
                    Meter("nowhere:1", tenant="acme", source="checkout", spool={str(tmp_path)!r})
                except InvalidOption as error:
                    print(error.code)
            """)
            assert run(code) == "spool_in_use\n"

        a_meter(MemoryTransport(), tmp_path).close()

    @pytest.mark.parametrize("change", [{"tenant": "other"}, {"source": "other"}])
    def test_is_one_tenants_and_sources(self, tmp_path: Path, change: dict[str, str]) -> None:
        """Events of one tenant are never sent as another's, nor with keys of another source."""
        meter = a_meter(MemoryTransport(partitions=None), tmp_path)
        record(meter, 1)
        crash(meter)

        with pytest.raises(InvalidOption) as caught:
            a_meter(MemoryTransport(), tmp_path, **change)

        assert caught.value.code == "spool_foreign"
        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, tmp_path) as again:
            assert again.flush(WAIT_S) == 0
        assert quantities(way_out) == [1]

    def test_that_cannot_be_used_is_told(self, tmp_path: Path) -> None:
        """A file in the place of the folder is an option that cannot be used."""
        (tmp_path / "file").touch()

        with pytest.raises(InvalidOption) as caught:
            a_meter(MemoryTransport(), tmp_path / "file")

        assert caught.value.code == "spool_unusable"

    def test_of_slots_is_shared_and_taken_over(self, tmp_path: Path) -> None:
        """Each meter has the first free slot; what a dead one left is sent by the next."""
        spool = Spool(tmp_path / "worker-{slot}")
        first = a_meter(MemoryTransport(partitions=None), spool)
        second = a_meter(MemoryTransport(partitions=None), spool)
        record(first, 1)
        record(second, 2)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["worker-0", "worker-1"]
        crash(first)
        crash(second)

        way_out = MemoryTransport(partitions=1)
        with a_meter(way_out, spool) as third:
            assert third.counters.recovered == 2
            assert third.flush(WAIT_S) == 0
        assert sorted(quantities(way_out)) == [1, 2]

    def test_keeps_nothing_that_was_acknowledged(self, tmp_path: Path) -> None:
        """Segments go as their events are settled; an orderly close leaves no file."""
        spool = Spool(tmp_path, **SMALL)  # type: ignore[arg-type]
        with a_meter(MemoryTransport(partitions=1), spool, block_ms=0) as meter:
            for n in range(1_000):
                record(meter, n, properties=LONG)
                if n % 100 == 99:
                    assert meter.flush(WAIT_S) == 0
                    assert len(files(tmp_path)) <= 2
            assert meter.counters.acknowledged == 1_000
        assert files(tmp_path) == []

    def test_is_emptied_while_nothing_happens(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An idle meter keeps no acknowledged event on disk, so a crash resends nothing."""
        monkeypatch.setattr(limits, "TIDY_S", 0.01)
        with a_meter(MemoryTransport(), tmp_path) as meter:
            for n in range(3):
                record(meter, n)
                assert meter.flush(WAIT_S) == 0
                header = frames.header(tenant="acme", source="checkout")
                until(lambda: meter.counters.spool_bytes == len(header))  # noqa: B023

    def test_deletes_a_segment_with_its_last_event_and_not_before(self, tmp_path: Path) -> None:
        """All but one settled: the file stays. The last one, then or before the roll: it goes."""
        options = Spool(tmp_path, **SMALL)  # type: ignore[arg-type]
        folder = Folder(options, tenant="acme", source="")
        frame = b"x" * (limits.SEGMENT_BYTES_MIN // 4)
        numbers = [folder.append(frame)[0] for _ in range(4)]
        assert numbers == [1, 1, 1, 2]

        assert not folder.settle(1, 2)
        assert len(files(tmp_path)) == 2
        assert folder.settle(1, 1)
        assert len(files(tmp_path)) == 1

        folder.settle(2, 1)
        for _ in range(2):
            folder.settle(folder.append(frame)[0], 1)
        assert len(files(tmp_path)) == 1
        folder.append(frame)
        assert [path.name for path in files(tmp_path)] == [f"{3:016x}.spool"]
        folder.close(is_done=True)

    def test_is_never_emptied_of_what_is_pending(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An event that arrives while the thread tidies up stays on disk."""
        monkeypatch.setattr(limits, "TIDY_S", 0.0)
        buffer = SpoolBuffer(
            Spool(tmp_path),
            tenant="acme",
            source="",
            events_max=10,
            wake_at=10,
            block_s=0,
            on_drop=None,
        )
        intake = Intake(source="", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        buffer.put(*intake.row_and_payload("cus", "requests", 1, None, None, None, None))
        before = buffer.counters().spool_bytes

        buffer.tidy()
        assert buffer.counters().spool_bytes == before
        ((segment, rows),) = buffer.take()[0]
        buffer.tidy()
        assert buffer.counters().spool_bytes == before
        buffer.settle(segment=segment, acknowledged=len(rows))
        buffer.tidy()
        assert buffer.counters().spool_bytes < before
        buffer.close()

    @pytest.mark.parametrize(
        "options",
        [
            {"path": ""},
            {"fsync": "sometimes"},
            {"when_full": "explode"},
            {"segment_bytes": 1},
            {"bytes_max": limits.SEGMENT_BYTES * 3},
            {"fsync_interval_ms": 0},
        ],
    )
    def test_refuses_wrong_options_by_name(self, options: dict[str, Any]) -> None:
        """A wrong option raises before anything is made."""
        with pytest.raises(InvalidOption) as caught:
            Spool(**({"path": "x"} | options))

        assert next(iter(options)) in str(caught.value)
