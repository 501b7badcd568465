"""A store whose disk refuses a write can be emptied and used again, in the same process."""

import subprocess
import sys
from pathlib import Path

_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from streams.store import Store, StoreLost

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
try:
    for number in range(1_000):
        store.put_blocks([number.to_bytes(8, "big")], [bytes(100_000)])
        store.flush_blocks()
except StoreLost:
    print("lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
store.clear()
store.put_blocks([b"key"], [b"block"])
store.flush_blocks()
print(store.blocks([b"key"]))
store.close()
Store(Path(sys.argv[1])).close()
print("opened again")
"""


def test_that_could_not_write_is_emptied_and_goes_on(tmp_path: Path) -> None:
    """The limit on a file's size stands for the full disk; RocksDB fails the same way."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split("\n") == ["lost", "[b'block']", "opened again", ""], done.stderr
