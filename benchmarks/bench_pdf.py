"""An invoice of 200 lines as PDF: at most 80 ms.

Claim: on one core, an invoice of 200 lines, each with its period and two steps of a ladder, is
laid out as PDF in at most 80 ms of CPU, the texts of its page included; memory does not grow with
the number of different invoices.
Method: contents made by build_invoice; each run is another invoice, so nothing comes from memory;
CPU of the process with all its threads. Beside it the same as Factur-X, an invoice of 10 lines,
and one page with nothing on it but the head: what a page costs by itself.
Run: ./dev bench pdf [--json FILE]
Last result: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from api import invoice_hybrid, invoice_pdf
from api.einvoice import cii
from api.invoice_document import InvoiceDocument
from api.invoice_words import language
from tests.support import invoice_documents

LIMIT_MS = 80
RUNS = 15
WARM_UP = 3
MEMORY_RUNS = 200
"""Different invoices after which memory is looked at: four times what typst's cache holds."""
GROWTH_MB_MAX = 100
PAGE_BYTES = 4_096


def plain(document: InvoiceDocument) -> bytes:
    """An invoice as PDF."""
    page = invoice_pdf.to_page(document, language("en"))
    return invoice_pdf.to_pdf(page, at=document.issued_at)


def factur_x(document: InvoiceDocument) -> bytes:
    """The same with its electronic invoice inside."""
    page = invoice_pdf.to_page(document, language("en"))
    return invoice_hybrid.to_hybrid(page, cii.to_cii(document), at=document.issued_at)


def measured(make: Callable[[InvoiceDocument], bytes], document: InvoiceDocument) -> list[float]:
    """CPU milliseconds of each run, after some that do not count."""
    times = []
    for number in range(WARM_UP + RUNS):
        other = replace(document, number=f"INV-2025-{number:06}")
        start = time.process_time()
        make(other)
        times.append(1_000 * (time.process_time() - start))
    return sorted(times[WARM_UP:])


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def growth_mb(document: InvoiceDocument) -> float:
    """How much memory grows over the second half of many different invoices."""
    middle = 0.0
    for number in range(MEMORY_RUNS):
        plain(replace(document, number=f"INV-2026-{number:06}"))
        if number == MEMORY_RUNS // 2:
            middle = resident_mb()
    return resident_mb() - middle


def main() -> int:
    """Measure, print, and return 1 when the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--memory", action="store_true", help="look at memory too, some 20 s")
    arguments = parser.parse_args()
    taxes = [invoice_documents.tax()]
    long = invoice_documents.invoice(invoice_documents.many_lines(200, taxes=taxes))
    short = invoice_documents.invoice(invoice_documents.many_lines(10, taxes=taxes))
    empty = replace(short, content=replace(short.content, lines=()))
    figures: dict[str, dict[str, float]] = {}
    for name, make, document in (
        ("head alone", plain, empty),
        ("10 lines", plain, short),
        ("200 lines", plain, long),
        ("200 lines, Factur-X", factur_x, long),
    ):
        times = measured(make, document)
        figures[name] = {"p50_ms": statistics.median(times), "max_ms": times[-1]}
        print(f"{name:20} p50 {figures[name]['p50_ms']:6.1f} ms  max {times[-1]:6.1f} ms")
    print(f"{'limit, 200 lines':20} p50 {LIMIT_MS:6.1f} ms")
    is_good = figures["200 lines"]["p50_ms"] <= LIMIT_MS
    if arguments.memory:
        grown = growth_mb(long)
        figures["memory"] = {"growth_mb": grown}
        print(f"memory grew by {grown:.0f} MB over {MEMORY_RUNS // 2} invoices ({GROWTH_MB_MAX})")
        is_good = is_good and grown <= GROWTH_MB_MAX
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
