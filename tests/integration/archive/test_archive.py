"""The archive on the real broker: without gaps or doubles, in place of a truncated log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cli.pipeline import environment_of
from domain.errors import Fatal
from domain.routing import partition_of
from projections.archive.archiver import Archiver, raw_record
from projections.archive.check import check_archive
from projections.archive.files import files_of
from projections.archive.source import raw_records
from projections.archive.views import ask
from projections.archive.writing import RawRecord
from projections.invoicing.log import usage_from_events
from runtime.kafka import client_config, read_partition
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from schemas.topics import USAGE_EVENTS
from tests.support import checkout
from tests.support.usage_facts import windows_of
from tests.support.usage_world import TENANT, UsageWorld, running_usage

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
CATALOGUE = {
    "version": 1,
    "meters": [
        {"key": "units", "event_type": "call", "aggregation": "sum", "unit": "unit",
         "group_by": ["region"]},
    ],
    "plans": [],
}  # fmt: skip
FAILPOINTS = ("archive.before_events", "archive.before_records", "archive.after_records")


@pytest.fixture(scope="module")
def world(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UsageWorld]:
    with running_usage(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=Path(tmp_path_factory.mktemp("state")),
        catalogue=CATALOGUE,
        name="test_archive",
        archive_dir=str(tmp_path_factory.mktemp("archive")),
    ) as found:
        yield found


def of_log(settings: Settings, partition: int) -> list[RawRecord]:
    return [raw_record(message) for message in read_partition(settings, USAGE_EVENTS, partition)]


def archived(settings: Settings, folder: Path | None) -> Settings:
    return settings.model_copy(update={"archive_dir": str(folder or "")})


def archive_all(settings: Settings) -> dict[int, int]:
    return Archiver(settings, Shutdown()).run(until_end=True)


def process(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "archive", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=checkout.ROOT,
        env=environment_of(settings),
    )  # fmt: skip


def problems_of(settings: Settings) -> list[str]:
    return [text for each in check_archive(settings, with_log=True) for text in each.problems]


def delete_before(settings: Settings, partition: int, offset: int) -> None:
    """Truncate a partition as its retention would."""
    place = TopicPartition(USAGE_EVENTS.name, partition, offset)
    admin = AdminClient(client_config(settings))  # held: its answers end with it
    (future,) = admin.delete_records([place]).values()
    assert offset == future.result(timeout=15).low_watermark


class TestArchive:
    def test_check_says_what_there_is(self, world: UsageWorld) -> None:
        """Status 0, a line per partition."""
        archive_all(world.settings)
        done = process(world.settings, "check")
        assert (0, world.settings.partitions) == (done.returncode, done.stdout.count("whole"))

    def test_holds_every_record_byte_for_byte(self, world: UsageWorld) -> None:
        """Keys, values, times and headers; a second run adds what has come, and nothing twice."""
        world.record("ann", {f"a{number}": "1.5" for number in range(50)}, occurred_at=NOW)
        first = archive_all(world.settings)
        world.record("ann", {f"b{number}": "2" for number in range(50)}, occurred_at=NOW)
        second = archive_all(world.settings)
        assert second == {number: end for number, (_, end) in world.ends().items()}
        assert first != second
        assert [] == problems_of(world.settings)
        for number, end in second.items():
            found = [
                record
                for file in files_of(world.settings.archive_folder, "records", number)
                for record in raw_of(file.path)
            ]
            assert of_log(world.settings, number) == found
            assert end == len(found)

    def test_answers_sql_exactly(self, world: UsageWorld) -> None:
        """Decoded events: quantities as decimals, dimensions by name."""
        world.record("sam", {"s1": "0.000000001", "s2": "99999999999999"}, occurred_at=NOW)
        archive_all(world.settings)
        names, rows = ask(
            world.settings,
            "SELECT count(*) AS events, sum(quantity) AS total,"
            " min(dimensions['region']) AS region FROM events WHERE customer = 'sam'",
        )
        assert ["events", "total", "region"] == names
        assert [(2, Decimal("99999999999999.000000001"), "eu")] == rows

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * FROM read_csv('/etc/passwd')",
            "COPY events TO '/tmp/x.csv'",
            "INSTALL httpfs",
            "DROP VIEW events",
            "SELECT 1; SELECT 2",
            "",
        ],
    )
    def test_answers_nothing_else(self, world: UsageWorld, query: str) -> None:
        """SQL for people who may see usage is no way to the rest of the machine."""
        archive_all(world.settings)
        with pytest.raises(Exception, match="invalid_request"):
            ask(world.settings, query)


def raw_of(path: Path) -> list[RawRecord]:
    """Read a file by the name it has."""
    folder = path.parent.parent.parent
    number = int(path.parent.name.partition("=")[2])
    (file,) = (each for each in files_of(folder, "records", number) if each.path == path)
    from projections.archive.reading import read_file

    return list(read_file(file))


class TestTruncatedLog:
    def test_is_replayed_from_the_archive(self, world: UsageWorld) -> None:
        """The same records, so the same windows, from a log that no longer has them."""
        world.record("tom", {f"t{number}": "3" for number in range(20)}, occurred_at=NOW)
        partition = partition_of(TENANT, "tom", partitions=world.settings.partitions)
        archive_all(world.settings)
        world.record("tom", {f"u{number}": "4" for number in range(20)}, occurred_at=NOW)
        end = world.ends()[partition][1]
        before = of_log(world.settings, partition)
        windows = windows_of(usage_from_events(world.settings, partition=partition, end=end))
        kept_from = files_of(world.settings.archive_folder, "records", partition)[-1].to_offset - 1
        delete_before(world.settings, partition, kept_from)
        again = list(raw_records(world.settings, partition=partition, start=0, end=end))
        assert before == again
        assert windows == windows_of(
            usage_from_events(world.settings, partition=partition, end=end)
        )
        without = archived(world.settings, None)
        with pytest.raises(Fatal, match="log_truncated"):
            list(usage_from_events(without, partition=partition, end=end))

    def test_that_lost_more_than_was_archived_is_named(
        self, world: UsageWorld, tmp_path: Path
    ) -> None:
        """A hole between archive and log stops the archiver and replay, with its offsets."""
        settings = archived(world.settings, tmp_path)
        partition = partition_of(TENANT, "uma", partitions=settings.partitions)
        for name in ("first", "second"):
            world.record("uma", {name: "1"}, occurred_at=NOW)
            archive_all(settings)
        first, second = files_of(tmp_path, "records", partition)
        second.path.unlink()
        delete_before(world.settings, partition, second.to_offset)
        world.record("uma", {"third": "1"}, occurred_at=NOW)
        (problem,) = (text for text in problems_of(settings) if "neither" in text)
        assert f"{first.to_offset} to {second.to_offset - 1}" in problem
        with pytest.raises(Fatal, match="archive_gap"):
            archive_all(settings)
        end = world.ends()[partition][1]
        start = first.from_offset
        with pytest.raises(Fatal, match=f"archive_gap.*{second.from_offset}"):
            list(raw_records(settings, partition=partition, start=start, end=end))


class TestDamage:
    @pytest.fixture
    def own(self, world: UsageWorld, tmp_path: Path) -> Settings:
        world.record("dan", {f"d{number}-{tmp_path.name}": "1" for number in range(5)},
                     occurred_at=NOW)  # fmt: skip
        settings = archived(world.settings, tmp_path)
        archive_all(settings)
        assert [] == problems_of(settings)
        return settings

    @pytest.mark.parametrize("kind", ["records", "events"])
    def test_of_one_byte_is_found_and_named(self, own: Settings, kind: str) -> None:
        """Wherever it is: the file's name holds the hash of all its bytes."""
        (path, *_) = sorted((own.archive_folder / kind).glob("*/*.parquet"))
        whole = path.read_bytes()
        for place in (10, len(whole) // 2, len(whole) - 10):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert any(path.name in text for text in problems_of(own)), place
        path.write_bytes(whole)
        assert [] == problems_of(own)

    def test_of_a_torn_file_stops_who_reads_it(self, own: Settings) -> None:
        """Half a file is no file, and never the end of the events."""
        for number in range(own.partitions):
            for file in files_of(own.archive_folder, "records", number):
                file.path.write_bytes(file.path.read_bytes()[:-100])
                with pytest.raises(Fatal, match="archive_corrupt"):
                    raw_of(file.path)
        assert problems_of(own)

    def test_of_a_file_that_is_gone_is_a_gap(self, own: Settings, world: UsageWorld) -> None:
        """What is between two files is missing, with its offsets."""
        number = partition_of(TENANT, "dan", partitions=own.partitions)
        world.record("dan", {f"more-{own.archive_folder.name}": "1"}, occurred_at=NOW)
        archive_all(own)
        world.record("dan", {f"most-{own.archive_folder.name}": "1"}, occurred_at=NOW)
        archive_all(own)
        first, second, third = files_of(own.archive_folder, "records", number)
        second.path.unlink()
        (problem,) = (text for text in problems_of(own) if "missing" in text)
        assert f"{second.from_offset} to {third.from_offset - 1}" in problem
        assert first.to_offset == second.from_offset
        ends = archive_all(own)
        assert (third.to_offset, []) == (ends[number], problems_of(own)), "the log had them still"

    def test_of_the_first_file_is_a_gap(self, own: Settings, world: UsageWorld) -> None:
        """What is there does not say what was before it, so it is noted where it begins."""
        number = partition_of(TENANT, "dan", partitions=own.partitions)
        world.record("dan", {f"more-{own.archive_folder.name}": "1"}, occurred_at=NOW)
        archive_all(own)
        first, second = files_of(own.archive_folder, "records", number)
        first.path.unlink()
        (problem,) = (text for text in problems_of(own) if "missing" in text)
        assert f"{first.from_offset} to {second.from_offset - 1}" in problem
        ends = archive_all(own)
        assert (second.to_offset, []) == (ends[number], problems_of(own)), "the log had them still"
        assert first.from_offset == files_of(own.archive_folder, "records", number)[0].from_offset

    def test_of_all_files_is_a_gap_when_the_log_lost_them_too(
        self, own: Settings, world: UsageWorld
    ) -> None:
        """An empty folder is no new archive: it goes on where it began, or not at all."""
        number = partition_of(TENANT, "dan", partitions=own.partitions)
        (file,) = files_of(own.archive_folder, "records", number)
        file.path.unlink()
        delete_before(world.settings, number, file.to_offset)
        (problem,) = (text for text in problems_of(own) if "neither" in text)
        assert f"{file.from_offset} to {file.to_offset - 1}" in problem
        with pytest.raises(Fatal, match="archive_gap"):
            archive_all(own)

    def test_of_the_identity_is_refused(self, own: Settings) -> None:
        """Offsets of another log mean other events."""
        path = own.archive_folder / "archive.json"
        path.write_text(path.read_text(encoding="utf-8").replace("usage.events", "other.events"))
        with pytest.raises(Fatal, match="archive_foreign"):
            archive_all(own)

    def test_of_events_is_made_good_from_records(self, own: Settings) -> None:
        """They are made for people, and can be made again."""
        for path in (own.archive_folder / "events").glob("*/*.parquet"):
            path.unlink()
        archive_all(own)
        assert [] == problems_of(own)


class TestKilled:
    @pytest.mark.parametrize("failpoint", FAILPOINTS)
    def test_anywhere_it_goes_on_without_gap_or_double(
        self, world: UsageWorld, tmp_path: Path, failpoint: str
    ) -> None:
        """kill -9 around each file: what is whole stays, what is not is written again."""
        settings = archived(world.settings, tmp_path)
        events = {f"{tmp_path.name}-{number}": "1" for number in range(20)}
        for customer in ("ann", "bob"):
            world.record(customer, {f"{customer} {each}": "1" for each in events}, occurred_at=NOW)
        for passes in (1, 2):  # the second file is another partition's
            armed = settings.model_copy(update={"failpoint": f"{failpoint}:{passes}"})
            killed = process(armed, "run", "--until-end")
            assert -9 == killed.returncode, killed.stderr
        (tmp_path / "records" / "partition=0").mkdir(parents=True, exist_ok=True)
        (tmp_path / "records" / "partition=0" / "torn.draft").write_bytes(b"PAR1 half a file")
        assert 0 == process(settings, "run", "--until-end").returncode
        assert [] == problems_of(settings)
        assert not list(tmp_path.glob("**/*.draft"))
        ((records,),) = ask(settings, "SELECT count(*) FROM records")[1]
        ((doubles,),) = ask(
            settings,
            "SELECT count(*) FROM (SELECT source_offset, event_index, partition FROM events"
            " GROUP BY ALL HAVING count(*) > 1)",
        )[1]
        kept = sum(end - low for low, end in world.ends().values())
        assert (kept, 0) == (records, doubles)

    def test_two_do_not_write_at_once(self, world: UsageWorld, tmp_path: Path) -> None:
        """The second one says so and ends."""
        from projections.archive.identity import locked

        with locked(tmp_path), pytest.raises(Fatal, match="archive_locked"):
            archive_all(archived(world.settings, tmp_path))
