"""A usage fold in a group of its own: it writes to partitions that others write to as well."""

from __future__ import annotations

import sys

from runtime import failpoints, logs
from runtime.settings import Settings
from runtime.shutdown import Shutdown
from streams.engine import FoldEngine
from streams.usage import UsageBinding


def main() -> None:
    """Run until SIGTERM; the first argument is the group."""
    settings = Settings()
    logs.configure(settings, process=sys.argv[1])
    failpoints.arm(settings.failpoint)
    shutdown = Shutdown().install()
    FoldEngine(settings, UsageBinding(settings), shutdown, group=sys.argv[1]).run()


if __name__ == "__main__":
    main()
