"""A lock is held by one at a time, on any file system; nobody waits for a dead holder, and everybody knows for whom."""

import errno
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glosstune.spaces.files import locks
from glosstune.spaces.files.atomic import fill_once
from glosstune.spaces.files.locks import Held, held, read_holder

if sys.platform == "win32":
    pytest.skip("Windows has locks everywhere, and lets nobody read a locked file", allow_module_level=True)
import fcntl

HOLD = "import sys\nfrom pathlib import Path\nfrom glosstune.spaces.files.locks import held\n"
HOLD += "with held(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"


@pytest.fixture(params=[errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK], ids=["ENOSYS", "ENOTSUP", "ENOLCK"])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without flock."""

    def refuse(*arguments: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats and silence in hundredths of seconds."""
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    monkeypatch.setattr(locks, "SILENCE_S", 0.4)


def holder_of(path: Path, **other: Any) -> None:
    """Leave what a holder writes, and dies."""
    known = {"id": "x", "pid": 41, "host": "node07", "since": "2026-11-29 09:00:00 UTC", "seen": "then", "beat": 3}
    path.write_text(json.dumps(known | other).ljust(399) + "\n")


@contextmanager
def another_process(path: Path) -> Iterator[int]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.stdin.close()


def test_who_holds_a_lock_is_named(tmp_path: Path) -> None:
    with another_process(tmp_path / "lock") as pid:
        rule = rf"lock: is held by process {pid} on {platform.node()} \(since \d{{4}}-.* UTC, last seen .* UTC\)$"
        with pytest.raises(Held, match=rule), held(tmp_path / "lock", patience_s=0):
            pass
    with held(tmp_path / "lock", patience_s=0):  # free again
        pass


@pytest.mark.usefixtures("without_locks")
def test_a_file_system_without_locks_has_them_too(tmp_path: Path, impatient: None) -> None:
    with held(tmp_path / "lock", patience_s=0):
        holder = read_holder(tmp_path / "lock")
        assert holder is not None and (holder.pid, holder.host) == (os.getpid(), platform.node())
        with pytest.raises(Held, match=f"process {os.getpid()}"), held(tmp_path / "lock", patience_s=0):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize("content", ["", "torn {", "[]", "a holder"])
def test_a_lock_left_by_a_dead_process_of_another_machine_is_taken_over(
    tmp_path: Path, impatient: None, content: str
) -> None:
    (tmp_path / "lock").write_text(content)
    if content == "a holder":
        holder_of(tmp_path / "lock")
    with held(tmp_path / "lock", patience_s=0):
        holder = read_holder(tmp_path / "lock")
        assert holder is not None and holder.pid == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_locks")
def test_whoever_stood_still_for_long_learns_who_has_the_lock_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT_S", 3600.0)  # as a machine that sleeps
    with held(tmp_path / "lock") as still:
        assert still.taken_by() is None
        monkeypatch.setattr(locks, "SILENCE_S", 0.0)
        with held(tmp_path / "lock", patience_s=0) as now:
            assert (still.taken_by(), now.taken_by()) == (now.holder, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_locks")
def test_a_dead_process_of_this_machine_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder_of(tmp_path / "lock", pid=gone.pid, host=platform.node())
    monkeypatch.setattr(locks, "SILENCE_S", 3600.0)
    with held(tmp_path / "lock", patience_s=0):
        pass


@pytest.mark.usefixtures("without_locks")
def test_of_many_that_take_a_dead_holders_lock_over_one_at_a_time_has_it(tmp_path: Path, impatient: None) -> None:
    holder_of(tmp_path / "lock")
    inside, most, turns = 0, 0, []

    def take() -> None:
        nonlocal inside, most
        with held(tmp_path / "lock"):
            inside += 1
            most = max(most, inside)
            turns.append(threading.get_ident())
            threading.Event().wait(0.03)
            inside -= 1

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(turns)) == (1, 4)


def test_a_lock_that_the_file_system_keeps_for_a_dead_machine_is_told_with_the_way_out(
    tmp_path: Path, impatient: None
) -> None:
    with another_process(tmp_path / "lock"):
        holder_of(tmp_path / "lock")  # as a server of NFS holds it for a client that is gone
        rule = r"lock: is held by process 41 on node07 .*gives no sign of life; if it is gone, remove that file"
        with pytest.raises(Held, match=rule), held(tmp_path / "lock"):
            pass


def test_whoever_waits_long_is_told_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_TELL_S", 0.1)
    with another_process(tmp_path / "lock") as pid:
        told = pytest.warns(UserWarning, match=f"lock: waiting for process {pid} on {platform.node()}")
        with told, pytest.raises(Held), held(tmp_path / "lock", patience_s=0.5):
            pass


@pytest.mark.usefixtures("without_locks")
def test_a_cache_is_filled_once_without_locks(tmp_path: Path, impatient: None) -> None:
    filled: list[Path] = []

    def fill(partial: Path) -> None:
        filled.append(partial)
        (partial / "whole").touch()

    threads = [threading.Thread(target=fill_once, args=(tmp_path / "store", "whole", "it", fill)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_whoever_only_looks_sees_whether_a_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not locks.is_free(path)  # of which nothing is known
    with another_process(path):
        path.chmod(0o444)
        assert not locks.is_free(path)
    before = path.read_bytes()
    assert locks.is_free(path)
    assert path.read_bytes() == before


def test_a_lock_that_came_from_another_machine_is_free_once_its_holder_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder_of(path, seen=locks._now())
    assert not locks.is_free(path)  # some mounts have locks of each machine alone
    holder_of(path, seen="2026-11-29 09:00:00 UTC")
    assert locks.is_free(path)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_dead_process_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    holder_of(path, host=platform.node(), pid=gone.pid, seen=locks._now())
    assert locks.is_free(path)
    holder_of(path, host=platform.node(), pid=os.getpid(), seen=locks._now())
    assert not locks.is_free(path)


def test_a_pipe_in_a_lock_s_place_is_told_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    os.mkfifo(path)
    assert not locks.is_free(path)
    with pytest.raises(OSError, match="is no regular file"), held(path):
        pass


_AS_ON_WINDOWS = """
import errno, fcntl, os, sys
from pathlib import Path
from types import ModuleType
import filelock  # with this system's locks, for which those of Windows stand here

def locking(handle, mode, nbytes):
    try:
        fcntl.flock(handle, mode)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied")

sys.modules["msvcrt"] = msvcrt = ModuleType("msvcrt")
msvcrt.locking, msvcrt.LK_NBLCK, msvcrt.LK_UNLCK = locking, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN
sys.platform = "win32"
from glosstune.spaces.files.locks import held, is_free

path = Path(sys.argv[1])
assert not is_free(path)
with held(path):
    assert not is_free(path)
path.touch()
path.chmod(0o444)
assert is_free(path) and is_free(path) and path.exists()
reader = os.open(path, os.O_RDONLY)
fcntl.flock(reader, fcntl.LOCK_EX)
import time
time.sleep = lambda seconds: os.close(reader)  # another one that looked has looked
assert is_free(path)
"""


def test_on_windows_whoever_looks_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _AS_ON_WINDOWS, str(tmp_path / "lock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
