"""What the read API answers to the demo's own key, as a customer's program would ask it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlencode

from cli import pipeline
from cli.demo.figures import Counts
from cli.failures import CommandFailure
from domain.canonical import Json
from domain.codes import Code
from domain.period import Period, parse_time, time_text

BASE_PATH = "/api/v1/billing"
BUSIEST_WINDOWS = 5

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BusyWindow:
    """One hour of one customer's requests of one size class.

    Args:
        hour: Start of the hour, UTC.
        customer: Customer.
        context: Size class.
        requests: How many.
        context_tokens, generated_tokens, largest_context: What the other meters say of the hour.
    """

    hour: datetime
    customer: str
    context: str
    requests: int
    context_tokens: Decimal
    generated_tokens: Decimal
    largest_context: Decimal


@dataclass(frozen=True, slots=True)
class Api:
    """The read API.

    Args:
        url: Address without the base path.
        key: API key.
    """

    url: str
    key: str

    def usage(self, period: Period) -> dict[tuple[str, str], Decimal]:
        """Return the quantity of the period by (customer, meter)."""
        usage: dict[tuple[str, str], Decimal] = {}
        for row in self._list("usage", period, granularity="month", group_by="customer"):
            key = (str(row["customer"]), str(row["meter"]))
            match key[1]:
                case "requests":
                    usage[key] = usage.get(key, Decimal(0)) + int(row["events"])
                case "largest_context":
                    usage[key] = max(usage.get(key, Decimal(0)), Decimal(row["max"]))
                case _:
                    usage[key] = usage.get(key, Decimal(0)) + Decimal(row["sum"])
        return usage

    def busiest(self, period: Period) -> list[BusyWindow]:
        """Return the hours with the most requests, the busiest first."""
        rows = self._list("usage", period, granularity="hour", group_by=["customer", "context"])
        windows: dict[tuple[str, str, str], dict[str, Row]] = {}
        for row in rows:
            place = (row["start"], row["customer"], row["group"]["context"])
            windows.setdefault(place, {})[row["meter"]] = row
        busiest = sorted(
            windows.items(), key=lambda item: (-int(item[1]["requests"]["events"]), item[0])
        )
        return [
            BusyWindow(
                hour=parse_time(hour),
                customer=customer,
                context=context,
                requests=int(meters["requests"]["events"]),
                context_tokens=Decimal(meters["context_tokens"]["sum"]),
                generated_tokens=Decimal(meters["generated_tokens"]["sum"]),
                largest_context=Decimal(meters["largest_context"]["max"]),
            )
            for (hour, customer, context), meters in busiest[:BUSIEST_WINDOWS]
        ]

    def counts(self) -> Counts:
        """Return what became of everything that was ever received."""
        answer = self._get("intake")
        rejects = dict(cast("dict[str, int]", answer["events_by_code"]))
        rejects.pop(Code.CONFLICT.value, None)
        names = ("received", "accepted", "duplicates", "conflicts", "rejected")
        return Counts(**{name: cast("int", answer[name]) for name in names}, rejects=rejects)

    def invoices(self) -> dict[str, str]:
        """Return the content hash of every invoice, by number."""
        return {row["number"]: row["content_sha256"] for row in self._list("invoices", None)}

    def _list(self, what: str, period: Period | None, **parameters: str | list[str]) -> list[Row]:
        bounds = {"from": time_text(period.start), "to": time_text(period.end)} if period else {}
        query = urlencode({**bounds, **parameters}, doseq=True)
        answer = self._get(what + (f"?{query}" if query else ""))
        if answer["has_more"]:
            raise CommandFailure(f"the API has more {what} than a page", next_step="report it")
        return cast("list[Row]", answer["data"])

    def _get(self, path: str) -> dict[str, Json]:
        url = f"{self.url}{BASE_PATH}/{path}"
        answer = pipeline.get_json(url, api_key=self.key)
        if answer is None:
            raise CommandFailure(f"the API gave no answer to GET {url}", next_step="see its log")
        return answer
