"""Published catalogues: parsed once per process, and read from the database as seldom."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from domain.canonical import Json, to_canonical_json
from domain.codes import Code
from domain.errors import Fatal
from projections import published
from projections.published import read_published, read_version
from runtime.postgres import connect
from runtime.settings import Settings
from tests.support.api_world import MemoryBooks
from tests.support.stories import CATALOGUE, plan


class Asked:
    """A connection that writes down how many texts it was asked for."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.texts = 0

    def execute(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        if statement == published._TEXTS:
            self.texts += len(parameters[0])
        return self.connection.execute(statement.encode(), parameters)


def publish(books: MemoryBooks, tenant: str, *, version: int, fee: str) -> None:
    content: Json = {**CATALOGUE, "version": version, "plans": [plan("TEAM", fee)]}
    books.send(
        tenant=tenant,
        command_id=f"catalogue {tenant} {version}",
        kind="PublishCatalogue",
        body={"content": to_canonical_json(content)},
    )


@pytest.fixture
def asked(settings: Settings, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection of the tenant, in a process that has parsed nothing yet."""
    monkeypatch.setattr(published, "_parsed", OrderedDict())
    with connect(settings, role="app") as connection:
        connection.execute("SELECT set_config('tidegauge.tenant', %s, false)", (tenant,))
        yield Asked(connection)


class TestPublishedCatalogues:
    """projections.published."""

    def test_are_read_once(self, asked: Any, books: MemoryBooks, tenant: str) -> None:
        """A text is asked for when nobody has parsed it; all versions, and the one in force."""
        publish(books, tenant, version=1, fee="10")
        publish(books, tenant, version=2, fee="20")

        first = read_published(asked)
        again = read_published(asked)
        newest = read_version(asked, version=None)

        assert asked.texts == 2
        assert [*first.catalogues] == [*first.published_at] == [1, 2]
        assert again.catalogues[1] is first.catalogues[1]
        assert newest is first.catalogues[2]

        publish(books, tenant, version=3, fee="30")
        assert [*read_published(asked).catalogues] == [1, 2, 3]
        assert asked.texts == 3

    def test_that_are_not_there_are_none(self, asked: Any) -> None:
        """Before the first, and for a number that nobody published."""
        assert read_published(asked).catalogues == {}
        assert read_version(asked, version=None) is None
        assert read_version(asked, version=7) is None

    def test_are_kept_up_to_a_bound(
        self, asked: Any, books: MemoryBooks, tenant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Beyond it the one used longest ago goes, and whoever asks still gets all."""
        monkeypatch.setattr(published, "VERSIONS_MAX", 2)
        for version in (1, 2, 3):
            publish(books, tenant, version=version, fee=f"{version}0")

        assert [*read_published(asked).catalogues] == [1, 2, 3]
        assert len(published._parsed) == 2
        assert read_version(asked, version=1) is not None
        assert asked.texts == 4
        assert len(published._parsed) == 2

    def test_are_kept_up_to_so_much_text(
        self, asked: Any, books: MemoryBooks, tenant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Few large ones take as much as many small ones: room for two, the newest stay."""
        for version in (1, 2, 3):
            publish(books, tenant, version=version, fee=f"{version}0")
        texts = [each.content for each in read_published(asked).catalogues.values()]
        published._parsed.clear()
        monkeypatch.setattr(published, "TEXT_MAX", len(texts[1]) + len(texts[2]))

        assert [*read_published(asked).catalogues] == [1, 2, 3]

        assert [each.content for each in published._parsed.values()] == texts[1:]

    def test_that_were_changed_in_the_table_are_nobodys(
        self, asked: Any, books: MemoryBooks, tenant: str, settings: Settings
    ) -> None:
        """The hash is held by all tenants: a content that is not its own must not get there."""
        publish(books, tenant, version=1, fee="100")
        change = "UPDATE catalogue SET content = replace(content, %s, %s) WHERE tenant = %s"
        with connect(settings, role="owner", autocommit=True) as owner:
            assert owner.execute(change, ('"100"', '"1"', tenant)).rowcount == 1

        for read in (read_published, lambda asked: read_version(asked, version=None)):
            with pytest.raises(Fatal) as stopped:
                read(asked)
            assert stopped.value.code == Code.STATE_CORRUPT
            assert not published._parsed

        with connect(settings, role="owner", autocommit=True) as owner:
            owner.execute(change, ('"1"', '"100"', tenant))
        assert [*read_published(asked).catalogues] == [1]
