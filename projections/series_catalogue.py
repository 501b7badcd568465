"""Which series are known to be in usage_series, and the numbers they have inside this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from domain.usage.series import SERIES_ID_BYTES, series_id_of_parts, series_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from domain.usage.facts import SeriesColumns
    from domain.usage.seen import Int32s, UInt64s

SERIES_MAX = 500_000
"""Series remembered; about 250 bytes each. When full, all are forgotten and learned again."""

STAGE = "usage_series_new"
_CREATE_STAGE = f"""
    CREATE TEMPORARY TABLE {STAGE} (
        tenant text, series uuid, customer text, meter text, dimensions jsonb, partition integer
    ) ON COMMIT DELETE ROWS
"""
_COPY = f"COPY {STAGE} FROM STDIN"
_INSERT = f"""
    INSERT INTO usage_series (tenant, series, customer, meter, dimensions, partition)
    SELECT tenant, series, customer, meter, dimensions, partition FROM {STAGE}
    ON CONFLICT (tenant, series) DO NOTHING
"""  # noqa: S608 -- fixed texts only


class SeriesCatalogue:
    """Numbers series, so that merging and sorting work on integers.

    Numbers hold until the next make_room or forget. A series that is new to the process waits in
    the list that store() writes.
    """

    def __init__(self) -> None:
        self.forget()

    @staticmethod
    def prepare(connection: psycopg.Connection) -> None:
        """Make the staging table of a new connection."""
        connection.execute(_CREATE_STAGE.encode())

    def forget(self) -> None:
        """Forget everything: what the table holds is no longer known."""
        self._owners: dict[tuple[str, str], int] = {}
        self._meters: dict[str, int] = {}
        self._dimensions: dict[tuple[tuple[str, str], ...], int] = {}
        self._dimension_texts: list[str] = []
        self._owner_parts: list[bytes] = []
        self._meter_parts: list[bytes] = []
        self._set_parts: list[bytes] = []
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._ids = bytearray()
        self._tenants: dict[str, int] = {}
        self._tenant_of_owner: list[int] = []
        self._owner_of: list[int] = []
        self._new: list[tuple[str, str, str, str, str, str]] = []

    def make_room(self) -> None:
        """Forget everything when the maximum is reached; call between two flushes."""
        if len(self._numbers) >= SERIES_MAX:
            self.forget()

    @property
    def tenants(self) -> list[str]:
        """Return the tenants by their number."""
        return list(self._tenants)

    def numbers_of(self, series: SeriesColumns, *, partition: int) -> Int32s:
        """Return the number of each series of a record."""
        owners = np.array([self._owner(owner) for owner in series.owners], dtype=np.int64)
        meters = np.array([self._meter(each) for each in series.meters], dtype=np.int64)
        sets = np.array([self._set(each) for each in series.dimension_sets], dtype=np.int64)
        if not series.owner.size:
            return np.zeros(0, dtype=np.int32)
        keys = list(
            zip(
                owners[series.owner].tolist(),
                meters[series.meter].tolist(),
                sets[series.dimensions].tolist(),
                strict=True,
            )
        )
        known = self._numbers
        numbers = [known.get(key, -1) for key in keys]
        for index, number in enumerate(numbers):
            if number < 0:
                numbers[index] = self._learn(keys[index], series, index, partition)
        return np.array(numbers, dtype=np.int32)

    def _owner(self, owner: tuple[str, str]) -> int:
        number = self._owners.get(owner)
        if number is None:
            number = self._owners[owner] = len(self._owner_parts)
            self._owner_parts.append(series_parts(*owner))
            self._tenant_of_owner.append(self._tenants.setdefault(owner[0], len(self._tenants)))
        return number

    def _meter(self, meter: str) -> int:
        number = self._meters.get(meter)
        if number is None:
            number = self._meters[meter] = len(self._meter_parts)
            self._meter_parts.append(series_parts(meter))
        return number

    def _set(self, dimensions: Mapping[str, str]) -> int:
        pairs = tuple(sorted(dimensions.items()))
        number = self._dimensions.get(pairs)
        if number is None:
            number = self._dimensions[pairs] = len(self._dimension_texts)
            self._dimension_texts.append(json.dumps(dict(pairs), ensure_ascii=False))
            self._set_parts.append(series_parts(*(text for pair in pairs for text in pair)))
        return number

    def _learn(
        self, key: tuple[int, int, int], series: SeriesColumns, index: int, partition: int
    ) -> int:
        """Give a series its number and id, and put it on the list of those to write."""
        known = self._numbers.get(key)  # it may stand twice in a record
        if known is not None:
            return known
        tenant, customer = series.owners[series.owner[index]]
        meter = series.meters[series.meter[index]]
        parts = self._owner_parts[key[0]] + self._meter_parts[key[1]] + self._set_parts[key[2]]
        identity = series_id_of_parts(parts)
        number = self._numbers[key] = len(self._numbers)
        self._ids += identity
        self._owner_of.append(self._owners[tenant, customer])
        text = self._dimension_texts[key[2]]
        self._new.append((tenant, identity.hex(), customer, meter, text, str(partition)))
        return number

    def describe(self, numbers: Int32s) -> tuple[np.ndarray, Int32s]:
        """Return the 16-byte id and the tenant's number of each series."""
        ids = np.frombuffer(self._ids, dtype=f"V{SERIES_ID_BYTES}")[numbers]
        owners = np.array([self._owner_of[number] for number in numbers.tolist()], dtype=np.int64)
        return ids, np.array(self._tenant_of_owner, dtype=np.int32)[owners]

    def store(self, connection: psycopg.Connection) -> int:
        """Write the series that this process has not written yet; return how many rows."""
        if not self._new:
            return 0
        # In the order of the key; clean texts hold no character that COPY would end a field by.
        lines = ["\t".join(row).replace("\\", "\\\\") for row in sorted(self._new)]
        cursor = connection.cursor()
        with cursor.copy(_COPY.encode()) as copy:
            copy.write("\n".join(lines))
        cursor.execute(_INSERT.encode())
        count, self._new = len(self._new), []
        return count


def high_half(ids: np.ndarray) -> UInt64s:
    """This function will return the first 8 bytes of each id as a number, which sorts like it."""
    return ids.view(">u8")[0::2].astype(np.uint64)


def low_half(ids: np.ndarray) -> UInt64s:
    """This function will return the last 8 bytes of each id as a number."""
    return ids.view(">u8")[1::2].astype(np.uint64)
