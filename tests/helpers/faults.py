"""Faults that are drawn: where a process next touches its disk, its storage or its clock, something goes wrong."""

import errno
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from s3_server import LOST, RESET, S3Server

from glosstune.results.reading.names import RAY
from glosstune.search.storage import record
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files import object_storage
from glosstune.spaces.files.object_storage import ObjectFolder

# By what is touched. "full" and "broken" are errors of a disk, whatever begins with "kill" ends a process.
KINDS = {
    "event": ["clock", "clock", "rival", "kill all"],
    "open": ["full", "broken", "kill", "kill all"],
    "write": ["full", "full", "broken", "kill", "kill all"],
    "fsync": ["broken", "kill all", "kill all after"],
    "rename": ["full", "kill", "kill all", "kill after", "kill all after"],
    "request": ["kill", "kill all", "kill after", "kill all after"],
    "answer": ["503 Slow Down", "500 Internal Error", RESET, RESET, LOST, LOST, LOST, "outage"],
}
# More requests than are tried for as long as a driver is patient.
OUTAGE = 60
# Events in one object, where readers find a thousand.
TOGETHER = 8
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}


class Died(BaseException):
    """The process that a trial runs in is gone."""


class AllDied(Died):
    """The driver is gone, and with it all trials."""


class Faults:
    """Draws faults while it is ``planted``; the same generator draws the same.

    Args:
        root: files below it are those that are touched, but for Ray's.
        far: faults are so many touches apart at most.
        log: hears of every fault too, before it strikes.
        real: this is the process of a driver: it is killed by the system, clocks run on by themselves, and whoever is
            patient waits.

    Attributes:
        told: every fault so far, a line each.
        rival: tries to take the sweep over.
        in_trial: the process of a trial runs; whatever else runs is the driver.
    """

    def __init__(
        self,
        generator: random.Random,
        root: Path,
        far: int,
        *,
        log: Callable[[str], object] = lambda line: None,
        real: bool = False,
    ) -> None:
        self.generator = generator
        self.root, self.far = root, far
        self._log, self._real = log, real
        self.told: list[str] = []
        self.rival: Callable[[], None] = lambda: None
        self.in_trial = False
        self.spared = 0
        self._lock = threading.Lock()
        self._clock_s, self._set_s, self._read_s, self._outage = 0.0, 0.0, 0.0, 0
        self._gone = False
        self._draw()

    @contextmanager
    def planted(self, server: S3Server | None = None) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self._plant(patch)
            if server is not None:
                server.fault = lambda method, path: self._answer(method)
            try:
                yield
            finally:
                if server is not None:
                    server.fault = None

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """Nothing goes wrong meanwhile."""
        self.spared += 1
        try:
            yield
        finally:
            self.spared -= 1

    def begin(self) -> None:
        """A driver begins, and reads the clock, as it does once."""
        self._read_s = self._set_s

    def recover(self) -> None:
        """Another process begins."""
        self._gone, self._outage = False, 0

    def strike(self, what: str, do: Callable[[], Any], part: Callable[[float], object] = lambda share: None) -> Any:
        """Do something, unless a fault is due; ``part`` does a share of it."""
        kind = self._due(what)
        if kind is None:
            return do()
        if kind == "clock":
            self._set_s += self.generator.choice((-1, 1)) * self.generator.uniform(1, 48) * 3600
        elif kind == "rival":
            self.rival()
        elif kind in ERRORS:
            part(self._share)
            raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]))
        else:
            if kind.endswith("after"):
                do()
            else:
                part(self._share)
            if self._real:
                os.kill(os.getpid(), signal.SIGKILL)
            self._gone = True
            raise AllDied if "all" in kind or not self.in_trial else Died
        return do()

    def _draw(self) -> None:
        self._left = self.generator.randint(1, self.far)
        self._choice, self._share = self.generator.random(), self.generator.random()

    def _due(self, what: str) -> str | None:
        with self._lock:
            if self.spared or self._gone:
                return None
            self._left -= 1
            if self._left > 0:
                return None
            kinds = KINDS[what]
            kind = kinds[int(self._choice * len(kinds))]
            self.told.append(f"{'trial' if self.in_trial else 'driver'}: {what}: {kind}")
            self._log(self.told[-1])
            self._draw()
            return kind

    def _answer(self, method: str) -> str | None:
        if self._outage and not self._gone:
            self._outage -= 1
            return "503 Service Unavailable"
        kind = self._due("answer")
        if kind == "outage":
            self._outage = OUTAGE
            return "503 Service Unavailable"
        return kind

    def _plant(self, patch: pytest.MonkeyPatch) -> None:
        opened, renamed, synced, unlinked = Path.open, Path.replace, os.fsync, Path.unlink
        asked, append = ObjectFolder._try, record.Record.append

        def touched(path: Path) -> bool:
            return path.is_relative_to(self.root) and not path.is_relative_to(self.root / RAY)

        def open_(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if not set(mode) & set("wax+") or not touched(path):
                return opened(path, mode, *arguments, **named)
            return _File(self.strike("open", lambda: opened(path, mode, *arguments, **named)), self)

        def replace(path: Path, target: Path) -> Any:
            return self.strike("rename", lambda: renamed(path, target)) if touched(path) else renamed(path, target)

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if not self._gone:  # whoever is gone tidies nothing up
                unlinked(path, missing_ok)

        def try_(storage: ObjectFolder, request: Callable[[], Any], name: str) -> Any:
            if self._gone:
                raise FolderError("nobody is there to ask")
            return asked(storage, lambda: self.strike("request", request), name)

        def append_(to: record.Record, event: str, **fields: Any) -> Any:
            return self.strike("event", lambda: append(to, event, **fields))

        patch.setattr(Path, "open", open_)
        patch.setattr(Path, "replace", replace)
        patch.setattr(Path, "unlink", unlink)
        patch.setattr(os, "fsync", lambda number: self.strike("fsync", lambda: synced(number)))
        patch.setattr(ObjectFolder, "_try", try_)
        patch.setattr(record.Record, "append", append_)
        patch.setattr(record, "COMPACTED", TOGETHER)
        if self._real:
            return
        patch.setattr(record, "_now", self._now)
        patch.setattr(object_storage, "time", SimpleNamespace(sleep=self._sleep, monotonic=lambda: self._clock_s))

    def _now(self) -> datetime:
        self._clock_s += 0.1
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self._clock_s + self._read_s)

    def _sleep(self, seconds: float) -> None:
        self._clock_s += seconds


class _File:
    """A file that is written to while the disk may fill or the process die."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, content: Any) -> Any:
        return self._faults.strike(
            "write", lambda: self._file.write(content), lambda share: self._write(content, share)
        )

    def _write(self, content: Any, share: float) -> None:
        self._file.write(content[: int(share * len(content))])
        self._file.flush()

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
