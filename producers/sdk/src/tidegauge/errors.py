"""The errors of the SDK: one base, stable codes, and a message that says what to do next."""

from types import MappingProxyType
from typing import Final

CODES: Final = MappingProxyType(
    {
        # What is wrong with an event.
        "quantity_float": "A float cannot hold a decimal exactly; pass int, Decimal or str.",
        "quantity_not_number": "Neither a number nor decimal text; pass int, Decimal or str.",
        "quantity_not_finite": "NaN or Infinity; do not record what was not measured.",
        "quantity_negative": "Below 0; report usage as it happened and correct by credit.",
        "quantity_too_precise": "More than 9 decimal places; round it where it is measured.",
        "quantity_too_large": "10^14 or more, or more than 18 digits; use a larger unit.",
        "time_not_datetime": "Not a datetime; pass an aware datetime or leave it out.",
        "time_naive": "A datetime without time zone; add tzinfo, for example datetime.now(UTC).",
        "time_out_of_range": "Not in the years 1970 to 9999 UTC; check the unit of the source.",
        "customer_not_text": "The customer is not a str; pass its id as text.",
        "customer_empty": "The customer is empty; pass the id of who used it.",
        "type_not_text": "The event type is not a str; pass the name from the catalogue.",
        "type_empty": "The event type is empty; pass the name from the catalogue.",
        "id_not_text": "The id is not a str; pass text or leave it out.",
        "id_empty": "The id is empty; pass text or leave it out.",
        "text_too_long": "A text is longer than its limit; shorten it, limits are in the README.",
        "text_control_character": "A text has a character below 0x20 or 0x7f; remove it.",
        "text_surrogate": "A text has a lone surrogate and no UTF-8 form; decode it properly.",
        "dimensions_not_mapping": "Dimensions are not a mapping; pass a dict of str to str.",
        "dimensions_too_many": "More than 32 dimensions; send the rest as properties or not.",
        "dimension_not_text": "A dimension's name or value is not a str; convert it yourself.",
        "dimension_name_empty": "A dimension has no name; name it or leave it out.",
        "properties_not_mapping": "Properties are not a mapping; pass a dict of str to str.",
        "properties_too_many": "More than 32 properties; keep what an invoice's reader needs.",
        "property_not_text": "A property's name or value is not a str; convert it yourself.",
        "property_name_empty": "A property has no name; name it or leave it out.",
        "event_too_large": "The event's texts exceed 16 KiB of UTF-8; shorten them.",
        # What is wrong with an option.
        "option_invalid": "An option of Meter has a wrong type or is out of range; correct it.",
        "option_reserved": "This librdkafka setting carries a guarantee; remove it.",
        "option_refused": "librdkafka refused the settings; correct kafka_config.",
        # What is wrong with the moment.
        "buffer_full": "The buffer is full; slow down, set block_ms, or see whether Kafka is up.",
        "meter_closed": "The meter is closed; record before close, or make a new Meter.",
        "close_in_callback": "close was called by on_delivery; call it from another thread.",
        # What is wrong with the spool.
        "spool_full": "The spool is full; see why nothing leaves it, or raise its bytes_max.",
        "spool_in_use": "Another meter has this spool; give each its own folder, or use {slot}.",
        "spool_foreign": "The spool holds events of another tenant or source; use another folder,"
        " or drain it with the old ones first.",
        "spool_unusable": "The folder cannot be used; see its path, owner and file system.",
        "spool_write_failed": "The disk refused the event, which was not recorded; free space or"
        " replace the disk.",
        "spool_sync_failed": "The event is recorded and will be sent, but a power cut may lose it;"
        " check the disk, and do not record it again.",
        # What stopped the meter.
        "partition_count_changed": "The topic's partition count changed and it must not, for it"
        " decides where a customer's events go; restore the topic, then restart the process.",
        "producer_fatal": "librdkafka stopped for good; see the log, then restart the process.",
        "flush_thread_died": "The flush thread died; see the log, restart, and report it.",
        # What became of a batch; kafka_<name> stands for librdkafka's error of that name, any
        # other code for the one of the gateway's problem, http_<status> for an answer without.
        "closed_before_sent": "Time ran out before the batch was handed over; it was not sent.",
        "closed_outcome_unknown": "Time ran out before the answer; resend with the same ids.",
        "kafka_msg_timed_out": "No answer within delivery_timeout_ms; resend with the same ids.",
        "http_timed_out": "No answer within delivery_timeout_ms; resend with the same ids.",
    }
)
"""Every code that an error or a `Delivery` of the SDK carries: what it means and what to do."""


class TidegaugeError(Exception):
    """The base of every error that this SDK raises.

    Attributes:
        code: The stable code, a key of `CODES`.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        """This function will build the message from the code's sentence.

        Args:
            code: A key of `CODES`.
            detail: A fact that goes before the sentence, or nothing.
        """
        self.code = code
        self.detail = detail
        advice = CODES.get(code, "The batch was refused; look the code up in the SDK's guide.")
        super().__init__(f"{code}: {detail}: {advice}" if detail else f"{code}: {advice}")

    # typing.override came with Python 3.12, and the SDK runs on 3.11.
    def __reduce__(  # type: ignore[explicit-override]
        self,
    ) -> tuple[type["TidegaugeError"], tuple[str, str]]:
        """This function will let the error travel between processes."""
        return type(self), (self.code, self.detail)


class InvalidEvent(TidegaugeError):
    """An event was refused before it was recorded.

    Attributes:
        field: The argument of `record` that is at fault, such as `quantity` or `dimensions`.
    """

    def __init__(self, field: str, code: str) -> None:
        """This function will name the field in front of the code's sentence.

        Args:
            field: The argument of `record` that is at fault.
            code: A key of `CODES`.
        """
        super().__init__(code, field)
        self.field = field

    def __reduce__(  # type: ignore[explicit-override]
        self,
    ) -> tuple[type[TidegaugeError], tuple[str, str]]:
        """This function will let the error travel between processes."""
        return type(self), (self.field, self.code)


class InvalidOption(TidegaugeError):
    """An option of `Meter` cannot be used; nothing was started."""


class BufferFull(TidegaugeError):
    """There was no room for an event within `block_ms`; it was not recorded."""


class SpoolFull(BufferFull):
    """The spool has no room and its policy is to raise; the event was not recorded."""


class SpoolFailed(TidegaugeError):
    """The disk refused; the code says whether the event was recorded."""


class MeterClosed(TidegaugeError):
    """The meter takes no events, because it was closed."""


class MeterStopped(TidegaugeError):
    """The meter stopped for good because going on could count events wrongly."""


class DeliveryFailed(TidegaugeError):
    """A batch was not acknowledged; its outcome is unknown, resending the same ids is safe."""
