"""Every limit of the SDK, with its unit and its reason.

A limit that an option of `Meter` can change can only be made stricter, except the buffer and the
timeouts, which belong to the host process and not to the wire.
"""

from typing import Final

# --- one event ---

NAME_CHARACTERS_MAX: Final = 200
"""Characters of a customer, type, id, source or tenant; enough for a URN, small in an index."""

DIMENSIONS_MAX: Final = 32
"""Dimensions of one event; every one may become a group-by column of a window."""

PROPERTIES_MAX: Final = 32
"""Properties of one event; they are carried for people, not aggregated."""

LABEL_CHARACTERS_MAX: Final = 64
"""Characters of the name of a dimension or property."""

DIMENSION_CHARACTERS_MAX: Final = 256
"""Characters of a dimension's value; it is repeated in every window it opens."""

PROPERTY_CHARACTERS_MAX: Final = 1_024
"""Characters of a property's value; room for one URL, not for a document."""

EVENT_BYTES_MAX: Final = 16 * 1_024
"""Bytes of one event's texts in UTF-8; keeps any one event well below one batch."""

QUANTITY_SCALE: Final = 9
"""Decimal places of a quantity; the scale every fold computes in."""

QUANTITY_MAX: Final = 10**14
"""First quantity that is too large, in the event type's unit; leaves sums room in 128 bits."""

QUANTITY_CHARACTERS_MAX: Final = 64
"""Characters of a quantity given as text; far above the 24 that an exact value needs."""

WIRE_INTEGER_MAX: Final = 2**63 - 1
"""Largest quantity times 10^scale on the wire; an Avro long has 64 bits."""

OCCURRED_AT_MS_MAX: Final = 253_402_300_799_999
"""Last millisecond of the year 9999 UTC; ms since 1970, the last that a datetime can hold."""

# --- one batch ---

BATCH_EVENTS_MAX: Final = 500
"""Events of one batch; beyond it, the cost per event no longer falls."""

BATCH_BYTES_MAX: Final = 256 * 1_024
"""Bytes of one encoded batch; a quarter of a broker's usual limit of 1 MB per record."""

BATCH_BYTES_MIN: Final = 32 * 1_024
"""Smallest batch limit in bytes; one largest event and the batch's header must fit."""

LINGER_MS_MAX: Final = 50
"""How long an event waits for company, in ms; it is part of the freshness of a window."""

# --- one process ---

BUFFER_EVENTS_MAX: Final = 100_000
"""Default of events recorded and not yet settled; about 50 MB when events are small."""

BUFFER_EVENTS_CEILING: Final = 10_000_000
"""Largest buffer that can be asked for, in events; librdkafka's own limit of messages."""

QUEUE_KIBIBYTES_MAX: Final = 256 * 1_024
"""Encoded batches that librdkafka may hold, in KiB; beyond it, events wait in the buffer."""

DELIVERY_TIMEOUT_MS: Final = 120_000
"""Default time for one batch from hand-over to the broker's answer, in ms; Kafka's default."""

WAIT_MS_MAX: Final = 86_400_000
"""Longest wait of any option, in ms; one day, so that no caller waits for ever."""

CACHE_ENTRIES_MAX: Final = 50_000
"""Entries of a cache of validated customers; about 10 MB. A full cache is emptied."""

DIMENSION_CACHE_ENTRIES_MAX: Final = 4_096
"""Entries of the cache of dimension sets; about 2 MB when sets are small."""

DIMENSION_CACHE_CHARACTERS_MAX: Final = 1_024
"""Characters of a dimension set that may be cached; bounds the cache at about 20 MB."""

# --- the flush thread ---

TURN_S: Final = 0.005
"""Longest wait for delivery reports, in seconds; how long a full batch may wait for its turn."""

TOPIC_LOOKUP_S: Final = 1.0
"""Longest wait for one answer about the topic, in seconds; below every sensible close timeout."""

TOPIC_RETRY_S: Final = 0.25
"""Pause between two questions for a topic that was not there, in seconds."""

PARTITION_CHECK_S: Final = 30.0
"""How often the partition count is checked while events flow, in seconds; a guard, no more."""

ABANDON_S: Final = 1.0
"""Time for the last delivery reports after a close that ran out of time, in seconds."""

CLOSE_S: Final = 10.0
"""Default time that close has, in seconds; also at interpreter exit."""

# --- traces ---

TRACES_PER_BATCH_MAX: Final = 32
"""Distinct traceparents that one batch carries; 55 bytes each, so at most 2 KB of headers."""

TRACES_WAITING_MAX: Final = 100_000
"""Events that wait with a traceparent; as many as a buffer usually has, about 20 MB."""

# --- the spool ---

SEGMENT_BYTES: Final = 4 * 1_024 * 1_024
"""Default size of a segment; what is resent after a crash is about one of them, 35,000 events."""

SEGMENT_BYTES_MIN: Final = 64 * 1_024
"""Smallest segment, in bytes; three of the largest events fit."""

SEGMENT_BYTES_MAX: Final = 64 * 1_024 * 1_024
"""Largest segment, in bytes; beyond it a crash would resend more than a minute's work."""

SPOOL_BYTES_MAX: Final = 1_024 * 1_024 * 1_024
"""Default size of a spool, in bytes; about 9 million small events, an hour at 2,500 a second."""

SPOOL_BYTES_CEILING: Final = 64 * SPOOL_BYTES_MAX
"""Largest spool that can be asked for, in bytes; counting it at start takes about 2 s per GiB."""

SPOOL_SEGMENTS_MIN: Final = 4
"""Segments that a spool has room at least: one written, one read, one to let go of, a spare."""

SPOOL_SLOTS_MAX: Final = 64
"""Folders that `{slot}` stands for; more processes of one machine need names of their own."""

SYNC_INTERVAL_MS: Final = 200
"""Default pause between two syncs of `fsync="interval"`, in ms; what a power cut may cost."""

SYNC_INTERVAL_MS_MAX: Final = 60_000
"""Longest such pause, in ms; beyond it the kernel writes by itself, usually after 30 s."""

READ_BYTES: Final = 256 * 1_024
"""Bytes read from the spool at once; bounds the memory of a recovery."""

RETRY_FIRST_S: Final = 0.5
"""Pause before a batch that failed is sent again from the spool, in seconds; it doubles."""

RETRY_LAST_S: Final = 30.0
"""Longest such pause, in seconds; how late a healed broker may be noticed."""

RETRY_TRIES_COUNTED_MAX: Final = 16
"""Tries of a batch that are counted for its pause; more would only make a large number larger."""

RETRY_CLOSING_S: Final = 0.25
"""The same while the meter closes, in seconds; a close has 10 s by default."""

TIDY_S: Final = 1.0
"""How long an idle meter keeps acknowledged events on disk, in seconds."""

# --- HTTP ---

HTTP_REQUEST_TIMEOUT_S: Final = 10.0
"""Longest wait for one step of a request (connect, send, answer), in seconds."""

HTTP_QUEUE_PARCELS_MAX: Final = 64
"""Batches that wait for the connection; 16 MB at most, beyond it events wait in the buffer."""

HTTP_PAUSE_FIRST_S: Final = 0.1
"""Pause before the first repetition of a request, in seconds; it doubles, and varies by half."""

HTTP_PAUSE_LAST_S: Final = 5.0
"""Longest pause of our own between two tries, in seconds; Retry-After may ask for more."""

HTTP_RETRY_AFTER_S_MAX: Final = 60.0
"""Longest Retry-After that is obeyed, in seconds; beyond it the header is taken for a mistake."""

HTTP_ANSWER_BYTES_MAX: Final = 64 * 1_024
"""Bytes read of an answer; an acknowledgement has 40, a problem some hundred."""

# --- the host ---

SAFE_LOG_S: Final = 60.0
"""How often the same code is logged in safe mode, in seconds; a broken host logs once a minute."""

CODE_CACHE_MAX: Final = 64
"""Codes that safe mode remembers the last log line of; there are fewer of ours."""
