"""Every metric, declared once: name, kind, labels, meaning. docs/metrics.md is made from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, write_to_textfile

if TYPE_CHECKING:
    from pathlib import Path

FOLD_EVENTS = Counter(
    "tidegauge_fold_events_total",
    "Events a usage fold judged, by what became of them",
    ["partition", "fate"],
)
FOLD_REJECTS = Counter(
    "tidegauge_fold_rejects_total", "Rejects and conflicts a fold wrote down", ["topic", "code"]
)
FOLD_POSITION = Gauge(
    "tidegauge_fold_position", "Next source offset of a fold", ["topic", "partition"]
)
FOLD_LAG = Gauge(
    "tidegauge_fold_lag_records", "Source records not yet folded", ["topic", "partition"]
)
FOLD_RESTORES = Counter(
    "tidegauge_fold_restores_total", "Times a fold read its state back", ["topic", "reason"]
)
FOLD_IGNORED = Counter(
    "tidegauge_facts_ignored_total",
    "Facts records the acceptance rule ignored: replays, late retries and zombies",
    ["topic"],
)
SEEN_KEYS = Gauge("tidegauge_seen_keys", "Keys the seen index holds in memory", ["partition"])
SEEN_RUN_KEYS = Gauge(
    "tidegauge_seen_run_keys", "Keys the seen index holds in runs on disk", ["partition"]
)
SEEN_RUNS = Gauge("tidegauge_seen_runs", "Runs of the seen index", ["partition"])
SEEN_FILTER_BYTES = Gauge(
    "tidegauge_seen_filter_bytes", "Memory of the filters in front of the runs", ["partition"]
)
FOLD_APPEND_SECONDS = Histogram(
    "tidegauge_fold_append_seconds", "From a micro-batch's fold to its acknowledgement", ["topic"]
)
SCHEMA_LOOKUPS = Counter(
    "tidegauge_schema_lookups_total",
    "Times a reader asked a schema registry what an id means: found, unknown, or nobody there",
    ["outcome"],
)
ARCHIVE_POSITION = Gauge(
    "tidegauge_archive_position", "Next source offset of the archive", ["partition"]
)
ARCHIVE_RECORDS = Counter(
    "tidegauge_archive_records_total", "Records that the archive has taken", ["partition"]
)
ARCHIVE_BYTES = Counter(
    "tidegauge_archive_bytes_total", "Bytes of the files that the archive wrote", ["kind"]
)
PROJECTOR_POSITION = Gauge(
    "tidegauge_projector_position", "Next source offset of a projector", ["topic", "partition"]
)
PROJECTOR_ROWS = Counter(
    "tidegauge_projector_rows_total", "Rows a projector wrote", ["topic", "table"]
)
PROJECTOR_FLUSH_SECONDS = Histogram(
    "tidegauge_projector_flush_seconds", "One transaction of a projector", ["topic"]
)
API_REQUESTS = Counter(
    "tidegauge_api_requests_total", "HTTP requests answered", ["method", "route", "status"]
)
API_SECONDS = Histogram("tidegauge_api_seconds", "Time to answer a request", ["method", "route"])
GATEWAY_REQUESTS = Counter(
    "tidegauge_gateway_requests_total",
    "HTTP requests the gateway answered",
    ["method", "route", "status"],
)
GATEWAY_SECONDS = Histogram(
    "tidegauge_gateway_seconds", "Time to answer a request, broker included", ["method", "route"]
)
GATEWAY_EVENTS = Counter(
    "tidegauge_gateway_events_total",
    "Events the gateway answered for, by what it said of them",
    ["status"],
)
GATEWAY_BYTES = Gauge(
    "tidegauge_gateway_bytes", "Bytes of requests that are being read or wait for the broker"
)
GATEWAY_UNACKNOWLEDGED = Gauge(
    "tidegauge_gateway_unacknowledged_requests",
    "Requests whose records were sent and are not all acknowledged yet",
)
EMERGENCE_EVENTS = Counter(
    "tidegauge_emergence_events_total",
    "What emergence folds found: Detected, Ended and Suspected",
    ["kind"],
)
EMERGENCE_PROJECTS = Gauge(
    "tidegauge_emergence_projects", "Projects an emergence fold holds in memory", ["partition"]
)
POLICY_RECORDS = Counter(
    "tidegauge_policy_records_total", "Facts records a policy looked at", ["policy"]
)
SWEEP_SENT = Counter(
    "tidegauge_sweep_sent_total",
    "Commands and settlements that the sweep sent because no policy had: normally none",
    ["kind"],
)
BILLING_INVOICES = Counter(
    "tidegauge_billing_invoices_total",
    "Invoices and corrections that the billing worker asked for, by kind and answer",
    ["kind", "code"],
)
BILLING_HELD_BACK = Gauge(
    "tidegauge_billing_held_back",
    "Invoices and corrections that were refused, and are asked for again within the hour",
    ["kind"],
)
RECONCILE_MISMATCHES = Gauge(
    "tidegauge_reconcile_mismatches",
    "Differences that the last reconciliation of a tenant found; anything but 0 is a defect",
    ["tenant"],
)
BOOKS_OUTCOMES = Counter(
    "tidegauge_books_outcomes_total", "Commands answered, by kind and code", ["kind", "code"]
)


def write_metric(metric: Gauge, path: Path) -> None:
    """This function will write one metric to a file, for what ends before anybody could scrape it.

    Raises:
        OSError: The file cannot be written; a reader sees the old one or the new one, never half.
    """
    registry = CollectorRegistry()
    registry.register(metric)
    write_to_textfile(str(path), registry)
