"""Times of a file, by the mapping's format; a time without a zone is never guessed at."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum

from domain.codes import Code
from producers.importers.rows import BadRow


class TimeFormat(StrEnum):
    """How a time is written."""

    ISO = "iso"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    EPOCH_NS = "epoch_ns"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class TimeForm:
    """The format of a time column.

    Args:
        format: Which.
        pattern: A strptime pattern, for PATTERN.
        zone: What a time without one is in; None to refuse such times.
    """

    format: TimeFormat
    pattern: str
    zone: tzinfo | None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_UNIT = {
    TimeFormat.EPOCH_S: Decimal(1_000_000),
    TimeFormat.EPOCH_MS: Decimal(1_000),
    TimeFormat.EPOCH_US: Decimal(1),
    TimeFormat.EPOCH_NS: Decimal("0.001"),
}
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?"
    r" ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)


def zone_of(name: str) -> tzinfo | None:
    """This function will find a zone by its IANA name, UTC, or an offset such as +01:00.

    Returns:
        The zone, or None when there is none of this name.
    """
    if name in ("UTC", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if span >= timedelta(days=1):
            return None
        return timezone(-span if offset[1] == "-" else span)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def time_of(text: str, form: TimeForm) -> datetime:
    """This function will read one time; what is finer than a microsecond is cut off.

    Args:
        text: As the file has it.
        form: The mapping's format and zone.

    Returns:
        An aware time.

    Raises:
        BadRow: time_malformed, time_zone_missing, time_ambiguous or time_nonexistent.
    """
    try:
        match form.format:
            case TimeFormat.ISO:
                local = _iso(text)
            case TimeFormat.PATTERN:
                local = datetime.strptime(text, form.pattern)  # noqa: DTZ007 -- the zone is settled below
            case _:
                return _since_epoch(text, _US_PER_UNIT[form.format])
    except (ValueError, OverflowError):
        raise BadRow(Code.TIME_MALFORMED, "time") from None
    if local.tzinfo is not None:
        return local
    if form.zone is None:
        raise BadRow(Code.TIME_ZONE_MISSING, "time")
    return _placed(local, form.zone)


def _iso(text: str) -> datetime:
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError
    day, clock, fraction, zone = found.groups()
    fraction = f".{fraction[:6]:0<6}" if fraction else ""
    zone = {None: "", "Z": "+00:00", "z": "+00:00", "UTC": "+00:00"}.get(zone, zone)
    return datetime.fromisoformat(f"{day}T{clock}{fraction}{zone}")


def _since_epoch(text: str, us_per_unit: Decimal) -> datetime:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError
    return _EPOCH + timedelta(microseconds=int(Decimal(text) * us_per_unit // 1))


def _placed(local: datetime, zone: tzinfo) -> datetime:
    """Put a local time into its zone, where the clock showed it exactly once."""
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    # In a gap the clock goes from the first reading's offset to the second's, and neither
    # reading comes back from UTC as it was; in an overlap both do.
    is_real = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local
    raise BadRow(Code.TIME_AMBIGUOUS if is_real else Code.TIME_NONEXISTENT, "time")
