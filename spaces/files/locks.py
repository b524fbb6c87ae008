"""Locks that processes and machines hold: by the file system, and by signs of life where it has no locks.

Whoever holds one writes into its file who it is, and anew every few seconds. So others can say whom they wait for, and
wait no longer for a holder that is silent, on a file system that lets go of no lock for it.
"""

import errno
import json
import os
import platform
import stat
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.bounded import open_regular

if sys.platform == "win32":
    from filelock import FileLock, Timeout
else:
    import fcntl

BEAT_S = 10.0
# So long without a beat, and a holder is taken for dead: where the file system has no locks, its lock is taken over.
SILENCE_S = 45.0
# By less than this the clocks of machines differ that share a folder.
_CLOCKS_S = 300.0
_TELL_S = 30.0
# On Windows whoever looks whether a lock is held has it for a moment.
_LOOKS, _LOOK_S = 3, 0.01
_LENGTH = 400
_TIME = "%Y-%m-%d %H:%M:%S UTC"
# Lustre without -o flock, some FUSE and 9p mounts, NFS without lockd.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class Held(FolderError):
    """Another process holds a lock."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, and when it was last heard of; times are those of its own clock, for people to read."""

    id: str
    pid: int
    host: str
    since: str
    seen: str
    beat: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {self.since}, last seen {self.seen})"

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is on another machine, which this one cannot ask."""
        return self.host != platform.node()

    @property
    def has_died(self) -> bool:
        """Whether it is known to be gone."""
        return not self.is_elsewhere and lives(self.pid) is False


@dataclass(frozen=True)
class Hold:
    """A lock that this process has taken."""

    path: Path
    holder: Holder

    def taken_by(self) -> Holder | None:
        """Who has taken it since, as one may from whoever stood still for longer than a silence; None if nobody has."""
        there = read_holder(self.path)
        return None if there is None or there.id == self.holder.id else there


@contextmanager
def held(path: Path, patience_s: float = -1) -> Iterator[Hold]:
    """Hold the lock of a file, which is made where it is not there, and stays.

    Args:
        patience_s: how long a living holder is waited for; below 0 until it lets go.

    Raises:
        Held: it has not let go, or is silent and the file system keeps its lock.
        OSError: the file cannot be made or written.
    """
    now = _now()
    me = Holder(uuid.uuid4().hex, os.getpid(), platform.node(), now, now)
    let_go = _wait(path, patience_s, me)
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, me, over), daemon=True)
    beating.start()
    try:
        yield Hold(path, me)
    finally:
        over.set()
        beating.join()
        let_go()


def read_holder(path: Path) -> Holder | None:
    """Who holds a lock, or held it last; None where nobody has said so."""
    try:
        with open_regular(path) as file:
            holder = Holder(**json.loads(file.read(_LENGTH)))
    except (OSError, ValueError, TypeError):
        return None
    return holder if isinstance(holder.pid, int) else None


def is_free(path: Path) -> bool:
    """Whether the lock of a file shows that nobody holds it; False where there is none, or nothing can be told.

    Nothing is written, so that it can be asked of a file that is only read, and of a copy on another machine: what a
    holder there has said last tells whether it lives.
    """
    locked, holder = _is_locked(path), read_holder(path)
    if locked or holder is None:
        return locked is False
    # Some file systems have locks for each machine alone, or none.
    return holder.has_died or _is_silent(holder) if locked is None or holder.is_elsewhere else True


def _is_silent(holder: Holder) -> bool:
    try:
        seen = datetime.strptime(holder.seen, _TIME).replace(tzinfo=UTC)
    except (TypeError, ValueError):
        return False
    return (datetime.now(UTC) - seen).total_seconds() > _CLOCKS_S


def lives(pid: int) -> bool | None:
    """Whether there is a process of that number on this machine; None on Windows, where to ask is to interrupt it."""
    if sys.platform == "win32":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or nobody's
        return True
    return True


def _wait(path: Path, patience_s: float, me: Holder) -> Callable[[], object]:
    """Take the lock, and return what lets go of it."""
    begun = heard = time.monotonic()
    first, told = read_holder(path), False
    while True:
        let_go, signs_alone = _try(path, me)
        if let_go is not None:
            with suppress(OSError):  # Windows lets nobody write into a locked file
                _write(path, me)
            return let_go
        now, holder = time.monotonic(), read_holder(path)
        held_by = f"{path}: is held by {holder or 'another process'}"
        if holder != first:
            first, heard = holder, now
        silent = now - heard >= SILENCE_S
        if signs_alone and (silent or (holder is not None and holder.has_died)):
            _take_over(path, holder)
            continue
        # Without locks, whether somebody lives shows in a while only.
        if 0 <= patience_s <= now - begun and not (signs_alone and heard == begun):
            raise Held(held_by)
        if silent and holder is not None and holder.is_elsewhere:
            raise Held(f"{held_by}, which gives no sign of life; if it is gone, remove that file and try again")
        if now - begun >= _TELL_S and not told:
            told = True
            warnings.warn(f"{path}: waiting for {holder or 'another process'}", stacklevel=3)
        time.sleep(min(0.05 + (now - begun) / 10, BEAT_S / 10))


if sys.platform == "win32":

    def _try(path: Path, me: Holder) -> tuple[Callable[[], object] | None, bool]:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None, False
        return lock.release, False

    def _is_locked(path: Path) -> bool | None:
        """Whether another has the lock; None where that cannot be asked.

        Not by way of filelock, which wants to write, and removes the file as it lets go.
        """
        import msvcrt

        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            for _ in range(_LOOKS):
                try:
                    msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # the byte that filelock locks
                except OSError as error:
                    if error.errno not in (errno.EACCES, errno.EDEADLK):
                        return None
                    time.sleep(_LOOK_S)
                else:
                    msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
                    return False
            return True
        finally:
            os.close(handle)

else:

    def _try(path: Path, me: Holder) -> tuple[Callable[[], object] | None, bool]:
        """What lets go of the lock, None where another has it; and whether there are signs of life alone.

        Not by way of filelock, in whose ``__del__`` a Ctrl-C that comes at the wrong moment is lost.
        """
        try:
            handle, new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
        except FileExistsError:
            try:
                handle, new = os.open(path, os.O_RDWR), False
            except FileNotFoundError:  # somebody has let go at this moment
                return _try(path, me)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "is no regular file")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in _NO_LOCKS:  # then who makes the file has it
                return (partial(_let_go, path, me) if new else None), True
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None, False
            raise
        if not os.fstat(handle).st_nlink:  # removed since it was opened
            os.close(handle)
            return _try(path, me)
        return partial(os.close, handle), False

    def _is_locked(path: Path) -> bool | None:
        """Whether another has the lock; None where the file system has none, or it cannot be asked."""
        try:
            with open_regular(path) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return True if error.errno in (errno.EAGAIN, errno.EACCES) else None
        return False


def _let_go(path: Path, me: Holder) -> None:
    holder = read_holder(path)
    if holder is not None and holder.id == me.id:
        path.unlink(missing_ok=True)


def _take_over(path: Path, judged: Holder | None) -> None:
    """Let go of a lock for a dead holder; of several that would, one does."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.dead")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if read_holder(aside) != judged:  # somebody was faster, and holds it now
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)


def _beat(path: Path, me: Holder, over: threading.Event) -> None:
    beat = 0
    while not over.wait(BEAT_S):
        beat += 1
        with suppress(OSError):
            there = read_holder(path)
            if there is not None and there.id != me.id:
                return
            _write(path, replace(me, seen=_now(), beat=beat))


def _write(path: Path, holder: Holder) -> None:
    """In place, because a lock is that of the file, and at once, because others read meanwhile."""
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, json.dumps(asdict(holder)).encode().ljust(_LENGTH - 1) + b"\n")
    finally:
        os.close(handle)


def _now() -> str:
    return datetime.now(UTC).strftime(_TIME)
