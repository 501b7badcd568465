"""The vault as the edge uses it: seals details, opens them, and forgets a customer for good."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy

from domain.codes import Code
from domain.errors import Fatal, Rejected, Retryable
from runtime import clock
from runtime.logs import logger
from runtime.vault import kept, keys
from runtime.vault.connection import new_engine, translated, vault_connection
from runtime.vault.details import NOTHING, PersonalDetails, from_values, to_values
from runtime.vault.master import MasterKeys, key_missing, read_master_keys
from runtime.vault.seal import Owner, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from domain.canonical import Json
    from runtime.settings import Settings
    from runtime.vault.kept import Buyer

_MASTER_KEYS = sqlalchemy.text("SELECT key_id, check_value FROM master_key")
_ADD_MASTER_KEY = sqlalchemy.text(
    "INSERT INTO master_key (key_id, check_value) VALUES (:key_id, :check_value)"
    " ON CONFLICT DO NOTHING"
)
_IS_USED = "SELECT to_regclass(:name) IS NOT NULL"
_ERASE = sqlalchemy.text(
    "INSERT INTO erasure (tenant, customer, erased_at) VALUES (:tenant, :customer, :erased_at)"
)
_FORGET = (
    sqlalchemy.text(
        "DELETE FROM data_key WHERE tenant = :tenant AND customer = :customer"
        " RETURNING tableoid::regclass::text"
    ),
    sqlalchemy.text(
        "DELETE FROM address WHERE tenant = :tenant AND customer = :customer"
        " RETURNING tableoid::regclass::text"
    ),
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Details, sealed for a command.

    Args:
        texts: Sealed text by field.
        email_digest: Token of the e-mail address for the books; empty without an address.
    """

    texts: Mapping[str, str]
    email_digest: str


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What could be opened.

    Args:
        details: The details.
        is_gone: Whether the customer's key is no longer there: nothing can be opened, ever.
        broken: Fields whose text was altered or belongs to somebody else.
    """

    details: PersonalDetails
    is_gone: bool = False
    broken: tuple[str, ...] = ()


class Vault:
    """The vault of an installation; blocks, and may be used by many threads.

    Plain keys live for one call: an erasure in any process is in force at once.

    Args:
        settings: Where it is.
        masters: The master keys.
    """

    def __init__(self, settings: Settings, masters: MasterKeys) -> None:
        self._settings = settings
        self._masters = masters
        self._engine = new_engine(settings)
        self._is_checked = False

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Make sure that these master keys are the vault's, before anything is wrapped with them.

        Raises:
            Fatal: vault_key_wrong, when one is missing or is another one. Nothing was changed.
            Retryable: database_away or not_ready.
        """
        with vault_connection(self._engine) as connection:
            check_masters(connection, self._masters)
        self._is_checked = True

    @contextmanager
    def _connection(self, tenant: str) -> Iterator[sqlalchemy.Connection]:
        if not self._is_checked:
            self.check()
        with vault_connection(self._engine, tenant=tenant) as connection:
            yield connection

    def seal(
        self, *, tenant: str, customer: str, details: PersonalDetails, context: str
    ) -> Sealed:
        """Seal details with the customer's key, which is made when there is none.

        Args:
            tenant: Tenant.
            customer: Customer; that there is one the caller knows.
            details: What to seal.
            context: Id of the command it is for: the same wish gives the same texts.

        Raises:
            Rejected: customer_erased.
            Retryable: database_away or not_ready.
            Fatal: vault_key_wrong.
        """
        whose = {"tenant": tenant, "customer": customer}
        with self._connection(tenant) as connection:
            key = keys.sealing_key(connection, self._masters, **whose)
            token = (
                keys.address_token(connection, self._masters, email=details.email, **whose)
                if details.email
                else ""
            )
        texts = {
            field: key.seal(value, owner=Owner(tenant, customer, field), context=context)
            for field, value in to_values(details).items()
        }
        return Sealed(texts, token)

    def open(self, *, tenant: str, customer: str, sealed: Mapping[str, str]) -> Unsealed:
        """Open sealed details.

        Args:
            tenant: Tenant.
            customer: Whose details they are said to be.
            sealed: Sealed text by field.

        Raises:
            Retryable: database_away or not_ready.
            Fatal: vault_key_wrong.
        """
        wanted = {version_of(text) for text in sealed.values()}
        with self._connection(tenant) as connection:
            found = keys.opening_keys(
                connection, self._masters, tenant=tenant, customer=customer, versions=wanted
            )
            is_erased = keys.is_erased(connection, tenant=tenant, customer=customer)
        if is_erased or (wanted and not found):
            if not is_erased:
                logger().warning("vault.key_gone", tenant=tenant, customer=customer)
            return Unsealed(NOTHING, is_gone=True)
        values: dict[str, Json] = {}
        broken: list[str] = []
        for field, text in sealed.items():
            try:
                key = found[version_of(text)]
                values[field] = key.open(text, owner=Owner(tenant, customer, field))
            except (Rejected, KeyError):
                broken.append(field)
                logger().warning(
                    "vault.seal_broken", tenant=tenant, customer=customer, field=field
                )
        return Unsealed(from_values(values), broken=tuple(broken))

    def find_kept(self, *, tenant: str, customer: str, version: int) -> PersonalDetails | None:
        """Open what is kept of an erased customer for an invoice; None when nothing is."""
        with self._connection(tenant) as connection:
            return kept.find_kept(
                connection,
                self._masters,
                tenant=tenant,
                customer=customer,
                version=version,
                today=clock.now().date(),
            )

    def is_erased(self, *, tenant: str, customer: str) -> bool:
        """Say whether a customer was erased here."""
        with self._connection(tenant) as connection:
            return keys.is_erased(connection, tenant=tenant, customer=customer)

    def erase(self, *, tenant: str, customer: str, buyers: Sequence[Buyer]) -> bool:
        """Delete every key of a customer, and what their addresses are known by.

        Steps: 1. wait for who seals for the same customer; 2. note the erasure, so that no key is
        made again; 3. keep the buyers; 4. delete; all in one transaction; 5. write the files of
        the touched parts anew, because a deleted row's bytes stay in its page until then.

        Args:
            tenant: Tenant.
            customer: Customer.
            buyers: What the law asks to keep of their invoices.

        Returns:
            True; False when it was done before, and then nothing is changed.

        Raises:
            Retryable: database_away or not_ready. After step 4 the keys are gone all the same;
                erase again, or run `tidegauge vault compact`, for step 5.
        """
        whose = {"tenant": tenant, "customer": customer}
        with self._connection(tenant) as connection:
            keys.take_turn(connection, "customer", tenant, customer)  # 1
            if keys.is_erased(connection, **whose):
                return False
            connection.execute(_ERASE, {**whose, "erased_at": clock.now()})  # 2
            kept.keep(connection, self._masters, buyers, **whose)  # 3
            touched = {
                str(part)
                for statement in _FORGET
                for (part,) in connection.execute(statement, whose)
            }  # 4
        compact(self._settings, sorted(touched))  # 5
        return True


def vault_of(settings: Settings) -> Vault | None:
    """This function will open the vault and check its master keys; None when none is set.

    A vault whose database does not answer now is checked when it is first used.

    Raises:
        Fatal: setting_invalid, or vault_key_wrong: also when the vault has keys and the setting
            has none.
    """
    text = settings.vault_key.get_secret_value()
    if not text:
        _require_unused(settings)
        return None
    try:
        masters = read_master_keys(text)
    except ValueError as error:
        raise Fatal(
            Code.SETTING_INVALID,
            f"TIDEGAUGE_VAULT_KEY {error}",
            next_step="`tidegauge vault key` draws a key in the right form",
        ) from None
    vault = Vault(settings, masters)
    try:
        vault.check()
    except Retryable as error:
        logger().warning("vault.not_checked", reason=error.reason)
    except BaseException:
        vault.close()
        raise
    return vault


def require_vault(vault: Vault | None) -> Vault:
    """This function will return the vault (Rejected, vault_closed, where there is none)."""
    if vault is None:
        raise Rejected(
            Code.VAULT_CLOSED,
            "this installation takes no personal data",
            next_step="Its operator sets TIDEGAUGE_VAULT_KEY and runs `tidegauge vault migrate`",
        )
    return vault


def check_masters(connection: sqlalchemy.Connection, masters: MasterKeys) -> None:
    """This function will compare master keys with those that the vault was used with.

    Raises:
        Fatal: vault_key_wrong.
    """
    known = {row.key_id: bytes(row.check_value) for row in connection.execute(_MASTER_KEYS)}
    for key_id, check_value in known.items():
        if key_id not in masters.ids:
            raise key_missing(key_id)
        masters.require(key_id, check_value)
    if masters.current not in known:
        connection.execute(
            _ADD_MASTER_KEY, {"key_id": masters.current, "check_value": masters.check_value()}
        )


def compact(settings: Settings, tables: Sequence[str]) -> None:
    """This function will write tables of the vault anew, so that deleted bytes leave their files.

    It locks one part at a time, for well below a second. What it cannot reach: the write-ahead
    log, backups, and blocks that the file system freed (docs/personal-data.md).
    """
    engine = new_engine(settings, is_owner=True).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with translated(), engine.connect() as connection:
            for table in tables:
                connection.exec_driver_sql(f"VACUUM (FULL) {table}")
    finally:
        engine.dispose()


def _require_unused(settings: Settings) -> None:
    """Stop a process that was started without the key of a vault that is in use."""
    engine = new_engine(settings, is_owner=True)
    try:
        with translated(), engine.connect() as connection:
            name = f"{settings.vault_schema}.master_key"
            if not connection.execute(sqlalchemy.text(_IS_USED), {"name": name}).scalar_one():
                return
            found = connection.execute(_MASTER_KEYS).first()
    except Retryable as error:
        logger().warning("vault.not_checked", reason=error.reason)
        return
    finally:
        engine.dispose()
    if found is not None:
        raise key_missing(found.key_id)
