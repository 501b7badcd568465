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
    DIMENSION_LIMIT = "dimension_limit"
    AMENDMENT_UNKNOWN = "amendment_unknown"
    AMENDMENT_REFUSED = "amendment_refused"
    AMENDMENT_OUTDATED = "amendment_outdated"
    # Archive
    ARCHIVE_GAP = "archive_gap"
    ARCHIVE_CORRUPT = "archive_corrupt"
    ARCHIVE_FOREIGN = "archive_foreign"
    ARCHIVE_LOCKED = "archive_locked"
    # Node events
    PROJECT_LIMIT = "project_limit"
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
    ADD_ON_UNKNOWN = "add_on_unknown"
    PRICE_UNKNOWN = "price_unknown"
    DISCOUNT_UNKNOWN = "discount_unknown"
    DISCOUNT_GRANTED = "discount_granted"
    SELLER_UNKNOWN = "seller_unknown"
    SEATS_LIMIT = "seats_limit"
    METER_TAKEN = "meter_taken"
    METER_UNSPLIT = "meter_unsplit"
    PLAN_IN_USE = "plan_in_use"
    INTERVAL_DIFFERS = "interval_differs"
    SUBSCRIPTION_ENDED = "subscription_ended"
    PERIOD_INVOICED = "period_invoiced"
    NOT_CANCELLED = "not_cancelled"
    CHANGE_LIMIT = "change_limit"
    CLOCK_EXISTS = "clock_exists"
    CLOCK_MISSING = "clock_missing"
    CLOCK_BACKWARDS = "clock_backwards"
    TENANT_LIVE = "tenant_live"
    INVOICE_EXISTS = "invoice_exists"
    INVOICE_UNKNOWN = "invoice_unknown"
    EINVOICE_INCOMPLETE = "einvoice_incomplete"
    PERIOD_NOT_CURRENT = "period_not_current"
    PERIOD_NOT_OVER = "period_not_over"
    LINES_DIFFER = "lines_differ"
    CONTENT_HASH_DIFFERS = "content_hash_differs"
    CATALOGUE_DIFFERS = "catalogue_differs"
    CURRENCY_UNKNOWN = "currency_unknown"
    CURRENCY_DIFFERS = "currency_differs"
    API_KEY_EXISTS = "api_key_exists"
    API_KEY_UNKNOWN = "api_key_unknown"
    # Wallets and charges
    EMAIL_TAKEN = "email_taken"
    WALLET_MISSING = "wallet_missing"
    WALLET_FULL = "wallet_full"
    TOP_UP_EXISTS = "top_up_exists"
    GRANT_EXISTS = "grant_exists"
    ADJUSTMENT_EXISTS = "adjustment_exists"
    AMOUNT_WRONG = "amount_wrong"
    INSUFFICIENT_CREDITS = "insufficient_credits"
    CHARGE_EXISTS = "charge_exists"
    CHARGE_UNKNOWN = "charge_unknown"
    CHARGE_NOT_OPEN = "charge_not_open"
    CHARGE_NOT_HELD = "charge_not_held"
    CHARGE_NOT_CAPTURED = "charge_not_captured"
    APPROVAL_EXPIRED = "approval_expired"
    TIER_CHARGED = "tier_charged"
    CUSTOMER_DIFFERS = "customer_differs"
    REFUND_TOO_LARGE = "refund_too_large"
    DELIVERABLE_DIFFERS = "deliverable_differs"
    DELIVERABLE_LIMIT = "deliverable_limit"
    NOT_DUE = "not_due"
    SUSPICION_EXISTS = "suspicion_exists"
    SUSPICION_UNKNOWN = "suspicion_unknown"
    # Gain-share
    BASELINE_EXISTS = "baseline_exists"
    KPI_UNKNOWN = "kpi_unknown"
    MEASUREMENT_LIMIT = "measurement_limit"
    SHARE_OUT_OF_RANGE = "share_out_of_range"
    GAIN_SHARE_NOT_OFFERED = "gain_share_not_offered"
    GAIN_SHARE_EXISTS = "gain_share_exists"
    GAIN_SHARE_UNKNOWN = "gain_share_unknown"
    GAIN_SHARE_DECIDED = "gain_share_decided"
    GAIN_SHARE_OVERLAPS = "gain_share_overlaps"
    FORMULA_UNDEFINED = "formula_undefined"
    # Personal data
    CUSTOMER_ERASED = "customer_erased"
    VAULT_CLOSED = "vault_closed"
    VAULT_KEY_WRONG = "vault_key_wrong"
    SEAL_BROKEN = "seal_broken"
    CANARY_FOUND = "canary_found"
    # Invoices, items and money
    INVOICE_VOID = "invoice_void"
    INVOICE_PARKED = "invoice_parked"
    INVOICE_NOT_PARKED = "invoice_not_parked"
    INVOICE_SETTLED = "invoice_settled"
    INVOICE_NOT_VOIDABLE = "invoice_not_voidable"
    TERMS_DIFFER = "terms_differ"
    PIN_OLD = "pin_old"
    AMOUNT_LIMIT = "amount_limit"
    INVOICE_LIMIT = "invoice_limit"
    ITEM_EXISTS = "item_exists"
    ITEM_UNKNOWN = "item_unknown"
    ITEM_KEPT = "item_kept"
    ITEM_LIMIT = "item_limit"
    CREDIT_EXISTS = "credit_exists"
    CREDIT_LIMIT = "credit_limit"
    LINE_UNKNOWN = "line_unknown"
    CREDIT_NOTE_EXISTS = "credit_note_exists"
    CREDIT_NOTE_TOO_LARGE = "credit_note_too_large"
    CORRECTION_EXISTS = "correction_exists"
    PAYMENT_EXISTS = "payment_exists"
    PAYMENT_UNKNOWN = "payment_unknown"
    PAYMENT_TOO_LARGE = "payment_too_large"
    REFUND_EXISTS = "refund_exists"
    # Schema registry
    SCHEMA_INVALID = "schema_invalid"
    SCHEMA_INCOMPATIBLE = "schema_incompatible"
    SCHEMA_LIMIT = "schema_limit"
    SUBJECT_CLOSED = "subject_closed"
    SUBJECT_UNKNOWN = "subject_unknown"
    # HTTP
    UNAUTHENTICATED = "unauthenticated"
    ORIGIN_REFUSED = "origin_refused"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    NOT_CHARGED = "not_charged"
    NOT_APPROVED = "not_approved"
    NOT_READY = "not_ready"
    COMMAND_TIMEOUT = "command_timeout"
    INTERNAL = "internal"
    # Checks of a use
    ALLOWANCE_EXCEEDED = "allowance_exceeded"
    LIMIT_EXCEEDED = "limit_exceeded"
    # HTTP intake
    EVENT_INVALID = "event_invalid"
    TENANT_MISMATCH = "tenant_mismatch"
    SCOPE_MISSING = "scope_missing"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    DELIVERY_UNKNOWN = "delivery_unknown"
    WEBHOOK_UNVERIFIED = "webhook_unverified"
    WEBHOOK_REPLAYED = "webhook_replayed"
    # Import
    IMPORT_MAPPING_INVALID = "import_mapping_invalid"
    IMPORT_MAPPING_CHANGED = "import_mapping_changed"
    IMPORT_FILE_UNREADABLE = "import_file_unreadable"
    IMPORT_COLUMNS_MISSING = "import_columns_missing"
    IMPORT_FLOAT_COLUMN = "import_float_column"
    IMPORT_STATE_INVALID = "import_state_invalid"
    IMPORT_BUSY = "import_busy"
    IMPORT_TOO_OLD = "import_too_old"
    IMPORT_STOPPED = "import_stopped"
    SCRAPE_FAILED = "scrape_failed"
    SCRAPE_MALFORMED = "scrape_malformed"
    SCRAPE_TOO_LARGE = "scrape_too_large"
    METRIC_NOT_COUNTER = "metric_not_counter"
    # Rows of an import
    ROW_NOT_UTF8 = "row_not_utf8"
    ROW_TOO_LONG = "row_too_long"
    ROW_COLUMNS_DIFFER = "row_columns_differ"
    CSV_MALFORMED = "csv_malformed"
    CSV_QUOTE_OPEN = "csv_quote_open"
    JSON_MALFORMED = "json_malformed"
    JSON_NOT_OBJECT = "json_not_object"
    JSON_NAME_TWICE = "json_name_twice"
    VALUE_MISSING = "value_missing"
    VALUE_NOT_SCALAR = "value_not_scalar"
    TIME_MALFORMED = "time_malformed"
    TIME_ZONE_MISSING = "time_zone_missing"
    TIME_AMBIGUOUS = "time_ambiguous"
    TIME_NONEXISTENT = "time_nonexistent"
    # Dead letters
    LETTER_UNKNOWN = "letter_unknown"
    LETTER_CUT = "letter_cut"
    LETTER_CONTROL = "letter_control"
    LETTER_SPLIT = "letter_split"
    LETTER_UNDELIVERED = "letter_undelivered"
    # Operation
    FACTS_GAP = "facts_gap"
    SOURCE_GAP = "source_gap"
    TOPIC_MISSING = "topic_missing"
    TOPIC_MISMATCH = "topic_mismatch"
    STATE_CORRUPT = "state_corrupt"
    STORE_LOST = "store_lost"
    BROKER_AWAY = "broker_away"
    DATABASE_AWAY = "database_away"
    REGISTRY_AWAY = "registry_away"
    REGISTRY_MISMATCH = "registry_mismatch"
    SETTING_INVALID = "setting_invalid"
    FILE_UNREADABLE = "file_unreadable"
    FILE_UNWRITABLE = "file_unwritable"
    REPLAY_DIFFERS = "replay_differs"
    RECONCILE_DIFFERS = "reconcile_differs"
    BILLING_LIMIT = "billing_limit"
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
    Code.DIMENSION_LIMIT: (
        "Counted, with every group-by dimension as __other__: the meter keeps no more sets of "
        "values apart."
    ),
    Code.AMENDMENT_UNKNOWN: (
        "An amendment names an event that is not remembered as counted with this payload; events "
        "can be amended for 35 days."
    ),
    Code.AMENDMENT_REFUSED: (
        "An amendment cannot take the event away: it feeds a meter that is not additive and was "
        "not announced, or the catalogue has changed its meters since."
    ),
    Code.AMENDMENT_OUTDATED: (
        "An amendment states windows that another one has stated since, or was announced more "
        "than 15 minutes before; announce it again."
    ),
    Code.ARCHIVE_GAP: "The archive misses source offsets: a file is gone, or it began too late.",
    Code.ARCHIVE_CORRUPT: "A file of the archive does not hold the bytes that its name says.",
    Code.ARCHIVE_FOREIGN: "The archive belongs to another log than the one it is used with.",
    Code.ARCHIVE_LOCKED: "Another process is writing this archive.",
    Code.PROJECT_LIMIT: "The node or its project holds as much as it may.",
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
    Code.ADD_ON_UNKNOWN: "The catalogue version has no such add-on.",
    Code.PRICE_UNKNOWN: "The plan has no such price.",
    Code.DISCOUNT_UNKNOWN: "The catalogue in force has no such discount.",
    Code.DISCOUNT_GRANTED: "The subscription has this discount already.",
    Code.SELLER_UNKNOWN: "The catalogue in force has no such seller.",
    Code.SEATS_LIMIT: "The plan sells fewer seats than that; the reason says how many.",
    Code.METER_TAKEN: (
        "Another live subscription of the customer prices the same usage of this meter."
    ),
    Code.METER_UNSPLIT: (
        "A meter that the subscription prices is not split by the subscription's dimensions, so "
        "none of its usage would be billed: add them to the meter's group_by."
    ),
    Code.PLAN_IN_USE: (
        "A live subscription, or a price of a customer's own, needs what the new version changes "
        "or lacks."
    ),
    Code.INTERVAL_DIFFERS: (
        "A plan with periods of another length can begin at the end of a period only."
    ),
    Code.SUBSCRIPTION_ENDED: "The subscription is over at the day of the change.",
    Code.PERIOD_INVOICED: "The day lies before the open period, which has its invoice.",
    Code.NOT_CANCELLED: "The subscription has no end that could be taken back.",
    Code.CHANGE_LIMIT: "The subscription has as many changes ahead as it may.",
    Code.CLOCK_EXISTS: "The tenant has a test clock already.",
    Code.CLOCK_MISSING: "The tenant has no test clock: its time is that of the log.",
    Code.CLOCK_BACKWARDS: "A test clock moves forward only.",
    Code.TENANT_LIVE: ("The tenant has subscriptions already, so it cannot become a test tenant."),
    Code.INVOICE_EXISTS: "The period of this subscription has its invoice already.",
    Code.INVOICE_UNKNOWN: "The tenant has no such invoice.",
    Code.EINVOICE_INCOMPLETE: "The electronic invoice lacks what EN 16931 asks for; it is named.",
    Code.PERIOD_NOT_CURRENT: "The period is not the subscription's current one.",
    Code.PERIOD_NOT_OVER: "The period has not ended at the given as_of.",
    Code.LINES_DIFFER: "The content is not what its terms and usage come to, as the reason says.",
    Code.CONTENT_HASH_DIFFERS: "The content hash does not belong to the content.",
    Code.CATALOGUE_DIFFERS: "A catalogue version is missing, or has another content.",
    Code.CURRENCY_UNKNOWN: "This is no ISO 4217 currency.",
    Code.CURRENCY_DIFFERS: "Two currencies meet where one is needed.",
    Code.API_KEY_EXISTS: "The API key id is taken.",
    Code.API_KEY_UNKNOWN: "The tenant has no such API key.",
    Code.EMAIL_TAKEN: "Another customer has this e-mail address.",
    Code.WALLET_MISSING: "The catalogue in force has no wallet, so there are no credits.",
    Code.WALLET_FULL: "The wallet holds as many grants, or credits, as it may.",
    Code.TOP_UP_EXISTS: "The top-up id is taken.",
    Code.GRANT_EXISTS: "The grant id is taken.",
    Code.ADJUSTMENT_EXISTS: "The adjustment id is taken.",
    Code.AMOUNT_WRONG: "These credits cost another amount; the reason says which.",
    Code.INSUFFICIENT_CREDITS: "The wallet has fewer credits than that; nothing was taken.",
    Code.CHARGE_EXISTS: "The charge was requested before.",
    Code.CHARGE_UNKNOWN: "The tenant has no such charge.",
    Code.CHARGE_NOT_OPEN: "The charge no longer waits for approval; the reason says why.",
    Code.CHARGE_NOT_HELD: "The charge holds no credits; the reason says why.",
    Code.CHARGE_NOT_CAPTURED: "The charge was not billed, or it was given back.",
    Code.APPROVAL_EXPIRED: "The time for approving the charge is over.",
    Code.TIER_CHARGED: "What the charge is for was charged already, alone or in a bundle.",
    Code.CUSTOMER_DIFFERS: "The charge belongs to another customer.",
    Code.REFUND_TOO_LARGE: "More would be given back than was charged.",
    Code.DELIVERABLE_DIFFERS: "The deliverable was registered with other content.",
    Code.DELIVERABLE_LIMIT: "The charge has as many deliverables as it may.",
    Code.NOT_DUE: "The time for this has not come yet.",
    Code.SUSPICION_EXISTS: "The suspicion id is taken.",
    Code.SUSPICION_UNKNOWN: "The tenant has no such suspicion.",
    Code.BASELINE_EXISTS: "The baseline id is taken.",
    Code.KPI_UNKNOWN: "The catalogue in force has no such KPI.",
    Code.MEASUREMENT_LIMIT: "The customer has as many measurements or baselines as are kept.",
    Code.SHARE_OUT_OF_RANGE: "The catalogue allows another range of shares.",
    Code.GAIN_SHARE_NOT_OFFERED: "No live subscription of the customer has gain-share.",
    Code.GAIN_SHARE_EXISTS: "The gain-share run id is taken.",
    Code.GAIN_SHARE_UNKNOWN: "The tenant has no such gain-share run.",
    Code.GAIN_SHARE_DECIDED: "The gain-share run was approved or rejected before.",
    Code.GAIN_SHARE_OVERLAPS: "Savings of some of these days were approved in another run.",
    Code.FORMULA_UNDEFINED: "A KPI's formula divides by 0 for these figures.",
    Code.CUSTOMER_ERASED: "The customer's personal data was erased, for good.",
    Code.VAULT_CLOSED: "This installation takes no personal data: it has no TIDEGAUGE_VAULT_KEY.",
    Code.VAULT_KEY_WRONG: "TIDEGAUGE_VAULT_KEY lacks a master key that the vault needs.",
    Code.SEAL_BROKEN: "A sealed text was altered, or sealed for another customer or field.",
    Code.CANARY_FOUND: "A value that should not be readable anywhere was found.",
    Code.INVOICE_VOID: "The invoice was voided.",
    Code.INVOICE_PARKED: "The subscription's invoice waits for a person; release it first.",
    Code.INVOICE_NOT_PARKED: "No invoice of the subscription waits for a person.",
    Code.INVOICE_SETTLED: "Nothing of the invoice is open any more.",
    Code.INVOICE_NOT_VOIDABLE: (
        "The invoice was paid, credited or corrected, or its period has moved on: write a "
        "credit note."
    ),
    Code.TERMS_DIFFER: (
        "The books have moved on since the content was built, or it is a correction with "
        "other terms: build it again."
    ),
    Code.PIN_OLD: "The correction was built from an older log than what it corrects.",
    Code.AMOUNT_LIMIT: "An amount is larger than an invoice can hold.",
    Code.INVOICE_LIMIT: "An invoice would have more lines, steps of a line or usage than it may.",
    Code.ITEM_EXISTS: "The item id is taken.",
    Code.ITEM_UNKNOWN: "No such item waits for an invoice.",
    Code.ITEM_KEPT: "What a correction or a change comes to is not taken back; grant credit.",
    Code.ITEM_LIMIT: "As many items wait for the customer as may.",
    Code.CREDIT_EXISTS: "The account credit id is taken.",
    Code.CREDIT_LIMIT: "The account credit would be larger than it may.",
    Code.LINE_UNKNOWN: "The invoice has no such line.",
    Code.CREDIT_NOTE_EXISTS: "The credit note id is taken.",
    Code.CREDIT_NOTE_TOO_LARGE: "More would be credited than is left of the line or the invoice.",
    Code.CORRECTION_EXISTS: "The correction id is taken.",
    Code.PAYMENT_EXISTS: "The payment id is taken.",
    Code.PAYMENT_UNKNOWN: "The tenant has no such payment.",
    Code.PAYMENT_TOO_LARGE: "More than is open would become account credit: billing:admin may.",
    Code.REFUND_EXISTS: "The refund id is taken.",
    Code.SCHEMA_INVALID: "The Avro schema is malformed, or holds what the registry does not take.",
    Code.SCHEMA_INCOMPATIBLE: "The Avro schema cannot read what an earlier version wrote.",
    Code.SCHEMA_LIMIT: "The schema registry holds as much as it may.",
    Code.SUBJECT_CLOSED: "Only Tidegauge itself writes this record, so nobody else may extend it.",
    Code.SUBJECT_UNKNOWN: "The schema registry has no such subject, version or schema id.",
    Code.UNAUTHENTICATED: "No valid API key came with the request.",
    Code.ORIGIN_REFUSED: "A request without a key may come from a strange page or machine.",
    Code.NOT_FOUND: "There is nothing at this address for this tenant.",
    Code.INVALID_REQUEST: "A parameter or the body is malformed; param names it.",
    Code.IDEMPOTENCY_KEY_MISSING: "A POST needs the header Idempotency-Key.",
    Code.NOT_CHARGED: "The deliverables of a charge can be read once it is captured.",
    Code.NOT_APPROVED: "Without the customer's approval nothing is charged.",
    Code.NOT_READY: "The service cannot answer yet or a part it needs is away.",
    Code.COMMAND_TIMEOUT: "The command is in the log, its outcome is not visible yet.",
    Code.INTERNAL: "A defect; the request id finds it in the logs.",
    Code.IMPORT_MAPPING_INVALID: "The mapping file breaks a rule; the reason names the place.",
    Code.IMPORT_MAPPING_CHANGED: "The import began with another mapping under this name.",
    Code.IMPORT_FILE_UNREADABLE: "The file is missing, damaged, or in another format.",
    Code.IMPORT_COLUMNS_MISSING: "The file lacks columns that the mapping names.",
    Code.IMPORT_FLOAT_COLUMN: "The quantity column is binary floating point.",
    Code.IMPORT_STATE_INVALID: "The progress file of an import cannot be read or written.",
    Code.IMPORT_BUSY: "Another process works on the same import.",
    Code.IMPORT_TOO_OLD: "The import began so long ago that repeats would be counted again.",
    Code.IMPORT_STOPPED: "The import ended before its file did; the same command goes on.",
    Code.SCRAPE_FAILED: "The Prometheus source does not answer, or answers an error.",
    Code.SCRAPE_MALFORMED: "The answer is no Prometheus exposition and no API result.",
    Code.SCRAPE_TOO_LARGE: "The answer has more bytes or series than are taken.",
    Code.METRIC_NOT_COUNTER: "The metric is declared as something that may fall.",
    Code.ROW_NOT_UTF8: "The row's bytes are no UTF-8.",
    Code.ROW_TOO_LONG: "The row, or one field of it, is longer than is taken.",
    Code.ROW_COLUMNS_DIFFER: "The row has more or fewer fields than the header.",
    Code.CSV_MALFORMED: "The row is no CSV.",
    Code.CSV_QUOTE_OPEN: "A quote opens in this row and nothing closes it.",
    Code.JSON_MALFORMED: "The row is no JSON.",
    Code.JSON_NOT_OBJECT: "The row is JSON and no object.",
    Code.JSON_NAME_TWICE: "The object has one name twice.",
    Code.VALUE_MISSING: "A column that an event needs is absent or empty.",
    Code.VALUE_NOT_SCALAR: "A value is a list or an object where text or a number is needed.",
    Code.TIME_MALFORMED: "The time does not have the mapping's format.",
    Code.TIME_ZONE_MISSING: "The time says no zone and the mapping gives none.",
    Code.TIME_AMBIGUOUS: "The clock showed this local time twice; write it with its offset.",
    Code.TIME_NONEXISTENT: "The clock skipped this local time; write it with its offset.",
    Code.LETTER_UNKNOWN: "There is no such dead letter, or no longer.",
    Code.LETTER_CUT: "Only the head of the value was kept; it cannot be sent again.",
    Code.LETTER_CONTROL: "A published catalogue is not sent again; publish it anew.",
    Code.LETTER_SPLIT: "Its customers belong to several partitions; it fits into none.",
    Code.LETTER_UNDELIVERED: "The broker did not take it; replay it again.",
    Code.ALLOWANCE_EXCEEDED: "The use goes beyond an allowance of the plan that refuses.",
    Code.LIMIT_EXCEEDED: "The use goes past a limit of the plan that refuses.",
    Code.EVENT_INVALID: "An event was refused; param names the field, results say why.",
    Code.TENANT_MISMATCH: "The batch names another tenant than the API key.",
    Code.SCOPE_MISSING: "The API key does not have the scope that this address needs.",
    Code.RATE_LIMITED: "This API key sends more than it may; Retry-After says when to go on.",
    Code.OVERLOADED: "The gateway holds as much as it may; nothing was taken, send it again.",
    Code.DELIVERY_UNKNOWN: "Kafka did not acknowledge in time; send again with the same ids.",
    Code.WEBHOOK_UNVERIFIED: "The webhook's signature or its time is missing or wrong.",
    Code.WEBHOOK_REPLAYED: "This webhook delivery was taken before.",
    Code.FACTS_GAP: "A facts record starts after the position reached: facts are missing.",
    Code.SOURCE_GAP: "Source offsets are not contiguous: records are missing.",
    Code.TOPIC_MISSING: "A topic of the catalogue does not exist.",
    Code.TOPIC_MISMATCH: "A topic differs from the topic catalogue.",
    Code.STATE_CORRUPT: "State breaks an invariant.",
    Code.STORE_LOST: "A fold's local store cannot be read or written; the facts fill it again.",
    Code.BROKER_AWAY: "Kafka does not answer.",
    Code.DATABASE_AWAY: "PostgreSQL does not answer.",
    Code.REGISTRY_AWAY: "The external schema registry does not answer.",
    Code.REGISTRY_MISMATCH: "The log was begun with another schema registry than is set.",
    Code.SETTING_INVALID: "A setting is missing or malformed.",
    Code.FILE_UNREADABLE: "A file that a command names is missing or cannot be read.",
    Code.FILE_UNWRITABLE: "A file that a command names cannot be written.",
    Code.REPLAY_DIFFERS: "Replaying the log gave another content than the invoice has.",
    Code.RECONCILE_DIFFERS: "Accepted, counted, rated and invoiced usage are not the same.",
    Code.BILLING_LIMIT: "A run would make more lines or bill more money than one run may.",
    Code.LOG_TRUNCATED: "The log no longer reaches back to its start.",
}
