"""Every stable error code of Tidegauge, declared once; docs/error-codes.md is made from here."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """A stable code; its value never changes once released. DESCRIPTIONS says what each means."""

    # Usage events
    OVERSIZED = "oversized"
    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown_schema"
    MISROUTED = "misrouted"
    UNKNOWN_TYPE = "unknown_type"
    BAD_VALUE = "bad_value"
    TOO_LATE = "too_late"
    FUTURE = "future"
    CONFLICT = "conflict"
    # Catalogue
    CATALOGUE_INVALID = "catalogue_invalid"
    CATALOGUE_VERSION_TAKEN = "catalogue_version_taken"
    CATALOGUE_VERSION_OLD = "catalogue_version_old"
    # Commands and books
    COMMAND_INVALID = "command_invalid"
    COMMAND_UNKNOWN = "command_unknown"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    CUSTOMER_EXISTS = "customer_exists"
    CUSTOMER_UNKNOWN = "customer_unknown"
    PLAN_UNKNOWN = "plan_unknown"
    SUBSCRIPTION_EXISTS = "subscription_exists"
    SUBSCRIPTION_UNKNOWN = "subscription_unknown"
    INVOICE_EXISTS = "invoice_exists"
    INVOICE_UNKNOWN = "invoice_unknown"
    PERIOD_NOT_CURRENT = "period_not_current"
    PERIOD_NOT_OVER = "period_not_over"
    TOTALS_DIFFER = "totals_differ"
    LINES_DIFFER = "lines_differ"
    CONTENT_HASH_DIFFERS = "content_hash_differs"
    CATALOGUE_DIFFERS = "catalogue_differs"
    CURRENCY_UNKNOWN = "currency_unknown"
    CURRENCY_DIFFERS = "currency_differs"
    API_KEY_EXISTS = "api_key_exists"
    API_KEY_UNKNOWN = "api_key_unknown"
    # HTTP
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    NOT_READY = "not_ready"
    COMMAND_TIMEOUT = "command_timeout"
    INTERNAL = "internal"
    # Operation
    FACTS_GAP = "facts_gap"
    SOURCE_GAP = "source_gap"
    TOPIC_MISSING = "topic_missing"
    TOPIC_MISMATCH = "topic_mismatch"
    STATE_CORRUPT = "state_corrupt"
    STORE_LOST = "store_lost"
    BROKER_AWAY = "broker_away"
    DATABASE_AWAY = "database_away"
    SETTING_INVALID = "setting_invalid"
    REPLAY_DIFFERS = "replay_differs"
    LOG_TRUNCATED = "log_truncated"


DESCRIPTIONS: dict[Code, str] = {
    Code.OVERSIZED: "The record is larger than its topic allows.",
    Code.UNDECODABLE: "The bytes are no valid record of their schema.",
    Code.UNKNOWN_SCHEMA: "The schema id is not allowed on this topic.",
    Code.MISROUTED: "The customer belongs to another partition.",
    Code.UNKNOWN_TYPE: "No meter of the tenant's catalogue takes this event type.",
    Code.BAD_VALUE: "A field is out of its range, malformed, or missing.",
    Code.TOO_LATE: "The event occurred more than 35 days before it was received.",
    Code.FUTURE: "The event lies more than 5 minutes ahead of its receipt.",
    Code.CONFLICT: "The key was counted before with another payload.",
    Code.CATALOGUE_INVALID: "The catalogue breaks a rule; the reason names the place.",
    Code.CATALOGUE_VERSION_TAKEN: "This version was published with another content.",
    Code.CATALOGUE_VERSION_OLD: "A newer version is already in force.",
    Code.COMMAND_INVALID: "A field of the command is missing or malformed.",
    Code.COMMAND_UNKNOWN: "There is no command of this name.",
    Code.IDEMPOTENCY_CONFLICT: "The command id was used before with another body.",
    Code.CUSTOMER_EXISTS: "The customer was created before.",
    Code.CUSTOMER_UNKNOWN: "The tenant has no such customer.",
    Code.PLAN_UNKNOWN: "The catalogue in force has no such plan.",
    Code.SUBSCRIPTION_EXISTS: "The subscription id is taken.",
    Code.SUBSCRIPTION_UNKNOWN: "The tenant has no such subscription.",
    Code.INVOICE_EXISTS: "The period of this subscription has its invoice already.",
    Code.INVOICE_UNKNOWN: "The tenant has no such invoice.",
    Code.PERIOD_NOT_CURRENT: "The period is not the subscription's current one.",
    Code.PERIOD_NOT_OVER: "The period has not ended at the given as_of.",
    Code.TOTALS_DIFFER: "A line is rounded wrong, or the total is not the sum of the lines.",
    Code.LINES_DIFFER: "A line is not what the plan charges for its quantity.",
    Code.CONTENT_HASH_DIFFERS: "The content hash does not belong to the content.",
    Code.CATALOGUE_DIFFERS: "The invoice was rated with another catalogue version.",
    Code.CURRENCY_UNKNOWN: "This is no ISO 4217 currency.",
    Code.CURRENCY_DIFFERS: "Two currencies meet where one is needed.",
    Code.API_KEY_EXISTS: "The API key id is taken.",
    Code.API_KEY_UNKNOWN: "The tenant has no such API key.",
    Code.UNAUTHENTICATED: "No valid API key came with the request.",
    Code.NOT_FOUND: "There is nothing at this address for this tenant.",
    Code.INVALID_REQUEST: "A parameter or the body is malformed; param names it.",
    Code.IDEMPOTENCY_KEY_MISSING: "A POST needs the header Idempotency-Key.",
    Code.NOT_READY: "The service cannot answer yet or a part it needs is away.",
    Code.COMMAND_TIMEOUT: "The command is in the log, its outcome is not visible yet.",
    Code.INTERNAL: "A defect; the request id finds it in the logs.",
    Code.FACTS_GAP: "A facts record starts after the position reached: facts are missing.",
    Code.SOURCE_GAP: "Source offsets are not contiguous: records are missing.",
    Code.TOPIC_MISSING: "A topic of the catalogue does not exist.",
    Code.TOPIC_MISMATCH: "A topic differs from the topic catalogue.",
    Code.STATE_CORRUPT: "State breaks an invariant.",
    Code.STORE_LOST: "A fold's local store cannot be read or written; the facts fill it again.",
    Code.BROKER_AWAY: "Kafka does not answer.",
    Code.DATABASE_AWAY: "PostgreSQL does not answer.",
    Code.SETTING_INVALID: "A setting is missing or malformed.",
    Code.REPLAY_DIFFERS: "Replaying the log gave another content than the invoice has.",
    Code.LOG_TRUNCATED: "The log no longer reaches back to its start.",
}
