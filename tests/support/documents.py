"""The documents that are made from code. To write them anew: python -m tests.support.documents"""

import inspect
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from domain.codes import DESCRIPTIONS, Code
from runtime import metrics
from tests.support import checkout

COMMAND = ".venv/bin/python -m tests.support.documents"
_GROUP = "    # "


def error_codes() -> str:
    """docs/error-codes.md, from domain/codes.py: its comments are the headings."""
    lines = [
        "# Error codes",
        "",
        f"Made from `domain/codes.py` by `{COMMAND}`.",
        "A code's value never changes once it is released.",
        "",
        "- *Usage events*: in the table `reject`, in the headers of a dead letter, in",
        "  `GET /api/v1/billing/rejects`.",
        "- *Catalogue*, *Commands and books*: the answer to a command.",
        "- *HTTP*, *HTTP intake*: the `code` of a problem document.",
        "- *Operation*: ends a process or makes it wait; its message ends with what to do next.",
        "",
        "The SDK has codes of its own: [README](../producers/sdk/README.md).",
    ]
    for line in inspect.getsource(Code).splitlines():
        if line.startswith(_GROUP):
            lines += ["", f"## {line.removeprefix(_GROUP)}", "", "| code | meaning |", "|---|---|"]
        elif " = " in line:
            code = Code[line.partition("=")[0].strip()]
            lines.append(f"| `{code}` | {DESCRIPTIONS[code]} |")
    return "\n".join(lines) + "\n"


def metric_names() -> str:
    """docs/metrics.md, from runtime/metrics.py."""
    lines = [
        "# Metrics",
        "",
        f"Made from `runtime/metrics.py` by `{COMMAND}`.",
        "",
        "A fold worker answers `/metrics` on `TIDEGAUGE_WORKER_PORT`, the API and the gateway on",
        "their own ports.",
        "`tidegauge project` has no port yet: it counts its metrics and serves none.",
        "A histogram has the usual `_bucket`, `_sum` and `_count`.",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    declared = [item for item in vars(metrics).values() if isinstance(item, MetricWrapperBase)]
    for metric in declared:
        described = next(iter(metric.describe()))
        name = described.name + ("_total" if described.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        lines.append(f"| `{name}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join(lines) + "\n"


GENERATED = {"docs/error-codes.md": error_codes, "docs/metrics.md": metric_names}
"""Document → what makes it."""


def main() -> None:
    """Write all of them."""
    for name, make in GENERATED.items():
        Path(checkout.ROOT / name).write_text(make(), encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
