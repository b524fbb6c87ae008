"""The append-only record of a sweep: one JSON object a line, each safe before the sweep goes on.

On object storage every event is an object of its own, written before the line on this machine; that it must be new
keeps a second driver out, whatever became of the first one.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from glosstune.results.reading.names import EVENTS, THOUSANDS
from glosstune.results.reading.remote import COMPACTED
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.object_storage import ObjectFolder


def _elapsed_s() -> float:
    if sys.platform == "linux":  # whose other clock goes on while the machine sleeps, as that on the wall does
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


# Read once: what a driver writes is as far apart as it happened, also where somebody sets the clock meanwhile.
_BEGUN, _BEGUN_S = datetime.now(UTC), _elapsed_s()


def _now() -> datetime:
    return _BEGUN + timedelta(seconds=_elapsed_s() - _BEGUN_S)


# Of whom this driver meets where it would write.
TAKEN_OVER = "has taken the sweep over; this one has ended, and nothing is lost"


class Unwritten(FolderError):
    """An event could not be written; its driver ends, and nothing more is written by it."""


class Record:
    """Writes ``record.jsonl``; one driver at a time does.

    Args:
        check: called before every event; raises FolderError where this driver is no longer that one.

    Attributes:
        broken: why an event could not be written, if one could not.
    """

    def __init__(self, path: Path, check: Callable[[], object] = lambda: None) -> None:
        self.path = path
        self._check = check
        self.broken: Unwritten | None = None

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write an event and return it as a reader will see it.

        Raises:
            Unwritten: it cannot be written, or an earlier one could not.
        """
        line = json.dumps({"event": event, "time": _now().isoformat(timespec="milliseconds"), **fields})
        self.check()
        self._or_break(partial(self._write, line.encode() + b"\n"))
        return dict(json.loads(line))

    def check(self) -> None:
        """Raise Unwritten where nothing can be written any more, or another driver writes it now."""
        if self.broken is not None:  # behind half a line another one would not be read
            raise self.broken
        self._or_break(self._check)

    def _or_break(self, step: Callable[[], object]) -> None:
        try:
            step()
        except FolderError as error:
            self.broken = Unwritten(str(error))
            raise self.broken from error

    def repair(self) -> None:
        """Cut off a last line that a reader would forgive, so that what is appended does not stand behind it."""
        try:
            with self.path.open("r+b") as file:
                content = file.read()
                whole = content.rfind(b"\n") + 1
                start = content.rfind(b"\n", 0, max(whole - 1, 0)) + 1
                try:
                    json.loads(content[start:whole] or b"{}")
                except ValueError:
                    whole = start
                if whole < len(content):
                    file.truncate(whole)
                    os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error}") from error

    def _write(self, line: bytes) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error}") from error


class StoredRecord(Record):
    """That of a sweep on object storage; ``path`` is this machine's copy, as far as this driver has it."""

    def __init__(self, path: Path, storage: ObjectFolder, check: Callable[[], object] = lambda: None) -> None:
        super().__init__(path, check)
        self._storage = storage
        self._count = path.read_bytes().count(b"\n") if path.exists() else 0

    def _write(self, line: bytes) -> None:
        try:
            self._storage.write(f"{EVENTS}/{self._count:08d}.json", line, new=True)
        except FileExistsError:
            raise FolderError(f"{self._storage.place}: another driver {TAKEN_OVER}") from None
        self._count += 1
        super()._write(line)
        if self._count % COMPACTED == 0:
            self._compact()

    def _compact(self) -> None:
        """Copy the newest thousand events into one object, which readers fetch in one request."""
        first = self._count - COMPACTED
        lines = self.path.read_bytes().splitlines(keepends=True)[first:]
        if len(lines) == COMPACTED:
            self._storage.write(f"{THOUSANDS}/{first:08d}-{self._count - 1:08d}.json", b"".join(lines))
