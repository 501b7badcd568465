"""Samples of counters, from the two texts they come in: a /metrics page, the HTTP API's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, NoReturn

from domain.canonical import Json
from domain.codes import Code
from domain.errors import Rejected

SAMPLES_MAX = 200_000
"""Samples of one answer, about 60 MB of Python values; more is a query that is too wide."""
LABELS_MAX = 64
"""Labels of one series; more is an exporter gone wrong."""
NAME = "__name__"
"""The label that holds the metric's name, as in Prometheus."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|(?=\}))')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_REST = re.compile(r"[ \t]+(\S+)(?:[ \t]+(-?\d{1,18}))?[ \t]*", re.ASCII)
_TYPE = re.compile(r"#[ \t]+TYPE[ \t]+(\S+)[ \t]+(\S+)\s*")
_CUMULATIVE = {"counter", "untyped", "unknown"}
_PARTS = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
_MS = Decimal(1_000)


class Sample(NamedTuple):
    """One value of one series.

    Args:
        series: The labels, the metric's name among them, as canonical JSON: names the series.
        labels: The same, to look into.
        at_ms: When it was measured, milliseconds since 1970 UTC.
        value: As it was written.
    """

    series: str
    labels: Mapping[str, str]
    at_ms: int
    value: str


def sample_of(labels: Mapping[str, str], at_ms: int, value: str) -> Sample:
    """This function will name the series of a sample by its labels."""
    series = json.dumps(dict(labels), sort_keys=True, separators=(",", ":"))
    return Sample(series, labels, at_ms, value)


def from_page(
    text: str, *, metrics: frozenset[str], scraped_at_ms: int, address: str
) -> Iterator[Sample]:
    """This function will read the wanted samples of a /metrics page.

    The form is Prometheus' text exposition 0.0.4. One bad line makes the page worthless, as it
    does for Prometheus: a counter that is missing by mistake would look like one that is gone.

    Args:
        text: The page.
        metrics: Names of the wanted metrics.
        scraped_at_ms: The time of samples that say none.
        address: Becomes the label `instance`, so that two targets are two series.

    Raises:
        Rejected: scrape_malformed, scrape_too_large or metric_not_counter.
    """
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            _require_counter(stripped, metrics)
        elif stripped:
            sample = _page_sample(stripped, number, metrics, scraped_at_ms, address)
            if sample is None:
                continue
            if sample.series in seen:
                _malformed(f"line {number} has a series again: {stripped[:80]!r}")
            seen.add(sample.series)
            _require_few(len(seen))
            yield sample


def _require_counter(line: str, metrics: frozenset[str]) -> None:
    declared = _TYPE.fullmatch(line)
    if declared is None:
        return
    name, kind = declared.groups()
    rising = {f"{name}{ending}" for ending in _PARTS.get(kind, ())}
    own = {name} if kind in _CUMULATIVE else set()
    fallen = {each for each in metrics if each == name} - own - rising
    if fallen:
        raise not_counter(f"{name} is declared as {kind}")


def not_counter(reason: str) -> Rejected:
    """This function will refuse what may fall without having been reset."""
    return Rejected(
        Code.METRIC_NOT_COUNTER,
        reason,
        next_step="Choose a counter, or the _count, _sum or _bucket of a histogram",
    )


def _page_sample(
    line: str, number: int, metrics: frozenset[str], scraped_at_ms: int, address: str
) -> Sample | None:
    metric = _METRIC.match(line)
    if metric is None:
        _malformed(f"line {number} begins with no metric: {line[:80]!r}")
    if metric[0] not in metrics:
        return None
    labels, at = {NAME: metric[0], "instance": address}, metric.end()
    if line[at : at + 1] == "{":
        at = _read_labels(line, at + 1, labels, number)
    rest = _REST.fullmatch(line, at)
    if rest is None:
        _malformed(f"line {number} has no value: {line[:80]!r}")
    return sample_of(labels, int(rest[2]) if rest[2] else scraped_at_ms, rest[1])


def _read_labels(line: str, at: int, labels: dict[str, str], number: int) -> int:
    """Read the labels up to the closing brace and return what stands behind it."""
    while not (closing := re.compile(r"\s*\}").match(line, at)):
        label = _LABEL.match(line, at)
        if label is None or len(labels) > LABELS_MAX:
            _malformed(f"line {number} has odd labels: {line[:80]!r}")
        labels[label[1]] = _ESCAPE.sub(_unescaped, label[2])
        at = label.end()
    return closing.end()


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[0])


def from_answer(content: str) -> Iterator[Sample]:
    """This function will read the samples of an answer to query_range.

    Numbers stay the text that they are. A series without a metric name was made by an operator
    or a function; its falls are no resets, so it is refused.

    Raises:
        Rejected: scrape_malformed, scrape_too_large or metric_not_counter.
    """
    try:
        answer = json.loads(content, parse_float=str, parse_int=str)
        data = answer["data"]
        if answer["status"] != "success" or data["resultType"] != "matrix":
            _malformed(f"the answer is {str(answer)[:200]}")
        count = 0
        for series in data["result"]:
            labels = _labels_of(series["metric"])
            for moment, value in series["values"]:
                count += 1
                _require_few(count)
                at_ms = int(Decimal(str(moment)) * _MS)
                yield sample_of(labels, at_ms, str(value))
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        _malformed(f"the answer is no result of query_range: {type(error).__name__} {error}")


def _labels_of(metric: Json) -> dict[str, str]:
    if not isinstance(metric, dict):
        raise TypeError("labels")
    labels = {name: str(value) for name, value in metric.items()}
    if NAME not in labels:
        raise not_counter(
            "the query gives series without a metric name, so it computes something: when one of "
            "the counters inside starts again, the fall cannot be told from usage"
        )
    return labels


def _require_few(count: int) -> None:
    if count > SAMPLES_MAX:
        raise Rejected(
            Code.SCRAPE_TOO_LARGE,
            f"the answer has more than {SAMPLES_MAX} samples",
            next_step="Select fewer series, or several imports with one part of them each",
        )


def _malformed(reason: str) -> NoReturn:
    raise Rejected(
        Code.SCRAPE_MALFORMED, reason, next_step="See what the address answers, with curl"
    )
