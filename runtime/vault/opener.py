"""Opening whatever the vault still can, for the proof that somebody's values are gone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy

from domain.books.personal import FIELDS
from domain.canonical import to_canonical_json
from domain.codes import Code
from domain.errors import Rejected
from runtime.vault.connection import new_engine, vault_connection
from runtime.vault.kept import kept_purpose, owner_of
from runtime.vault.keys import data_purpose
from runtime.vault.seal import SEALED, DataKey, Owner, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.settings import Settings
    from runtime.vault.master import MasterKeys

TRIALS_MAX = 10_000_000
"""Sealed texts times keys of one scan, some 45 s: a text does not say whose it is, so each key of
its version is tried on it. A larger installation names the customer."""
OPENED = "sealed, and the vault has the key"
KEPT = "kept for final invoices"
"""How a value was found; the second is what the setting vault_buyer_years asks for."""
_IN_BYTES = re.compile(SEALED.pattern.encode())


class Opener:
    """Opens sealed texts with every key that there is.

    Args:
        settings: Where the vault is.
        masters: The master keys; None when there are none, and nothing can be opened.
        customer: Tries the keys of customers of this name alone; empty for all.
    """

    def __init__(
        self, settings: Settings, masters: MasterKeys | None, *, customer: str = ""
    ) -> None:
        self.met = 0
        self.opened = 0
        self._seen: set[str] = set()
        self._trials = 0
        self._keys: dict[int, list[tuple[DataKey, Owner, str]]] = {}
        if masters is not None:
            self._load(settings, masters, customer=customer)

    def plains(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        """Yield the plain bytes of each sealed text in the data that opens, and with what.

        A text that was met before is not tried again.

        Raises:
            Rejected: oversized, after TRIALS_MAX.
        """
        for match in _IN_BYTES.finditer(data):
            text = match[0].decode()
            if text in self._seen:
                continue
            self._seen.add(text)
            self.met += 1
            for key, owner, how in self._keys.get(version_of(text), ()):
                self._trials += 1
                if self._trials > TRIALS_MAX:
                    raise Rejected(
                        Code.OVERSIZED,
                        f"more than {TRIALS_MAX} trials",
                        next_step="Name the customer with --customer",
                    )
                try:
                    value = key.open(text, owner=owner)
                except Rejected:
                    continue
                self.opened += 1
                yield to_canonical_json(value).encode(), how
                break

    def _load(self, settings: Settings, masters: MasterKeys, *, customer: str) -> None:
        engine = new_engine(settings, is_owner=True)
        where = "WHERE customer = :customer" if customer else ""
        columns = "tenant, customer, version, master_key, wrapped"
        try:
            with vault_connection(engine) as connection:
                for table in ("data_key", "kept_buyer"):
                    rows = connection.execute(
                        sqlalchemy.text(f"SELECT {columns} FROM {table} {where}"),  # noqa: S608 -- fixed texts only
                        {"customer": customer} if customer else {},
                    )
                    for row in rows:
                        self._add(row, masters, is_kept=table == "kept_buyer")
        finally:
            engine.dispose()

    def _add(self, row: sqlalchemy.Row[Any], masters: MasterKeys, *, is_kept: bool) -> None:
        whose = (row.tenant, row.customer, row.version)
        purpose = kept_purpose(*whose) if is_kept else data_purpose(*whose)
        secret = masters.unwrap(bytes(row.wrapped), key_id=row.master_key, purpose=purpose)
        key = DataKey(secret, version=row.version)
        owners = (
            ((owner_of(row.tenant, row.customer), KEPT),)
            if is_kept
            else tuple((Owner(row.tenant, row.customer, field), OPENED) for field in FIELDS)
        )
        listed = self._keys.setdefault(row.version, [])
        listed.extend((key, owner, how) for owner, how in owners)
