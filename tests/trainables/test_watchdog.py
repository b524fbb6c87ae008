"""A process that hangs where no signal reaches it ends, and says where it stood."""

import subprocess
import sys
from pathlib import Path

from glosstune.trainables.trainable import _Watchdog

# With Python's own lock held, as an extension that hangs holds it.
HANGS = """
import ctypes, signal, sys
from pathlib import Path
from glosstune.trainables.trainable import _Watchdog
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def train():
    ctypes.PyDLL(None).pause()
_Watchdog(Path(sys.argv[1]), 0.3).beat()
train()
"""


def test_a_process_that_hangs_in_c_ends_and_says_where(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return  # whose C library has no call that waits for ever
    ended = subprocess.run([sys.executable, "-c", HANGS, str(tmp_path / "hang.log")], timeout=300)
    assert ended.returncode == 1
    told = _Watchdog(tmp_path / "hang.log", None).take_last()
    assert told.startswith("Timeout") and "in train" in told
    assert list(tmp_path.iterdir()) == []


def test_whoever_gives_signs_of_life_leaves_nothing(tmp_path: Path) -> None:
    watchdog = _Watchdog(tmp_path / "hang.log", 3600.0)
    watchdog.beat()
    watchdog.beat()
    watchdog.stop()
    watchdog.stop()
    assert list(tmp_path.iterdir()) == []
    assert watchdog.take_last() == ""


def test_without_a_limit_nothing_is_watched(tmp_path: Path) -> None:
    watchdog = _Watchdog(tmp_path / "hang.log", None)
    watchdog.beat()
    assert list(tmp_path.iterdir()) == []
    watchdog.stop()
