"""An erasure on the real log and the real database: nothing readable is left, and money stays."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
import sqlalchemy

from api.personal import Opened, find_buyer, find_opened
from cli.books import send
from cli.erasing import Erased, erase_customer, keep_until
from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected
from projections.invoicing.outcomes import await_projected
from projections.rebuild import dump_hash, rebuild
from runtime import clock, postgres
from runtime.ids import new_id
from runtime.settings import Settings
from runtime.vault.canaries import Canaries
from runtime.vault.details import PersonalDetails
from runtime.vault.master import read_master_keys
from runtime.vault.opener import KEPT, OPENED, Opener
from runtime.vault.scan import Finding, Scan
from runtime.vault.vault import Vault
from tests.support import checkout, vault_world
from tests.support.pipeline_world import TENANT, World, running_world
from tests.support.vault_world import ADA, CANARIES, KEY

CATALOGUE: Json = {
    "version": 1,
    "meters": [
        {"key": "calls", "event_type": "call", "aggregation": "sum", "unit": "call"},
    ],
    "plans": [
        {
            "code": "basic",
            "name": "Basic",
            "currency": "USD",
            "prices": [
                {"key": "base", "form": "flat", "amount": "9.00"},
                {"key": "calls", "form": "per_unit", "meter": "calls", "rate": "0.5"},
            ],
        }
    ],
}


@dataclass(frozen=True)
class Place:
    """A running pipeline with a vault beside it."""

    world: World
    settings: Settings
    vault: Vault
    engine: sqlalchemy.Engine

    def tell(self, customer: str, details: PersonalDetails) -> None:
        """Set a customer's details, as the edge does."""
        context = new_id("cmd")
        sealed = self.vault.seal(
            tenant=TENANT, customer=customer, details=details, context=context
        )
        body: dict[str, Json] = {"customer": customer, "sealed": dict(sealed.texts)}
        if sealed.email_digest:
            body["email_digest"] = sealed.email_digest
        self._send(context, "SetCustomerDetails", body)

    def _send(self, command_id: str, kind: str, body: dict[str, Json]) -> None:
        send(
            self.settings,
            self.world.sender,
            tenant=TENANT,
            command_id=command_id,
            kind=kind,
            body=body,
        )

    def opened(self, customer: str) -> Opened:
        """The details as the API would show them."""
        found = find_opened(self.engine, self.vault, tenant=TENANT, customer=customer)
        assert found is not None
        return found

    def erase(self, customer: str, *, years: int = 0) -> Erased:
        """Erase a customer."""
        return erase_customer(
            vault_world.settings_with(self.settings, vault_buyer_years=years),
            self.world.sender,
            self.vault,
            tenant=TENANT,
            customer=customer,
        )

    def scan(self, *files: Path) -> Counter[str]:
        """How often values are found, by form."""
        return Counter(finding.form for finding in self.findings(*files))

    def findings(self, *files: Path) -> list[Finding]:
        """Where values are found."""
        opener = Opener(self.settings, read_master_keys(KEY))
        scan = Scan(self.settings, Canaries(CANARIES), opener)
        found = list(scan.everything(files))
        assert scan.scanned.records > 0
        assert scan.scanned.rows > 0
        return found


@pytest.fixture(scope="module")
def place(
    kafka_bootstrap: str, database_admin_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with running_world(
        kafka=kafka_bootstrap,
        database_admin_url=database_admin_url,
        state_dir=tmp_path_factory.mktemp("state"),
        catalogue=CATALOGUE,
        name="test_erasure",
    ) as world:
        settings = vault_world.with_vault(world.settings)
        engine = postgres.new_engine(settings, role="app")
        with vault_world.open_vault(settings) as vault:
            yield Place(world, settings, vault, engine)
        engine.dispose()


def test_an_erasure_leaves_no_value_and_every_total(place: Place) -> None:
    """The whole way: details, an invoice, erasure, scan of everything, rebuild, the same bytes."""
    place.world.subscribe("ada")
    place.tell("ada", ADA)
    place.world.record("ada", ["3", "4"])
    (billed,) = place.world.bill("ada")
    assert billed.code == "", billed.reason
    await_projected(place.settings, tenant=TENANT)
    invoice = _invoices(place)
    assert place.opened("ada").details == ADA
    assert set(place.scan()) == {OPENED}, "no value is open, and the vault's holder can read it"

    erased = place.erase("ada")

    assert erased == Erased(is_first=True)
    assert place.opened("ada").status == "erased"
    assert place.findings(place.settings.state_dir) == []
    assert invoice == _invoices(place), "totals and contents stay"
    await_projected(place.settings, tenant=TENANT)
    before = dump_hash(place.settings)
    rebuild(place.settings)
    assert before == dump_hash(place.settings), "the log alone gives the same tables"
    assert place.opened("ada").status == "erased"


def test_the_buyer_of_an_invoice_is_kept_for_its_years_and_no_longer(place: Place) -> None:
    place.world.subscribe("kim")
    place.tell("kim", ADA)
    (billed,) = place.world.bill("kim")
    assert billed.code == "", billed.reason
    await_projected(place.settings, tenant=TENANT)
    now = clock.now()

    erased = place.erase("kim", years=10)

    assert erased.kept == 1
    buyer = find_buyer(place.engine, place.vault, tenant=TENANT, customer="kim", at=now)
    assert (buyer.status, buyer.details.name) == ("open", ADA.name)
    assert buyer.details.address == ADA.address
    assert not buyer.details.email
    assert place.opened("kim").status == "erased", "nobody but a document sees it"
    assert set(place.scan()) == {KEPT}


def test_an_invoice_shows_the_buyer_of_its_day(place: Place) -> None:
    """Who moves house does not change old invoices."""
    place.world.subscribe("lea")
    before = clock.now()
    place.tell("lea", PersonalDetails(name="Lea Before"))
    await_projected(place.settings, tenant=TENANT)
    between = clock.now()
    place.tell("lea", PersonalDetails(name="Lea After"))
    await_projected(place.settings, tenant=TENANT)

    def name_at(at: datetime | None) -> str:
        found = find_buyer(place.engine, place.vault, tenant=TENANT, customer="lea", at=at)
        return found.details.name

    assert name_at(None) == "Lea After"
    assert name_at(between) == "Lea Before"
    assert name_at(before) == "Lea Before", "better than nothing, for an invoice from before"


def test_an_erasure_twice_changes_nothing(place: Place) -> None:
    place.world.subscribe("max")
    place.tell("max", PersonalDetails(name="Max"))
    assert place.erase("max", years=10).is_first
    assert place.erase("max", years=10) == Erased(is_first=False)
    assert place.opened("max").status == "erased"


def test_an_erasure_that_was_killed_in_between_goes_on(place: Place) -> None:
    """The keys are gone, the books do not know it: details read as erased, and again ends it."""
    place.world.subscribe("eva")
    place.tell("eva", PersonalDetails(name="Eva"))
    await_projected(place.settings, tenant=TENANT)
    place.vault.erase(tenant=TENANT, customer="eva", buyers=())
    assert place.opened("eva").status == "erased"
    place.erase("eva")
    with place.engine.connect() as connection:
        connection.execute(
            sqlalchemy.text("SELECT set_config('tidegauge.tenant', :t, false)"), {"t": TENANT}
        )
        query = "SELECT count(*) FROM customer_erasure WHERE customer = 'eva'"
        assert connection.execute(sqlalchemy.text(query)).scalar_one() == 1


def test_a_stranger_is_refused_and_stays_free_to_come(place: Place) -> None:
    with pytest.raises(Rejected) as refused:
        place.erase("nobody")
    assert refused.value.code is Code.CUSTOMER_UNKNOWN
    assert not place.vault.is_erased(tenant=TENANT, customer="nobody")


def test_files_are_searched_packed_ones_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"x" * (4 * 1024 * 1024 - 3) + CANARIES[0].encode())
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(CANARIES[1].encode()))
    with closing(duckdb.connect()) as memory:
        memory.execute("CREATE TABLE t AS SELECT ? AS name", [CANARIES[2]])
        memory.execute(f"COPY t TO '{tmp_path / 'old.parquet'}' (COMPRESSION zstd)")
    places = {
        Path(each.place).name: each.value for each in place.findings(tmp_path) if "/" in each.place
    }
    found = {name: value for name, value in places.items() if (tmp_path / name).exists()}
    assert found == {"app.log": 1, "old.log.gz": 2, "old.parquet": 3}


def test_a_record_of_any_topic_is_searched_however_it_was_packed(place: Place) -> None:
    """Somebody who puts a name into an event's property is found out, compressed or not."""
    place.world.record("lea", ["1"], region=CANARIES[3])
    found = {each.place.split("/")[0] for each in place.findings() if each.value == 4}
    assert "usage.events" in found


def test_the_commands_erase_export_and_prove(place: Place, tmp_path: Path) -> None:
    """As a person uses them, in processes of their own."""
    (tmp_path / "values.txt").write_text("Mia Canary\nmia@example.com\n", encoding="utf-8")
    place.world.subscribe("mia")
    place.tell("mia", PersonalDetails(name="Mia Canary", email="mia@example.com"))
    await_projected(place.settings, tenant=TENANT)
    told = _tidegauge(place, "customer", "details", "mia", "--tenant", TENANT)
    assert json.loads(told.stdout)["name"] == "Mia Canary"
    scan = ("vault", "scan", str(tmp_path / "values.txt"), "--customer", "mia")
    found = _tidegauge(place, *scan)
    assert found.returncode == 1
    assert "canary_found" in found.stderr
    assert "Canary" not in found.stdout + found.stderr, "a proof repeats no value"
    blind = _tidegauge(place, *scan, key="")
    assert blind.returncode == 1, "without the keys it would prove nothing"
    assert "vault_key_wrong" in blind.stderr

    erased = _tidegauge(place, "customer", "erase", "mia", "--yes", "--tenant", TENANT)

    assert "mia is erased" in erased.stdout, erased.stderr
    again = _tidegauge(place, "customer", "erase", "mia", "--yes", "--tenant", TENANT)
    assert "was erased before" in again.stdout, again.stderr
    told = _tidegauge(place, "customer", "details", "mia", "--tenant", TENANT)
    assert json.loads(told.stdout)["status"] == "erased"
    proven = _tidegauge(place, *scan)
    assert proven.returncode == 0, proven.stdout + proven.stderr
    assert "0 of them open" in proven.stdout


def test_the_day_until_which_a_buyer_is_kept() -> None:
    assert (
        keep_until(datetime(2026, 1, 1, tzinfo=UTC).date(), years=10).isoformat() == "2036-12-31"
    )


def _tidegauge(place: Place, *arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does, on this test's log and database."""
    settings = place.settings
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=checkout.ROOT,
        env={
            **os.environ,
            "TIDEGAUGE_KAFKA": settings.kafka,
            "TIDEGAUGE_DATABASE_URL": settings.database_url.get_secret_value(),
            "TIDEGAUGE_VAULT_KEY": key,
            "TIDEGAUGE_VAULT_BUYER_YEARS": "0",
            "TIDEGAUGE_LOG_LEVEL": "error",
        },
    )


def _invoices(place: Place) -> list[object]:
    with postgres.connect(place.settings, role="projector") as connection:
        return list(
            connection.execute(
                "SELECT number, total_minor, content_sha256, content FROM invoice"
                " WHERE customer = 'ada' ORDER BY number"
            ).fetchall()
        )
