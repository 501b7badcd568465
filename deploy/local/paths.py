"""Where the local services keep what they fetch, write and log: all below `.cache/`."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
"""Git ignores this folder; deleting it costs one more fetch and nothing else."""

RUN = Path(os.environ.get("TIDEGAUGE_RUN_DIR", CACHE / "run"))
"""State of the services that run now: state file, lock, logs and their data. Another folder is
another instance: fault tests kill their own."""

STATE_FILE = RUN / "services.json"
LOCK_FILE = RUN / "services.lock"
KAFKA_LOG = RUN / "kafka.log"
POSTGRES_LOG = RUN / "postgres.log"
FETCH_LOG = CACHE / "fetch.log"
