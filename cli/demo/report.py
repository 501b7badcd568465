"""The figures of a run as JSON, for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.failures import CommandFailure

if TYPE_CHECKING:
    from cli.demo.stages import Results
    from projections.invoicing.replay import Replayed


def write(path: Path, results: Results) -> None:
    """This function will write all figures to a file.

    Raises:
        CommandFailure: When the file cannot be written.
    """
    counts = results.counts
    figures = {
        "events_sent": results.sends.total,
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "conflicts": counts.conflicts,
        "rejects": counts.rejects,
        "windows": results.windows,
        "totals": results.totals,
        "invoices": [_invoice(replayed) for replayed in results.invoices],
        "seconds": results.seconds,
    }
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandFailure(
            f"{path} cannot be written: {error.strerror}", next_step="give another --json FILE"
        ) from error


def _invoice(replayed: Replayed) -> dict[str, Any]:
    original = replayed.original
    return {
        "number": original.number,
        "customer": original.content.terms.customer,
        "currency": original.content.terms.currency,
        "total_minor": original.content.total_minor,
        "content_sha256": original.sha256,
        "replay_sha256": replayed.content.sha256,
    }
