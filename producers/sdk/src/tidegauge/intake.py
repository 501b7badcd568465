"""From the arguments of `record` to a row for the wire; everything wrong is refused here."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from tidegauge import errors, limits, quantity, text, uuid7
from tidegauge.wire import identity
from tidegauge.wire.batch import EventRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000


def milliseconds(instant: object) -> int:
    """This function will turn an aware datetime into ms since 1970 UTC, rounding down.

    Args:
        instant: What the caller gave as a time.

    Returns:
        Milliseconds, within the years 1970 to 9999.

    Raises:
        InvalidEvent: It is no datetime, naive, or out of range.
    """
    if not isinstance(instant, datetime):
        raise errors.InvalidEvent("occurred_at", "time_not_datetime")
    try:
        since = instant - _EPOCH
    except TypeError:
        raise errors.InvalidEvent("occurred_at", "time_naive") from None
    result = since.days * _DAY_MS + since.seconds * 1_000 + since.microseconds // 1_000
    if not 0 <= result <= limits.OCCURRED_AT_MS_MAX:
        raise errors.InvalidEvent("occurred_at", "time_out_of_range")
    return result


class Intake:
    """Checks events and makes rows; used by many threads at once, without a lock.

    Texts that passed once are kept in caches, because the same customers, types and dimension
    sets come again and again. Two threads that miss together do the same work twice, no harm.
    """

    def __init__(self, *, source: str, clock: Callable[[], datetime]) -> None:
        """This function will start with empty caches.

        Args:
            source: Where foreign ids are unique; may be empty.
            clock: Says the time of an event that came without one.
        """
        self._source = source
        self._clock = clock
        self._new_id = uuid7.Uuid7Generator().next
        self._customers: dict[str, str] = {}
        self._types: dict[str, str] = {}
        self._dimensions: dict[tuple[tuple[str, str], ...], str] = {}

    def row(
        self,
        customer: str,
        event_type: str,
        amount: object,
        occurred_at: datetime | None,
        dimensions: Mapping[str, str] | None,
        properties: Mapping[str, str] | None,
        event_id: str | None,
    ) -> EventRow:
        """This function will check one event and make its row; see `row_and_payload`.

        Returns:
            The row.

        Raises:
            InvalidEvent: Something is wrong; its field and code say what.
        """
        return self.row_and_payload(
            customer, event_type, amount, occurred_at, dimensions, properties, event_id
        )[0]

    def row_and_payload(
        self,
        customer: str,
        event_type: str,
        amount: object,
        occurred_at: datetime | None,
        dimensions: Mapping[str, str] | None,
        properties: Mapping[str, str] | None,
        event_id: str | None,
    ) -> tuple[EventRow, bytes]:
        """This function will check one event and make its row.

        Args:
            customer: The customer, 1 to 200 characters.
            event_type: The event type, 1 to 200 characters.
            amount: The quantity: int, Decimal or decimal text.
            occurred_at: When it happened, aware, or None for the clock's time.
            dimensions: At most 32 texts by name, or None.
            properties: At most 32 texts by name, or None.
            event_id: The event's id, or None for a new UUIDv7.

        Returns:
            The row, and the canonical payload it was made from, which a spool keeps.

        Raises:
            InvalidEvent: Something is wrong; its field and code say what.
        """
        try:
            customer = self._customers[customer]
            event_type = self._types[event_type]
        except (KeyError, TypeError):
            customer = self._checked(customer, "customer", self._customers)
            event_type = self._checked(event_type, "type", self._types)
        billionths = quantity.billionths(amount)
        occurred_at_ms = milliseconds(self._clock() if occurred_at is None else occurred_at)
        try:
            dimensions_text = (
                "" if dimensions is None else self._dimensions[tuple(dimensions.items())]
            )
        except (AttributeError, KeyError, TypeError):
            dimensions_text = self._dimensions_text(dimensions)
        properties_text = canonical_properties(properties) if properties is not None else ""
        payload = identity.payload(
            customer, event_type, occurred_at_ms, billionths, dimensions_text, properties_text
        )
        if len(payload) > limits.EVENT_BYTES_MAX:
            raise errors.InvalidEvent("event", "event_too_large")
        is_foreign = False
        if event_id is None:
            event_id, key = self._new_id()
        else:
            event_id, key, is_foreign = self._identity(event_id)
        row = (
            event_id,
            key,
            identity.fingerprint(payload),
            customer,
            event_type,
            dimensions_text,
            occurred_at_ms,
            billionths,
            is_foreign,
            properties_text,
        )
        return row, payload

    def _checked(self, value: object, field: str, cache: dict[str, str]) -> str:
        checked = text.required(value, field=field, characters_max=limits.NAME_CHARACTERS_MAX)
        if len(cache) >= limits.CACHE_ENTRIES_MAX:
            cache.clear()
        cache[checked] = checked
        return checked

    def _identity(self, event_id: object) -> tuple[str, bytes, bool]:
        checked = event_id
        if type(checked) is not str:
            checked = text.required(
                event_id, field="id", characters_max=limits.NAME_CHARACTERS_MAX
            )
        key = identity.uuid_key(checked)
        if key is not None:
            return checked, key, False
        text.required(checked, field="id", characters_max=limits.NAME_CHARACTERS_MAX)
        return checked, identity.foreign_key(source=self._source, event_id=checked), True

    def _dimensions_text(self, dimensions: object) -> str:
        checked = _checked_dimensions(dimensions)
        result = identity.dimensions_text(checked)
        if len(result) <= limits.DIMENSION_CACHE_CHARACTERS_MAX:
            if len(self._dimensions) >= limits.DIMENSION_CACHE_ENTRIES_MAX:
                self._dimensions.clear()
            self._dimensions[tuple(checked.items())] = result
        return result


def canonical_dimensions(dimensions: object) -> str:
    """This function will check dimensions and write them in their canonical form.

    Args:
        dimensions: At most 32 texts by name.

    Returns:
        What `identity.dimensions_text` makes of them.

    Raises:
        InvalidEvent: Something is wrong; its code says what.
    """
    return identity.dimensions_text(_checked_dimensions(dimensions))


def canonical_properties(properties: object) -> str:
    """This function will check properties and write them in their canonical form.

    Args:
        properties: At most 32 texts by name.

    Returns:
        What `identity.properties_text` makes of them.

    Raises:
        InvalidEvent: Something is wrong; its code says what.
    """
    return identity.properties_text(
        _checked_pairs(
            properties,
            field="properties",
            one="property",
            pairs_max=limits.PROPERTIES_MAX,
            characters_max=limits.PROPERTY_CHARACTERS_MAX,
        )
    )


def _checked_dimensions(dimensions: object) -> dict[str, str]:
    return _checked_pairs(
        dimensions,
        field="dimensions",
        one="dimension",
        pairs_max=limits.DIMENSIONS_MAX,
        characters_max=limits.DIMENSION_CHARACTERS_MAX,
    )


def _checked_pairs(
    pairs: object, *, field: str, one: str, pairs_max: int, characters_max: int
) -> dict[str, str]:
    if not isinstance(pairs, Mapping):
        raise errors.InvalidEvent(field, f"{field}_not_mapping")
    if len(pairs) > pairs_max:
        raise errors.InvalidEvent(field, f"{field}_too_many")
    checked: dict[str, str] = {}
    for name, value in pairs.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise errors.InvalidEvent(field, f"{one}_not_text")
        if not name:
            raise errors.InvalidEvent(field, f"{one}_name_empty")
        code = text.fault_in(name, characters_max=limits.LABEL_CHARACTERS_MAX)
        code = code or text.fault_in(value, characters_max=characters_max)
        if code is not None:
            raise errors.InvalidEvent(field, code)
        checked[str.__str__(name)] = str.__str__(value)
    return checked
