"""The vault on a real database: sealing, erasure, wrong keys, rotation, whose rows they are."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from projections.migrate import drop_schema
from projections.migrate import migrate as migrate_projections
from runtime.settings import Settings
from runtime.vault import migrate, rotation
from runtime.vault.connection import ROLE
from runtime.vault.details import NOTHING, PersonalDetails
from runtime.vault.kept import Buyer
from runtime.vault.master import read_master_keys
from runtime.vault.vault import Sealed, Vault, vault_of
from tests.support import vault_world
from tests.support.vault_world import ADA, KEY, OTHER_KEY

WHOSE: dict[str, Any] = {"tenant": "acme", "customer": "ada"}
LONG_AGO, FAR = date(2020, 12, 31), date(2120, 12, 31)


def seal(vault: Vault, details: PersonalDetails = ADA, **more: str) -> Sealed:
    """Seal for ada, or for somebody else."""
    return vault.seal(**{"context": "cmd_1", "details": details, **WHOSE, **more})


def count(owner: psycopg.Connection, table: str) -> int:
    row = owner.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    ).fetchone()
    assert row is not None
    return int(row[0])


class TestSealing:
    def test_gives_back_what_was_sealed(self, vault: Vault) -> None:
        sealed = seal(vault)
        assert ADA == vault.open(**WHOSE, sealed=sealed.texts).details

    def test_shows_no_value(self, vault: Vault) -> None:
        texts = " ".join(seal(vault).texts.values())
        assert not [value for value in vault_world.CANARIES if value in texts]

    def test_is_a_repeat_for_the_same_wish(self, vault: Vault) -> None:
        """Else a repeated request would be another command under the same id: a conflict."""
        assert seal(vault) == seal(vault)
        assert seal(vault) != seal(vault, context="cmd_2")

    def test_of_another_customer_or_tenant_does_not_open(self, vault: Vault) -> None:
        texts = seal(vault).texts
        seal(vault, customer="ida")
        seal(vault, tenant="globex")
        for whose in ({"tenant": "acme", "customer": "ida"}, WHOSE | {"tenant": "globex"}):
            opened = vault.open(**whose, sealed=texts)
            assert opened.details == NOTHING
            assert sorted(opened.broken) == sorted(texts)

    def test_of_another_field_does_not_open(self, vault: Vault) -> None:
        texts = seal(vault).texts
        opened = vault.open(**WHOSE, sealed={"name": texts["tax_id"], "phone": texts["phone"]})
        assert opened.broken == ("name",)
        assert opened.details == PersonalDetails(phone=ADA.phone)

    def test_tells_equal_addresses_of_a_tenant_by_one_token(self, vault: Vault) -> None:
        """S0-01: the books keep an address to one customer, without ever seeing it."""
        ada, ida = seal(vault), seal(vault, customer="ida")
        shouting = PersonalDetails(email=ADA.email.upper())
        assert ada.email_digest == ida.email_digest
        assert ada.email_digest == seal(vault, shouting, customer="kim").email_digest
        assert ada.email_digest != seal(vault, PersonalDetails(email="b@c.d")).email_digest
        assert ada.email_digest != seal(vault, tenant="globex").email_digest
        assert re.fullmatch("[0-9a-f]{64}", ada.email_digest)
        assert not seal(vault, PersonalDetails(name="No Mail")).email_digest

    def test_makes_one_key_for_a_hundred_at_once(
        self, vault: Vault, owner: psycopg.Connection
    ) -> None:
        with ThreadPoolExecutor(100) as pool:
            texts = list(pool.map(lambda _: str(seal(vault)), range(100)))
        assert len(set(texts)) == 1
        assert count(owner, "data_key") == 1


class TestErasure:
    def test_leaves_nothing_that_opens(self, vault: Vault, owner: psycopg.Connection) -> None:
        sealed = seal(vault)
        assert vault.erase(**WHOSE, buyers=())
        opened = vault.open(**WHOSE, sealed=sealed.texts)
        assert opened.is_gone
        assert opened.details == NOTHING
        assert count(owner, "data_key") == count(owner, "address") == 0

    def test_twice_changes_nothing(self, vault: Vault) -> None:
        seal(vault)
        assert vault.erase(**WHOSE, buyers=())
        assert not vault.erase(**WHOSE, buyers=())

    def test_makes_no_key_for_an_erased_customer(self, vault: Vault) -> None:
        seal(vault)
        vault.erase(**WHOSE, buyers=())
        with pytest.raises(Rejected) as refused:
            seal(vault)
        assert refused.value.code is Code.CUSTOMER_ERASED

    def test_touches_nobody_else(self, vault: Vault) -> None:
        seal(vault)
        ida, globex = seal(vault, customer="ida"), seal(vault, tenant="globex")
        vault.erase(**WHOSE, buyers=())
        assert ADA == vault.open(tenant="acme", customer="ida", sealed=ida.texts).details
        assert ADA == vault.open(tenant="globex", customer="ada", sealed=globex.texts).details

    def test_forgets_the_token_of_the_address(self, vault: Vault) -> None:
        """What stands in the log was drawn by lot, and nothing leads back to it."""
        before = seal(vault).email_digest
        vault.erase(**WHOSE, buyers=())
        assert before != seal(vault, customer="ida").email_digest

    def test_keeps_the_token_that_another_customer_has(self, vault: Vault) -> None:
        before = seal(vault).email_digest
        assert before == seal(vault, customer="ida").email_digest
        vault.erase(**WHOSE, buyers=())
        assert before == seal(vault, customer="ida").email_digest

    def test_takes_the_bytes_out_of_the_tables_files(
        self, vault: Vault, owner: psycopg.Connection
    ) -> None:
        """A deleted row stays in its page until the file is written anew."""
        seal(vault)
        for number in range(50):
            seal(vault, customer=f"other {number}", details=PersonalDetails(name="x"))
        (wrapped, lookup) = owner.execute(
            "SELECT wrapped, lookup FROM data_key JOIN address USING (tenant, customer)"
            " WHERE customer = 'ada'"
        ).fetchone() or (b"", b"")
        assert {b for b in (wrapped, lookup) if b in _files(owner)} == {wrapped, lookup}
        vault.erase(**WHOSE, buyers=())
        files = _files(owner)
        assert wrapped not in files
        assert lookup not in files
        assert count(owner, "data_key") == 50

    def test_against_a_hundred_who_seal_leaves_nothing_that_opens(
        self, vault: Vault, owner: psycopg.Connection
    ) -> None:
        """Each either comes before, and its text is closed, or is refused."""
        start = threading.Barrier(101)
        texts: list[Sealed] = []

        def one(number: int) -> str:
            start.wait(30)
            return _outcome(lambda: texts.append(seal(vault, context=f"cmd_{number}")))

        with ThreadPoolExecutor(101) as pool:
            sealing = [pool.submit(one, number) for number in range(100)]
            start.wait(30)
            assert vault.erase(**WHOSE, buyers=())
            outcomes = Counter(future.result() for future in sealing)
        assert set(outcomes) <= {"", Code.CUSTOMER_ERASED, Code.NOT_READY}
        assert outcomes[""] == len(texts)
        assert all(vault.open(**WHOSE, sealed=each.texts).is_gone for each in texts)
        assert count(owner, "data_key") == 0


class TestKeptBuyers:
    def test_open_for_their_version_until_their_day(self, vault: Vault) -> None:
        seal(vault)
        vault.erase(**WHOSE, buyers=(Buyer(1, ADA, FAR), Buyer(2, ADA, LONG_AGO)))
        found = vault.find_kept(**WHOSE, version=1)
        assert found is not None
        assert (found.name, found.address, found.tax_id) == (ADA.name, ADA.address, ADA.tax_id)
        assert vault.find_kept(**WHOSE, version=2) is None
        assert vault.find_kept(**WHOSE, version=3) is None
        assert vault.find_kept(tenant="globex", customer="ada", version=1) is None

    def test_hold_no_more_than_an_invoice_says(self, vault: Vault) -> None:
        vault.erase(**WHOSE, buyers=(Buyer(1, ADA, FAR),))
        found = vault.find_kept(**WHOSE, version=1)
        assert found is not None
        assert not found.email
        assert not found.phone

    def test_are_swept_when_their_day_is_over(
        self, vault: Vault, settings: Settings, owner: psycopg.Connection
    ) -> None:
        vault.erase(**WHOSE, buyers=(Buyer(1, ADA, FAR), Buyer(2, ADA, LONG_AGO)))
        assert rotation.sweep(settings) == 1
        assert rotation.sweep(settings) == 0
        assert owner.execute("SELECT version FROM kept_buyer").fetchall() == [(1,)]


class TestMasterKeys:
    def test_stop_a_process_with_another_key_of_the_same_id(
        self, vault: Vault, settings: Settings
    ) -> None:
        sealed = seal(vault)
        wrong = vault_world.settings_with(settings, vault_key="k1:" + "E" * 43)
        with pytest.raises(Fatal, match="does not open") as stopped:
            vault_of(wrong)
        assert stopped.value.code is Code.VAULT_KEY_WRONG
        assert ADA == vault.open(**WHOSE, sealed=sealed.texts).details, "nothing is lost"

    @pytest.mark.parametrize("key", [OTHER_KEY, ""])
    def test_stop_a_process_that_lacks_one(
        self, vault: Vault, settings: Settings, key: str
    ) -> None:
        sealed = seal(vault)
        with pytest.raises(Fatal, match="'k1', which TIDEGAUGE_VAULT_KEY lacks") as stopped:
            vault_of(vault_world.settings_with(settings, vault_key=key))
        assert stopped.value.code is Code.VAULT_KEY_WRONG
        assert ADA == vault.open(**WHOSE, sealed=sealed.texts).details, "nothing is lost"

    @pytest.mark.parametrize("key", ["k1", "k1:short", "K1:" + "A" * 43, f"{KEY},{KEY}", "k1:*"])
    def test_of_another_form_stop_a_process_and_are_not_shown(
        self, settings: Settings, key: str
    ) -> None:
        with pytest.raises(Fatal) as stopped:
            vault_of(vault_world.settings_with(settings, vault_key=key))
        assert stopped.value.code is Code.SETTING_INVALID
        assert "AAAA" not in str(stopped.value)
        assert stopped.value.__suppress_context__

    def test_need_not_be_there_where_there_is_no_vault(self, fresh_database: str) -> None:
        assert vault_of(Settings.model_validate({"database_url": fresh_database})) is None

    def test_are_checked_later_when_the_database_is_away(self, settings: Settings) -> None:
        """An API must start before its database."""
        nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
        vault = vault_of(vault_world.settings_with(settings, database_url=nowhere))
        assert vault is not None
        with pytest.raises(Retryable):
            seal(vault)
        vault.close()

    def test_ask_for_the_migration_when_the_vault_is_not_there(self, fresh_database: str) -> None:
        settings = Settings.model_validate({"database_url": fresh_database, "vault_key": KEY})
        vault = vault_of(settings)
        assert vault is not None
        with pytest.raises(Retryable) as away:
            seal(vault)
        assert away.value.code in {Code.NOT_READY, Code.DATABASE_AWAY}
        vault.close()


class TestRotation:
    def test_leaves_no_key_under_the_old_one_and_opens_all(
        self,
        vault: Vault,
        settings: Settings,
        owner: psycopg.Connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(rotation, "BATCH_ROWS", 3)
        sealed = {name: seal(vault, customer=name) for name in "abcdefgh"}
        vault.erase(tenant="acme", customer="h", buyers=(Buyer(1, ADA, FAR),))
        both = vault_world.settings_with(settings, vault_key=f"{OTHER_KEY},{KEY}")
        counts = rotation.rotate(both, read_master_keys(f"{OTHER_KEY},{KEY}"))
        assert counts == {"data_key": 7, "lookup_key": 1, "kept_buyer": 1}
        assert owner.execute("SELECT key_id FROM master_key").fetchall() == [("k2",)]
        with vault_world.open_vault(
            vault_world.settings_with(settings, vault_key=OTHER_KEY)
        ) as new:
            for name in "abcdefg":
                opened = new.open(tenant="acme", customer=name, sealed=sealed[name].texts)
                assert ADA == opened.details
            assert new.find_kept(tenant="acme", customer="h", version=1) is not None
            again = new.seal(tenant="acme", customer="a", details=ADA, context="cmd_1")
            assert again == sealed["a"], "neither key nor token changed"

    def test_can_be_done_again(self, vault: Vault, settings: Settings) -> None:
        seal(vault)
        masters = read_master_keys(f"{OTHER_KEY},{KEY}")
        rotation.rotate(settings, masters)
        assert set(rotation.rotate(settings, masters).values()) == {0}

    def test_changes_nothing_when_a_key_is_missing(
        self, vault: Vault, settings: Settings, owner: psycopg.Connection
    ) -> None:
        seal(vault)
        before = owner.execute("SELECT master_key, wrapped FROM data_key").fetchall()
        with pytest.raises(Fatal):
            rotation.rotate(settings, read_master_keys(OTHER_KEY))
        assert before == owner.execute("SELECT master_key, wrapped FROM data_key").fetchall()


class TestSchema:
    def test_is_no_projection(self, vault: Vault, settings: Settings) -> None:
        """A rebuild drops the projections; with the keys every detail would be gone for good."""
        sealed = seal(vault)
        migrate_projections(settings)
        drop_schema(settings)
        assert ADA == vault.open(**WHOSE, sealed=sealed.texts).details

    def test_can_be_migrated_again(self, vault: Vault, settings: Settings) -> None:
        sealed = seal(vault)
        migrate.migrate(settings)
        assert ADA == vault.open(**WHOSE, sealed=sealed.texts).details

    def test_cannot_be_the_projections_own(self, settings: Settings) -> None:
        for name in ("vault", "vau"):
            with pytest.raises(ValueError, match="rebuild drops"):
                vault_world.settings_with(
                    settings,
                    database_schema=name,
                    vault_schema="vault" if name == "vault" else "vau_chunks",
                )

    def test_shows_its_role_one_tenant_and_no_other(
        self, vault: Vault, owner: psycopg.Connection
    ) -> None:
        seal(vault)
        seal(vault, tenant="globex")
        owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLE)))
        assert count(owner, "data_key") == 0
        owner.execute("SELECT set_config('tidegauge.tenant', 'globex', false)")
        tables = ("data_key", "address", "lookup_key")
        for table in tables:
            query = sql.SQL("SELECT DISTINCT tenant FROM {}").format(sql.Identifier(table))
            assert owner.execute(query).fetchall() == [("globex",)]

    def test_forces_row_level_security_on_all_that_has_a_tenant(
        self, owner: psycopg.Connection
    ) -> None:
        bare = owner.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'vault'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND a.attname = 'tenant' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        ).fetchall()
        assert bare == []

    @pytest.mark.parametrize("role", ["tidegauge_app", "tidegauge_projector"])
    def test_is_closed_to_the_other_roles(
        self, settings: Settings, owner: psycopg.Connection, role: str
    ) -> None:
        migrate_projections(settings)
        owner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("SELECT count(*) FROM vault.data_key")


def _outcome(wish: Callable[[], None]) -> str:
    try:
        wish()
    except (Rejected, Retryable) as error:
        return error.code
    return ""


def _files(owner: psycopg.Connection) -> bytes:
    """The bytes of all files of the vault, as they are on the disk."""
    owner.execute("CHECKPOINT")
    rows = owner.execute(
        "SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class"
        " WHERE relnamespace = 'vault'::regnamespace AND relkind IN ('r', 'i')"
    )
    return b"".join(data for (data,) in rows)
