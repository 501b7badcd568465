"""Where samples come from: a page that is scraped, or a Prometheus server that is asked."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from domain.codes import Code
from domain.errors import Rejected, Retryable
from producers.importers.prometheus.samples import Sample, from_answer, from_page
from runtime import clock

ANSWER_BYTES_MAX = 32 * 1024 * 1024
"""Bytes of one answer; ten times a large exporter's page."""
TIMEOUT_S = 10
"""Longest silence of the other side, seconds: Prometheus' own default for a scrape."""
ANSWER_MS_MAX = 30_000
"""Longest time for one answer in all, ms; a server that drips is given up."""
STEPS_PER_QUERY_MAX = 500
"""Points of one series in one query; Prometheus refuses above 11,000, and a step of our work is
kept small."""
_PIECE_BYTES = 64 * 1024
_MS = Decimal(1_000)


class Look(NamedTuple):
    """What one look gave.

    Args:
        at_ms: Up to which time it looked, milliseconds since 1970 UTC.
        samples: Samples; those of one series in rising time.
        is_last: Whether there is no more to be seen for now.
    """

    at_ms: int
    samples: list[Sample]
    is_last: bool


class Source(Protocol):
    """Gives one look after the other."""

    @property
    def about(self) -> str:
        """Return what is looked at; another text is another import."""

    def look(self, looked_at_ms: int) -> Look | None:
        """This function will fetch what comes behind a time.

        Args:
            looked_at_ms: The `at_ms` of the look before; 0 for the first.

        Returns:
            The look, or None when nothing can have come since.

        Raises:
            Retryable: scrape_failed; the next try may do.
            Rejected: It will never do: a wrong query, no counter, an address of another kind.
        """


@dataclass(frozen=True, slots=True)
class PageSource:
    """Scrapes a /metrics page.

    Args:
        url: The page.
        metrics: Wanted metrics.
        bearer: Token for the header Authorization; empty for none.
        now_ms: The clock.
    """

    url: str
    metrics: frozenset[str]
    bearer: str = ""
    now_ms: Callable[[], int] = clock.now_ms

    @property
    def about(self) -> str:
        """Return the page and its metrics."""
        return "\x1f".join((self.url, *sorted(self.metrics)))

    def look(self, looked_at_ms: int) -> Look | None:
        """Scrape once; see Source."""
        at_ms = self.now_ms()
        if at_ms <= looked_at_ms:
            return None
        text = fetch(self.url, bearer=self.bearer, accept="text/plain;version=0.0.4")
        address = urlsplit(self.url).netloc
        samples = list(from_page(text, metrics=self.metrics, scraped_at_ms=at_ms, address=address))
        return Look(at_ms, samples, is_last=True)


@dataclass(frozen=True, slots=True)
class QuerySource:
    """Asks a Prometheus server by PromQL, on a grid of times, so that asking again is the same.

    Args:
        url: Of the server, without /api.
        query: A selector of counters.
        step_ms: Width of the grid, ms.
        from_ms: Where the first look begins, milliseconds since 1970 UTC.
        to_ms: Where it ends; None for the present.
        bearer: Token for the header Authorization; empty for none.
        now_ms: The clock.
    """

    url: str
    query: str
    step_ms: int
    from_ms: int
    to_ms: int | None = None
    bearer: str = ""
    now_ms: Callable[[], int] = clock.now_ms

    @property
    def about(self) -> str:
        """Return server, query and grid."""
        return f"{self.url}\x1f{self.query}\x1f{self.step_ms}"

    def look(self, looked_at_ms: int) -> Look | None:
        """Ask for the next part of the grid; see Source."""
        step = self.step_ms
        # The first point of the grid at or after from_ms, or the first behind the last look.
        first = -(-self.from_ms // step) * step if not looked_at_ms else looked_at_ms + step
        until = self.now_ms() if self.to_ms is None else self.to_ms
        last = min(until // step * step, first + (STEPS_PER_QUERY_MAX - 1) * step)
        if last < first:
            return None
        fields = {
            "query": self.query,
            "start": str(Decimal(first) / _MS),
            "end": str(Decimal(last) / _MS),
            "step": str(Decimal(step) / _MS),
        }
        url = f"{self.url.rstrip('/')}/api/v1/query_range?{urlencode(fields)}"
        text = fetch(url, bearer=self.bearer, accept="application/json")
        return Look(last, list(from_answer(text)), is_last=last + step > until)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a token must not go where a redirect says."""

    def redirect_request(self, *arguments: object) -> None:  # type: ignore[explicit-override]
        """Refuse."""


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def fetch(url: str, *, bearer: str, accept: str) -> str:
    """This function will get a text over HTTP, within limits of time and size.

    Raises:
        Retryable: scrape_failed.
        Rejected: scrape_failed, scrape_malformed or scrape_too_large: trying again is of no use.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise _refused(Code.SCRAPE_FAILED, f"{url} is no http or https address")
    headers = {"Accept": accept, "User-Agent": "tidegauge-import"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- the scheme is checked above
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            content = _read(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        reason = f"{shortened(url)} answers {error.code}: {said}"
        if error.code in (408, 429) or error.code >= 500:  # noqa: PLR2004 -- statuses that pass
            raise away(reason) from error
        raise _refused(Code.SCRAPE_FAILED, reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise away(f"{shortened(url)}: {error}") from error
    except ValueError as error:
        raise _refused(Code.SCRAPE_FAILED, f"{shortened(url)}: {error}") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _refused(Code.SCRAPE_MALFORMED, f"{shortened(url)} answers no UTF-8") from error


def _read(answer: http.client.HTTPResponse) -> bytes:
    pieces, length, give_up_ms = list[bytes](), 0, clock.monotonic_ms() + ANSWER_MS_MAX
    while piece := answer.read1(_PIECE_BYTES):
        pieces.append(piece)
        length += len(piece)
        if length > ANSWER_BYTES_MAX:
            raise _refused(
                Code.SCRAPE_TOO_LARGE, f"the answer has more than {ANSWER_BYTES_MAX} bytes"
            )
        if clock.monotonic_ms() > give_up_ms:
            raise TimeoutError(f"the answer takes more than {ANSWER_MS_MAX} ms")
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(pieces)


def shortened(url: str) -> str:
    """This function will return a URL without its query, for messages."""
    return url.partition("?")[0]


def away(reason: str) -> Retryable:
    """This function will say that a source cannot be read now."""
    return Retryable(
        Code.SCRAPE_FAILED,
        reason,
        retry_after_ms=5_000,
        next_step="Nothing is lost while the counter lives: the next look counts what rose since",
    )


def _refused(code: Code, reason: str) -> Rejected:
    return Rejected(code, reason, next_step="Correct the address or the query")
