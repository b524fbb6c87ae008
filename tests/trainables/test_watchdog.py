"""A process that hangs where no signal reaches it ends, and says where it stood."""

import faulthandler
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

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


# A set-up that stands still without Python's own lock, as where a file is read from a file system that is gone.
STANDS = """
import sys, threading, time
from pathlib import Path
from glosstune.trainables.trainable import _Watchdog
def read_corpus():
    time.sleep(600)
def give_signs_of_life():
    while True:
        time.sleep(0.01)
watchdog = _Watchdog(Path(sys.argv[1]), 2.0)
with watchdog.watching_set_up():
    if sys.argv[2] == "known":
        watchdog.know_folder()
    threading.Thread(target=give_signs_of_life, daemon=True).start()
    read_corpus()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells whether a thread computes")
@pytest.mark.parametrize("folder", ["known", "gone"])
def test_a_set_up_that_stands_still_ends_and_says_where(tmp_path: Path, folder: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STANDS, str(tmp_path / "hang.log"), folder], timeout=300, stderr=subprocess.PIPE
    )
    assert ended.returncode == 1
    told = (tmp_path / "hang.log").read_text() if folder == "known" else ended.stderr.decode()
    assert told.startswith("Timeout") and "in read_corpus" in told


def test_where_nothing_tells_whether_a_thread_computes_a_set_up_is_not_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *given, **named: pytest.fail("is watched"))
    watchdog = _Watchdog(tmp_path / "hang.log", 0.2)
    with watchdog.watching_set_up():
        watchdog.know_folder()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells whether a thread computes")
@pytest.mark.parametrize("how", ["computes", "waits for a lock", "waits for a thread"])
def test_a_set_up_that_takes_long_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    armed: list[float] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda limit_s, **options: armed.append(limit_s))

    def pack() -> None:
        ends = time.monotonic() + 60  # which a watchdog that sees nothing lets pass
        while len(armed) < 5 and time.monotonic() < ends:
            time.sleep(0.01 if how == "waits for a lock" else 0)

    with _Watchdog(tmp_path / "hang.log", 0.2).watching_set_up(), ThreadPoolExecutor(1) as pool:
        pool.submit(pack).result() if how == "waits for a thread" else pack()
    assert len(armed) >= 5
